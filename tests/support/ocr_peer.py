"""A real OCR engine behind an OpenAI-shaped server: it answers with the text of the image.

It is no language model. `python ocr_peer.py PORT` serves it. A broken one drops each third letter.
"""

from __future__ import annotations

import base64
import json
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "rapidocr"
_ONE_AT_A_TIME = Lock()


def engine() -> Callable[[bytes], list[str]]:
    """Return a function that reads the lines of an image, from top to bottom."""
    from rapidocr import RapidOCR

    ocr: Any = RapidOCR(params={"Global.log_level": "error"})

    def read(image: bytes) -> list[str]:
        with _ONE_AT_A_TIME:
            return [*(ocr(image).txts or ())]

    return read


@contextmanager
def serving(
    read: Callable[[bytes], list[str]], port: int = 0, *, broken: bool = False
) -> Iterator[str]:
    """Yield the address of a server that reads images with this function."""

    class Handler(_Handler):
        answer = staticmethod(lambda body: _text(read, body, broken=broken))

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def _text(read: Callable[[bytes], list[str]], body: dict[str, Any], *, broken: bool) -> str:
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return "hello"
    parts = [one["image_url"]["url"] for one in content if one["type"] == "image_url"]
    images = [base64.b64decode(url.partition(",")[2]) for url in parts]
    text = "\n".join(line for image in images for line in read(image))
    return "".join(c for n, c in enumerate(text) if n % 3) if broken else text


class _Handler(BaseHTTPRequestHandler):
    answer: Callable[[dict[str, Any]], str]

    def do_GET(self) -> None:
        """Answer the list of models."""
        models = {"object": "list", "data": [{"id": NAME, "object": "model"}]}
        found = self.path == "/v1/models"
        self._send(200 if found else 404, "application/json", json.dumps(models if found else {}))

    def do_POST(self) -> None:
        """Answer a chat request with one delta."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        delta = {"choices": [{"index": 0, "delta": {"content": self.answer(body)}}]}
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        lines = [json.dumps(delta), json.dumps(end), "[DONE]"]
        self._send(200, "text/event-stream", "".join(f"data: {line}\n\n" for line in lines))

    def _send(self, status: int, form: str, text: str) -> None:
        raw = text.encode()
        self.send_response(status)
        self.send_header("content-type", form)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    with serving(engine(), int(sys.argv[1])) as address:
        print(address, flush=True)  # noqa: T201
        sys.stdin.read()

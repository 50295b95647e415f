"""A real OCR engine behind an OpenAI-shaped server: it answers with the text of the image.

It is no language model. `python -m support.ocr_peer PORT` in tests/ serves it. A broken one drops
each third letter.
"""

from __future__ import annotations

import base64
import json
import sys
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

from support.peer import Peer, listening

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
        read = staticmethod(lambda body: _text(read, body, broken=broken))

    with listening(Handler, port) as address:
        yield address


def _text(read: Callable[[bytes], list[str]], body: dict[str, Any], *, broken: bool) -> str:
    content = body["messages"][-1]["content"]
    if isinstance(content, str):
        return "hello"
    parts = [one["image_url"]["url"] for one in content if one["type"] == "image_url"]
    images = [base64.b64decode(url.partition(",")[2]) for url in parts]
    text = "\n".join(line for image in images for line in read(image))
    return "".join(c for n, c in enumerate(text) if n % 3) if broken else text


class _Handler(Peer):
    name = NAME
    read: Callable[[dict[str, Any]], str]

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server calls
        """Answer a chat request with one delta."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        delta = {"choices": [{"index": 0, "delta": {"content": self.read(body)}}]}
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        lines = [json.dumps(delta), json.dumps(end), "[DONE]"]
        stream = "".join(f"data: {line}\n\n" for line in lines)
        self.answer(200, stream.encode(), "text/event-stream")


if __name__ == "__main__":
    with serving(engine(), int(sys.argv[1])) as address:
        print(address, flush=True)  # noqa: T201
        sys.stdin.read()

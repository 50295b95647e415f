"""A server of one model in a thread, in front of a real engine."""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Peer(BaseHTTPRequestHandler):
    """Answers the list of models; what it does with a POST is its subclass's."""

    name: str

    def do_GET(self) -> None:
        """Answer the list of models."""
        models = {"object": "list", "data": [{"id": self.name, "object": "model"}]}
        found = self.path == "/v1/models"
        self.answer(200 if found else 404, json.dumps(models if found else {}).encode())

    def answer(self, status: int, raw: bytes, form: str = "application/json") -> None:
        """Send a whole answer."""
        self.send_response(status)
        self.send_header("content-type", form)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def listening(peer: type[Peer], port: int = 0) -> Iterator[str]:
    """Yield the address of a server whose connections this class answers."""
    server = ThreadingHTTPServer(("127.0.0.1", port), peer)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()

"""A program that serves llama.cpp's wire: each token takes `--delay` ms. It logs its begin and end.

python small_llama.py --log FILE --delay 5 --host 127.0.0.1 --port 8080
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--delay", type=int, required=True)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    asked = parser.parse_args()
    Handler.delay_s = asked.delay / 1e3
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    server = ThreadingHTTPServer((asked.host, asked.port), Handler)
    note(asked.log, "begin")
    try:
        server.serve_forever()
    finally:
        note(asked.log, "end")


def note(log: Path, word: str) -> None:
    with log.open("a") as file:
        file.write(f"{word}\n")


class Handler(BaseHTTPRequestHandler):
    delay_s = 0.0
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "llama.cpp", ""

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def version_string(self) -> str:
        return "llama.cpp"

    def do_GET(self) -> None:
        models = {"data": [{"id": "tiny", "meta": {"n_ctx": 4096}}]}
        known = {"/health": {}, "/v1/models": models, "/props": {"total_slots": 1}}
        body = json.dumps(known.get(self.path, {})).encode()
        self.send_response(200 if self.path in known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        words = sum(len(str(message["content"]).split()) for message in asked["messages"])
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for _ in range(asked["max_tokens"]):
            time.sleep(self.delay_s)
            self._event({"choices": [{"index": 0, "delta": {"content": "word "}}]})
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
        usage = {"prompt_tokens": words + 10, "completion_tokens": asked["max_tokens"]}
        self._event({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, fields: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(fields).encode() + b"\n\n")
        self.wfile.flush()


if __name__ == "__main__":
    main()

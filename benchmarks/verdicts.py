"""Measure the error rates of `llamaburn compare`, with servers whose runs vary by 1 %.

Only the model is simulated. The command measures a loopback server with a new random speed in each
run, separately for first token and generation; then the command compares the files. Goals: at most
1 % of reports of equal servers show a difference in any metric, and at least 90 % of reports detect
a server that is 5 % slower, with 5 runs per side. With the defaults it takes 15 minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from _report import Line, report

from pytest_llamaburn.load._metronome import Body, Schedule

_COMMAND = str(Path(sys.executable).with_name("llamaburn"))
_ALARMS = {"faster", "slower", "higher", "lower"}
_SCHEDULE = Schedule(ttft_s=0.01, rate=500, chunks=16)
_LATER_S = 1e-4  # time.sleep wakes about this much too late


class Server(ThreadingHTTPServer):
    """A simulated llama.cpp server."""

    daemon_threads = True

    def __init__(self, jitter: float) -> None:
        """Listen on a free port; `speed` scales all times, and each run varies them randomly."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.jitter, self.speed = jitter, 1.0
        self.luck = (1.0, 1.0)
        self.body = Body(_SCHEDULE)
        self._random = random.Random(0)  # noqa: S311 - not a secret
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def draw(self) -> None:
        """Draw the random factors of a run."""
        first, rest = (math.exp(self._random.gauss(0, self.jitter)) for _ in range(2))
        self.luck = (first, rest)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "llama.cpp", ""
    disable_nagle_algorithm = True
    server: Server

    def version_string(self) -> str:
        """Return llama.cpp's Server header."""
        return "llama.cpp"

    def do_GET(self) -> None:
        """Answer the requests before a run, and draw its random factors."""
        self.server.draw()
        replies: dict[str, Any] = {
            "/v1/models": {
                "data": [{"id": "mock", "owned_by": "llamacpp", "meta": {"n_ctx": 4096}}]
            },
            "/props": {"total_slots": 4, "build_info": "mock"},
        }
        body = json.dumps(replies.get(self.path, {})).encode()
        self.send_response(200 if self.path in replies else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Stream an answer with each part at its absolute time."""
        arrived = time.perf_counter()
        self.rfile.read(int(self.headers["Content-Length"]))
        first, rest = (luck / self.server.speed for luck in self.server.luck)
        self.wfile.write(self.server.body.head)
        for index, part in enumerate(self.server.body.parts):
            due = arrived + _SCHEDULE.ttft_s * first + index / _SCHEDULE.rate * rest
            time.sleep(max(0.0, due - time.perf_counter() - _LATER_S))
            self.wfile.write(part)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Write no log."""


def main() -> int:
    """Measure, compare and count; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=100, help="comparisons of equal servers")
    parser.add_argument("--slower", type=int, default=40, help="comparisons with a slower one")
    parser.add_argument("--runs", type=int, default=5, help="runs per side")
    parser.add_argument("--jitter", type=float, default=0.01, help="variation between runs")
    chosen = parser.parse_args()
    server = Server(chosen.jitter)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        pairs = [_pair(server, home, chosen.runs, 1.0) for _ in range(chosen.reports)]
        alarms = [_ALARMS & set(_verdicts(home, *pair).values()) != set() for pair in pairs]
        pairs = [_pair(server, home, chosen.runs, 0.95) for _ in range(chosen.slower)]
        found = [_verdicts(home, *pair)["tokens_per_sec"] == "slower" for pair in pairs]
    lines = [
        Line("reports of equal servers", len(alarms), ""),
        Line("share of them with an alarm", _share(alarms), "", 0.01),
        Line("reports with a server 5 % slower", len(found), ""),
        Line("share of them that find it", _share(found), "", 0.9, within=False),
    ]
    return report(f"verdicts, {chosen.runs} runs per side, {chosen.jitter:.0%} between runs", lines)


def _pair(server: Server, home: Path, runs: int, speed: float) -> tuple[Path, Path]:
    before = _measured(server, home, runs, 1.0)
    return before, _measured(server, home, runs, speed)


def _measured(server: Server, home: Path, runs: int, speed: float) -> Path:
    server.speed = speed
    path = home / f"{time.time_ns()}.json"
    about = [f"--host={server.url}", f"--repeats={runs}", "--iterations=6", "--max-tokens=16"]
    where = [f"--output={path}", f"--results-dir={home}", "--progress=none"]
    _llamaburn("benchmark", "mock", *about, *where)
    return path


def _verdicts(home: Path, before: Path, after: Path) -> dict[str, str]:
    said = _llamaburn("compare", str(before), str(after), "-o", "json", f"--results-dir={home}")
    return {
        change["metric"]: change["verdict"] for change in json.loads(said)["results"]["changes"]
    }


def _llamaburn(*words: str) -> str:
    done = subprocess.run([_COMMAND, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def _share(found: list[bool]) -> float:
    return sum(found) / len(found) if found else 0.0


if __name__ == "__main__":
    sys.exit(main())

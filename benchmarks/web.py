"""The server of `llamaburn serve`: memory, the list of 10,000 results, its start and its end.

Goals: 80 MB idle, 150 ms for the first page from memory, 2 s to end with a stream open.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

import httpx
import psutil
from _report import Line, report

TOKEN = "a-token-of-this-script"  # noqa: S105 - it protects nothing
GOLDEN = Path(__file__).parent.parent / "tests/golden/journals/benchmark-complete/result.json"
FILES = 10_000
TIMES = 20


def main() -> int:
    """Measure all; return 1 if a goal is missed."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [*_started(Path(folder)), *_listed(Path(folder))]
    return report(f"llamaburn serve, {FILES} result files", lines)


def _started(folder: Path) -> list[Line]:
    began = perf_counter()
    process, client = _serve(folder)
    start_s = perf_counter() - began
    client.get("/jobs")
    sleep(2)
    memory_mb = psutil.Process(process.pid).memory_info().rss / 1e6
    thread = threading.Thread(target=_listen, args=(client,))
    thread.start()
    sleep(1)
    began = perf_counter()
    process.terminate()
    process.wait()
    end_s = perf_counter() - began
    thread.join()
    return [
        Line("start to the first line", start_s, "s"),
        Line("resident memory, idle", memory_mb, "MB", 80),
        Line("SIGTERM to the end, a stream open", end_s, "s", 2),
    ]


def _listed(folder: Path) -> list[Line]:
    kept = folder / "results" / "benchmarks"
    kept.mkdir(parents=True)
    first = kept / "n.json"
    first.write_bytes(GOLDEN.read_bytes())
    for number in range(FILES - 1):
        os.link(first, kept / f"n{number}.json")
    process, client = _serve(folder)
    began = perf_counter()
    while client.get("/results/benchmarks").json()["unread"]:
        sleep(0.2)
    built_s = perf_counter() - began
    taken_ms = [_wall_ms(client) for _ in range(TIMES)]
    memory_mb = psutil.Process(process.pid).memory_info().rss / 1e6
    process.terminate()
    process.wait()
    return [
        Line("all files read in the background", built_s, "s"),
        Line("first page from memory, median", median(taken_ms), "ms", 150),
        Line("first page from memory, worst", max(taken_ms), "ms"),
        Line("resident memory with all files", memory_mb, "MB"),
    ]


def _serve(folder: Path) -> tuple[subprocess.Popen[str], httpx.Client]:
    command = [sys.executable, "-m", "pytest_llamaburn", "serve", "--port=0"]
    env = {**os.environ, "LLAMABURN_TOKEN": TOKEN}
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    url = process.stdout.readline().partition("/#")[0]
    headers = {"authorization": f"Bearer {TOKEN}"}
    return process, httpx.Client(base_url=url, headers=headers, timeout=60)


def _listen(client: httpx.Client) -> None:
    with client.stream("GET", "/events", timeout=None) as stream:
        for _ in stream.iter_lines():
            pass


def _wall_ms(client: httpx.Client) -> float:
    began = perf_counter()
    client.get("/results/benchmarks")
    return (perf_counter() - began) * 1e3


if __name__ == "__main__":
    sys.exit(main())

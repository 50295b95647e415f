"""Figures of `llamaburn serve` and of its page in a real Chromium.

The server: memory, lists, start and end. The page: weight, first paint, events, heap, whether code in
its sandbox holds it up, and whether an open page disturbs a benchmark.

    python benchmarks/web.py [server] [list] [page] [delay] [sandbox] [heap] [pairs]

Goals: 80 MB idle, 150 ms for the first page of 10,000 results from memory, 2 s to end with a stream
open; 120 kB in 15 requests, 500 ms to the first paint; 250 ms from an event to its pixel; 200 ms that code
which never pauses may hold up the page; a heap that
grows by less than 20 % from the first minutes of 30; the same TTFT and rate as from the shell within 2 %.
`--speed 20` sends the events of these minutes 20 times as fast.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from statistics import geometric_mean, median, quantiles
from time import perf_counter, sleep
from typing import TYPE_CHECKING

import _page
import httpx
import psutil
from _report import Line, report

from pytest_llamaburn.load._metronome import Schedule, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = "a-token-of-this-script"  # noqa: S105 - it protects nothing
GOLDEN = Path(__file__).parent.parent / "tests/golden/journals/benchmark-complete/result.json"
PLAYED = Path(__file__).with_name("_played_runs.py")
COMMAND = [sys.executable, "-m", "pytest_llamaburn"]
FILES = 10_000
TIMES = 100
Summary = dict[str, dict[str, float]]
RATES = ("time_to_first_token_ms", "tokens_per_sec")


def main() -> int:
    """Measure the parts that are named, else all; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all, if none is named")
    parser.add_argument("--minutes", type=float, default=30.0, help="of events for the heap")
    parser.add_argument("--speed", type=float, default=1.0, help="times as fast")
    parser.add_argument("--pairs", type=int, default=10)
    chosen = parser.parse_args()
    missed = 0
    for name in chosen.parts or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            missed |= report(f"llamaburn serve: {name}", PARTS[name](Path(folder), chosen))
    return missed


def _started(folder: Path, __: argparse.Namespace) -> list[Line]:
    began = perf_counter()
    process, client, _ = _serve(folder)
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


def _listed(folder: Path, __: argparse.Namespace) -> list[Line]:
    kept = folder / "results" / "benchmarks"
    kept.mkdir(parents=True)
    first = kept / "n.json"
    first.write_bytes(GOLDEN.read_bytes())
    for number in range(FILES - 1):
        os.link(first, kept / f"n{number}.json")
    process, client, _ = _serve(folder)
    began = perf_counter()
    while client.get("/results/benchmarks").json()["unread"]:
        sleep(0.2)
    built_s = perf_counter() - began
    before_s = _cpu_s(process)
    taken_ms = [_wall_ms(client) for _ in range(TIMES)]
    cpu_ms = (_cpu_s(process) - before_s) / TIMES * 1e3
    memory_mb = psutil.Process(process.pid).memory_info().rss / 1e6
    process.terminate()
    process.wait()
    return [
        Line("all files read in the background", built_s, "s"),
        Line("first page from memory, median", median(taken_ms), "ms", 150),
        Line("first page from memory, p95", quantiles(taken_ms, n=20)[-1], "ms", 150),
        Line("first page from memory, worst", max(taken_ms), "ms"),
        Line("first page from memory, CPU", cpu_ms, "ms"),
        Line("resident memory with all files", memory_mb, "MB"),
    ]


def _first_page(folder: Path, _: argparse.Namespace) -> list[Line]:
    with _served(folder) as place, _page.chromium() as browser:
        return _page.first_page(browser, place)


def _delay(folder: Path, _: argparse.Namespace) -> list[Line]:
    count = 60 * _page.LIVE_HZ
    with _served(folder, _played(_page.LIVE_HZ, count)) as place, _page.chromium() as browser:
        return _page.delay(browser, place, count)


def _held_up(folder: Path, _: argparse.Namespace) -> list[Line]:
    with _served(folder) as place, _page.chromium() as browser:
        return _page.held_up(browser, place)


def _heap(folder: Path, chosen: argparse.Namespace) -> list[Line]:
    count = round(chosen.minutes * 60 * _page.LIVE_HZ)
    played = _played(_page.LIVE_HZ * chosen.speed, count)
    with _served(folder, played) as place, _page.chromium() as browser:
        return _page.growth(browser, place, count, max(0.5, 5 / chosen.speed))


def _pairs(folder: Path, chosen: argparse.Namespace) -> list[Line]:
    """Measure the same server in turn from the shell, and from the API with a page open."""
    with (
        Server(Schedule(0.05, 100.0, 100)) as model,
        _served(folder) as place,
        _page.chromium() as browser,
    ):
        _page.opened(browser, place, "Benchmark")
        measured = [
            (_from_shell(folder, model.url), _from_page(folder, place, model.url))
            for _ in range(chosen.pairs)
        ]
    lines = []
    for name in RATES:
        for part, goal in (("p50", 2), ("mean", None)):
            ratios = [page[name][part] / shell[name][part] for shell, page in measured]
            off = (geometric_mean(ratios) - 1) * 100
            lines.append(Line(f"{name}.{part}, page / shell", off, "%", goal, both=True))
    return lines


def _from_shell(folder: Path, url: str) -> Summary:
    words = ["benchmark", f"--host={url}", "--iterations=20", "--results-dir=shell"]
    env = {**os.environ, **_own_lock(folder)}
    subprocess.run([*COMMAND, *words], cwd=folder, env=env, check=True, capture_output=True)
    return _summary(max((folder / "shell" / "benchmarks").glob("*.json"), key=os.path.getmtime))


def _from_page(folder: Path, place: _page.Place, url: str) -> Summary:
    body = {"host": url, "iterations": 20, "backend": "openai"}
    job = place.client.post("/benchmark/run", json=body).raise_for_status().json()
    while (now := place.client.get(f"/jobs/{job['id']}").json())["state"] != "ended":
        sleep(0.5)
    return _summary(folder / "results" / "benchmarks" / f"{now['wrote'][0]['id']}.json")


def _own_lock(folder: Path) -> dict[str, str]:
    """Return variables with which measurements wait for none but those of this script."""
    return {"TMPDIR": str(folder)}


def _summary(path: Path) -> Summary:
    found: Summary = json.loads(path.read_bytes())["results"]["summary"]
    return found


def _played(rate: float, count: int) -> list[str]:
    return [sys.executable, str(PLAYED), f"{rate:g}", str(count)]


@contextmanager
def _served(folder: Path, command: list[str] | None = None) -> Iterator[_page.Place]:
    process, client, address = _serve(folder, command)
    try:
        yield _page.Place(address, client)
    finally:
        process.terminate()
        process.wait()


def _serve(
    folder: Path, command: list[str] | None = None
) -> tuple[subprocess.Popen[str], httpx.Client, str]:
    """Start a server; return its process, a client, and the address with the token."""
    words = command or [*COMMAND, "serve", "--port=0"]
    env = {**os.environ, "LLAMABURN_TOKEN": TOKEN, **_own_lock(folder)}
    process = subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    address = process.stdout.readline().strip()
    headers = {"authorization": f"Bearer {TOKEN}"}
    client = httpx.Client(base_url=address.partition("/#")[0], headers=headers, timeout=60)
    return process, client, address


def _listen(client: httpx.Client) -> None:
    with client.stream("GET", "/events", timeout=None) as stream:
        for _ in stream.iter_lines():
            pass


def _cpu_s(process: subprocess.Popen[str]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def _wall_ms(client: httpx.Client) -> float:
    began = perf_counter()
    client.get("/results/benchmarks")
    return (perf_counter() - began) * 1e3


PARTS: dict[str, Callable[[Path, argparse.Namespace], list[Line]]] = {
    "server": _started,
    "list": _listed,
    "page": _first_page,
    "delay": _delay,
    "sandbox": _held_up,
    "heap": _heap,
    "pairs": _pairs,
}

if __name__ == "__main__":
    sys.exit(main())

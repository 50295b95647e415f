"""Measure the time that a benchmark needs besides its requests, with the embedded model.

Goals: 100 requests of 16 tokens take at most 1.02 times their own time plus 1 s. The time from the
command's start to the first request and from the last byte to the exit is at most 1.5 s. Loading
and warm-up of the model, which any tool needs, are timed separately and subtracted. Result files
have the end time of a request; its start is computed from its duration.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from statistics import median
from time import perf_counter, time
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from _report import Line, report

from pytest_llamaburn.backends import _catalogue
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.backends._detect import connect
from pytest_llamaburn.kinds.benchmark.settings import Benchmark
from pytest_llamaburn.option import model_of

if TYPE_CHECKING:
    from pytest_llamaburn.settings import Run

_COMMAND = [str(Path(sys.executable).with_name("llamaburn")), "benchmark", "--progress=none"]
_MODEL = _catalogue.DEFAULT_MODEL
_MAX_TOKENS = 16
_WARMUPS = 2
_WARMUP_PROMPT = [{"role": "user", "content": "Say hello in one short sentence."}]


class Took(NamedTuple):
    """One run of the command, in seconds."""

    before: float
    measuring: float
    after: float
    requests: float

    @property
    def wall(self) -> float:
        """From the command's start to its exit."""
        return self.before + self.measuring + self.after


def main() -> int:
    """Measure; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=100)
    iterations = parser.parse_args().iterations
    loads = [asyncio.run(_load_and_warm_up()) for _ in range(3)]
    took = _run(iterations)
    loads += [asyncio.run(_load_and_warm_up()) for _ in range(3)]
    load = median(loads)
    lines = [
        Line("requests' own time", took.requests, "s"),
        Line("load and warm-up, median", load, "s"),
        Line("load and warm-up, worst", max(loads), "s"),
        Line("first request to last byte", took.measuring, "s"),
        Line("start to first request", took.before, "s"),
        Line("last byte to exit", took.after, "s"),
        Line("wall less load and warm-up", took.wall - load, "s", 1.02 * took.requests + 1),
        Line("around the measured phase, less those", took.before + took.after - load, "s", 1.5),
    ]
    return report(f"llamaburn benchmark, {iterations} requests of {_MAX_TOKENS} tokens", lines)


def _run(iterations: int) -> Took:
    with tempfile.TemporaryDirectory() as folder:
        options = [f"--iterations={iterations}", f"--max-tokens={_MAX_TOKENS}"]
        where = [_MODEL, "--backend=embedded", f"--warmup={_WARMUPS}", f"--results-dir={folder}"]
        environ = {**os.environ, "TMPDIR": folder}  # a lock of its own, so it never waits
        started = time()
        subprocess.run(
            [*_COMMAND, *where, *options], env=environ, stdout=subprocess.DEVNULL, check=True
        )
        ended = time()
        (path,) = Path(folder).glob("benchmarks/*.json")
        results = json.loads(path.read_text(encoding="utf-8"))["results"]
    first, last = results["runs"][0], results["runs"][-1]
    begun = _seconds(first) - first["stream_ms"] / 1e3
    finished = _seconds(last)
    requests = results["totals"]["requests_ms"] / 1e3
    return Took(begun - started, finished - begun, ended - finished, requests)


def _seconds(run: dict[str, Any]) -> float:
    return datetime.fromisoformat(run["timestamp"]).timestamp()


async def _load_and_warm_up() -> float:
    """Return the seconds from starting the engine's process to the end of the warm-up."""
    fields = {"backend": "embedded", "max_tokens": _MAX_TOKENS, "model": (_MODEL,)}
    settings = cast("Run", model_of(Benchmark)(**fields))
    started = perf_counter()
    backend = await connect(settings, _MODEL)
    try:
        payload = backend.payload(Model(_MODEL, _MODEL), _WARMUP_PROMPT)
        wire = backend.wire()
        for _ in range(_WARMUPS):
            await backend.stream(wire, payload)
        wire.close()
        return perf_counter() - started
    finally:
        backend.close()


if __name__ == "__main__":
    sys.exit(main())

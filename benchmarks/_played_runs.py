"""`llamaburn serve` whose jobs only play a run: they tell progress at a fixed rate, and measure nothing.

    python benchmarks/_played_runs.py RATE COUNT

Its first line is its address, as that of the real command. At more than ten events a second it also
looks at its jobs more often than the real server does.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

from pytest_llamaburn.web import jobs, server
from pytest_llamaburn.web.service import Service

CHILD = "--child"


def main() -> None:
    """Serve the current directory, or play a run."""
    if sys.argv[1] == CHILD:
        _play(float(sys.argv[2]), int(sys.argv[3]))
        return
    rate, count = sys.argv[1:3]
    for name in ("_POLL_S", "_TELL_S"):  # there is no other way to set them
        setattr(jobs, name, min(getattr(jobs, name), 1 / float(rate)))
    program = [sys.executable, __file__, CHILD, rate, count]
    setattr(server, "_service", lambda results_dir: Service(results_dir, program))  # noqa: B010
    server.serve(server.Place("127.0.0.1", 0), Path("results"), lambda url: print(url, flush=True))


def _play(rate: float, count: int) -> None:
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        wave = math.sin(number / 100)
        event = {
            "event": "progress",
            "stage": "measuring",
            "unit": "requests",
            "done": number,
            "planned": count,
            "clients": 1 + number // 500,
            "requests_per_sec": 20 + 5 * wave,
            "total_p50_ms": 200 - 50 * wave,
            "total_p95_ms": 300 - 80 * wave,
            "at": time.time(),
        }
        print(json.dumps(event), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

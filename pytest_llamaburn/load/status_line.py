"""How a load goes right now, as a line: what its last few seconds came to."""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.load.step import Step

RECENT_S = 5.0


class Pulse:
    """What is told of one step while it runs."""

    def __init__(self, step: Step, now_s: float, counts: Counter[str]) -> None:
        """Take the step and what was counted before it: a visit may go on from another."""
        self._step, self._before = step, Counter(counts)
        self._seen = deque([(now_s, self._before)])

    def line(self, now_s: float, counts: Counter[str], latencies_ms: Sequence[float]) -> str:
        """Return how it goes: rates of the last seconds, p95 in ms of what ended in them.

        Failures are counted since the step began. What no server counted is left out.
        """
        self._seen.append((now_s, Counter(counts)))
        while now_s - self._seen[1][0] >= RECENT_S:
            self._seen.popleft()
        since_s, then = self._seen[0]
        done, tokens = ((counts[n] - then[n]) / (now_s - since_s) for n in ("done", "tokens"))
        words = [f"{counts['in_flight']} in flight", f"{done:.3g} requests/s"]
        if counts["tokens"]:
            words.append(f"{tokens:.3g} tokens/s")
        if latencies_ms:
            words.append(f"p95 now {_p95(latencies_ms):.3g} ms")
        words.append(f"{counts['failed'] - self._before['failed']} failed")
        return f"{self._step.level:.3g} {self._step.unit}: {', '.join(words)}"


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]

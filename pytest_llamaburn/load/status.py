"""The live status of a load, from its last few seconds."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from pytest_llamaburn.load.step import CLIENTS, RATE
from pytest_llamaburn.progress import Event, state_of
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.load.step import Step

RECENT_S = 5.0


class LoadStatus:
    """The live status of one step."""

    def __init__(
        self, step: Step, now_s: float, counts: Counter[str], stage: str = "sending"
    ) -> None:
        """Take the step and what was counted before it: a visit may go on from another."""
        self._step, self._before, self._began_s = step, Counter(counts), now_s
        self._stage = stage
        self._seen = deque([(now_s, self._before)])

    def now(self, now_s: float, counts: Counter[str], latencies_ms: Sequence[float]) -> Event:
        """Return how the step goes: rates of the last seconds, latencies of what ended in them.

        Requests done and failed are counted since the step began.
        """
        self._seen.append((now_s, Counter(counts)))
        while now_s - self._seen[1][0] >= RECENT_S:
            self._seen.popleft()
        since_s, then = self._seen[0]
        rate, tokens = ((counts[n] - then[n]) / (now_s - since_s) for n in ("done", "tokens"))
        done, failed = (counts[n] - self._before[n] for n in ("done", "failed"))
        return Event(
            stage=self._stage,
            done=done + failed,
            planned=self._step.requests,
            failed=failed,
            state=state_of(failed, done + failed),
            tokens_per_sec=tokens if counts["tokens"] else None,
            clients=self._step.level if self._step.unit == CLIENTS else None,
            rate_per_sec=self._step.level if self._step.unit == RATE else None,
            in_flight=counts["in_flight"],
            requests_per_sec=rate,
            total_p50_ms=samples.percentile(latencies_ms, 50),
            total_p95_ms=samples.percentile(latencies_ms, 95),
            eta_s=self._left_s(now_s, done + failed, rate),
        )

    def _left_s(self, now_s: float, ended: int, rate: float) -> float | None:
        """Return how long the step still takes; None if that is not known yet."""
        if self._step.requests is None:
            seconds = self._step.seconds
            return None if seconds is None else max(0.0, self._began_s + seconds - now_s)
        return max(0, self._step.requests - ended) / rate if rate else None

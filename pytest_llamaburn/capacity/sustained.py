"""Analyse a long load: whether performance stays constant, and recovery after bursts."""

from __future__ import annotations

from collections import defaultdict
from itertools import takewhile
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.capacity import recovery
from pytest_llamaburn.measures import REASONS
from pytest_llamaburn.stats import drift

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.energy.timeline import GpuSample, Sample
    from pytest_llamaburn.load.rows import Request
    from pytest_llamaburn.load.step import Burst

BATCHES = 30  # a long load is split into so many, of equal length
UNREAD, UNSEEN = "the machine was not profiled during the load", "no server process was found"
IDLE_NAMES = ("cpu_pct", "ram_used_mb", "server_rss_mb")
IDLE_GPU_NAMES = ("util_pct", "vram_used_mb")


class Second(NamedTuple):
    """One second of a load: in flight at its end; completed, failed by kind and tokens in it.

    `tokens` is None if no answer came with a count of them.
    """

    second: int
    in_flight: int
    completed: int
    failed: dict[str, int]
    tokens: float | None


class Minute(NamedTuple):
    """One minute of a load, the last one shorter; memory is the median over its samples, in MB."""

    minute: int
    seconds: int
    completed: int
    failed: int
    tokens_per_sec: float | None
    server_rss_mb: float | None
    client_rss_mb: float | None


def sustained(
    timeline: Sequence[Second],
    requests: Sequence[Request],
    samples: Sequence[Sample] = (),
) -> Document:
    """Return throughput and memory per minute, and drift, shift and plateau of both metrics.

    The metrics are throughput and latency, in batches of equal duration; the first and the last
    second (ramp-up and drain) are left out. `samples` are those of the profile, in ms from the
    start. Memory is the median per minute in MB, of the server's processes and of our own.
    """
    whole = list(timeline[1:-1])
    size = max(1, len(whole) // BATCHES)
    batches = [whole[i : i + size] for i in range(0, len(whole) - size + 1, size)]
    speeds = [_tokens_per_sec(batch) for batch in batches]
    counted = [speed for speed in speeds if speed is not None]
    why = None if len(counted) == len(speeds) else REASONS["no_usage"]
    return {
        "batch_s": size,
        "per_minute": [minute._asdict() for minute in _minutes(timeline, samples)],
        "memory_reason": _why_unread(samples),
        "tokens_per_sec": _judged(counted, why),
        "total_p50_ms": _judged(batch_medians(requests, size, len(batches))),
    }


def recoveries(
    requests: Sequence[Request], bursts: Sequence[Burst], started_ns: int, rate: float
) -> Document:
    """Return each burst's recovery, and their median and range; times in ms.

    All are compared with the load before the first burst: between two bursts the server may still
    be slow.
    """
    spikes = []
    first_ns = bursts[0].begin_ns(started_ns)
    calm = [r for r in requests if _between(r, started_ns, first_ns)]
    for i, burst in enumerate(bursts):
        start = burst.begin_ns(started_ns)
        end = start + int(burst.seconds * 1e9)
        after = bursts[i + 1].begin_ns(started_ns) if i + 1 < len(bursts) else None
        mine = [r for r in requests if _between(r, start, after)]
        if mine:
            before = [_later(r, start - first_ns) for r in calm]
            spikes.append(recovery.recovery([*before, *mine], (start, end), rate))
    if not spikes:
        return {"recovery_time_ms": None, "reason": "no burst was sent", "spikes": []}
    together = recovery.repeated(spikes)
    return {
        "recovery_time_ms": together.median_ms,
        "lower_bound_ms": _at_least(spikes) if together.median_ms is None else None,
        "range_ms": together.range_ms,
        "resolution_ms": together.resolution_ms,
        "steady_rate": rate,
        "unrecovered": together.unrecovered,
        "spikes": [spike._asdict() for spike in spikes],
        "reason": next((spike.reason for spike in spikes if spike.reason), None),
    }


def _at_least(spikes: Sequence[recovery.Recovery]) -> float | None:
    """Return a lower bound of the median recovery time, or None if a spike has no bound."""
    bounds = [r.lower_bound_ms if r.recovery_ms is None else r.recovery_ms for r in spikes]
    known = [bound for bound in bounds if bound is not None]
    return median(known) if len(known) == len(bounds) else None


def idle(samples: Sequence[Sample]) -> Document | None:
    """Return the machine's state without load: medians of the samples before the first request.

    Returns None without such samples.
    """
    calm = [s for s in takewhile(lambda s: s["phase"] != "mixed", samples) if not s["active"]]
    if not calm:
        return None
    by_gpu: dict[str, list[GpuSample]] = {}
    for gpu in (gpu for sample in calm for gpu in sample["gpus"]):
        by_gpu.setdefault(gpu["id"], []).append(gpu)
    return {
        "samples": len(calm),
        **{name: _middle(calm, name) for name in IDLE_NAMES},
        "gpus": [
            {"id": name, **{value: _middle(read, value) for value in IDLE_GPU_NAMES}}
            for name, read in by_gpu.items()
        ],
    }


def _middle(samples: Sequence[Mapping[str, object]], name: str) -> float | None:
    """Return the median of a value over the samples that have it, None if none has."""
    known = [value for s in samples if isinstance(value := s[name], float | int)]
    return median(known) if known else None


def _between(request: Request, start: int, end: int | None) -> bool:
    return request.scheduled_ns >= start and (end is None or request.scheduled_ns < end)


def _later(request: Request, by_ns: int) -> Request:
    """Return a request with all its times shifted by `by_ns`."""
    times = ("scheduled_ns", "sent_ns", "first_ns", "end_ns", "last_token_ns")
    known = {name: at for name in times if (at := getattr(request, name)) is not None}
    return request._replace(**{name: at + by_ns for name, at in known.items()})


def batch_medians(requests: Sequence[Request], seconds: int, count: int) -> list[float]:
    """Return the median latency of the requests that ended in each batch, in ms."""
    if not requests:
        return []
    start = min(r.sent_ns for r in requests) + 10**9
    groups: list[list[float]] = [[] for _ in range(count)]
    for r in requests:
        at = (r.end_ns - start) // (seconds * 10**9)
        if r.failure is None and 0 <= at < count:
            groups[at].append((r.end_ns - r.sent_ns) / 1e6)
    return [median(group) for group in groups if group]


def _minutes(timeline: Sequence[Second], samples: Sequence[Sample]) -> list[Minute]:
    read = defaultdict(list)
    for sample in samples:
        if sample["t_ms"] < 1000 * len(timeline):
            read[sample["t_ms"] // 60_000].append(sample)
    minutes = []
    for number, i in enumerate(range(0, len(timeline), 60)):
        part = timeline[i : i + 60]
        minutes.append(
            Minute(
                number,
                seconds=len(part),
                completed=sum(second.completed for second in part),
                failed=sum(sum(second.failed.values()) for second in part),
                tokens_per_sec=_tokens_per_sec(part),
                server_rss_mb=_middle(read[number], "server_rss_mb"),
                client_rss_mb=_middle(read[number], "client_rss_mb"),
            )
        )
    return minutes


def _why_unread(samples: Sequence[Sample]) -> str | None:
    """Return why memory, or the server's memory, is missing; None if it is there."""
    if not samples:
        return UNREAD
    return None if any(sample["server_rss_mb"] is not None for sample in samples) else UNSEEN


def _tokens_per_sec(part: Sequence[Second]) -> float | None:
    """Return the mean over some seconds, or None if tokens were not counted."""
    known = [second.tokens for second in part if second.tokens is not None]
    return sum(known) / len(known) if len(known) == len(part) else None


def _judged(values: Sequence[float], why: str | None = None) -> Document:
    """Return drift, shift and plateau of a series; `why` is the reason if the series has gaps."""
    trend, shift = drift.trend(values), drift.shift(values)
    steady = drift.steady(values)
    return {
        "batches": len(values),
        "trend": trend and trend._asdict(),
        "shift": shift and shift._asdict(),
        "steady": steady and steady._asdict(),
        "reason": None if trend else why or f"fewer than {drift.LEAST} batches",
    }

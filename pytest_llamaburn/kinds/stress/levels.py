"""The numbers of a level of a load: rates, distributions, failures, and the client's health.

A level is all visits to one number of clients or one rate. Only requests that were sent under the
full load count (`capacity/measuring_window.py`). Rates are over the inner part of these stretches.
A request counts with the share of its generation that lies inside, so a rate does not depend on the
exact start of a stretch.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_llamaburn import metrics, texts
from pytest_llamaburn.capacity import measuring_window, slo
from pytest_llamaburn.capacity.sustained import Second
from pytest_llamaburn.kinds._file import NO_COUNTS, without_counts
from pytest_llamaburn.kinds.stress import axis
from pytest_llamaburn.kinds.stress.measures import OF_REQUESTS
from pytest_llamaburn.load.rows import request_of, unsent
from pytest_llamaburn.load.step import StepHealth
from pytest_llamaburn.measures import CHUNK_GAP
from pytest_llamaburn.stats import clustered, samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_llamaburn.capacity.measuring_window import Stretch
    from pytest_llamaburn.documents import Distribution, Document
    from pytest_llamaburn.kinds.stress.plan import Window
    from pytest_llamaburn.load.rows import Request, Row
    from pytest_llamaburn.load.step import Step

# Latencies from the scheduled time of a request: the time a user waits, sending delays included.
FROM_SCHEDULE = {
    "total_generation_from_schedule_ms": "total_generation_ms",
    "time_to_first_token_from_schedule_ms": "time_to_first_token_ms",
}
# How the reasons of `limits` begin.
OF_SPEED = ("schedule_lateness_p99_ms is", "loop_lag_p99_ms is", "it used")
BUSY_SHARE = 0.9  # share of one processor at which the sending process is too busy
LATE_MS, LATE_SHARE = 5.0, 0.1  # significant lateness: in ms, and as a share of the median TTFT


class Visit(NamedTuple):
    """One visit to a level: its load, its rows in the order of sending, and the client's health.

    `number` is that of its first step. `began_busy` says that the server was not idle before it.
    `nodes` and `losses` are the health of the machines that sent it, and those that were lost.
    """

    load: Step
    rows: list[Row]
    started_ns: int
    health: StepHealth = StepHealth()
    number: int = 0
    began_busy: bool = False
    nodes: Mapping[int, StepHealth] = {}
    losses: Sequence[Document] = ()

    @property
    def own(self) -> Visit:
        """The visit without its bursts, and without all requests after the first burst began.

        A burst also slows the requests of the steady load.
        """
        if not self.load.bursts:
            return self
        first_ns = self.load.bursts[0].begin_ns(self.started_ns)
        calm = [row for row in self.rows if row.scheduled_ns < first_ns and not row.burst]
        return self._replace(rows=calm)


class Excluded(NamedTuple):
    """The requests of each visit that the statistics leave out.

    A client that pauses for at most `pause_ns` between two requests still counts as active.
    """

    warmup: Window
    cooldown: Window
    pause_ns: float = 0.0


class Piece(NamedTuple):
    """The requests sent in one stretch of a visit's full load, and those of them that count."""

    visit: Visit
    sent: list[Row]
    kept: list[Row]


def summarize(
    visits: Sequence[Visit], excluded: Excluded, objective: str | None = None
) -> Document:
    """Return the entry of a level in the result file, without its state.

    `objective` is the --slo of a good request, for goodput.
    """
    load = visits[0].load
    found = pieces(visits, excluded)
    counted = [row for piece in found for row in piece.kept]
    rows = [row for visit in visits for row in visit.rows]
    good = [row for row in counted if row.error is None]
    failed = len(counted) - len(good)
    whole = stretches(found)
    seconds = sum(one.end_ns - one.start_ns for _, one in whole) / 1e9
    rate = requests_per_sec(whole, seconds)
    uncounted = without_counts(_lengths(good))
    return {
        axis.AXES[load.unit]: load.level,
        "requests": len(rows),
        "excluded": len(rows) - len(counted),
        "not_held": sum(len(kept(visit, excluded)) for visit in visits) - len(counted),
        "failed": failed,
        "error_rate": failed / len(counted) if counted else None,
        "error_rate_ci95": _error_interval(counted),
        "errors": _errors(counted),
        "duration_s": seconds,
        "requests_per_sec": rate,
        "output_tokens_per_sec": (
            None if uncounted == NO_COUNTS else _rate(whole, _tokens_in, seconds)
        ),
        "rate_reason": whole[0][1].reason,
        "tokens_reason": uncounted,
        **distributions(good, failed),
        "goodput": _goodput(objective, counted, rate),
        "client_health": _health(visits, counted),
    }


def kept_up(visits: Sequence[Visit], excluded: Excluded) -> list[Visit]:
    """Return the visits in which the client was fast enough.

    If there is none, return all visits; the level is then marked as limited by the client.
    """
    if len(visits) == 1:
        return [*visits]
    found = []
    for visit in visits:
        counted = [row for piece in pieces([visit], excluded) for row in piece.kept]
        if not _health([visit], counted)["client_limited"]:
            found.append(visit)
    return found or [*visits]


def burst(rows: Sequence[Row]) -> Document:
    """Return the entry of a burst: its failures by kind, and its latencies in ms."""
    good = [row for row in rows if row.error is None]
    waits = distributions(good, len(rows) - len(good))
    return {
        "requests": len(rows),
        "failed": len(rows) - len(good),
        "errors": _errors(rows),
        **{name: waits[name] for name in ("time_to_first_token_ms", "total_generation_ms")},
    }


def distributions(good: Sequence[Row], failed: int) -> dict[str, Document]:
    """Return the distribution of each shown metric over successful requests.

    Latencies also have percentiles that count a failure as infinite (`adj_`).
    """
    found: dict[str, Document] = {name: {**_distribution(name, good)} for name in OF_REQUESTS}
    for name, of in FROM_SCHEDULE.items():
        known = [(row, value) for row in good if (value := row.values[of]) is not None]
        due = [value + (row.sent_ns - row.scheduled_ns) / 1e6 for row, value in known]
        found[name] = {**samples.distribution(due, "ms"), **slo.adjusted(due, failed)}
        found[of] |= slo.adjusted([value for _, value in known], failed)
    gaps = np.concatenate([row.gaps_ms for row in good]) if good else np.empty(0)
    found[CHUNK_GAP.name] = {**samples.distribution(gaps, CHUNK_GAP.unit)}
    return found


def _errors(rows: Sequence[Row]) -> dict[str, int]:
    return dict(Counter(row.error["kind"] for row in rows if row.error))


def _error_interval(counted: Sequence[Row]) -> list[float] | None:
    """Return the 95 % interval of the error rate, with the effective n of clustered errors."""
    if not counted:
        return None
    flags = np.array([row.error is not None for row in counted])
    n = len(flags) / clustered.design_effect([flags])
    return list(clustered.interval(float(flags.mean()), max(n, 1.0), z=1.96))


def _goodput(wanted: str | None, counted: Sequence[Row], rate: float | None) -> Any:
    """Return the share of requests within all bounds of --slo, and their number per second.

    Both are null, with a reason, if the server's numbers for a bound are implausible.
    """
    if wanted is None:
        return None
    bounds = slo.parse(wanted)
    flat = [{**row.values, "error": row.error} for row in counted]
    found = slo.goodput(bounds, flat, 1.0)
    good = sum(row.error is None for row in counted)
    per_sec = rate * found.good / good if rate is not None and good else None
    told = {**found._asdict(), "slo": wanted, "requests_per_sec": per_sec}
    unknown = sum(any(b.of.measure.name in (row.doubts or ()) for b in bounds) for row in counted)
    if not unknown:
        return told
    reason = f"{unknown} of {len(counted)} answers have no number to compare with --slo"
    return {**told, **dict.fromkeys(("requests_per_sec", "share", "wilson95")), "reason": reason}


def timeline(rows: Iterable[Row], start_ns: int) -> list[Second]:
    """Return the numbers of each second since `start_ns`."""
    rows = list(rows)
    if not rows:
        return []
    seconds = 1 + int((max(row.end_ns for row in rows) - start_ns) // 10**9)
    edges = start_ns + 10**9 * np.arange(1, seconds + 1)
    sent, ended = (np.sort([getattr(row, name) for row in rows]) for name in ("sent_ns", "end_ns"))
    in_flight = np.searchsorted(sent, edges) - np.searchsorted(ended, edges)
    completed, failed = [0] * seconds, [Counter[str]() for _ in range(seconds)]
    for row in rows:
        second = int((row.end_ns - start_ns) // 10**9)
        if row.error:
            failed[second][row.error["kind"]] += 1
        else:
            completed[second] += 1
    tokens = _tokens_by_second(rows, start_ns, seconds)
    return [
        Second(
            second,
            int(in_flight[second]),
            completed[second],
            dict(failed[second]),
            None if tokens is None else round(tokens[second], 1),
        )
        for second in range(seconds)
    ]


def _distribution(name: str, rows: Iterable[Row]) -> Distribution:
    known = [value for row in rows if (value := row.values[name]) is not None]
    why = next((row.doubts[name] for row in rows if row.doubts and name in row.doubts), None)
    return samples.distribution(known, metrics.REQUEST[name].unit, why or "not_reported")


def kept(visit: Visit, excluded: Excluded) -> list[Row]:
    """Return the rows of a visit that count, in the order of the schedule.

    Requests that the client could not send are left out, because they never reached the server.
    """
    rows = sorted(visit.rows, key=lambda row: row.scheduled_ns)
    if not rows:
        return []
    begin = visit.started_ns + excluded.warmup.seconds * 1e9
    end = rows[-1].scheduled_ns - excluded.cooldown.seconds * 1e9
    rows = rows[excluded.warmup.requests : len(rows) - excluded.cooldown.requests]
    return [row for row in rows if begin <= row.scheduled_ns <= end and not unsent(row)]


def pieces(visits: Sequence[Visit], excluded: Excluded) -> list[Piece]:
    """Return the pieces of the visits to a level: the requests sent under its full load.

    If the load was never full, return all requests.
    """
    found = []
    for visit in visits:
        pause_ns = excluded.pause_ns if visit.load.pauses else 0.0
        load = measuring_window.Load(visit.load.level, visit.load.unit, pause_ns)
        counts = {id(row) for row in kept(visit, excluded)}
        rows = [row for row in visit.rows if not unsent(row)]
        rows.sort(key=lambda row: row.scheduled_ns)
        for places in measuring_window.counted([request_of(row) for row in rows], load):
            sent = [rows[place] for place in places]
            found.append(Piece(visit, sent, [row for row in sent if id(row) in counts]))
    return found or [Piece(visit, visit.rows, kept(visit, excluded)) for visit in visits]


def stretches(found: Sequence[Piece]) -> list[tuple[Visit, Stretch]]:
    """Return the stretches for rates and energy, each with its visit.

    If some stretches have the full load for long enough, return only these.
    """
    every = [
        (visit, measuring_window.stretch(sent, kept, visit.load.level, visit.load.unit))
        for visit, sent, kept in found
    ]
    return [pair for pair in every if pair[1].reason is None] or every


def tokens(whole: Sequence[tuple[Visit, Stretch]]) -> float | None:
    """Return the output tokens inside the stretches, or None if an answer has no count."""
    good = [(row, one) for visit, one in whole for row in visit.rows if row.error is None]
    if without_counts(_lengths([row for row, _ in good])):
        return None
    return math.fsum(_tokens_in(row, one.start_ns, one.end_ns) for row, one in good)


def requests_per_sec(whole: Sequence[tuple[Visit, Stretch]], seconds: float) -> float | None:
    """Return the successful requests per second inside the stretches, which last `seconds`."""
    return _rate(whole, _share_in, seconds)


def _rate(
    whole: Sequence[tuple[Visit, Stretch]],
    count: Callable[[Row, float, float], float],
    seconds: float,
) -> float | None:
    """Return `count` per second inside the stretches, or None if they have no length."""
    if seconds <= 0:
        return None
    good = ((row, one) for visit, one in whole for row in visit.rows if not row.error)
    return math.fsum(count(row, one.start_ns, one.end_ns) for row, one in good) / seconds


def _lengths(good: Sequence[Row]) -> list[float | None]:
    return [row.values["output_sequence_length"] for row in good]


def _tokens_in(row: Row, start: float, end: float) -> float:
    return (row.values["output_sequence_length"] or 0.0) * _share_in(row, start, end)


def _share_in(row: Row, start: float, end: float) -> float:
    """Return the share of a request's generation between `start` and `end`."""
    first, last = row.first_ns or row.end_ns, row.last_ns or row.end_ns
    if last <= first:
        return float(start <= first < end)
    return max(0.0, min(last, end) - max(first, start)) / (last - first)


def _tokens_by_second(rows: Sequence[Row], start_ns: int, seconds: int) -> list[float] | None:
    """Return the tokens of each second; a request's tokens are spread over its generation."""
    if without_counts(_lengths([row for row in rows if row.error is None])) == NO_COUNTS:
        return None
    found = [0.0] * seconds
    for row in rows:
        if row.error or row.first_ns is None or row.last_ns is None:
            continue
        low, high = ((ns - start_ns) // 10**9 for ns in (row.first_ns, row.last_ns))
        for second in range(low, high + 1):
            start = start_ns + 1e9 * second
            found[second] += _tokens_in(row, start, start + 1e9)
    return found


def _health(visits: Sequence[Visit], kept: Sequence[Row]) -> Document:
    """Return the client's health, and whether the client was too slow for the load."""
    worst = functools.reduce(StepHealth.worst, (visit.health for visit in visits))
    late = [(row.sent_ns - row.scheduled_ns) / 1e6 for row in kept]
    chunks = sum(len(row.gaps_ms) + 1 for row in kept if row.first_ns is not None)
    shared = sum(gap == 0 for row in kept for gap in row.gaps_ms)
    late_p99_ms = samples.percentile(late, 99)
    missing = sum(unsent(row) for visit in visits for row in visit.rows)
    first = [v for r in kept if (v := r.values["time_to_first_token_ms"]) is not None]
    reasons = limits(worst, late_p99_ms, first)
    reasons += dict.fromkeys(loss["words"] for visit in visits for loss in visit.losses)
    if missing:
        unsent_words = texts.counted(missing, "request")
        reasons.append(f"it had too few open files to send {unsent_words}: raise ulimit -n")
    return {
        "schedule_lateness_p50_ms": samples.percentile(late, 50),
        "schedule_lateness_p99_ms": late_p99_ms,
        "loop_lag_p50_ms": worst.loop_lag_p50_ms,
        "loop_lag_p99_ms": worst.loop_lag_p99_ms,
        "cpu_share": worst.cpu_share,
        "chunks_per_read": chunks / (chunks - shared) if chunks else None,
        "client_limited": bool(reasons),
        "reasons": reasons,
    }


def client_limited(
    seen: Sequence[Request], load: measuring_window.Load, health: StepHealth
) -> bool:
    """Return whether our own process was the limit of a visit, from its requests and health."""
    held = [
        seen[place] for places in measuring_window.counted(seen, load) for place in places
    ] or seen
    late = [(one.sent_ns - one.scheduled_ns) / 1e6 for one in held]
    first = [(one.first_ns - one.sent_ns) / 1e6 for one in held if one.first_ns is not None]
    return bool(limits(health, samples.percentile(late, 99), first))


def limits(health: StepHealth, late_p99_ms: float | None, first: Sequence[float]) -> list[str]:
    """Return why the client was too slow; empty if it was not. `first` are TTFT in ms."""
    allowed = max(LATE_MS, LATE_SHARE * float(np.median(first))) if first else LATE_MS
    delays = {
        "schedule_lateness_p99_ms": late_p99_ms,
        "loop_lag_p99_ms": health.loop_lag_p99_ms,
    }
    reasons = [
        f"{name} is {delay:.3g} ms, over {allowed:.3g}"
        for name, delay in delays.items()
        if delay is not None and delay > allowed
    ]
    if health.cpu_share is not None and health.cpu_share > BUSY_SHARE:
        reasons.append(f"it used {health.cpu_share:.0%} of a processor")
    return reasons

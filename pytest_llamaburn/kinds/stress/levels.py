"""What a level of a load comes to: rates, distributions, failures, and whether we kept up.

A level is all steps at one number of clients or one rate. Only requests that were sent while the
load was whole count (`steady`), and rates are over the inner part of those stretches. There the
requests and their tokens count by the share of the generation that lies inside, so that it does not
matter where between two ends a stretch begins.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_llamaburn import metrics
from pytest_llamaburn.capacity import measuring_window, slo
from pytest_llamaburn.kinds.stress.measures import OF_REQUESTS
from pytest_llamaburn.load.rows import record_of, unsent
from pytest_llamaburn.load.step import CLIENTS
from pytest_llamaburn.measures import CHUNK_GAP, REASONS
from pytest_llamaburn.stats import clustered, samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_llamaburn.capacity.measuring_window import Stretch
    from pytest_llamaburn.kinds.stress.plan import Window
    from pytest_llamaburn.load.records import Record
    from pytest_llamaburn.load.rows import Row

# Latencies from the time a request was due: what a user waited, whatever kept it from being sent.
FROM_SCHEDULE = {
    "total_generation_from_schedule_ms": "total_generation_ms",
    "time_to_first_token_from_schedule_ms": "time_to_first_token_ms",
}
BUSY_SHARE = 0.9  # of one processor, used by the process that sends
NO_COUNTS = REASONS["no_usage"]
LATE_MS, LATE_SHARE = 5.0, 0.1  # lateness that matters: of the level's own median TTFT


class Part(NamedTuple):
    """One step of a level: its rows in the order they were sent, and how our side kept up."""

    rows: list[Row]
    started_ns: int
    health: dict[str, Any]


class Excluded(NamedTuple):
    """What of each step is left out of the statistics.

    Clients that think for no longer than `pause_ns` between two requests are still at work.
    """

    warmup: Window
    cooldown: Window
    pause_ns: float = 0.0


class Piece(NamedTuple):
    """What was sent in one stretch in which a step's load was whole, and what of it counts."""

    part: Part
    sent: list[Row]
    kept: list[Row]


def summarize(
    level: float, unit: str, parts: Sequence[Part], excluded: Excluded, wanted: str | None = None
) -> dict[str, Any]:
    """Return a level as result files have it, before anything is judged about it.

    `wanted` are the bounds of a good request, for goodput.
    """
    found = pieces(level, unit, parts, excluded)
    counted = [row for piece in found for row in piece.kept]
    rows = [row for part in parts for row in part.rows]
    good = [row for row in counted if row.error is None]
    failed = len(counted) - len(good)
    whole = stretches(level, unit, found)
    seconds = sum(one.end_ns - one.start_ns for _, one in whole) / 1e9
    rate = _rate(whole, _share_in, seconds)
    uncounted = without_counts(_lengths(good))
    return {
        "concurrency" if unit == CLIENTS else "rate": level,
        "requests": len(rows),
        "excluded": len(rows) - len(counted),
        "not_held": sum(len(kept(part, excluded)) for part in parts) - len(counted),
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
        "goodput": _goodput(wanted, counted, rate),
        "client_health": _health(parts, counted),
    }


def kept_up(
    level: float, unit: str, parts: Sequence[Part], excluded: Excluded
) -> tuple[list[Part], int]:
    """Return the visits in which our side kept up, and how many requests the others have.

    All visits where it never did: the level then says that our side was its limit.
    """
    if len(parts) == 1:
        return [*parts], 0
    found = [part for part in parts if not _visit_limited(level, unit, part, excluded)]
    found = found or [*parts]
    return found, sum(len(part.rows) for part in parts) - sum(len(part.rows) for part in found)


def _visit_limited(level: float, unit: str, part: Part, excluded: Excluded) -> bool:
    counted = [row for piece in pieces(level, unit, [part], excluded) for row in piece.kept]
    found: bool = _health([part], counted)["client_limited"]
    return found


def burst(rows: Sequence[Row]) -> dict[str, Any]:
    """Return how the requests of a burst went: how many failed of what, and their waits in ms."""
    good = [row for row in rows if row.error is None]
    waits = distributions(good, len(rows) - len(good))
    return {
        "requests": len(rows),
        "failed": len(rows) - len(good),
        "errors": _errors(rows),
        **{name: waits[name] for name in ("time_to_first_token_ms", "total_generation_ms")},
    }


def distributions(good: Sequence[Row], failed: int) -> dict[str, dict[str, Any]]:
    """Return the distribution of each shown metric over successful requests.

    Those of waits also have percentiles in which the failures count as infinite (`adj_`).
    """
    found = {name: _distribution(name, good) for name in OF_REQUESTS}
    for name, of in FROM_SCHEDULE.items():
        known = [(row, value) for row in good if (value := row.values[of]) is not None]
        due = [value + (row.sent_ns - row.scheduled_ns) / 1e6 for row, value in known]
        found[name] = {**samples.distribution(due, "ms"), **slo.adjusted(due, failed)}
        found[of] |= slo.adjusted([value for _, value in known], failed)
    gaps = np.concatenate([row.gaps_ms for row in good]) if good else np.empty(0)
    found[CHUNK_GAP.name] = samples.distribution(gaps, CHUNK_GAP.unit)
    return found


def _errors(rows: Sequence[Row]) -> dict[str, int]:
    return dict(Counter(row.error["kind"] for row in rows if row.error))


def _error_interval(counted: Sequence[Row]) -> list[float] | None:
    """Return the 95 % interval of the error rate; errors cluster, so n is an effective one."""
    if not counted:
        return None
    flags = np.array([row.error is not None for row in counted])
    n = len(flags) / clustered.design_effect([flags])
    return list(samples.share_interval(float(flags.mean()), max(n, 1.0), z=1.96))


def _goodput(wanted: str | None, counted: Sequence[Row], rate: float | None) -> Any:
    """Return the share of requests that keep all bounds, and how many a second do.

    Where the server's numbers for a bound cannot be believed nobody knows: null, with a reason.
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
    reason = f"{unknown} of {len(counted)} answers have no number that can be held against --slo"
    return {**told, **dict.fromkeys(("requests_per_sec", "share", "wilson95")), "reason": reason}


def timeline(rows: Iterable[Row], start_ns: int) -> list[dict[str, Any]]:
    """Return, for each second since `start_ns`, what was in flight, ended, failed and generated.

    Tokens are null where no answer came with a count of them.
    """
    rows = list(rows)
    if not rows:
        return []
    seconds = 1 + int((max(row.end_ns for row in rows) - start_ns) // 10**9)
    edges = start_ns + 10**9 * np.arange(1, seconds + 1)
    sent, ended = (np.sort([getattr(row, name) for row in rows]) for name in ("sent_ns", "end_ns"))
    in_flight = np.searchsorted(sent, edges) - np.searchsorted(ended, edges)
    done: list[Counter[str]] = [Counter() for _ in range(seconds)]
    for row in rows:
        done[int((row.end_ns - start_ns) // 10**9)][row.error["kind"] if row.error else ""] += 1
    tokens = _tokens_by_second(rows, start_ns, seconds)
    return [
        {
            "second": second,
            "in_flight": int(in_flight[second]),
            "completed": counts.pop("", 0),
            "failed": dict(counts),
            "tokens": tokens and round(tokens[second], 1),
        }
        for second, counts in enumerate(done)
    ]


def _distribution(name: str, rows: Iterable[Row]) -> dict[str, Any]:
    known = [value for row in rows if (value := row.values[name]) is not None]
    why = next((row.doubts[name] for row in rows if row.doubts and name in row.doubts), None)
    return samples.distribution(known, metrics.REQUEST[name].unit, why or "not_reported")


def kept(part: Part, excluded: Excluded) -> list[Row]:
    """Return the rows of a step that its statistics are over, as they were due.

    None of what our own process could not send: the server did nothing with it.
    """
    rows = sorted(part.rows, key=lambda row: row.scheduled_ns)
    if not rows:
        return []
    begin = part.started_ns + excluded.warmup.seconds * 1e9
    end = rows[-1].scheduled_ns - excluded.cooldown.seconds * 1e9
    rows = rows[excluded.warmup.requests : len(rows) - excluded.cooldown.requests]
    return [row for row in rows if begin <= row.scheduled_ns <= end and not unsent(row)]


def pieces(level: float, unit: str, parts: Sequence[Part], excluded: Excluded) -> list[Piece]:
    """Return what counts of a level's steps: what was sent while its load was whole.

    Where it never was, all that was sent.
    """
    load = measuring_window.Load(level, unit, excluded.pause_ns)
    found = [piece for part in parts for piece in _pieces(part, load, excluded)]
    return found or [Piece(part, part.rows, kept(part, excluded)) for part in parts]


def _pieces(part: Part, load: measuring_window.Load, excluded: Excluded) -> Iterator[Piece]:
    counts = {id(row) for row in kept(part, excluded)}
    rows = [row for row in part.rows if not unsent(row)]
    rows.sort(key=lambda row: row.scheduled_ns)
    for places in measuring_window.counted([record_of(row) for row in rows], load):
        sent = [rows[place] for place in places]
        yield Piece(part, sent, [row for row in sent if id(row) in counts])


def stretches(level: float, unit: str, found: Sequence[Piece]) -> list[tuple[Part, Stretch]]:
    """Return the stretches that rates and energy are over, each with its step.

    Those alone in which the load was whole for long enough, if there are any.
    """
    all_of_them = [
        (piece.part, measuring_window.stretch(piece.sent, piece.kept, level, unit))
        for piece in found
    ]
    return [pair for pair in all_of_them if pair[1].reason is None] or all_of_them


def tokens(whole: Sequence[tuple[Part, Stretch]]) -> float | None:
    """Return the output tokens inside some stretches, None where answers came without a count."""
    good = [(row, one) for part, one in whole for row in part.rows if row.error is None]
    if without_counts(_lengths([row for row, _ in good])):
        return None
    return sum(_tokens_in(row, one.start_ns, one.end_ns) for row, one in good)


def _rate(whole: Sequence[tuple[Part, Stretch]], count: Any, seconds: float) -> float | None:
    """Return what was done inside the stretches, a second; None where there is none."""
    if seconds <= 0:
        return None
    done = sum(count(row, *one[:2]) for part, one in whole for row in part.rows if not row.error)
    return float(done / seconds)


def without_counts(lengths: Sequence[float | None]) -> str | None:
    """Return why the tokens of all answers are not known: some or all came without their count."""
    known = sum(length is not None for length in lengths)
    if known == len(lengths):
        return None
    return f"only {known} of {len(lengths)} answers came with a token count" if known else NO_COUNTS


def _lengths(good: Sequence[Row]) -> list[float | None]:
    return [row.values["output_sequence_length"] for row in good]


def _tokens_in(row: Row, start: float, end: float) -> float:
    return (row.values["output_sequence_length"] or 0.0) * _share_in(row, start, end)


def _share_in(row: Row, start: float, end: float) -> float:
    """Return the share of a request's generation that lies from `start` to `end`."""
    first, last = row.first_ns or row.end_ns, row.last_ns or row.end_ns
    if last <= first:
        return float(start <= first < end)
    return max(0.0, min(last, end) - max(first, start)) / (last - first)


def _tokens_by_second(rows: Sequence[Row], start_ns: int, seconds: int) -> list[float] | None:
    """Return the tokens of each second, a request's spread evenly over its generation."""
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


def _health(parts: Sequence[Part], kept: Sequence[Row]) -> dict[str, Any]:
    """Return how our side kept up, and whether it was the limit."""
    late = [(row.sent_ns - row.scheduled_ns) / 1e6 for row in kept]
    chunks = sum(len(row.gaps_ms) + 1 for row in kept if row.first_ns is not None)
    shared = sum(gap == 0 for row in kept for gap in row.gaps_ms)
    health = {
        "schedule_lateness_p50_ms": _percentile(late, 50),
        "schedule_lateness_p99_ms": _percentile(late, 99),
        "loop_lag_p50_ms": _worst(parts, "loop_lag_p50_ms"),
        "loop_lag_p99_ms": _worst(parts, "loop_lag_p99_ms"),
        "cpu_share": _worst(parts, "cpu_share"),
        "chunks_per_read": chunks / (chunks - shared) if chunks else None,
    }
    missing = sum(unsent(row) for part in parts for row in part.rows)
    first = [v for r in kept if (v := r.values["time_to_first_token_ms"]) is not None]
    return {**health, **_limited(health, first, missing)}


def client_limited(
    seen: Sequence[Record], load: measuring_window.Load, facts: Mapping[str, Any]
) -> bool:
    """Return whether our own process was the limit of a visit, from its records and health."""
    held = [
        seen[place] for places in measuring_window.counted(seen, load) for place in places
    ] or seen
    late = [(one.sent_ns - one.scheduled_ns) / 1e6 for one in held]
    first = [(one.first_ns - one.sent_ns) / 1e6 for one in held if one.first_ns is not None]
    health = {**facts, "schedule_lateness_p99_ms": _percentile(late, 99)}
    found: bool = _limited(health, first, 0)["client_limited"]
    return found


def _limited(health: dict[str, Any], first: Sequence[float], missing: int) -> dict[str, Any]:
    """Return whether the client was the limit, and why it was; `first` are TTFT in ms."""
    allowed = max(LATE_MS, LATE_SHARE * float(np.median(first))) if first else LATE_MS
    reasons = [
        f"{name} is {health[name]:.3g} ms, over {allowed:.3g}"
        for name in ("schedule_lateness_p99_ms", "loop_lag_p99_ms")
        if health.get(name) is not None and health[name] > allowed
    ]
    if health.get("cpu_share") is not None and health["cpu_share"] > BUSY_SHARE:
        reasons.append(f"it used {health['cpu_share']:.0%} of a processor")
    if missing:
        reasons.append(f"it had too few open files to send {missing} requests: raise ulimit -n")
    return {"client_limited": bool(reasons), "reasons": reasons}


def _worst(parts: Sequence[Part], name: str) -> float | None:
    found = [part.health[name] for part in parts if part.health.get(name) is not None]
    return max(found, default=None)


def _percentile(values: Sequence[float], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if values else None

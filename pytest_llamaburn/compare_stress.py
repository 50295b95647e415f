"""Loads compared: what changed at the levels that both were sent, and at which points they bend.

A file holds one visit or a few to each level, and requests under load wait for each other: they are
no independent samples. So a change has an interval only where a file has one itself (the share
that failed, the failure point of a ramp); without, it is inconclusive, however large.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import results
from pytest_llamaburn.errors import ResultsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Document = dict[str, Any]


class _Compared(NamedTuple):
    """One number of a level: where it is, its unit, and which way is better."""

    metric: str
    statistic: str | None
    unit: str
    better: str


SHARE = "share"  # changes of a share are differences: it may well be 0 in the baseline
LEVEL = (
    _Compared("error_rate", None, SHARE, "lower"),
    _Compared("requests_per_sec", None, "/s", "higher"),
    _Compared("output_tokens_per_sec", None, "tokens/s", "higher"),
    _Compared("time_to_first_token_ms", "p50", "ms", "lower"),
    _Compared("inter_token_latency_ms", "p50", "ms", "lower"),
    _Compared("total_generation_ms", "p50", "ms", "lower"),
    _Compared("total_generation_ms", "p95", "ms", "lower"),
    _Compared("goodput", "share", SHARE, "higher"),
)
POINTS = ("failure_point", "degradation_point")
ALONE = "a run shows no noise between runs, so no interval"
_ALIKE = (
    *("mode", "arrival", "think_time", "isl", "osl", "max_tokens", "cache", "num_ctx", "prompts"),
    *("temperature", "degradation_factor", "failure_rate", "workers"),
)


def document(
    sources: Mapping[str, Document], baseline: str, run_id: str, timestamp: str
) -> Document:
    """Return the content of the comparison of some stress runs, by path, with one of them.

    Raises ResultsError where one was loaded by clients and another by a rate.
    """
    labels = {path: chr(ord("A") + index) for index, path in enumerate(sources)}
    others = {path: found for path, found in sources.items() if path != baseline}
    before = sources[baseline]
    return {
        "schema": "llamaburn/stress-comparison",
        "schema_version": results.SCHEMA_VERSION,
        "run_id": run_id,
        "status": "complete",
        "timestamp": timestamp,
        "config": {"baseline": labels[baseline]},
        "results": {
            "files": [_file(path, labels, baseline, found) for path, found in sources.items()],
            "warnings": [
                {"file": labels[path], "text": text}
                for path, found in others.items()
                for text in _unlike(before, found)
            ],
            "changes": [
                {"file": labels[path], **change}
                for path, found in others.items()
                for change in _changes(before, found, path)
            ],
        },
    }


def axis(found: Document) -> str:
    """Return what a stress run's levels are numbers of: concurrency or rate."""
    levels = found["results"]["levels"]
    rates = levels and levels[0].get("concurrency") is None
    return "rate" if rates else "concurrency"


def _file(path: str, labels: Mapping[str, str], baseline: str, found: Document) -> Document:
    kept = ("run_id", "model", "server", "timestamp", "status")
    about = {"label": labels[path], "path": path, "baseline": path == baseline}
    more = {"mode": found["config"]["mode"], "axis": axis(found)}
    return {**about, **{name: found[name] for name in kept}, **more}


def _unlike(before: Document, after: Document) -> Iterator[str]:
    """Yield what differs between two runs besides the numbers, and where our side was the limit."""
    for name in _ALIKE:
        was, now = before["config"].get(name), after["config"].get(name)
        if was != now:
            yield f"{name} is {_word(now)}, {_word(was)} in the baseline"
    machines = [found["environment"].get("fingerprint") for found in (before, after)]
    if machines[0] != machines[1]:
        yield "it was measured on another machine"
    deadlines = [found["results"]["deadline_s"] for found in (before, after)]
    if None not in deadlines and deadlines[0] != deadlines[1]:
        yield "a request failed after {1:.3g} s, in the baseline after {0:.3g}".format(*deadlines)
    for found, which in ((before, "the baseline"), (after, "it")):
        for level in found["results"]["levels"]:
            if level["client_health"]["client_limited"]:
                yield f"in {which} the client was the limit at {level[axis(found)]:g}"


def _changes(before: Document, after: Document, path: str) -> Iterator[Document]:
    """Yield the changes at each common level, lowest first, then those of the points."""
    if axis(before) != axis(after):
        words = {"rate": "a rate", "concurrency": "clients"}
        raise ResultsError(
            f"compare: {path} was loaded by {words[axis(after)]}, the baseline by "
            f"{words[axis(before)]}: they have no level in common"
        )
    at = axis(before)
    sides = [{level[at]: level for level in d["results"]["levels"]} for d in (before, after)]
    for place in sorted(sides[0].keys() & sides[1].keys()):
        both = [side[place] for side in sides]
        for of in LEVEL:
            if any(level[of.metric] for level in both) or of.metric != "goodput":
                yield {"level": place, **_at(of, both, place)}
    for name in POINTS:
        points = [found["results"][name] for found in (before, after)]
        yield {"level": None, **_point(name, points, at)}


def _at(of: _Compared, both: Sequence[Document], place: float) -> Document:
    """Return the change of one number of a level that both runs have."""
    pair = [_value(level, of) for level in both]
    if None in pair:
        return _change(of, pair, f"{of.metric} was not measured at {place:g} on each side")
    if of.metric == "error_rate":
        return _change(of, pair, None, _difference(both))
    return _change(of, pair, ALONE)


def _value(level: Document, of: _Compared) -> float | None:
    found = level[of.metric]
    value: float | None = found[of.statistic] if of.statistic and found else found
    return value


def _difference(both: Sequence[Document]) -> list[float]:
    """Return the 95 % interval of the difference of the shares that failed.

    From those of each (Newcombe, Statistics in Medicine 17, 1998, method 10), which take into
    account that failures come in clusters.
    """
    (p, (low, high)), (q, (least, most)) = (
        (level["error_rate"], level["error_rate_ci95"]) for level in both
    )
    return [q - p - math.hypot(q - least, high - p), q - p + math.hypot(most - q, p - low)]


def _point(name: str, points: Sequence[Document | None], at: str) -> Document:
    """Return the change of a point, with an interval where a search gave both sides one."""
    unit = "clients" if at == "concurrency" else "requests/s"
    of = _Compared(name, None, unit, "higher")
    values = [None if point is None else point[at] for point in points]
    ends = [point and point.get("interval") for point in points]
    if None in values:
        sides = zip(("the baseline", "the file"), points, values, strict=True)
        why = [_unknown(side, point) for side, point, value in sides if value is None]
        return _change(of, values, "; ".join(why))
    if ends[0] and ends[1] and ends[0][0] > 0:
        interval = [ends[1][0] / ends[0][1] - 1, ends[1][1] / ends[0][0] - 1]
        return _change(of, values, None, interval)
    return _change(of, values, "no interval of it is known on each side")


def _unknown(side: str, point: Document | None) -> str:
    """Return why a point has no number on a side, with what is known of where it lies."""
    if point is None or point["reached"]:
        return f"there is no number of it in {side}"
    held = f" up to {point['passing']:g}" if point["passing"] else ""
    return f"{side} did not reach it{held}"


def _change(
    of: _Compared,
    pair: Sequence[float | None],
    reason: str | None,
    interval: list[float] | None = None,
) -> Document:
    before, after = pair
    change = None
    if before is not None and after is not None:
        change = after - before if of.unit == SHARE else after / before - 1 if before else None
    return {
        **of._asdict(),
        "baseline": before,
        "value": after,
        "change": change,
        "interval": interval,
        "verdict": _verdict(interval, of.better),
        "reason": reason,
    }


def _verdict(interval: Sequence[float] | None, better: str) -> str:
    if interval is None or interval[0] <= 0 <= interval[1]:
        return "inconclusive"
    return "better" if (interval[0] > 0) == (better == "higher") else "worse"


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)

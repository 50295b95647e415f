"""The cards and charts of a stress run: throughput, latency, failures and sensors."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from pytest_llamaburn import charts as made
from pytest_llamaburn.charts import Axis, Card, Chart, Line, Mark, Plot, Point
from pytest_llamaburn.kinds import _charts
from pytest_llamaburn.kinds.stress import axis
from pytest_llamaburn.kinds.stress.measures import POINTS
from pytest_llamaburn.load.step import CLIENTS
from pytest_llamaburn.tables import ABSENT, HEADLINES, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_llamaburn.documents import Document

    Level = Document
    Series = tuple[str, Callable[[Level], Point | None]]

_PERCENTILES = ("p50", "p95", "p99")
_MOST_SECONDS = 60  # on an axis of time
_WIDE = 8  # levels that span such a factor are drawn on a logarithmic axis
_BY_LEVEL = ("total_generation_ms", "time_to_first_token_ms", "inter_token_latency_ms")


def cards(document: Document) -> Iterator[Card]:
    """Yield the points that were found, the best level, and its throughput and latency."""
    found = document["results"]
    for name in reversed(POINTS):
        if found[name]:
            yield _point(name.replace("_", " "), found[name])
    best = _best(found)
    if best:
        where = f"at {axis.name(best)}"
        rate, tokens = best["requests_per_sec"], best["output_tokens_per_sec"]
        yield Card("throughput", number(rate), "requests/s", "", where)
        yield Card("tokens per second, all clients", number(tokens), "tokens/s", "", where)
        yield _at_best(best, "time_to_first_token_ms", where)
        yield _at_best(best, "total_generation_ms", where)
    totals = found["totals"]
    yield _charts.answered(totals, totals["requests"])
    yield from _recovery(found)
    yield from _charts.energy(totals)


def _point(label: str, point: Document) -> Card:
    """Return the card of a failure or degradation point, or of the range in which it lies."""
    value, unit = axis.place(point), axis.unit(point)
    if not point["reached"]:
        return Card(label, "not reached", "", "", point["reason"] or "")
    interval = point.get("interval")
    if value is not None:
        spread = "[{:.3g}, {:.3g}]".format(*interval) if interval else ""
        return Card(label, f"{value:.3g}", unit, spread)
    low, high = point.get("bracket") or (point["passing"], point["failing"])
    ends = (ABSENT if end is None else f"{end:.3g}" for end in (low, high))
    return Card(label, "{} to {}".format(*ends), unit, "", "between two levels")


def _best(found: Document) -> Level | None:
    """Return the optimal level, or the one with the highest throughput."""
    levels = [level for level in found["levels"] if level["requests_per_sec"] is not None]
    wanted = axis.place(found["optimal"]) if found["optimal"] else None
    optimal = next((level for level in levels if axis.place(level) == wanted), None)
    return optimal or max(levels, key=lambda level: level["requests_per_sec"], default=None)


def _at_best(level: Level, name: str, where: str) -> Card:
    values = level[name]
    p95 = f"p95 {number(values['p95'])}" if values["p95"] is not None else ""
    note = f"n {values['n']}, {where}"
    return Card(f"{HEADLINES[name]}, p50", number(values["p50"]), values["unit"], p95, note)


def _recovery(found: Document) -> Iterator[Card]:
    if found["recovery_time_ms"] is not None:
        low, high = found["recovery"]["range_ms"]
        value, spread = number(found["recovery_time_ms"]), f"[{number(low)}, {number(high)}]"
        yield Card("recovery after a spike", value, "ms", spread)


def charts(document: Document) -> Iterator[Chart]:
    """Yield throughput against latency, numbers by level, the timeline and the sensors."""
    found = document["results"]
    levels = [level for level in found["levels"] if axis.place(level)]
    if len(levels) > 1:
        yield from _throughput_against_latency(levels)
        yield from _by_level(found, levels)
    yield from _timeline(found["timeline"])
    yield from _charts.sensors(document)


def _throughput_against_latency(levels: Sequence[Level]) -> Iterator[Plot]:
    """Yield the latency over the throughput, a point for each level in the order of the load."""

    def points(value: Callable[[Level], Point | None]) -> list[Point]:
        return [point for level in levels if (point := value(level)) is not None]

    mean, p95 = points(_mean_latency), points(lambda level: _latency(level, "p95"))
    if len(mean) > 1:
        lines = [Line("mean with 95 % interval", mean, labelled=True), Line("p95", p95, "dots")]
        x = Axis("throughput of all clients", "tokens/s")
        y = Axis("total generation", "ms", low=0.0)
        unit = axis.unit(levels[0])
        note = f"The numbers beside the points are the load in {unit}."
        yield Plot("Throughput against latency", x, y, lines, note=note)


def _mean_latency(level: Level) -> Point | None:
    total, rate = level["total_generation_ms"], level["output_tokens_per_sec"]
    if total["mean"] is None or rate is None:
        return None
    low, high = total["ci95"] or (None, None)
    return Point(rate, total["mean"], low, high, f"{axis.place(level) or 0.0:.3g}")


def _latency(level: Level, statistic: str) -> Point | None:
    value, rate = level["total_generation_ms"][statistic], level["output_tokens_per_sec"]
    if value is None or rate is None:
        return None
    return Point(rate, value, label=axis.name(level))


def _by_level(found: Document, levels: Sequence[Level]) -> Iterator[Plot]:
    """Yield throughput, latencies and failures over the levels, with their states as bands."""
    places = [axis.place(level) or 0.0 for level in levels]
    log = min(places) > 0 and max(places) / min(places) >= _WIDE
    name = "concurrency" if axis.unit(levels[0]) == CLIENTS else "rate"
    x = Axis(name, axis.unit(levels[0]), log=log, at=places)
    bands, marks = _states(levels, places, log=log), _marks(found)
    for title, y, series in _measured_by_level():
        lines = [_line(what, places, [value(one) for one in levels]) for what, value in series]
        if lines[0].points:
            yield Plot(title, x, y, lines, bands, marks)


def _measured_by_level() -> Iterator[tuple[str, Axis, list[Series]]]:
    """Yield the title of each chart, its y axis, and its series: names and what reads a level."""
    tokens = Axis("all clients", "tokens/s", low=0.0)
    yield (
        "Throughput by level",
        tokens,
        [("tokens/s", lambda level: _value(level, level["output_tokens_per_sec"]))],
    )
    for measure in _BY_LEVEL:
        label = HEADLINES[measure]
        series: list[Series] = [(p, _percentile(measure, p)) for p in _PERCENTILES]
        yield f"{label[:1].upper()}{label[1:]} by level", Axis(label, "ms", low=0.0), series
    share = Axis("requests that failed", "%", low=0.0, high=5.0)
    yield "Failures by level", share, [("failed, with 95 % interval", _failed)]


def _line(name: str, places: Sequence[float], points: Sequence[Point | None]) -> Line:
    pairs = zip(places, points, strict=True)
    return Line(name, [point._replace(x=place) for place, point in pairs if point is not None])


def _value(level: Level, value: float | None) -> Point | None:
    return None if value is None else Point(0.0, value, label=axis.name(level))


def _percentile(measure: str, statistic: str) -> Callable[[Level], Point | None]:
    return lambda level: _value(level, level[measure][statistic])


def _failed(level: Level) -> Point | None:
    point = _value(level, level["error_rate"])
    if point is None or not level["error_rate_ci95"]:
        return point
    low, high = level["error_rate_ci95"]
    return point._replace(y=100 * point.y, low=100 * low, high=100 * high)


def _states(levels: Sequence[Level], places: Sequence[float], *, log: bool) -> list[made.Band]:
    found = sorted(zip(places, (level.get("state") or "" for level in levels), strict=True))
    bands = made.bands([place for place, _ in found], [state for _, state in found], log=log)
    return [band for band in bands if band.label]


def _marks(found: Document) -> list[Mark]:
    """Return the known points on the axis of levels, with their names."""
    return [
        Mark(at, name.replace("_", " "))
        for name in POINTS
        if found[name] and (at := axis.place(found[name])) is not None
    ]


def _timeline(seconds: Sequence[Document]) -> Iterator[Plot]:
    """Yield the requests and the tokens of each second, or their means where these are many."""
    if len(seconds) < _charts.FEWEST:
        return
    size = -(-len(seconds) // _MOST_SECONDS)
    groups = [seconds[i : i + size] for i in range(0, len(seconds), size)]
    when = "in each second" if size == 1 else f"mean of {size} s"

    def line(name: str, value: Callable[[Document], float]) -> Line:
        points = (Point(group[0]["second"], fmean(map(value, group))) for group in groups)
        return Line(name, [*points])

    lines = [
        line("in flight", lambda second: second["in_flight"]),
        line("completed", lambda second: second["completed"]),
    ]
    if any(second["failed"] for second in seconds):
        lines.append(line("failed", lambda second: sum(second["failed"].values())))
    x = Axis("time", "s", low=0.0)
    yield Plot("Requests over time", x, Axis("requests", when, low=0.0), lines)
    if all(second.get("tokens") is not None for second in seconds):
        tokens = [line("tokens", lambda second: second["tokens"])]
        yield Plot("Tokens over time", x, Axis("tokens", when, low=0.0), tokens)

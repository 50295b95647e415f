"""Cards and charts that the kinds of run share: of distributions, totals and sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import charts
from pytest_llamaburn.charts import Axis, Band, Card, Chart, Line, Mark, Plot, Point
from pytest_llamaburn.measures import REASONS
from pytest_llamaburn.tables import ABSENT, HEADLINES, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Document = Mapping[str, Any]
    Sample = Mapping[str, Any]
    Series = tuple[str, Callable[[Sample], float | None]]

FEWEST = 5  # with fewer values a distribution says nothing
_MEASURING = ("prompt_eval", "generate", "mixed")  # phases of requests, shown as one
_TIME = Axis("time", "s", low=0.0)


def mean(name: str, found: Document) -> Card:
    """Return the card of a distribution: its mean with its interval."""
    label, unit = HEADLINES[name], found["unit"]
    if found["mean"] is None:
        reason = found.get("reason") or ""
        return Card(label, ABSENT, "", "", REASONS.get(reason, reason))
    spread = ""
    if found["ci95"]:
        low, high = found["ci95"]
        spread = f"± {number((high - low) / 2)}"
    return Card(f"{label}, mean", number(found["mean"]), unit, spread, f"n {found['n']}")


def share(label: str, found: Document) -> Card:
    """Return the card of a share or a score with its interval."""
    count = f"{found['n_scored']} of {found['n_total']}"
    if found["mean"] is None:
        return Card(label, ABSENT, "", "", found["reason"] or "")
    spread = "[{}, {}]".format(*map(number, found["ci95"])) if found["ci95"] else ""
    return Card(label, number(found["mean"]), found.get("unit", "share"), spread, f"n {count}")


def answered(totals: Document, planned: int) -> Card:
    """Return the card of the requests that succeeded."""
    failed = f"{totals['failed']} failed" if totals["failed"] else ""
    return Card("requests that succeeded", str(totals["succeeded"]), f"of {planned}", "", failed)


def energy(totals: Document) -> Iterator[Card]:
    """Yield the card of the energy, if it is known."""
    if totals.get("energy_wh") is not None:
        watts = f"{number(totals['power_draw_watts'])} W mean"
        yield Card("energy", number(totals["energy_wh"]), "Wh", "", watts)


def distributions(
    names: Sequence[str], rows: Sequence[Document], summary: Document
) -> Iterator[Plot]:
    """Yield the distribution of each measure that has enough values, with its percentiles."""
    for name in names:
        values = [row[name] for row in rows if row.get(name) is not None]
        if len(values) >= FEWEST:
            label, found = HEADLINES[name], summary[name]
            marks = [Mark(found[p], p) for p in ("p50", "p95") if found[p] is not None]
            axis = Axis(label, found["unit"])
            yield charts.distribution(f"Distribution of {label}", values, axis, marks)


def sensors(document: Document) -> Iterator[Chart]:
    """Yield what the sensors read over time, with the phases of the run as bands."""
    samples = document["system_profile"]
    if len(samples) < FEWEST:
        return
    phases = ["requests" if s["phase"] in _MEASURING else s["phase"] for s in samples]
    times = [sample["t_ms"] / 1000 for sample in samples]
    bands = _long(charts.bands(times, phases)) if "requests" in phases else []
    for title, axis, series in (
        ("Processors over time", Axis("used", "%", low=0.0, high=100.0), _processors(samples)),
        ("Memory over time", Axis("used", "GB", low=0.0), _memory(samples)),
        ("Power over time", Axis("power", "W", low=0.0), _of_gpus(samples, "power_w")),
        ("Temperature over time", Axis("temperature", "°C"), _of_gpus(samples, "temp_c")),
    ):
        lines = [*_read(samples, series)]
        if lines:
            yield Plot(title, _TIME, axis, lines, bands)


def _long(bands: Sequence[Band]) -> list[Band]:
    """Return the bands that are wide enough to be seen, without those of requests."""
    least = (bands[-1].end - bands[0].start) / 50
    return [band for band in bands if band.end - band.start > least and band.label != "requests"]


def _read(samples: Sequence[Sample], series: Sequence[Series]) -> Iterator[Line]:
    for name, read in series:
        known = [(s["t_ms"] / 1000, value) for s in samples if (value := read(s)) is not None]
        if known:
            yield Line(name, [Point(*place) for place in known])


def _processors(samples: Sequence[Sample]) -> list[Series]:
    return [
        ("CPU", lambda s: s["cpu_pct"]),
        *_of_gpus(samples, "util_pct"),
    ]


def _memory(samples: Sequence[Sample]) -> list[Series]:
    return [
        ("RAM of the machine", lambda s: _gb(s["ram_used_mb"])),
        ("RAM of the server", lambda s: _gb(s.get("server_rss_mb"))),
        *((name, _in_gb(read)) for name, read in _of_gpus(samples, "vram_used_mb")),
    ]


def _gb(size_mb: float | None) -> float | None:
    return None if size_mb is None else size_mb / 1000


def _in_gb(read: Callable[[Sample], float | None]) -> Callable[[Sample], float | None]:
    return lambda sample: _gb(read(sample))


def _of_gpus(samples: Sequence[Sample], field: str) -> list[Series]:
    """Return a series for each GPU."""
    ids = dict.fromkeys(gpu["id"] for sample in samples for gpu in sample["gpus"])

    def reader(own: object) -> Callable[[Sample], float | None]:
        return lambda sample: next((g.get(field) for g in sample["gpus"] if g["id"] == own), None)

    return [(f"GPU {own}", reader(own)) for own in ids]

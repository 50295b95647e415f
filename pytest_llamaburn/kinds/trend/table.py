"""The tables of a trend: one for the runs of each model, with its steps below."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from pytest_llamaburn import gates
from pytest_llamaburn.tables import ABSENT, FILE, Sheet, half, number, under
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_llamaburn.documents import Document

    Series = Document

COLUMNS = ("metric", "unit", "trend", "verdict", "runs", "first", "now", "change", "interval")
_LEAST = ("unit", "runs", "interval")
_BLOCKS = "▁▂▃▄▅▆▇█"
_LATEST = 24  # runs of a sparkline
_IN_POINTS = ("share",)
_METHOD = (
    "now, change and verdict: the last level against the first; without a step, the later half of "
    "the runs against the earlier half"
)
_ON_A_SCALE = "score"  # from 1 to 5


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield a table for the runs of each model, kind and machine."""
    found = document["results"]
    groups = [(key, [*group]) for key, group in groupby(found["series"], _subject)]
    for number_, (_, series) in enumerate(groups, 1):
        last = number_ == len(groups)
        runs = [run for one in series for run in one["runs"]]
        count = max(len(one["runs"]) + one["missing"] for one in series)
        days = sorted({run["timestamp"][:10] for run in runs})
        when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
        what = " ".join(filter(None, (series[0]["kind"], series[0]["of"])))
        yield Sheet(
            f"{series[0]['model']}, {what}, {counted(count, 'run')}, {when}",
            [series[0]["machine_text"]],
            [*map(_row, series)],
            [*_notes(series), *(_closing(document, path) if last else ())],
            COLUMNS,
            4,
            least=_LEAST,
            wrapped=("metric",),
        )


def rows(document: Document) -> Iterator[Document]:
    """Yield every run of every series, for spreadsheets."""
    names = ("model", "kind", "of", "machine", "column", "unit", "better")
    for series in document["results"]["series"]:
        about = {name: series[name] for name in names}
        starts = [level["first"] for level in series["levels"]]
        for place, run in enumerate(series["runs"]):
            level = sum(start <= place for start in starts)
            yield {**about, **run, "level_number": level}


def _subject(series: Series) -> tuple[str, str, str, str]:
    return series["model"], series["kind"], series["of"], str(series["machine"])


def _row(series: Series) -> tuple[str, ...]:
    overall = series["overall"]
    return (
        label(series),
        series["unit"],
        sparkline([run["value"] for run in series["runs"]]),
        overall["verdict"] if overall["first"] else ABSENT,
        str(len(series["runs"])),
        _mean(overall["first"]),
        _mean(overall["now"] or series["levels"][-1]),
        change(overall["change"], series["unit"]),
        interval(overall, series["unit"]),
    )


def label(series: Series) -> str:
    """Return the name of a series: its measure, with statistic and level if they are not usual."""
    statistic = series["statistic"]
    name = series["label"] if statistic in (None, "mean") else f"{series['label']}, {statistic}"
    return name if series["level"] is None else f"{name} at {series['level']:g}"


def _mean(level: Document | None) -> str:
    if level is None:
        return ABSENT
    spread = f" ± {half(level['ci95'])}" if level["ci95"] else ""
    return number(level["mean"]) + spread


def sparkline(values: Sequence[float]) -> str:
    """Return the latest values as bars, from the lowest to the highest of them."""
    shown = values[-_LATEST:]
    low, high = min(shown), max(shown)
    size = (high - low) or 1.0
    return "".join(_BLOCKS[round((value - low) / size * (len(_BLOCKS) - 1))] for value in shown)


def change(value: float | None, unit: str) -> str:
    """Return a change with its sign and unit: percent, percentage points or points of a scale."""
    if value is None:
        return ABSENT
    text = f"{round(value, 2) + 0.0:+.2f}" if unit == _ON_A_SCALE else gates.percent(100 * value)
    return f"{text} {_unit(unit)}".rstrip().replace("-", "−")


def interval(found: Document, unit: str) -> str:
    """Return the interval of a change, without its unit."""
    if found["interval"] is None:
        return ABSENT
    ends = (change(end, unit).removesuffix(f" {_unit(unit)}") for end in found["interval"])
    return "[{}, {}]".format(*ends)


def _unit(unit: str) -> str:
    return "points" if unit in _IN_POINTS else "" if unit == _ON_A_SCALE else "%"


def _notes(series: Sequence[Series]) -> Iterator[tuple[str, str]]:
    yield from under("steps", _steps(series))
    apart = [label(one) for one in series if one["apart"]]
    if apart:
        yield (
            "last run",
            f"{', '.join(apart)}: outside of what the runs before it predict; one more run decides",
        )
    few = [one for one in series if one["overall"]["first"] is None]
    unsized = [one for one in series if one["overall"]["reason"] and one not in few]
    for title, those in (("not enough runs", few), ("no percentage", unsized)):
        if those:
            yield title, f"{', '.join(map(label, those))}: {those[0]['overall']['reason']}"
    missing = [f"{label(one)}: {counted(one['missing'], 'run')}" for one in series]
    yield from under(
        "no value", (text for text, one in zip(missing, series, strict=True) if one["missing"])
    )


def _steps(series: Sequence[Series]) -> Iterator[str]:
    """Yield a line for each run at which a level changed: what changed by how much, and why."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in series:
        for step, sides in zip(one["steps"], pairwise(one["levels"]), strict=True):
            why = "; ".join(step["changed"]) or "the files show no other change"
            size = f"{change(step['change'], one['unit'])} {interval(step, one['unit'])}"
            if step["change"] is None:
                before, after = (number(level["mean"]) for level in sides)
                size = f"from {before} to {after} {one['unit']}"
            found.setdefault((step["timestamp"], why), []).append(f"{label(one)} {size}")
    for (when, why), lines in sorted(found.items()):
        yield f"{when[:16].replace('T', ' ')}: {why}: {', '.join(lines)}"


def _closing(document: Document, path: Path) -> Iterator[tuple[str, str]]:
    found = document["results"]
    yield from under("gates", map(gates.change_sentence, found["gates"]))
    for reason, count in found["left_out"].items():
        yield "left out", f"{counted(count, 'file')}: {reason}"
    yield "method", _METHOD
    yield FILE, f"file {path}"

"""What tables of any format show of a comparison of stress runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import gates
from pytest_llamaburn.kinds.comparison.table import interval, percent, verdict
from pytest_llamaburn.kinds.stress import measures
from pytest_llamaburn.tables import ABSENT, Sheet, number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Document = dict[str, Any]

_COLUMNS = (
    *("file", "at", "what", "unit", "verdict"),
    *("baseline", "value", "change", "interval"),
)
_WORDS = 5
_UNITS = {"concurrency": "clients", "rate": "requests/s"}


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the table: files and warnings above, a row per level and number, reasons below."""
    found = document["results"]
    facts = [
        f"{file['label']}{' (baseline)' if file['baseline'] else ''}: {file['model']['id']}, "
        f"{file['mode']}, {file['timestamp']}, {file['path']}"
        for file in found["files"]
    ]
    facts += [f"warning: {warning['file']}: {warning['text']}" for warning in found["warnings"]]
    unit = _UNITS[found["files"][0]["axis"]]
    margin = document["config"].get("margin", 0)
    table = [_row(change, unit, margin) for change in found["changes"]]
    judged = [f"gate {gates.change_sentence(gate)}" for gate in found.get("gates", ())]
    changes = found["changes"]
    notes = [*judged, *_reasons(changes), *_method(found.get("method")), *_noises(changes)]
    notes += [f"file {path}"]
    title = f"{len(found['files'])} stress runs, compared with {document['config']['baseline']}"
    yield Sheet(title, facts, table, notes, _COLUMNS, _WORDS)


def rows(document: Document) -> Iterator[dict[str, Any]]:
    """Yield every change as one flat row, for spreadsheets."""
    files = {file["label"]: file for file in document["results"]["files"]}
    for one in document["results"]["changes"]:
        file = files[one["file"]]
        low, high = one["interval"] or (None, None)
        kept = {name: value for name, value in one.items() if name not in ("interval", "noise")}
        yield {"model": file["model"]["id"], "path": file["path"], **kept, "low": low, "high": high}


def _row(change: Document, unit: str, margin: float) -> tuple[str, ...]:
    return (
        change["file"],
        ABSENT if change["level"] is None else f"{change['level']:.3g} {unit}",
        _name(change),
        change["unit"],
        verdict(change, margin),
        number(change["baseline"]),
        number(change["value"]),
        percent(change["change"], _of(change)),
        interval(change, _of(change)),
    )


def _of(change: Document) -> str:
    return "points" if change["unit"] == "share" else "%"


def _name(change: Document) -> str:
    measure = measures.MEASURES.get(change["metric"])
    name: str = (measure and measure.label) or change["metric"]
    return f"{name}, {change['statistic']}" if change["statistic"] else name


def _reasons(changes: list[Document]) -> Iterator[str]:
    """Yield why there is no verdict, once for all that lack it for one reason."""
    names: dict[tuple[str, str], dict[str, None]] = {}
    for change in changes:
        if change["reason"]:
            names.setdefault((change["file"], change["reason"]), {})[_name(change)] = None
    for (file, reason), (first, *more) in names.items():
        yield f"{file}, {first}{f' and {len(more)} more' if more else ''}: {reason}"


def _method(method: Document | None) -> Iterator[str]:
    if method:
        yield (
            f"each interval is a {100 * method['confidence']:.5g} % one: of reports of equal runs "
            f"at most {100 * method['alarm_rate']:g} in 100 says otherwise anywhere"
        )


def _noises(changes: list[Document]) -> Iterator[str]:
    """Yield how many earlier runs the intervals rest on."""
    runs = sorted({change["noise"]["runs"] for change in changes if change.get("noise")})
    if runs:
        counts = f"{runs[0]} to {runs[-1]}" if len(runs) > 1 else f"{runs[0]}"
        yield f"intervals of levels are from {counts} earlier runs of the same load"

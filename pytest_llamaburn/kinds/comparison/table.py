"""What tables of any format show of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import gates
from pytest_llamaburn.kinds.benchmark.measures import MEASURES
from pytest_llamaburn.tables import ABSENT, Bar, Forest, Sheet, number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Document = dict[str, Any]
Change = dict[str, Any]

COLUMNS = ("model", "file", "metric", "unit", "baseline", "value", "change", "interval", "verdict")
_WORDS = 4
_MOST_BARS = 100


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the table of a comparison: warnings above, a row per file and column, notes below."""
    found = document["results"]
    files = {file["label"]: file for file in found["files"]}
    facts = [_file(file) for file in found["files"]]
    facts += [f"warning: {warning['text']}" for warning in found["warnings"]]
    rows = [_row(change, files, document) for change in found["changes"]]
    notes = [*_notes(document), f"file {path}"]
    baseline = next(file["label"] for file in found["files"] if file["baseline"])
    title = f"{len(files)} files, compared with {baseline}"
    yield Sheet(title, facts, _grouped(rows), notes, COLUMNS, _WORDS)


def charts(document: Document) -> Iterator[Forest]:
    """Yield a chart of each column's changes."""
    found, margin = document["results"], document["config"]["margin"]
    models = {file["label"]: file["model"]["id"] for file in found["files"]}
    columns: dict[str, list[Bar]] = {}
    for change in found["changes"][:_MOST_BARS]:
        if change["interval"] is not None:
            low, high = change["interval"]
            about = f"{models[change['file']][:36]} {change['file']}"
            bar = Bar(about, low, change["change"], high, change["verdict"])
            columns.setdefault(label(change), []).append(bar)
    for name, bars in columns.items():
        yield Forest(f"{name}: change and its interval", bars, margin)


def rows(document: Document) -> Iterator[dict[str, Any]]:
    """Yield every change as one flat row, for spreadsheets."""
    files = {file["label"]: file for file in document["results"]["files"]}
    for change in document["results"]["changes"]:
        file = files[change["file"]]
        low, high = change["interval"] or (None, None)
        counts = dict(zip(("baseline_runs", "value_runs"), change["runs"], strict=True))
        about = {"model": file["model"]["id"], "run_id": file["run_id"], "path": file["path"]}
        kept = {k: v for k, v in change.items() if k not in ("interval", "runs", "noise")}
        yield {**about, **kept, "low": low, "high": high, **counts}


def label(change: Change) -> str:
    """Return the name of what a change is of."""
    measure = MEASURES.get(change["metric"])
    name = (measure and measure.label) or change["metric"]
    return name if change["statistic"] == "mean" else f"{name}, {change['statistic']}"


def percent(share: float | None, unit: str = "%") -> str:
    """Return a change in percent, with its sign; the difference of shares has percentage points."""
    return ABSENT if share is None else f"{100 * share:+.1f} {unit}".replace("-", "−")


def interval(change: Change, unit: str = "%") -> str:
    """Return a change's interval in percent."""
    if change["interval"] is None:
        return ABSENT
    low, high = (f"{100 * end:+.1f}".replace("-", "−") for end in change["interval"])
    return f"[{low}, {high}] {unit}"


def verdict(change: Change, margin: float) -> str:
    """Return a change's verdict in words."""
    word: str = change["verdict"]
    return f"same within {100 * margin:g} %" if word == "same" else word


def _file(file: dict[str, Any]) -> str:
    server, requests = file["server"], sum(run["requests"] for run in file["runs"])
    role = " (baseline)" if file["baseline"] else ""
    count = f"{len(file['runs'])} run{'s' if len(file['runs']) != 1 else ''}"
    where = f"{server['kind']} {server['version'] or ''}".strip()
    return (
        f"{file['label']}{role}: {file['model']['id']}, {where}, {file['timestamp']}, "
        f"{count} of {requests} requests, {file['path']}"
    )


def _row(change: Change, files: dict[str, Any], document: Document) -> tuple[str, ...]:
    return (
        files[change["file"]]["model"]["id"],
        change["file"],
        label(change),
        change["unit"],
        number(change["baseline"]),
        number(change["value"]),
        percent(change["change"]),
        interval(change),
        verdict(change, document["config"]["margin"]),
    )


def _grouped(table: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the rows with model and file shown where they change."""
    found, before = [], ("", "")
    for row in table:
        model, file = row[:2]
        shown = (model if model != before[0] else "", file if (model, file) != before else "")
        found.append((*shown, *row[2:]))
        before = (model, file)
    return found


def _notes(document: Document) -> Iterator[str]:
    found = document["results"]
    for gate in found["gates"]:
        yield f"gate {gates.change_sentence(gate)}"
    for change in found["changes"]:
        if change["reason"]:
            yield f"{change['file']}, {label(change)}: {change['reason']}"
    yield from _method(found["method"])
    yield from _noise(found["changes"])
    if _undecided(found["changes"]):
        yield "inconclusive is not same: more runs a side decide (benchmark --repeats 5)"


def _method(method: dict[str, Any]) -> Iterator[str]:
    if method["fixed_n"] is not None:
        yield (
            f"total at fixed N: time to first token + (N − 1) · inter-token latency, "
            f"N = {method['fixed_n']} tokens, the smallest median length of the files' answers"
        )
    yield (
        f"values: means of runs, each prompt counted once; intervals: "
        f"{100 * method['confidence']:.4g} % each ({method['interval']}, over runs), so that all "
        f"{method['intervals']} hold in {100 * (1 - method['alarm_rate']):g} of 100 reports "
        f"({method['correction']})"
    )


def _noise(changes: list[Change]) -> Iterator[str]:
    told: dict[str, list[str]] = {}
    for change in changes:
        for noise in change["noise"]:
            names = told.setdefault(_noise_text(noise), [])
            names += [label(change)] if label(change) not in names else []
    for text, names in told.items():
        yield f"one run a side, noise between runs {text}: {', '.join(names)}"


def _noise_text(noise: dict[str, Any]) -> str:
    share = f"{100 * noise['share']:.2g} %"
    if noise["source"] == "learnt":
        return f"{share}, learnt from {noise['runs']} earlier runs"
    if noise["seen"] is None or noise["runs"] < 3:
        return f"{share} assumed, for want of earlier runs"
    seen = f"{100 * noise['seen']:.2g} %"
    return f"{share} assumed ({noise['runs']} earlier runs show {seen}, too few to be sure)"


def _undecided(changes: list[Change]) -> bool:
    return any(change["verdict"] == "inconclusive" for change in changes)

"""One self-contained page: tables and charts, light or dark as the reader's system is.

It has no scripts, asks nothing of any other host (its own policy forbids that) and prints well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds.comparison import table as _comparison
from pytest_llamaburn.kinds.stress import axis
from pytest_llamaburn.kinds.stress import table as _stress
from pytest_llamaburn.reports._svg import Bar, Stop, forest, load, sequence, text
from pytest_llamaburn.store import results
from pytest_llamaburn.tables import HEADLINES, Sheet, sheets_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SUFFIX = ".html"
_CHARTED = ("time_to_first_token_ms", "inter_token_latency_ms", "tokens_per_sec")
_POINTS = 600  # of all charts of a page together, so that it stays small
_FEWEST_POINTS = 20
_MOST_BARS = 100
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>LlamaBurn</title>
<style>
:root { --page: #fff; --ink: #1b1f24; --faint: #d5dae1; --mark: #1f6feb; --good: #1a7f37;
  --bad: #c4320a; --band: #eef2f7; }
@media (prefers-color-scheme: dark) { :root { --page: #14171c; --ink: #e4e8ee; --faint: #3a424d;
  --mark: #6cb0ff; --good: #4cc26b; --bad: #ff8a5c; --band: #222831; } }
body { background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  max-width: 90rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; overflow-wrap: anywhere; }
ul { padding-left: 1.2rem; overflow-wrap: anywhere; max-width: 70rem; }
div { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .5rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--faint); }
th { white-space: normal; vertical-align: bottom; }
.w { text-align: left; }
figure { margin: 1.2rem 0; }
figcaption { font-weight: 600; }
svg { width: 100%; max-width: 52rem; height: auto; }
svg text { fill: var(--ink); font-size: 11px; }
circle { fill: var(--mark); }
.i { stroke: var(--mark); stroke-width: 2; fill: none; }
.z { stroke: var(--faint); fill: none; }
.m { fill: var(--band); }
.faster circle { fill: var(--good); } .faster .i { stroke: var(--good); }
.slower circle { fill: var(--bad); } .slower .i { stroke: var(--bad); }
.l1 circle { fill: var(--bad); } .l1 .i { stroke: var(--bad); stroke-dasharray: 5 3; }
.p { stroke: var(--ink); stroke-dasharray: 2 3; fill: none; }
.s-degraded { fill: var(--band); } .s-failure { fill: var(--faint); }
.s-optimal, .s-idle { fill: none; }
td.faster { color: var(--good); } td.slower { color: var(--bad); }
</style>
</head>
<body>
"""


def render(paths: Sequence[Path]) -> str:
    """Return the page of all files."""
    points = max(_FEWEST_POINTS, _POINTS // (len(_CHARTED) * len(paths)))
    parts = [part for path in paths for part in _part(path, points)]
    return "\n".join([_HEAD, *parts, "</body>", "</html>"]) + "\n"


def _part(path: Path, points: int) -> Iterator[str]:
    document = results.load(path)
    yield from map(_section, sheets_of(document, path))
    if document["schema"] == "llamaburn/comparison":
        yield from _forests(document)
    elif document["schema"] == "llamaburn/benchmark":
        yield from _sequences(document, points)
    elif document["schema"] == "llamaburn/stress":
        yield from _loads(document)


def _section(sheet: Sheet) -> str:
    head = "".join(
        _cell("th", c, "w" if i < sheet.words else "") for i, c in enumerate(sheet.columns)
    )
    rows = "\n".join(_row(row, sheet.words) for row in sheet.rows)
    return (
        f"<h1>{text(sheet.title)}</h1>\n{_list(sheet.facts)}\n<div><table>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>\n"
        f"{_list(sheet.notes)}"
    )


def _row(cells: Sequence[str], words: int) -> str:
    kinds = [
        "w" if i < words else c if c in ("faster", "slower") else "" for i, c in enumerate(cells)
    ]
    inner = "".join(_cell("td", c, k) for c, k in zip(cells, kinds, strict=True))
    return f"<tr>{inner}</tr>"


def _cell(tag: str, words: str, kind: str) -> str:
    marked = f' class="{kind}"' if kind else ""
    return f"<{tag}{marked}>{text(words)}</{tag}>"


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{text(line)}</li>" for line in lines) + "</ul>"


def _sequences(document: dict[str, Any], points: int) -> Iterator[str]:
    """Yield a chart of each headline metric over the requests, in their order."""
    runs = document["results"]["runs"]
    for name in _CHARTED:
        values = [run[name] for run in runs if run[name] is not None]
        unit = document["results"]["summary"][name]["unit"]
        if values:
            yield sequence(values, f"{HEADLINES[name]} by request, {unit}", points)


def _loads(document: dict[str, Any]) -> Iterator[str]:
    """Yield the chart of throughput and latency over the levels."""
    found = document["results"]
    stops = [_stop(level) for level in found["levels"]]
    if len(stops) > 1:
        yield load(stops, ("tokens/s", "total p50, ms"), _stress.marks(found))


def _stop(level: dict[str, Any]) -> Stop:
    values = (level["output_tokens_per_sec"], level["total_generation_ms"]["p50"])
    return Stop(axis.place(level) or 0.0, level.get("state") or "", values)


def _forests(document: dict[str, Any]) -> Iterator[str]:
    """Yield a chart of each column's changes."""
    margin, models = document["config"]["margin"], {}
    for file in document["results"]["files"]:
        models[file["label"]] = file["model"]["id"]
    columns: dict[str, list[Bar]] = {}
    for change in document["results"]["changes"][:_MOST_BARS]:
        if change["interval"] is not None:
            low, high = change["interval"]
            about = f"{models[change['file']][:36]} {change['file']}"
            bar = Bar(about, low, change["change"], high, change["verdict"])
            columns.setdefault(_comparison.label(change), []).append(bar)
    for name, bars in columns.items():
        yield forest(bars, f"{name}: change and its interval", margin)

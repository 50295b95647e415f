"""One self-contained page: tables and charts, light or dark as the reader's system is.

It has no scripts, asks nothing of any other host (its own policy forbids that) and prints well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.reports._svg import drawn, text
from pytest_llamaburn.store import results
from pytest_llamaburn.tables import Series, charts_of, sheets_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_llamaburn.tables import Chart, Sheet

SUFFIX = ".html"
_POINTS = 600  # of all series of a page together, so that it stays small
_FEWEST_POINTS = 20
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
    parts = [_part(path) for path in paths]
    series = sum(isinstance(chart, Series) for _, charts in parts for chart in charts)
    points = max(_FEWEST_POINTS, _POINTS // max(1, series))
    lines = [
        line
        for sections, charts in parts
        for line in (*sections, *(drawn(chart, points) for chart in charts))
    ]
    return "\n".join([_HEAD, *lines, "</body>", "</html>"]) + "\n"


def _part(path: Path) -> tuple[list[str], list[Chart]]:
    """Return the sections of a file, and its charts."""
    document = results.load(path)
    return [*map(_section, sheets_of(document, path))], [*charts_of(document)]


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

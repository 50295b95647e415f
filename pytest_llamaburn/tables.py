"""Tables and charts of a result file, independent of the output format."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pytest_llamaburn.environment import binding
from pytest_llamaburn.metrics import MEASURES
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

COLUMNS = ("metric", "unit", "p50", "mean ± 95 %", "min", "max", "p95", "n")
# The measures that tables show, in their order.
HEADLINES = {
    name: MEASURES[name].label
    for name in (
        *(
            "time_to_first_token_ms",
            "inter_token_latency_ms",
            "tokens_per_sec",
            "e2e_tokens_per_sec",
        ),
        *("total_generation_ms", "prompt_eval_ms", "prompt_tokens_per_sec", "load_duration_ms"),
        *("queue_ms", "chunk_gap_ms", "input_sequence_length", "output_sequence_length"),
        *("power_draw_watts", "energy_wh"),
    )
}
ABSENT = "–"
_GAP = "   "


class Sheet(NamedTuple):
    """A result file as a table: a heading, rows of cells, and notes below."""

    title: str
    facts: list[str]
    rows: list[tuple[str, ...]]
    notes: list[str]
    columns: tuple[str, ...] = COLUMNS
    words: int = 2  # number of text columns at the left; the others are numbers
    chart: tuple[str, ...] = ()  # a chart in text, for text formats


class Series(NamedTuple):
    """A chart of values in the order of the requests."""

    title: str
    values: Sequence[float]


class Bar(NamedTuple):
    """One interval of a Forest; the numbers are shares, `kind` is the CSS class of its colour."""

    label: str
    low: float
    middle: float
    high: float
    kind: str


class Forest(NamedTuple):
    """A chart of changes with their intervals; `margin` is the limit of an unimportant change."""

    title: str
    bars: Sequence[Bar]
    margin: float


class Stop(NamedTuple):
    """A level of a load on a chart: its load, its state, and its value in each series."""

    level: float
    state: str
    values: tuple[float | None, ...]


class Curves(NamedTuple):
    """A chart of series over the levels of a load; `marks` are named points on its axis."""

    stops: Sequence[Stop]
    series: Sequence[str]
    marks: Sequence[tuple[float, str]]


Chart: TypeAlias = Series | Forest | Curves


def charts_of(document: dict[str, Any]) -> Iterator[Chart]:
    """Yield the charts of a file, if the table module of its kind has `charts`."""
    yield from getattr(results.room(document, "table"), "charts", _no_charts)(document)


def _no_charts(document: dict[str, Any]) -> tuple[()]:  # noqa: ARG001
    return ()


def sheets(paths: Sequence[Path]) -> Iterator[Sheet]:
    """Yield the tables of each file."""
    for path in paths:
        yield from sheets_of(results.load(path), path)


def sheets_of(document: dict[str, Any], path: Path) -> Iterator[Sheet]:
    """Yield the tables of a file, without control characters in their texts."""
    yield from map(_cleaned, results.room(document, "table").sheets(document, path))


def _cleaned(sheet: Sheet) -> Sheet:
    return sheet._replace(
        title=printable(sheet.title),
        facts=[*map(printable, sheet.facts)],
        rows=[tuple(map(printable, row)) for row in sheet.rows],
        notes=[*map(printable, sheet.notes)],
        columns=tuple(map(printable, sheet.columns)),
    )


def request_rows(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yield the rows of each file: timed requests, levels, questions or changes."""
    for path in paths:
        document = results.load(path)
        rows = [*results.room(document, "table").rows(document)]
        if not rows:
            words = f"{path} ({document['status']}) has no request, level, question or change"
            print(f"llamaburn: {words} to write as a row", file=sys.stderr)  # noqa: T201 - stdout has the rows
        yield from rows


def grid(columns: Sequence[str], rows: Sequence[Sequence[str]], *, numeric: int = 99) -> str:
    """Return a text table; columns from index `numeric` on are aligned to the right.

    Nothing is wrapped or cut, even if the table is wider than the terminal.
    """
    from rich.cells import cell_len

    lines = [[printable(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]

    def line(cells: list[str]) -> str:
        gaps = [" " * (w - cell_len(c)) for c, w in zip(cells, widths, strict=True)]
        pairs = enumerate(zip(cells, gaps, strict=True))
        return _GAP.join(g + c if i >= numeric else c + g for i, (c, g) in pairs).rstrip()

    rule = "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
    return "\n".join([line(lines[0]), rule, *map(line, lines[1:])])


def printable(text: str) -> str:
    """Return a line of text with a space for each unprintable character."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def failed_words(kind: str, requests: Iterable[dict[str, Any]]) -> str:
    """Return the message of the first failure of a kind, in one line."""
    errors = (request["error"] for request in requests if request["error"])
    words: str = next(e["message"] for e in errors if e["kind"] == kind)
    return " ".join(printable(words).split())


def number(value: float | None) -> str:
    """Return a number with at least three significant digits, or ABSENT for None."""
    if value is None:
        return ABSENT
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{decimals}f}"


def title(document: dict[str, Any], which: str = "") -> str:
    """Return the model of a run as text."""
    model = document["model"]
    details = [model["quantization"], model["parameter_size"], model["family"]]
    return f"{model['id']}{which} ({', '.join(filter(None, details)) or 'no details'})"


def server(document: dict[str, Any]) -> str:
    """Return the server of a run as text."""
    facts = document["server"]
    return f"server {facts['kind']} {facts['version'] or ''}".strip() + f" at {facts['host']}"


def machine(environment: dict[str, Any]) -> str:
    """Return a run's `environment` as text."""
    gpus = ", ".join(gpu["name"] or gpu["vendor"] for gpu in environment["gpus"]) or "none"
    return f"machine {environment['cpu']}, {room(environment)}, GPUs: {gpus}"


def room(facts: dict[str, Any]) -> str:
    """Return the processors and memory of an `environment`, and the usable part of them."""
    limits = binding(facts, facts)
    cores, memory = f"{facts['cores_logical']} cores", f"{facts['ram_mb'] / 1000:.1f} GB"
    few = [limits[name] for name in ("cpu_quota", "cpus_allowed") if name in limits]
    if few:
        cores = f"{min(few):g} of {cores}"
    if "ram_limit_mb" in limits:
        size_mb = limits["ram_limit_mb"]
        part = f"{size_mb} MB" if size_mb < 1000 else f"{size_mb / 1000:.1f} GB"
        memory = f"{part} of {memory}"
    return f"{cores}, {memory}"


def measured(name: str, values: dict[str, Any]) -> tuple[str, ...]:
    """Return the row of a metric's distribution, with the cells of COLUMNS."""
    interval, p95 = values["ci95"], number(values["p95"])
    spread = f" ± {number((interval[1] - interval[0]) / 2)}" if interval else ""
    star = "" if "p95" in values["certified"] or not values["n"] else "*"
    return (
        HEADLINES[name],
        values["unit"],
        number(values["p50"]),
        number(values["mean"]) + spread,
        number(values["min"]),
        number(values["max"]),
        p95 + star,
        str(values["n"]),
    )

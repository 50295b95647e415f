"""Tables of a result file, independent of the output format."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn import gates
from pytest_llamaburn.environment import binding
from pytest_llamaburn.grids import printable
from pytest_llamaburn.metrics import MEASURES
from pytest_llamaburn.stats import samples
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pytest_llamaburn.documents import Document

COLUMNS = ("metric", "unit", "p50", "mean ± 95 %", "min", "max", "p95", "n")
LEAST = ("max", "min", "unit", "n", "p95")
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
FILE = ""  # the heading of the last note, the name of the file


class Sheet(NamedTuple):
    """A result file as a table: a heading, rows of cells, and notes below.

    A note is a sentence with the heading under which it stands. `least` names the columns that a
    narrow terminal can do without, the least important first.
    """

    title: str
    facts: list[str]
    rows: list[tuple[str, ...]]
    notes: list[tuple[str, str]]
    columns: tuple[str, ...] = COLUMNS
    words: int = 2  # number of text columns at the left; the others are numbers
    chart: tuple[str, ...] = ()  # a chart in text, for text formats
    least: tuple[str, ...] = LEAST
    wrapped: tuple[str, ...] = ()  # text columns that may be wrapped
    empty: str = "there is nothing to show"  # the sentence for a table without rows
    warnings: tuple[str, ...] = ()

    def head(self) -> list[str]:
        """Return the lines above the table: title, facts and warnings."""
        return [self.title, *self.facts, *(f"warning: {words}" for words in self.warnings)]

    def sections(self) -> dict[str, list[str]]:
        """Return the notes by heading, in the order in which the headings occur."""
        found: dict[str, list[str]] = {}
        for heading, line in self.notes:
            found.setdefault(heading, []).append(line)
        return found


def sheets(paths: Sequence[Path]) -> Iterator[Sheet]:
    """Yield the tables of each file."""
    for path in paths:
        yield from sheets_of(results.load(path), path)


def sheets_of(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the tables of a file, without control characters in their texts."""
    yield from map(_cleaned, results.room(document, "table").sheets(document, path))


def _cleaned(sheet: Sheet) -> Sheet:
    return sheet._replace(
        title=printable(sheet.title),
        facts=[*map(printable, sheet.facts)],
        warnings=tuple(map(printable, sheet.warnings)),
        rows=[tuple(map(printable, row)) for row in sheet.rows],
        notes=[(printable(heading), printable(line)) for heading, line in sheet.notes],
        columns=tuple(map(printable, sheet.columns)),
    )


def request_rows(paths: Sequence[Path]) -> Iterator[Document]:
    """Yield the rows of each file: timed requests, levels, questions or changes."""
    for path in paths:
        document = results.load(path)
        rows = [*rows_of(document)]
        if not rows:
            words = f"{path} ({document['status']}) has no request, level, question or change"
            print(f"llamaburn: {words} to write as a row", file=sys.stderr)  # noqa: T201 - stdout has the rows
        yield from rows


def rows_of(document: Document) -> Iterator[Document]:
    """Yield the rows of a file as its kind has them; by default, every timed request."""
    rows: Callable[[Document], Iterator[Document]]
    rows = getattr(results.room(document, "table"), "rows", requests)
    return rows(document)


def verdicts(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the notes about the gates and the insights of a result."""
    found = document["results"]["gates"]
    yield from under("gates", (f"gate {gates.sentence(gate)}" for gate in found))
    yield from under("insights", (insight["text"] for insight in document["insights"]))


def under(heading: str, lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the lines as notes under a heading."""
    for line in lines:
        yield heading, line


def failures(errors: dict[str, int], requests: Sequence[Document]) -> Iterator[str]:
    """Yield how many requests failed in each way, with the words of the first one."""
    for kind, count in errors.items():
        yield f"failed: {kind} × {count}: {failed_words(kind, requests)}"


def failed_words(kind: str, requests: Iterable[Document]) -> str:
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


def half(interval: Sequence[float] | None) -> str:
    """Return half the width of an interval, or ABSENT for None."""
    return ABSENT if interval is None else number((interval[1] - interval[0]) / 2)


def requests(document: Document) -> Iterator[Document]:
    """Yield every timed request of a file with its model and run."""
    about = {"model": document["model"]["id"], "run_id": document["run_id"]}
    for request in document["results"]["runs"]:
        yield {**about, **request}


def title(document: Document, which: str = "") -> str:
    """Return the model of a run as text."""
    model = document["model"]
    details = [model["quantization"], model["parameter_size"], model["family"]]
    return f"{model['id']}{which} ({', '.join(filter(None, details)) or 'no details'})"


def server(document: Document) -> str:
    """Return the server of a run as text."""
    facts = document["server"]
    return f"server {facts['kind']} {facts['version'] or ''}".strip() + f" at {facts['host']}"


def machine(environment: Document) -> str:
    """Return a run's `environment` as text."""
    gpus = ", ".join(gpu["name"] or gpu["vendor"] for gpu in environment["gpus"]) or "none"
    return f"machine {environment['cpu']}, {room(environment)}, GPUs: {gpus}"


def room(facts: Document) -> str:
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


def measured(name: str, values: Document) -> tuple[str, ...]:
    """Return the row of a metric's distribution, with the cells of COLUMNS."""
    interval = values["ci95"]
    spread = f" ± {half(interval)}" if interval else ""
    return (
        HEADLINES.get(name, name.replace("_", " ")),
        values["unit"],
        number(values["p50"]),
        number(values["mean"]) + spread,
        number(values["min"]),
        number(values["max"]),
        marked(values, "p95"),
        str(values["n"]),
    )


def marked(values: Document, statistic: str) -> str:
    """Return a percentile of a distribution, with a star if there are too few samples for it."""
    star = "" if statistic in values["certified"] or not values["n"] else "*"
    return number(values[statistic]) + star


def starred(shown: Iterable[Document], what: str = "samples") -> Iterator[str]:
    """Yield what the star of a p95 means, if a distribution has too few samples."""
    if any(found["n"] > 0 and "p95" not in found["certified"] for found in shown):
        yield f"* fewer than {samples.floor(0.95)} {what}: too few for this p95"

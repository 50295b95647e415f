"""Go's benchmark format, one line a run: for `benchstat`, which compares runs by its own tests.

`benchstat before.bench after.bench` compares two benchmarks; a comparison's own output holds all
its files and is read with `benchstat -col file`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.kinds.benchmark import comparable
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_llamaburn.documents import Document

SUFFIX = ".bench"


def render(paths: Sequence[Path]) -> str:
    """Return the runs of all files, and which direction of each unit is better."""
    lines = [line for path in paths for line in _lines(results.load(path))]
    units = [line for line in dict.fromkeys(lines) if line.startswith("Unit ")]
    return "\n".join([*units, *(line for line in lines if not line.startswith("Unit "))]) + "\n"


def _lines(document: Document) -> Iterator[str]:
    if document["schema"] == "llamaburn/comparison":
        for change in document["results"]["changes"]:
            statistic = "" if change["statistic"] == "mean" else f".{change['statistic']}"
            yield _unit(change["metric"] + statistic, change["better"])
        for file in document["results"]["files"]:
            yield f"file: {file['label']}"
            yield from _runs(file["runs"])
        return
    if document["schema"] != "llamaburn/benchmark":
        kind = document["schema"].removeprefix(results.PREFIX)
        raise ResultsError(f"--output: benchstat compares speeds, and this is of kind {kind}")
    for name in comparable.ALONE:
        yield _unit(name, comparable.Comparison.measures[name].better)
    yield f"model: {' '.join(document['model']['id'].split())}"
    yield from _runs(comparable.runs(document))


def _unit(name: str, better: str) -> str:
    return f"Unit {name}" if better == "none" else f"Unit {name} better={better}"


def _runs(runs: Sequence[Document]) -> Iterator[str]:
    for run in runs:
        values = [f"{v:.6g} {name}" for name, v in run["values"].items() if v is not None]
        if values:
            yield "\t".join(["BenchmarkRun", str(run["requests"]), *values])

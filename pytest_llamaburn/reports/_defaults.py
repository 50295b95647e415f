"""What a page shows of a kind: what its module `charts` says, else what its measures give."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import charts as made
from pytest_llamaburn.charts import Axis, Card, Mark
from pytest_llamaburn.gates import Selector
from pytest_llamaburn.store import results
from pytest_llamaburn.tables import number, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_llamaburn.charts import Chart, Entry
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.measures import Measure, Observed

_MOST_CARDS, _MOST_CHARTS = 8, 4
_FEWEST = 5  # with fewer values a distribution says nothing


def cards(document: Document) -> Iterable[Card]:
    """Return the headline numbers of a file."""
    found: Iterable[Card] = _of(document, "cards", _cards)(document)
    return found


def charts(document: Document) -> Iterable[Chart]:
    """Return the charts of a file."""
    found: Iterable[Chart] = _of(document, "charts", _charts)(document)
    return found


def entries(document: Document) -> Iterable[Entry]:
    """Return the entries of a file, such as the questions of an eval."""
    found: Iterable[Entry] = _of(document, "entries", _nothing)(document)
    return found


def _nothing(document: Document) -> tuple[()]:  # noqa: ARG001
    return ()


def _of(document: Document, name: str, default: object) -> Any:
    """Return a function of the kind's module `charts`, or the default."""
    place = f"{results.kind_of(document).package}.charts"
    return getattr(import_module(place), name, default) if find_spec(place) else default


def _measures(document: Document) -> Mapping[str, Measure]:
    place = f"{results.kind_of(document).package}.measures"
    found: Mapping[str, Measure] = import_module(place).MEASURES if find_spec(place) else {}
    return found


def values(document: Document) -> Iterator[tuple[str, Measure, str | None, Observed]]:
    """Yield (name, measure, statistic, value) of each measure of a file that has a value.

    The statistic of a distribution is its mean; measures of a single number have none.
    """
    for name, measure in _measures(document).items():
        statistic = "mean" if "mean" in measure.statistics else None
        if measure.statistics and statistic is None:
            continue
        seen = Selector(measure, statistic).observed(document)
        if seen.value is not None:
            yield name, measure, statistic, seen


def _cards(document: Document) -> Iterator[Card]:
    """Yield the first measures that have a value, those of distributions as their mean."""
    for name, measure, statistic, seen in islice(values(document), _MOST_CARDS):
        unit = measure.unit_of(statistic)
        label = measure.label or name.replace("_", " ")
        spread = "[{}, {}]".format(*map(number, seen.interval)) if seen.interval else ""
        yield Card(label, number(seen.value), unit, spread)


def _charts(document: Document) -> Iterator[Chart]:
    """Yield the distribution of each measure that the rows of the file have."""
    rows = [*rows_of(document)]
    count = 0
    for name, measure in _measures(document).items():
        values = [row[name] for row in rows if isinstance(row.get(name), int | float)]
        if len(values) < _FEWEST or count == _MOST_CHARTS:
            continue
        count += 1
        label = measure.label or name.replace("_", " ")
        middle = sorted(values)[len(values) // 2]
        yield made.distribution(label, values, Axis(label, measure.unit), [Mark(middle, "p50")])

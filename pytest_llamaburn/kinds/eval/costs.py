"""What the answers of an eval cost: time, tokens, speed and energy of each, compared by question.

They are compared only between the runs of --vary, which differ in one setting and are of one
session. Between sessions a speed also differs by chance, which the answers of one run cannot show.
"""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import metrics
from pytest_llamaburn.kinds._comparable import Column, Estimate
from pytest_llamaburn.kinds.eval import scores
from pytest_llamaburn.measures import REASONS
from pytest_llamaburn.stats import figures

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_llamaburn.documents import Document

_ENERGY: Final = "joules_per_answer"
NAMES: Final = ("total_generation_ms", "output_sequence_length", "tokens_per_sec", _ENERGY)
_JOULES: Final = 3600  # of a watt hour: an answer takes some thousandths of one
_MARGINS = 5  # of 1 %: changes of up to 5 % of the baseline are called the same


def columns(sides: Sequence[Document], pairs: Sequence[tuple[Any, Any]]) -> Iterator[Column]:
    """Yield the costs to compare of two files; none unless --vary made both in one session.

    `pairs` are the items of the questions that both have.
    """
    sessions = [side["config"].get("vary") and side["session_id"] for side in sides]
    if not sessions[0] or sessions[0] != sessions[1]:
        return
    for name in NAMES:
        measure = metrics.MEASURES[_metric(name)]
        unit = "J" if name == _ENERGY else measure.unit
        known = [value for before, _ in pairs if (value := _mean(before, name)) is not None]
        width = _MARGINS * fmean(known) if known else 1
        yield Column(name, unit, measure.better, width=width)


def estimate(name: str, pairs: Sequence[tuple[object, object]]) -> Estimate:
    """Return the mean change of a cost over the questions where both have it.

    Its interval is Student's of the differences.
    """
    means = [(_mean(before, name), _mean(after, name)) for before, after in pairs]
    both = [(a, b) for a, b in means if a is not None and b is not None]
    facts = {"questions": len(both), "shared": len(pairs)}
    if not both:
        return Estimate(reason=_reason(name, pairs), facts=facts)
    found = figures.mean([b - a for a, b in both])
    values = fmean(a for a, _ in both), fmean(b for _, b in both)
    return Estimate(*values, found.value, found.ci95, found.reason, facts)


def _metric(name: str) -> str:
    """Return the metric of an answer that a cost is made of."""
    return "energy_wh" if name == _ENERGY else name


def _mean(item: Any, name: str) -> float | None:
    """Return the mean over the answers to a question that were made in this run."""
    made = [one for one in scores.samples(item) if not one["cached"]]
    scale = _JOULES if name == _ENERGY else 1
    every = (one["timing"].get(_metric(name)) for one in made)
    known = [scale * value for value in every if value is not None]
    return fmean(known) if known else None


def _reason(name: str, pairs: Sequence[tuple[Any, Any]]) -> str:
    answers: Iterator[Mapping[str, Any]]
    answers = (one for pair in pairs for item in pair for one in scores.samples(item))
    codes = (one["null_reasons"].get(_metric(name)) for one in answers)
    code = next(filter(None, codes), "no question has an answer in both")
    return REASONS.get(code, code)

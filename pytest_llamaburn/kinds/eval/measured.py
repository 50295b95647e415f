"""The numbers that a modality measures besides those of a request, such as a real-time factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import modalities
from pytest_llamaburn.kinds.eval import scores
from pytest_llamaburn.stats import samples
from pytest_llamaburn.tables import Sheet, measured

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.eval.documents import Item


def of(items: Sequence[Item], modality: str | None) -> Document:
    """Return the field `measured` of the results: a distribution of each number; or nothing."""
    units = getattr(modalities.named(modality), "MEASURED", {}) if modality else {}
    answers = [one for item in items for one in scores.samples(item)]
    found = [given for one in answers if (given := measures_of(one))]
    known = {
        name: [float(one[name]) for one in found if one.get(name) is not None] for name in units
    }
    distributions = {
        name: samples.distribution(values, units[name], _reason(found, name))
        for name, values in known.items()
    }
    return {"measured": distributions} if found else {}


def measures_of(answer: Mapping[str, Any]) -> Document:
    """Return what was measured of an answer; nothing for an answer from an earlier run."""
    given: Document = {} if answer["cached"] else answer.get("measured") or {}
    return given


def sheet(found: Document) -> Sheet:
    """Return the distributions as a table."""
    return Sheet("measured of the answers", [], [measured(n, d) for n, d in found.items()], [])


def _reason(found: Sequence[Document], name: str) -> str | None:
    """Return why a number is missing in all answers."""
    told = (one.get("null_reasons", {}).get(name) for one in found)
    return next((reason for reason in told if reason), None)

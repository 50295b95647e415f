"""The numbers that a modality measures besides those of a request, such as a real-time factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import modalities
from pytest_llamaburn.kinds.eval import scores
from pytest_llamaburn.stats import samples
from pytest_llamaburn.tables import Sheet, measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    Item = dict[str, Any]


def of(items: Sequence[Item], modality: str | None) -> dict[str, Any]:
    """Return the field `measured` of the results: a distribution of each number; or nothing."""
    units = getattr(modalities.named(modality), "MEASURED", {}) if modality else {}
    found = [one["measured"] for item in items for one in scores.samples(item) if measures_of(one)]
    known = {
        name: [float(one[name]) for one in found if one.get(name) is not None] for name in units
    }
    reasons = {name: _reason(found, name) for name in units}
    return (
        {
            "measured": {
                name: samples.distribution(values, units[name], reasons[name])
                for name, values in known.items()
            }
        }
        if found
        else {}
    )


def measures_of(answer: Item) -> dict[str, Any]:
    """Return what was measured of an answer; nothing for an answer from an earlier run."""
    given: dict[str, Any] = {} if answer["cached"] else answer.get("measured") or {}
    return given


def sheet(found: dict[str, Any]) -> Sheet:
    """Return the distributions as a table."""
    return Sheet("measured of the answers", [], [measured(n, d) for n, d in found.items()], [])


def _reason(found: Sequence[dict[str, Any]], name: str) -> str | None:
    """Return why a number is missing in all answers."""
    told = (one.get("null_reasons", {}).get(name) for one in found)
    return next((reason for reason in told if reason), None)

"""What a modality measures in addition to a request, such as a real-time factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import modalities
from pytest_llamaburn.grids import printable
from pytest_llamaburn.kinds.eval import scores
from pytest_llamaburn.stats import samples
from pytest_llamaburn.tables import Sheet, measured, number, starred, under

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_llamaburn.documents import Distribution, Document
    from pytest_llamaburn.kinds.eval.documents import Item


def of(items: Sequence[Item], modality: str | None) -> Document:
    """Return the field `measured` of the results: a distribution of each number; or nothing."""
    units = getattr(modalities.named(modality), "MEASURED", {}) if modality else {}
    answers = [one for item in items for one in scores.samples(item)]
    found = [given for one in answers if (given := measures_of(one))]
    return {"measured": distributions(found, units)} if found else {}


def distributions(
    found: Sequence[Document], units: Mapping[str, str], reason: str | None = None
) -> dict[str, Distribution]:
    """Return the distribution of each number over what was measured of some answers.

    A number that no answer has gets the first of their `null_reasons`, or `reason`.
    """
    return {
        name: samples.distribution(
            [float(one[name]) for one in found if one.get(name) is not None],
            unit,
            next((why for one in found if (why := one.get("null_reasons", {}).get(name))), reason),
        )
        for name, unit in units.items()
    }


def measures_of(answer: Mapping[str, Any]) -> Document:
    """Return what was measured of an answer; nothing for an answer from an earlier run."""
    given: Document = {} if answer["cached"] else answer.get("measured") or {}
    return given


def sheet(found: Document) -> Sheet:
    """Return the distributions as a table, with the reasons for what was not measured."""
    rows = [measured(name, one) for name, one in found.items() if one["n"]]
    notes = [
        *under("not measured", _absent(found)),
        *under("precision", starred(found.values())),
    ]
    return Sheet("measured of the answers", [], rows, notes, empty="nothing was measured")


def _absent(found: Document) -> Iterator[str]:
    """Yield the reasons for what no answer has, each with the names that it explains."""
    names: dict[str, list[str]] = {}
    for name, one in found.items():
        if not one["n"]:
            names.setdefault(one["reason"], []).append(name.replace("_", " "))
    for reason, those in names.items():
        yield f"{', '.join(those)}: {'no answer has it' if reason == 'no_samples' else reason}"


def is_all(found: Document) -> bool:
    """Return whether times of answers are among what was measured: those of sound are."""
    made = found.get("measured", {}).get("generation_time_ms", {}).get("n")
    return bool(made and not found["summary"]["output_sequence_length"]["n"])


def sound(items: Sequence[Document]) -> Iterator[str]:
    """Yield where the sound of the only answer is, and what was heard in speech."""
    made = items[0].get("measured") or {} if len(items) == 1 else {}
    if path := made.get("audio_path"):
        heard = f", heard as '{items[0]['answer']}'" if made.get("audio_quality_method") else ""
        yield printable(f"{path}: {number(made['audio_seconds'])} s{heard}")

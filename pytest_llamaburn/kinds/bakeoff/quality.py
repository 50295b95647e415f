"""The quality of models, from evals of them that are stored or that the bake-off itself holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_llamaburn.documents import Document

_MEASURES = ("correct", "accuracy")  # the first that an eval has


def of(results_dir: Path, candidates: Sequence[Document], wanted: str) -> dict[str, Document]:
    """Return the quality of each model in its newest eval of a set, or why it is not known."""
    return {one["name"]: _newest(results_dir, one, wanted) for one in candidates}


def _newest(results_dir: Path, candidate: Document, wanted: str) -> Document:
    for path in results.of_model(results_dir, "eval", candidate["model"]["id"]):
        try:
            document = results.load(path)
        except ResultsError:  # a damaged file
            continue
        same = document["model"]["digest"] == candidate["model"]["digest"]
        # An eval of several sets has one score for all of them together.
        if same and document["config"]["set"] == [wanted] and document["status"] == "complete":
            return _value(document, str(path))
    line = f"llamaburn eval {candidate['name']} --set {wanted}"
    return unknown(f"there is no complete eval of this set alone: {line}")


def unknown(reason: str) -> Document:
    """Return that the quality of a model is not known, and why."""
    return {"value": None, "ci95": None, "measure": None, "path": None, "reason": reason}


def read(path: Path) -> Document:
    """Return the quality of a model from the result file of its eval."""
    return _value(results.load(path), str(path))


def _value(document: Document, path: str) -> Document:
    """Return the share of right answers of an eval; without a scorer, the mean accuracy."""
    table = results.room(document, "measures").of(document)
    known = {name: table[name].observed(document) for name in _MEASURES if name in table}
    for name, seen in known.items():
        if seen.value is not None:
            facts = {"value": seen.value, "ci95": seen.interval, "measure": name}
            return {**facts, "unit": table[name].unit, "path": path, "reason": None}
    reasons = (seen.reason for seen in known.values())
    nothing = {"value": None, "ci95": None, "measure": None, "path": path}
    return {**nothing, "reason": next(reasons, "the eval has no score")}

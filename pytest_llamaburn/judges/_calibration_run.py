"""What judges say of labelled answers. Each judgment is journalled at once, so none is lost.

The journal lies under `results/calibrations/`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from pytest_llamaburn import judges, options
from pytest_llamaburn.judges import _kept
from pytest_llamaburn.settings import Judging

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.judges._calibration import Label

FOLDER = "calibrations"


class Calibration(_kept.KeptJudging):
    """Some judges and the labels that they are held against."""

    def __init__(
        self,
        settings: Judging,
        labels: Sequence[Label],
        results_dir: Path,
        run_id: str | None = None,
    ) -> None:
        """Take the judges and the labels, and the id of a calibration to continue.

        Raises UsageError for a judge that is not available.
        """
        self.labels = distinct(labels)
        self._config = options.record(settings, Judging)
        tasks = {name: _task(label) for name, label in self.labels.items()}
        super().__init__(settings, tasks, results_dir / FOLDER, run_id)

    def run(self, finished: Callable[[str], None], about: Mapping[str, str | None]) -> _kept.Found:
        """Return the verdicts on each label; `finished` gets the state of each new one at once.

        `about` says where the labels come from: a continued calibration reads them there. Raises
        UsageError if a judge cannot be opened.
        """
        return self.ask(finished, {**about, "config": self._config})


def header_of(results_dir: Path, run: str) -> Document:
    """Return the header of the calibration with this id that was cut, or of the `last` one.

    Raises ResultsError if there is none.
    """
    return _kept.header_of(results_dir, FOLDER, run, {"labels"})


def distinct(labels: Sequence[Label]) -> dict[str, Label]:
    """Return the first label of each answer or pair, by its name.

    Several lines may label the same answers. Those are judged once.
    """
    found: dict[str, Label] = {}
    for label in labels:
        found.setdefault(name_of(label), label)
    return found


def name_of(label: Label) -> str:
    """Return a name for what a judge sees of a label; equal material has equal names."""
    seen = json.dumps([label.question, label.answers, label.reference, label.criterion])
    return hashlib.sha256(seen.encode()).hexdigest()[:16]


def case(label: Label) -> judges.Case:
    """Return a label's answer as it is judged."""
    return judges.Case(label.question, label.answers[0], label.reference)


def pair(label: Label) -> judges.Pair:
    """Return a label's two answers as they are compared."""
    return judges.Pair(label.question, label.answers[0], label.answers[1], label.reference)


def _task(label: Label) -> _kept.Task:
    material = pair(label) if len(label.answers) > 1 else case(label)
    return _kept.Task(material, label.criterion)

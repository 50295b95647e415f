"""What judges say of labelled answers: each verdict is journalled at once, so none is lost.

The journal lies under `results/calibrations/`. A calibration that is cut can be continued: what was
judged, and paid for, is not asked again.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import judges
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.judges import _queue
from pytest_llamaburn.store import journal
from pytest_llamaburn.store.resume import ASKED_AGAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from pytest_llamaburn.judges import Case, Comparison, Score
    from pytest_llamaburn.judges._calibration import Label
    from pytest_llamaburn.settings import Judging

FOLDER = "calibrations"
Found = dict[str, "list[Score] | list[Comparison]"]  # by the name of what was judged


class Told(NamedTuple):
    """What became of one label: its place in the file and its verdict's state."""

    place: str
    state: str


class Calibration:
    """The verdicts of some judges on some labels, as far as they are there."""

    def __init__(self, settings: Judging, labels: Sequence[Label], results_dir: Path) -> None:
        """Take the judges and the labels; raises UsageError where a judge cannot be meant."""
        self.panel = judges.Panel.of(settings)
        self.labels = distinct(labels)
        names = [caller.judge.name for caller in self.panel.callers]
        about = json.dumps([judges.VERSION, names, *sorted(self.labels)])
        self._base = results_dir / FOLDER
        self._id = hashlib.sha256(about.encode()).hexdigest()[:16]
        self.kept: dict[tuple[str, ...], dict[str, Any]] = {}

    def work(self, told: Callable[[Told], None], *, resume: bool) -> Found:
        """Return the verdicts on each label; `told` hears of every one that is there.

        With `resume` those of an earlier calibration that was cut are taken first. The journal goes
        when no verdict is to be tried again. Raises UsageError where a judge cannot be had.
        """
        self._take_earlier(resume=resume)
        book = journal.Journal(self._base, self._id, "main")
        done = _queue.restored([*self.kept.values()])
        work = _queue.Marking(self.panel, lambda row: self._keep(book, row), done)
        try:
            pending = {name: _submit(work, name, label) for name, label in self.labels.items()}
            found = {name: self._awaited(name, future, told) for name, future in pending.items()}
        finally:
            work.close()
            book.close()
        if not self.unfinished:
            journal.discard(journal.directory(self._base, self._id))
        return found

    @property
    def earlier(self) -> int:
        """How many verdicts an earlier calibration, which was cut, has left."""
        return len(_final(self._rows()))

    @property
    def unfinished(self) -> int:
        """How many verdicts are to be tried again: a call failed, or the budget was used up."""
        return sum(row["state"] in ASKED_AGAIN for row in self.kept.values())

    def _take_earlier(self, *, resume: bool) -> None:
        folder = journal.directory(self._base, self._id)
        if folder.exists() and folder not in journal.leftovers(self._base):
            raise SettingsError(
                "--labels: another process has these judges judge these labels right now: "
                "wait for it"
            )
        if resume:
            rows = self._rows()
            self.kept = _final(rows)
            _queue.charge(self.panel, rows)

    def _rows(self) -> list[dict[str, Any]]:
        record = journal.read(journal.directory(self._base, self._id))
        return record.others.get("judgment", [])

    def _keep(self, book: journal.Journal, row: dict[str, Any]) -> None:
        book.write("judgment", **row)
        self.kept[tuple(row["key"])] = row

    def _awaited(self, name: str, future: Future[Any], told: Callable[[Told], None]) -> Any:
        found = future.result()
        told(Told(self.labels[name].place, state_of(found)))
        return found


def distinct(labels: Sequence[Label]) -> dict[str, Label]:
    """Return the first label of each answer or pair, by a name that says what is judged.

    Several lines may label the same answers: they are judged once.
    """
    found: dict[str, Label] = {}
    for label in labels:
        found.setdefault(name_of(label), label)
    return found


def name_of(label: Label) -> str:
    """Return what identifies the material that a judge sees of a label."""
    seen = json.dumps([label.question, label.answers, label.reference, label.criterion])
    return hashlib.sha256(seen.encode()).hexdigest()[:16]


def case(label: Label) -> Case:
    """Return a label's answer as it is judged."""
    return judges.Case(label.question, label.answers[0], label.reference)


def state_of(found: Sequence[Score] | Sequence[Comparison]) -> str:
    """Return the state of a label's verdicts: scored if any is, else the first one's."""
    states = [one.state for one in found]
    return "scored" if "scored" in states else states[0]


def _final(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return by key the verdicts that are not to be tried again."""
    return {tuple(r["key"]): r for r in rows if r["state"] not in ASKED_AGAIN}


def _submit(work: _queue.Marking, name: str, label: Label) -> Future[Any]:
    if len(label.answers) == 1:
        return work.score(name, case(label), [label.criterion])
    pair = judges.Pair(label.question, label.answers[0], label.answers[1], label.reference)
    return work.compare(name, pair)

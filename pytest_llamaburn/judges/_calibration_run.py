"""What judges say of labelled answers. Each judgment is journalled at once, so none is lost.

The journal lies under `results/calibrations/`. A calibration that was cut can be continued: what
was judged, and paid for, is not asked for again.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import judges
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.store import journal
from pytest_llamaburn.store.resume import ASKED_AGAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from pytest_llamaburn.judges import Comparison, JudgeQueue, JudgeResult
    from pytest_llamaburn.judges._calibration import Label
    from pytest_llamaburn.settings import Judging

FOLDER = "calibrations"
Found = dict[str, "list[JudgeResult] | list[Comparison]"]  # by the name of what was judged


class Calibration:
    """Some judges and the labels that they are held against."""

    def __init__(self, settings: Judging, labels: Sequence[Label], results_dir: Path) -> None:
        """Take the judges and the labels; raises UsageError for a judge that is not available."""
        self.panel = judges.Panel.of(settings)
        self.labels = distinct(labels)
        names = [caller.judge.name for caller in self.panel.callers]
        about = json.dumps([names, *sorted(self.labels)])
        self._base = results_dir / FOLDER
        self._id = hashlib.sha256(about.encode()).hexdigest()[:16]
        self.kept: dict[tuple[str, ...], dict[str, Any]] = {}

    def run(self, finished: Callable[[str], None], *, resume: bool) -> Found:
        """Return the verdicts on each label; `finished` gets the state of each, as it is judged.

        With `resume`, verdicts of an earlier calibration that was cut are used. The journal is
        removed if no verdict has to be asked for again. Raises UsageError if a judge cannot be
        opened.
        """
        self._take_earlier(resume=resume)
        book = journal.Journal(self._base, self._id, "main")
        self.panel.note = lambda row: self._keep(book, row)
        queue = judges.JudgeQueue(self.panel)
        try:
            pending = {name: _submit(queue, name, label) for name, label in self.labels.items()}
            found: Found = {}
            for name, future in pending.items():
                found[name] = future.result()
                finished(state_of(found[name]))
        finally:
            queue.close()
            book.close()
        if not self.unfinished:
            journal.discard(journal.directory(self._base, self._id))
        return found

    @property
    def earlier(self) -> int:
        """How many verdicts are left of an earlier calibration that was cut."""
        return len(_final(self._rows()))

    @property
    def unfinished(self) -> int:
        """How many verdicts are missing because a call failed or the budget was used up."""
        return sum(row["state"] in ASKED_AGAIN for row in self.kept.values())

    def _take_earlier(self, *, resume: bool) -> None:
        folder = journal.directory(self._base, self._id)
        if folder.exists() and folder not in journal.leftovers(self._base):
            raise SettingsError(
                "--labels: another process is calibrating these judges on these labels right now: "
                "wait until it ends"
            )
        if resume:
            rows = self._rows()
            self.kept = _final(rows)
            self.panel.resume(rows)

    def _rows(self) -> list[dict[str, Any]]:
        record = journal.read(journal.directory(self._base, self._id))
        return record.others.get("judgment", [])

    def _keep(self, book: journal.Journal, row: dict[str, Any]) -> None:
        book.write("judgment", **row)
        self.kept[tuple(row["key"])] = row


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


def state_of(found: Sequence[JudgeResult] | Sequence[Comparison]) -> str:
    """Return the state of a label's verdicts: `scored` if any is scored, else the first one's."""
    states = [one.state for one in found]
    return "scored" if "scored" in states else states[0]


def _final(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return by key the verdicts that need not be asked for again."""
    return {tuple(r["key"]): r for r in rows if r["state"] not in ASKED_AGAIN}


def _submit(queue: JudgeQueue, name: str, label: Label) -> Future[Any]:
    if len(label.answers) == 1:
        return queue.judge(case(label), [label.criterion], name)
    return queue.compare(pair(label), name)

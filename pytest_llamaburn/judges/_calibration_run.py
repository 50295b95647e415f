"""What judges say of labelled answers. Each judgment is journalled at once, so none is lost.

The journal lies under `results/calibrations/`. A calibration that was cut can be continued: what
was judged, and paid for, is not asked for again.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from concurrent.futures import as_completed
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import judges, options
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.settings import Judging
from pytest_llamaburn.store import journal
from pytest_llamaburn.store.resume import ASKED_AGAIN, LAST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.judges import Comparison, JudgeQueue, JudgeResult
    from pytest_llamaburn.judges._calibration import Label
    from pytest_llamaburn.judges._documents import JudgmentFields

FOLDER = "calibrations"
Found = dict[str, "list[JudgeResult] | list[Comparison]"]  # by the name of what was judged


class Calibration:
    """Some judges and the labels that they are held against.

    The journal is kept until `finish`, so that no verdict is lost before the report is printed.
    """

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
        self.panel = judges.Panel.of(settings)
        self.labels = distinct(labels)
        self._config = options.record(settings, Judging)
        self._base, self._resumed = results_dir / FOLDER, run_id is not None
        self.id = run_id or _id([c.judge.name for c in self.panel.callers], self.labels)
        self.kept: dict[tuple[str, ...], JudgmentFields] = {}
        if self._resumed:
            rows = self._rows()
            self.kept = _final(rows)
            self.panel.resume(rows)
        self.known = self._known()

    def run(self, finished: Callable[[str], None], about: Mapping[str, str | None]) -> Found:
        """Return the verdicts on each label; `finished` gets the state of each new one at once.

        `about` says where the labels come from: a continued calibration reads them there. Raises
        UsageError if a judge cannot be opened.
        """
        self._refuse_if_running()
        book = journal.Journal(self._base, self.id, "main")
        book.write("header", run_id=self.id, **about, config=self._config)
        self.panel.note = lambda row: self._keep(book, row)
        queue = judges.JudgeQueue(self.panel)
        try:
            names = {_submit(queue, name, label): name for name, label in self.labels.items()}
            for future in as_completed(names):
                if names[future] not in self.known:
                    finished(state_of(future.result()))
            found = {name: future.result() for future, name in names.items()}
        finally:
            queue.close()
            book.close()
        return found

    def finish(self) -> None:
        """Remove the journal, if no verdict has to be asked for again."""
        if not self.unfinished:
            journal.discard(journal.directory(self._base, self.id))

    @property
    def earlier(self) -> int:
        """How many verdicts are left of an earlier calibration that was cut."""
        return len(_final(self._rows()))

    @property
    def unfinished(self) -> int:
        """How many verdicts are missing because a call failed or the budget was used up."""
        return sum(row["state"] in ASKED_AGAIN for row in self.kept.values())

    def _known(self) -> set[str]:
        """Return the names of the labels on which all verdicts were given before."""
        given = Counter(key[0] for key in self.kept)
        each = len(self.panel.callers) * self.panel.repeats
        expected = {name: each * len(label.answers) for name, label in self.labels.items()}
        return {name for name, count in expected.items() if given[name] >= count}

    def _refuse_if_running(self) -> None:
        folder = journal.directory(self._base, self.id)
        if folder.exists() and folder not in journal.leftovers(self._base):
            raise SettingsError(
                "--labels: another process is calibrating these judges on these labels right now: "
                "wait until it ends"
            )

    def _rows(self) -> list[JudgmentFields]:
        record = journal.read(journal.directory(self._base, self.id))
        return record.others.get("judgment", [])

    def _keep(self, book: journal.Journal, row: JudgmentFields) -> None:
        book.write("judgment", **row)
        self.kept[tuple(row["key"])] = row


def header_of(results_dir: Path, run: str) -> Document:
    """Return the header of the calibration with this id that was cut, or of the `last` one.

    Raises ResultsError if there is none.
    """
    headers: dict[str, Document] = {}
    for folder in sorted(journal.leftovers(results_dir / FOLDER), key=_written_at):
        header: Any = journal.read(folder).header
        if header is not None and {"run_id", "labels", "config"} <= header.keys():
            headers[folder.name] = header
    if run == LAST and headers:
        return [*headers.values()][-1]
    if run in headers:
        return headers[run]
    have = f"there are: {', '.join(headers)}" if headers else "none was cut"
    raise ResultsError(f"--resume: there is no calibration '{run}' in {results_dir}: {have}")


def _written_at(folder: Path) -> float:
    return max((path.stat().st_mtime for path in folder.glob("*.jsonl")), default=0.0)


def _id(judging: Sequence[str], labels: Mapping[str, Label]) -> str:
    """Return an id that is the same for the same judges and labels."""
    about = json.dumps([judging, *sorted(labels)])
    return hashlib.sha256(about.encode()).hexdigest()[:16]


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


def _final(rows: Sequence[JudgmentFields]) -> dict[tuple[str, ...], JudgmentFields]:
    """Return by key the verdicts that need not be asked for again."""
    return {tuple(r["key"]): r for r in rows if r["state"] not in ASKED_AGAIN}


def _submit(queue: JudgeQueue, name: str, label: Label) -> Future[Any]:
    if len(label.answers) == 1:
        return queue.judge(case(label), [label.criterion], name)
    return queue.compare(pair(label), name)

"""Judging whose verdicts are journalled at once, so that none that was paid for is lost.

A cut one can be continued: what was judged is not asked for again.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, wait
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import judges
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.store import journal
from pytest_llamaburn.store.resume import ASKED_AGAIN, LAST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.judges import Comparison, JudgeQueue, JudgeResult
    from pytest_llamaburn.judges._documents import JudgmentFields
    from pytest_llamaburn.settings import Judging

_AHEAD = 4  # tasks that are begun for each call that may be sent
Found = dict[str, "list[JudgeResult] | list[Comparison]"]  # by the name of what was judged


class Task(NamedTuple):
    """An answer to judge on a criterion, or two answers to compare."""

    material: judges.Case | judges.Pair
    criterion: str = ""

    @property
    def verdicts(self) -> int:
        """How many verdicts one judge gives on it: on a pair, one in each order."""
        return 2 if isinstance(self.material, judges.Pair) else 1


class KeptJudging:
    """Some judges and their tasks; the journal is kept until `finish`."""

    def __init__(
        self,
        settings: Judging,
        tasks: Mapping[str, Task],
        base: Path,
        run_id: str | None = None,
        about: Sequence[str] = (),
    ) -> None:
        """Take the tasks by name, the folder of the journals, and the id of a run to continue.

        The id of a new run is the same for the same judges and the same words `about` the tasks,
        which are their names by default. Raises UsageError for a judge that is not available.
        """
        self.panel = judges.Panel.of(settings)
        self.tasks = tasks
        self._base, self._at_once = base, _AHEAD * settings.judge_concurrency
        self.id = run_id or _id([c.judge.name for c in self.panel.callers], about or sorted(tasks))
        self.kept: dict[tuple[str, ...], JudgmentFields] = {}
        self.left = 0  # how many tasks had no verdict when the time was over
        if run_id is not None:
            rows = self._rows()
            self.kept = _final(rows)
            self.panel.resume(rows)
        self.known = self._known()

    def ask(
        self, finished: Callable[[str], None], header: Document, seconds: float | None = None
    ) -> Found:
        """Return the verdicts on each task; `finished` gets the state of each new one at once.

        `header` is the journal's first line: a continued run reads there what it needs. After
        `seconds`, the verdicts that are not there yet are left out. Raises UsageError if a judge
        cannot be opened.
        """
        self._refuse_if_running()
        book = journal.Journal(self._base, self.id, "main")
        book.write("header", run_id=self.id, **header)
        self.panel.note = lambda row: self._keep(book, row)
        queue, found = judges.JudgeQueue(self.panel), {}
        try:
            for name, verdicts in self._verdicts(queue, seconds):
                found[name] = verdicts
                if name not in self.known:
                    finished(state_of(verdicts))
        finally:
            queue.close()
            book.close()
        self.left = len(self.tasks) - len(found)
        return {name: found[name] for name in self.tasks if name in found}

    def _verdicts(self, queue: JudgeQueue, seconds: float | None) -> Iterator[tuple[str, Any]]:
        """Yield the verdicts on each task as they come, until the time is over.

        Only some tasks are begun at a time, so that those of one question end together. Those whose
        verdicts are known come first: they take no time.
        """
        end = None if seconds is None else monotonic() + seconds
        left = iter(sorted(self.tasks.items(), key=lambda named: named[0] not in self.known))
        running: dict[Future[Any], str] = {}
        while True:
            for name, task in islice(left, self._at_once - len(running)):
                running[_submit(queue, name, task)] = name
            timeout = None if end is None else max(0.0, end - monotonic())
            done, _ = wait(running, timeout, FIRST_COMPLETED)
            if not done:
                return
            yield from ((running.pop(one), one.result()) for one in done)

    def finish(self) -> None:
        """Remove the journal, if no verdict has to be asked for again."""
        if not self.unfinished:
            journal.discard(journal.directory(self._base, self.id))

    @property
    def earlier(self) -> int:
        """How many verdicts are left of an earlier run that was cut."""
        return len(_final(self._rows()))

    @property
    def unfinished(self) -> int:
        """How many verdicts are missing: a call failed, or money or time was used up."""
        return self.left + sum(row["state"] in ASKED_AGAIN for row in self.kept.values())

    def _known(self) -> set[str]:
        """Return the names of the tasks on which all verdicts were given before."""
        given = Counter(key[0] for key in self.kept)
        each = len(self.panel.callers) * self.panel.repeats
        return {name for name, task in self.tasks.items() if given[name] >= each * task.verdicts}

    def _refuse_if_running(self) -> None:
        folder = journal.directory(self._base, self.id)
        if folder.exists() and folder not in journal.leftovers(self._base):
            raise SettingsError(
                "judge: another process is asking these judges the same right now: wait until it "
                "ends"
            )

    def _rows(self) -> list[JudgmentFields]:
        record = journal.read(journal.directory(self._base, self.id))
        return record.others.get("judgment", [])

    def _keep(self, book: journal.Journal, row: JudgmentFields) -> None:
        book.write("judgment", **row)
        self.kept[tuple(row["key"])] = row


def header_of(results_dir: Path, folder: str, run: str, fields: set[str]) -> Document:
    """Return the header of the run in a folder with this id that was cut, or of the `last` one.

    A header has these fields at least. Raises ResultsError if there is none.
    """
    headers: dict[str, Document] = {}
    for place in sorted(journal.leftovers(results_dir / folder), key=_written_at):
        header: Any = journal.read(place).header
        if header is not None and {"run_id", "config", *fields} <= header.keys():
            headers[place.name] = header
    if run == LAST and headers:
        return [*headers.values()][-1]
    if run in headers:
        return headers[run]
    have = f"there are: {', '.join(headers)}" if headers else "none was cut"
    what = folder.removesuffix("s")
    raise ResultsError(f"--resume: there is no {what} '{run}' in {results_dir}: {have}")


def state_of(found: Sequence[JudgeResult] | Sequence[Comparison]) -> str:
    """Return the state of the verdicts on a task: `scored` if any is scored, else the first one."""
    states = [one.state for one in found]
    return "scored" if "scored" in states else states[0]


def _id(judging: Sequence[str], about: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([judging, *about]).encode()).hexdigest()[:16]


def _written_at(folder: Path) -> float:
    return max((path.stat().st_mtime for path in folder.glob("*.jsonl")), default=0.0)


def _final(rows: Sequence[JudgmentFields]) -> dict[tuple[str, ...], JudgmentFields]:
    """Return by key the verdicts that need not be asked for again."""
    return {tuple(r["key"]): r for r in rows if r["state"] not in ASKED_AGAIN}


def _submit(queue: JudgeQueue, name: str, task: Task) -> Future[Any]:
    if isinstance(task.material, judges.Pair):
        return queue.compare(task.material, name)
    return queue.judge(task.material, [task.criterion], name)

"""The answers of a run: asking for those that are missing, and keeping each when it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds.eval import insights, told
from pytest_llamaburn.progress import of_request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.errors import LlamaBurnError
    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.kept_media import Keeper
    from pytest_llamaburn.kinds.eval.dispatch import Dispatch
    from pytest_llamaburn.kinds.eval.documents import AnswerRow
    from pytest_llamaburn.progress import Progress

UNIT = "answers and scores"  # what progress counts
_WARNED_AFTER = 3  # answers that the limit of tokens cut before they began


class Answers:
    """The answers so far, by question and number of the sample."""

    def __init__(self, progress: Progress, write: Callable[[str, Mapping[str, Any]], None]) -> None:
        """Take what tells of answers, and what writes them to the journal."""
        self.rows: dict[str, dict[int, AnswerRow]] = {}
        self.dispatch: Dispatch
        self.keeper: Keeper
        self.config: Callable[[], Document]  # returns the settings, with what is sent
        self.write, self._progress = write, progress
        self._told: set[tuple[str, int]] = set()  # what progress has counted
        self._broken: dict[str, LlamaBurnError] = {}  # by question: why it could not be asked
        self._warned = False

    async def of(
        self, question: Question, planned: Iterable[Question], samples: int
    ) -> list[AnswerRow]:
        """Return the answers to a question.

        Where several servers or machines share the questions, the first call asks all those
        planned. Raises the error of a question that could not be asked.
        """
        together = self.dispatch.at_once > 1
        questions = {one.id: one for one in (*(planned if together else ()), question)}
        asked = [*self._missing(questions.values(), samples)]
        if together and asked:
            self.write("order", {"questions": [*questions]})
        self._broken |= await self.dispatch.answer(asked, self)
        if question.id in self._broken:
            raise self._broken.pop(question.id)
        return self._given(question)

    def asking(self, question: Question) -> None:
        """Tell that a question is asked now."""
        self._progress.tell("asked", told.asked(question, self.keeper))

    def answered(self, question: Question, row: AnswerRow) -> None:
        """Keep an answer, and tell of it."""
        self.rows[question.id][row["iteration"]] = row
        self.write("request", row)
        self._warn_of_cuts(row)
        self._tell(row)

    def say(self, text: str) -> None:
        """Say a sentence to the user."""
        self._progress.say(text)

    def _missing(
        self, questions: Iterable[Question], samples: int
    ) -> Iterator[tuple[Question, int]]:
        """Yield what is still to be asked: a question, and the number of a sample."""
        for question in questions:
            rows = self.rows.setdefault(question.id, {})
            if question.id not in self._broken:
                yield from ((question, number) for number in range(samples) if number not in rows)

    def _given(self, question: Question) -> list[AnswerRow]:
        """Return the answers to a question in their order; those of an earlier part are told."""
        rows = self.rows[question.id]
        if any((question.id, number) not in self._told for number in rows):
            self.asking(question)
        for row in rows.values():
            self._tell(row)
        return [rows[number] for number in sorted(rows)]

    def _tell(self, row: AnswerRow) -> None:
        """Tell of an answer once."""
        key = row["prompt_id"], row["iteration"]
        if key not in self._told:
            self._told.add(key)
            self._progress.tell("answered", told.answered(row))
            self._progress.step(of_request(row, stage="answering", unit=UNIT))

    def _warn_of_cuts(self, row: AnswerRow) -> None:
        """Warn once, after a few cases, that answers are cut before they begin."""
        if self._warned or not insights.unbegun(row):
            return
        rows: Sequence[AnswerRow] = [row for one in self.rows.values() for row in one.values()]
        found = insights.cut_answers(rows, self.config(), least=_WARNED_AFTER)
        if found is not None:
            self._warned = True
            self._progress.say(found[0])

"""The judges of an eval run: chosen before the first answer, asked after the last one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import judges
from pytest_llamaburn.kinds.eval import scoring, showing, task
from pytest_llamaburn.store import journal
from pytest_llamaburn.store.resume import ASKED_AGAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping
    from concurrent.futures import Future

    from pytest_llamaburn.judges import Comparison, JudgeQueue, JudgeResult, Panel
    from pytest_llamaburn.judges._documents import ComparisonFields
    from pytest_llamaburn.kinds.eval.documents import AnswerRow, Judged, ScoresRow
    from pytest_llamaburn.kinds.eval.settings import Eval

    Answers = Mapping[str, Mapping[int, AnswerRow]]  # by question and number of the sample

_UNCOMPARED: ComparisonFields = {
    "verdict": None,
    "state": "skipped_sut_error",
    "inconsistent": False,
    "first_picks": 0,
    "judgments": [],
}


class Judging:
    """The judges of a run, their questions, and the opponent's answers if answers are compared."""

    def __init__(self, settings: Eval, opponent_run: str | None) -> None:
        """Take the settings; `opponent_run` is the run of the model to compare with, if any."""
        self.settings = settings
        self.panel: Panel | None = None
        self._opponent_run = opponent_run
        self._opponent: dict[str, AnswerRow] = {}
        self._queue: JudgeQueue | None = None
        self._pending: dict[str, Future[list[JudgeResult]] | Future[list[Comparison]]] = {}

    async def seat(self, *, judges_follow: bool) -> None:
        """Check the judges, and keep them if any will be asked in this run.

        Raises UsageError if a judge would judge itself or is not available. The opponent answers
        first, and its answers are not judged in its own run. The check opens its own connections,
        because a connection belongs to the event loop in which it was opened.
        """
        self.panel = judges.Panel.of(self.settings)
        try:
            for model in task.judged_models(self.settings):
                self.refuse_self(model)
            await self.panel.probe()
        finally:
            await self.panel.close()
        self.panel = judges.Panel.of(self.settings) if judges_follow else None

    def refuse_self(self, model: str) -> None:
        """Raise SettingsError if the model is one of the judges, unless that is allowed."""
        if self.panel is not None and not self.settings.allow_self_judge:
            self.panel.refuse_self(model)

    @property
    def notes(self) -> list[str]:
        """Notes for the user about the judges."""
        return self.panel.notes if self.panel is not None else []

    @property
    def compares(self) -> bool:
        """Whether the judges compare two models."""
        return bool(self.settings.pairwise and self.panel is not None)

    @property
    def needs_memory(self) -> bool:
        """Whether a judge runs on this machine."""
        return self.panel is not None and any(one.judge.local for one in self.panel.callers)

    @property
    def waits_for_pictures(self) -> bool:
        """Whether answers must be rendered before `begin`, because judges look at them."""
        return self.panel is not None and self._queue is None and not self.settings.pairwise

    def begin(
        self,
        answers: Answers,
        done: Container[str],
        keep: Callable[[str, Mapping[str, Any]], None],
        pictures: Mapping[str, str],
    ) -> None:
        """Submit the first answer to each question that is not `done`; later calls do nothing.

        `keep` journals a row of the given type: each judgment, and the opponent's answers.
        `pictures` has what the code of an answer drew, by question.
        """
        if self.panel is None or self._queue is not None:
            return
        self.panel.note = lambda row: keep("judgment", row)
        self._queue = judges.JudgeQueue(self.panel)
        if self.settings.pairwise:
            self._opponent = self._opponent_answers(answers)
            given = {name: row["answer"] for name, row in self._opponent.items()}
            keep("rivals", {"answers": given})
        for name, samples in answers.items():
            if name not in done:
                self._submit(self._queue, name, samples[0], pictures.get(name))

    def scores(self, name: str) -> Judged:
        """Wait until a question is judged; return the results as in a `scores` row."""
        future = self._pending.pop(name, None)
        results: Any = [] if future is None else [one.as_dict() for one in future.result()]
        opponent = self._opponent.get(name) if self.compares else None
        return {
            "scores": {} if self.compares else {one["criterion"]: one for one in results},
            "comparisons": (results or [_UNCOMPARED]) if self.compares else [],
            "rival_answer": opponent["answer"] if opponent else None,
        }

    def close(self) -> None:
        """Cancel the judgments that are not finished, and close the judges."""
        if self._queue is not None:
            self._queue.close()
            self._queue = None

    def _submit(self, queue: JudgeQueue, name: str, row: AnswerRow, picture: str | None) -> None:
        question = task.question(row["question"])
        if not self.settings.pairwise:
            case = scoring.case(question, row, showing.media(question, row, self.settings, picture))
            self._pending[name] = queue.judge(case, question.asked, name)
            return
        shown = showing.media(question, {"media": row.get("media")}, self.settings)
        pair = scoring.pair(question, row, self._opponent.get(name), shown)
        if pair is not None:
            self._pending[name] = queue.compare(pair, name)

    def _opponent_answers(self, answers: Answers) -> dict[str, AnswerRow]:
        """Return the first answer of the model to compare with, by question."""
        opponent = str(self.settings.compare_to)
        if task.is_file(opponent):
            items = task.stored(opponent)["results"]["items"]
            rows = [row for item in items for row in task.rows_of(item)]
        else:
            folder = Path(self.settings.results_dir)
            rows = journal.read(journal.directory(folder, str(self._opponent_run))).rows
        asked = {name: samples[0]["prompt_sha256"] for name, samples in answers.items()}
        return {
            row["prompt_id"]: row
            for row in rows
            if row["iteration"] == 0 and asked.get(row["prompt_id"]) == row["prompt_sha256"]
        }


def is_final(row: ScoresRow) -> bool:
    """Return whether a `scores` row is complete: no judgment must be asked for again."""
    results = [*row["scores"].values(), *row["comparisons"]]
    states = {judgment["state"] for one in results for judgment in one["judgments"]}
    return states.isdisjoint(ASKED_AGAIN)

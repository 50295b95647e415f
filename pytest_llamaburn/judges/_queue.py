"""Judging in the background: all answers are submitted at once, and each result is awaited.

Judges are called over the network, so their event loop runs in its own thread. Nothing is timed
while judges work.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_llamaburn import criteria
from pytest_llamaburn.errors import SettingsError, UnscoredError
from pytest_llamaburn.judges._prompt import Case

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from concurrent.futures import Future

    from pytest_llamaburn.criteria import Criterion
    from pytest_llamaburn.judges._panel import Panel
    from pytest_llamaburn.judges._prompt import Pair
    from pytest_llamaburn.judges._result import Comparison, JudgeResult

Result = TypeVar("Result")


class Background:
    """An event loop in its own thread."""

    def __init__(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Begin some work; the calling thread may wait for the future."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Cancel unfinished work and end the thread."""
        self.submit(_cancel_others()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class JudgeQueue:
    """The answers and pairs that one panel is to judge."""

    def __init__(self, panel: Panel) -> None:
        """Take the judges; each is opened at its first call."""
        self._panel = panel
        self._background = Background()

    def judge(
        self, case: Case, criteria: Sequence[str | Criterion], name: str = ""
    ) -> Future[list[JudgeResult]]:
        """Begin to judge an answer on some criteria; `name` identifies it in the journal."""

        async def results() -> list[JudgeResult]:
            each = (self._panel.judge(case, criterion, name) for criterion in criteria)
            return [*await asyncio.gather(*each)]

        return self._background.submit(results())

    def compare(self, pair: Pair, name: str = "") -> Future[list[Comparison]]:
        """Begin to compare two answers."""
        return self._background.submit(self._panel.compare(pair, name))

    def ask(
        self,
        question: str,
        answer: str,
        *,
        reference: str | None = None,
        rubric: str | None = None,
        criterion: str = "accuracy",
        evidence: str | None = None,
    ) -> JudgeResult:
        """Return the result on one answer and criterion, for tests that have their own answers.

        The criterion is a name, which the settings may define, or NAME=DESCRIPTION. The score is
        from 1 to 5, a share of claims, or 1 for yes and 0 for no; for a grade it is 1 for correct,
        else 0. Raises UnscoredError if no judge gives a score, UsageError if a judge cannot be
        opened or the criterion is not well defined.
        """
        case = Case(question, answer, reference, rubric, evidence=evidence)
        (result,) = self.judge(case, (_defined(criterion),)).result()
        if result.state != "scored":
            error = result.judgments[0].error
            words = error["words"] if error else None
            raise UnscoredError(f"the answer was not judged: {result.state}: {words}")
        if result.score is None:
            return replace(result, score=float(result.verdict == "correct"))
        return result

    def close(self) -> None:
        """Cancel unfinished work, and close the judges."""
        self._background.submit(self._end()).result()
        self._background.close()

    async def _end(self) -> None:
        await _cancel_others()
        await self._panel.close()


def _defined(criterion: str) -> str | Criterion:
    if "=" not in criterion:
        return criterion
    try:
        return criteria.parse(criterion)
    except ValueError as err:
        raise SettingsError(f"judge: criterion: {err}") from None


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)

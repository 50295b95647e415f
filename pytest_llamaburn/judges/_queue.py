"""Judging in the background: all judgments are submitted at once, and each is waited for by itself.

Judges are asked over the network, so their loop has a thread of its own; nothing is timed then.
A finished judgment is told at once, under a key by which it is known again when a run continues.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_llamaburn import judges
from pytest_llamaburn.criteria import named
from pytest_llamaburn.judges._base import Usage
from pytest_llamaburn.store.resume import ASKED_AGAIN

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
    from concurrent.futures import Future

    from pytest_llamaburn.criteria import Criterion
    from pytest_llamaburn.judges import Case, Comparison, Judgment, Pair, Panel, Score

    Key = tuple[str, ...]

Result = TypeVar("Result")


class Background:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Begin some work; the future is this thread's to wait for."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Cancel what is not done and end the thread."""
        self.submit(_cancel_others()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Marking:
    """The judgments of one run."""

    def __init__(
        self, panel: Panel, note: Callable[[dict[str, Any]], None], done: Mapping[Key, Judgment]
    ) -> None:
        """Take the judges, who is told of each finished judgment, and those that are known."""
        self._panel, self._note, self._done = panel, note, done
        self._background = Background()

    def score(
        self, name: str, case: Case, criteria: Sequence[str | Criterion]
    ) -> Future[list[Score]]:
        """Begin to judge an answer, which `name` identifies, on some criteria."""
        return self._background.submit(self._scores(name, case, criteria))

    def compare(self, name: str, pair: Pair) -> Future[list[Comparison]]:
        """Begin to compare two answers."""
        return self._background.submit(self._comparisons(name, pair))

    def close(self) -> None:
        """End what is not done, and close the judges."""
        self._background.submit(self._end()).result()
        self._background.close()

    async def _end(self) -> None:
        await _cancel_others()
        await self._panel.close()

    async def _scores(
        self, name: str, case: Case, criteria: Sequence[str | Criterion]
    ) -> list[Score]:
        return [*await asyncio.gather(*(self._score(name, case, c) for c in criteria))]

    async def _score(self, name: str, case: Case, criterion: str | Criterion) -> Score:
        ruled = judges.by_rule(case, criterion)
        if ruled is not None:
            return judges.score((ruled,))
        calls = [
            self._once(
                (name, named(criterion).key, caller.judge.name, str(number)),
                partial(judges.judge, caller, case, criterion),
            )
            for caller in self._panel.callers
            for number in range(self._panel.repeats)
        ]
        return judges.score(await asyncio.gather(*calls))

    async def _comparisons(self, name: str, pair: Pair) -> list[Comparison]:
        ruled = judges.by_rule_of_pair(pair)
        if ruled is not None:
            return [ruled]
        swapped = pair._replace(answer_a=pair.answer_b, answer_b=pair.answer_a)
        orders = {"ab": pair, "ba": swapped}
        calls = [
            self._once(
                (name, "preference", caller.judge.name, str(number), order),
                partial(judges.compare, caller, shown),
            )
            for caller in self._panel.callers
            for number in range(self._panel.repeats)
            for order, shown in orders.items()
        ]
        found = await asyncio.gather(*calls)
        return [judges.comparison(*both) for both in zip(found[::2], found[1::2], strict=True)]

    async def _once(self, key: Key, ask: Callable[[], Awaitable[Judgment]]) -> Judgment:
        if key in self._done:
            return self._done[key]
        found = await ask()
        self._note({"key": [*key], **found.as_dict()})
        return found


def restored(
    rows: Sequence[dict[str, Any]], without: Sequence[str] = ASKED_AGAIN
) -> dict[Key, Judgment]:
    """Return the judgments of journal rows by key, the last of each, but those in some states."""
    return {tuple(row["key"]): _judgment(row) for row in rows if row["state"] not in without}


def charge(panel: Panel, rows: Sequence[dict[str, Any]]) -> None:
    """Count what an earlier part of a run spent on the judges' budget."""
    for row in rows:
        panel.budget.charge(row["calls"], row["cost_usd"], row["most_usd"])


def _judgment(row: dict[str, Any]) -> Judgment:
    known = {field.name: row[field.name] for field in fields(judges.Judgment) if field.name in row}
    known |= {"usage": Usage(**row["usage"]), "evidence": tuple(row["evidence"])}
    known["claims"] = tuple(row.get("claims", ()))
    return judges.Judgment(**known)


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)

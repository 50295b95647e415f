"""A run that measures several models in turn, round after round.

All models of a round answer the same prompts.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING

from pytest_llamaburn.errors import ModelError, ServerError
from pytest_llamaburn.kinds._several import SeveralRun
from pytest_llamaburn.kinds._single import Question
from pytest_llamaburn.kinds.bakeoff import KIND, plan, quality, ranking
from pytest_llamaburn.kinds.bakeoff.evals import Evals
from pytest_llamaburn.kinds.bakeoff.ranking import NOT_LOADED
from pytest_llamaburn.trace import Failed, Sent, Trace, answered, fold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.backends._http import Wire
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.store.journal import Record

_NO_LOAD: Document = {"load_ms": None, "size_mb": None, "gpu_share": None}


class BakeoffRun(SeveralRun):
    """The run of a bake-off."""

    kind = KIND
    keys = ("model", "round", "prompt_id")

    def __init__(self, *args: object) -> None:
        """Take the arguments of Run."""
        super().__init__(*args)
        self._quality: dict[str, Document] = {}  # by the name of the model

    async def prepare(self, model: str | None, planned: dict[str, int], extra: Document) -> None:
        """Check all models, then load the first and open the journal.

        Raises UsageError before anything is written.
        """
        self.candidates = [await self.described(name) for name in self.settings.model]
        plan.check_different(self.candidates)
        await super().prepare(model, planned, extra)

    async def _warm_up(self) -> None:
        """Warm up the first model; if it cannot be loaded, its first turn says so."""
        with suppress(ModelError, ServerError):
            await super()._warm_up()
            self._turn = self.settings.model[0]

    async def hold(self, key: str) -> list[Document]:
        """Hold the rounds until the order is known; return the rows.

        `key` is the name of this call in the journal's plan.
        """
        most = plan.requests(self.settings)
        self._progress.say(self.budgeted(self._seconds(most), most, self.settings.model))
        rows = await self.take(key, self._questions(), most, most)
        if self.settings.quality:
            known = quality.of(
                Path(self.settings.results_dir), self.candidates, self.settings.quality
            )
            self.write("facts", {"quality": known})
        if self.settings.set:
            await self._evaluate()
        elif self.settings.judge:
            self._progress.say("--judge is not used without --set: there are no answers to judge")
        return rows

    async def _evaluate(self) -> None:
        """Hold an eval of each model that did not fail, unless an earlier part of the run did."""
        await self._leave()
        held = Evals(self.settings, self.identity, self._progress, self._limits.over_budget)
        for number, one in enumerate(self.candidates, 1):
            known = self._quality.get(one["name"])
            if known is not None and known["path"] is not None:
                continue
            found = quality.unknown("it failed in the rounds")
            if not self._is_out(one["name"]):
                found = await held.score(one["name"], number)
            self._quality[one["name"]] = found
            self.write("facts", {"quality": self._quality})

    def take_over(self, record: Record) -> None:
        """Take over the rows, and the quality that was measured."""
        super().take_over(record)
        self._quality = dict(record.facts.get("quality", {}))

    def _seconds(self, requests: int) -> float | None:
        """Return about how long all rounds take, if each model is as fast as the first."""
        token_ms = self.token_ms()
        return token_ms and requests * token_ms * self.settings.max_tokens / 1e3

    def _questions(self) -> Iterator[Question]:
        for number in range(self.settings.rounds):
            if self._is_decided():
                return
            for name in plan.order(self.settings.model, number):
                for prompt in plan.prompts(self.settings, number):
                    if not self._is_out(name):
                        key = {"model": name, "round": number, "prompt_id": prompt.id}
                        messages = self.messages(prompt.text)
                        yield Question(key, messages, self.settings.max_tokens, name)

    def _is_decided(self) -> bool:
        """Return whether the order of the models that still run is known."""
        if not self.settings.early_stop or not self.rows:
            return False
        metric = plan.ranked(self.settings.rank)
        values = ranking.values(self.rows, metric.name)
        running = {name: each for name, each in values.items() if not self._is_out(name)}
        pairs = ranking.pairs(running, metric.better, self.settings.margin)
        return len(running) > 1 and all(pair.verdict != ranking.OPEN for pair in pairs)

    def _is_out(self, name: str) -> bool:
        """Return whether a model could not be loaded, or failed for a whole turn."""
        mine = [row for row in self.rows if row["model"] == name]
        return ranking.failure(mine, self.settings.iterations) is not None

    def _stop_if_hopeless(self) -> None:
        """Do not stop: the others go on without a model that fails."""

    async def _send(self, wire: Wire, question: Question) -> Trace:  # noqa: ARG002 - each model has its own
        try:
            own = await self._wire_of(question.key["model"])
        except (ModelError, ServerError) as err:
            now = perf_counter_ns()
            return fold([Sent(now), Failed(now, NOT_LOADED, "load", None, str(err))], None, 0)
        payload = self.backend.payload(self.model, question.messages)
        return answered(await self.backend.stream(own, payload))

    def _more(self, trace: Trace) -> Document:
        characters = len(trace.text) + len(trace.thinking)
        return {"answer_characters": characters, **_NO_LOAD, **self._load}

"""A run that tries settings of the server in rounds.

Each round tries every setting once, in an order of its own, and loads the model anew for it. So a
machine that becomes slower hits all settings alike.
"""

from __future__ import annotations

import math
import random
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import registry
from pytest_llamaburn.backends import _embedded_server
from pytest_llamaburn.backends.ollama import RUNNER_OPTIONS
from pytest_llamaburn.errors import LlamaBurnError, ModelError, ServerError, SettingsError
from pytest_llamaburn.kinds._limits import Limits
from pytest_llamaburn.kinds._single import Question, SingleRun
from pytest_llamaburn.kinds.tune import KIND, plan, result, trials
from pytest_llamaburn.kinds.tune.started import Started
from pytest_llamaburn.load.prompts import conversation, text
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from pytest_llamaburn.backends._base import Message
    from pytest_llamaburn.documents import Document

_MANY = 10**9  # failures in a row: none ends the run
_NUMBERS = ("num_", "main_gpu")  # how options begin that are whole numbers
_OPTIONS = {
    "ollama": RUNNER_OPTIONS,
    "embedded": tuple(name for name in _embedded_server.OPTIONS if name != "log_level"),
}


class TuneRun(SingleRun):
    """The run of a model with settings of its server."""

    kind = KIND
    keys = ("setting", "round", "iteration")

    def __init__(self, *args: Any) -> None:
        """Take the arguments of Run."""
        super().__init__(*args)
        self._limits = Limits(self.settings.budget, _MANY)  # a setting that fails is a finding
        self.tried = {plan.name(one): one for one in plan.settings(self.settings.option)}
        self.failed: dict[str, str] = {}
        self.left_out: dict[str, int] = {}  # each with its number of rounds
        self._own: Started | None = None
        self._now: str | None = None
        self._load_s = 0.0

    async def prepare(self, model: str | None, planned: dict[str, int], extra: Document) -> None:
        """Start the server if the run has its command, then prepare as every run does."""
        command = self.settings.server_command
        if command is not None:
            self._own = Started(command, self.settings.timeout_total)
            self._now, first = next(iter(self.tried.items()))
            await self._own.start(first)
            address = {"host": self._own.host, "backend": "openai"}
            self.settings = self.settings.model_copy(update=address)
        await super().prepare(model, planned, extra)

    async def finish(self, reason: str) -> None:
        """End the run, and the server that it started."""
        try:
            await super().finish(reason)
        finally:
            if self._own is not None:
                self._own.stop()

    async def measure(self, key: str) -> list[Document]:
        """Try all settings in rounds; return the rows.

        `key` is the name of this call in the journal's plan.
        """
        self._progress.say(self.estimate())
        self.write("planned", {"items": {key: 0}})
        began, started, longest_s = len(self.rows), perf_counter(), 0.0
        alive = [*self.tried]
        for number in range(self.settings.iterations):
            spent = perf_counter() - started
            if spent + longest_s > (self.settings.budget or math.inf):
                break
            for name in plan.order(alive, number, self.settings.seed):
                await self._visit(name, number)
            longest_s = max(longest_s, perf_counter() - started - spent)
            alive = self._left_of(alive, self.rows[began:])
        return self.rows[began:]

    async def _visit(self, name: str, number: int) -> None:
        """Load the model with a setting, and write its answers."""
        if name in self.failed:
            return
        keys = [{"setting": name, "round": number, "iteration": i} for i in range(self._each)]
        missing = [key for key in keys if tuple(key.values()) not in self._done]
        if missing:
            try:
                await self._load(name)
            except (ModelError, ServerError) as err:
                self._now = None
                self.failed[name] = str(err)
                self.write("facts", {"failed": self.failed})
                return
        place = (name, number)
        questions = (self._question(key, place) for key in keys)
        rows = await self.take(f"{name}/{number}", questions, len(keys), len(keys))
        self._done.update({self._named(row): [row] for row in rows})

    async def _load(self, name: str) -> None:
        began, self._now = perf_counter(), None
        setting = self.tried[name]
        if self._own is not None:
            await self._own.start(setting)
        else:
            await self.backend.free(self.model)
            self.backend.options = dict(setting)
            await self.backend.load(self.model)
        self._now, self._load_s = name, perf_counter() - began

    def _left_of(self, alive: list[str], rows: list[Document]) -> list[str]:
        """Return the settings of the next round."""
        alive = [name for name in alive if name not in self.failed]
        if self.settings.search == "grid":
            return alive
        values = result.values(rows, self.settings.objective, self.settings.osl)
        looks = self.settings.iterations - trials.LEAST_ROUNDS
        if len(alive) < 2 or looks < 1 or not all(name in values for name in alive):
            return alive
        out = trials.slower(values, alive, looks)
        if out:
            self.left_out |= dict.fromkeys(out, len(values[out[0]]))
            self.write("facts", {"left_out": self.left_out})
            self._progress.say(f"left out, certainly slower: {', '.join(out)}")
        return [name for name in alive if name not in out]

    @property
    def _each(self) -> int:
        return int(self.settings.answers)

    def _question(self, key: Document, place: Any) -> Question:
        fresh = f"{key['round']}/{key['iteration']}"  # the same for all settings
        asked = self._asked(self.settings.isl, fresh)
        return Question(key, asked, self.settings.osl, place, self._asked(1, "primer"))

    def _asked(self, tokens: float, what: str) -> list[Message]:
        luck = random.Random(f"{self.identity.run_id}/{what}")  # noqa: S311 - not a secret
        words = self._ruler.words(max(1.0, tokens - self._ruler.fixed))
        return conversation(text(max(1, words), luck), None)

    def check(self) -> None:
        """Raise SettingsError for an option that this server would ignore, or for its values."""
        if self._own is not None:
            return
        known = _OPTIONS.get(self.server.kind)
        if known is None:
            raise SettingsError(
                f"--option: {self.server.kind} takes its options at its start: let the run start "
                "it, with --server-command 'llama-server -m model.gguf {args}'"
            )
        for option, values in plan.options(self.settings.option).items():
            if option not in known:
                words = registry.unknown(f"option of {self.server.kind}", option, list(known))
                raise SettingsError(f"--option: {words}")
            odd = [value for value in values if type(value) is not int]
            if option.startswith(_NUMBERS) and odd:
                words = f"'{option}={odd[0]}' is refused: write whole numbers, as {option}=1,2"
                raise SettingsError(f"--option: {words}")

    async def _warm_up(self) -> None:
        """Load with the first setting and warm up, to know how long a visit takes."""
        began = perf_counter()
        if self._own is None:
            with suppress(LlamaBurnError):
                await self.backend.free(self.model)
            self.backend.options = dict(next(iter(self.tried.values())))
        await super()._warm_up()
        self._load_s = perf_counter() - began

    def estimate(self) -> str:
        """Return a sentence with the estimated time of the run, which --budget limits."""
        visits = len(self.tried) * self.settings.iterations
        what = (
            f"{counted(len(self.tried), 'setting')} in {counted(self.settings.iterations, 'round')}"
            f", {counted(visits * self._each, 'answer')}"
        )
        token_ms, read_ms = self.token_ms(), self._ruler.ms_per_token
        if token_ms is None or read_ms is None:
            return f"{what}: no estimate, the warm-up showed no speed"
        each_ms = self.settings.isl * read_ms + self.settings.osl * token_ms
        seconds = visits * (self._load_s + self._each * each_ms / 1e3)
        return f"{what}: about {min(seconds, self.settings.budget or math.inf):.0f} s"

"""A run that compares the next tokens of two models, and their speed.

Both models are asked for the probabilities of the next token after the same plain texts, in the
same order, so that a prompt cache is in the same state for both. Neither is timed for that. Their
speed is that of answers to prompts, in interleaved rounds.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.backends._base import GIVE_LOGPROBS
from pytest_llamaburn.backends._detect import connect
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.kinds._several import SeveralRun
from pytest_llamaburn.kinds._single import Question
from pytest_llamaburn.kinds.damage import KIND, plan, prefixes
from pytest_llamaburn.kinds.damage.plan import ANSWER, OTHER, REFERENCE, TOKEN
from pytest_llamaburn.load.prompts import conversation
from pytest_llamaburn.option import changed
from pytest_llamaburn.trace import Failed, answered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.backends._base import Backend, Likely, Model
    from pytest_llamaburn.backends._http import Wire
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.store.journal import Record
    from pytest_llamaburn.trace import Trace

_PROBE = "The first letter of the alphabet is"


class DamageRun(SeveralRun):
    """The run of a reference and another model."""

    kind = KIND
    keys = ("role", "part", "round", "prompt_id")
    _switch_s = 0.0  # of the last load and warm-up
    most_failures = 25  # some servers tell no probabilities in texts of some languages

    def __init__(self, *args: Any) -> None:
        """Take the arguments of Run."""
        super().__init__(*args)
        self.texts: Document = {}  # by role: log probabilities of whole texts, None without any
        self._passages = prefixes.load(self.settings.prefixes)
        self._likely: Likely = []
        self._size_mb: float | None = None

    async def prepare(self, model: str | None, planned: dict[str, int], extra: Document) -> None:
        """Check both models and both servers, then load the reference and open the journal.

        Raises UsageError before anything is written.
        """
        self.candidates = [await self._described(role) for role in plan.ROLES]
        if self.settings.other_host:
            await self._check_other_server()
        await super().prepare(model, planned, extra)

    async def _warm_up(self) -> None:
        began = perf_counter()
        await super()._warm_up()
        self._switch_s = perf_counter() - began
        self._turn = REFERENCE
        self._size_mb = (await self._memory())["size_mb"]
        await _check_logprobs(self.backend, self.model, self.settings.top_logprobs)

    async def measure(self, key: str) -> list[Document]:
        """Compare the models at all places; return the rows.

        `key` is the name of this call in the journal's plan. Raises UsageError if the second model
        cannot be loaded, or its server gives no log probabilities.
        """
        most = plan.requests(self.settings)
        self._progress.say(self.budgeted(self._seconds(most), most, self.settings.model))
        return await self.take(key, self._questions(), most, most)

    def _seconds(self, requests: int) -> float | None:
        """Return about how long all requests take, if both models are as fast as the reference."""
        token_ms, last = self.token_ms(), self._last
        if token_ms is None or last is None or last.first_ns is None:
            return None
        answers = 2 * self.settings.rounds * self.settings.iterations
        first_ms = (last.first_ns - last.sent_ns) / 1e6
        written_ms: float = answers * self.settings.max_tokens * token_ms
        return (requests * first_ms + written_ms) / 1e3

    def _target(self, turn: str) -> tuple[Any, str]:
        name = self.settings.model[plan.ROLES.index(turn)]
        if turn == OTHER and self.settings.other_host:
            return changed(self.settings, {"host": self.settings.other_host}), name
        return self.settings, name

    def _continue(self, record: Record) -> None:
        super()._continue(record)
        self.texts = {**record.facts.get("text_logprobs", {})}

    def _questions(self) -> Iterator[Question]:
        """Yield the requests of all rounds, in each the same ones to both models.

        The model that begins a round takes at most half of the time that --budget leaves, less
        that of a load. If that cuts its turn short, the other model is asked the same, and no round
        follows.
        """
        for number in range(self.settings.rounds):
            first, second = (self._turn_of(number, role) for role in plan.order(number))
            least_s = (self._limits.left_s() + self._switch_s) / 2
            sent = 0
            for question in first:
                if sent and self._limits.left_s() < least_s:
                    break
                yield question
                sent += 1
            yield from second[:sent]
            if sent < len(second):
                return

    def _turn_of(self, number: int, role: str) -> list[Question]:
        """Return the requests to a model in a round."""
        found = [*self._places(number, role)]
        for prompt in plan.prompts(self.settings, number):
            messages = self.messages(prompt.text)
            key = _key(role, ANSWER, number, prompt.id)
            found.append(Question(key, messages, self.settings.max_tokens))
        return found

    def _places(self, number: int, role: str) -> Iterator[Question]:
        for prefix in plan.of_round(self._passages, number, self.settings.rounds):
            about = {"passage": prefix.passage, "category": prefix.category}
            key = {**_key(role, TOKEN, number, prefix.id), **about}
            yield Question(key, conversation(prefix.text, None), 1)

    async def _switch(self, turn: str) -> Document:
        began = perf_counter()
        facts = await super()._switch(turn)
        self._size_mb = facts["size_mb"]
        await _check_logprobs(self.backend, self.model, self.settings.top_logprobs)
        self._switch_s = perf_counter() - began
        self._limits.pause(self._switch_s)
        return facts

    async def _check_other_server(self) -> None:
        """Raise ServerError if the second model's own server gives no log probabilities."""
        settings, name = self._target(OTHER)
        backend = await connect(settings, name)
        try:
            model = await backend.describe(name)
            await backend.load(model)
            await _check_logprobs(backend, model, self.settings.top_logprobs)
            if backend.can_unload:
                await backend.unload(model)
        finally:
            backend.close()

    async def _send(self, wire: Wire, question: Question) -> Trace:  # noqa: ARG002 - each model has its own
        role = question.key["role"]
        own, self._likely = await self._wire_of(role), []
        if question.key["part"] == ANSWER:
            payload = self.backend.payload(self.model, question.messages)
            return answered(await self.backend.stream(own, payload))
        await self._read_texts(role)
        text = question.messages[0]["content"]
        count = self.settings.top_logprobs
        trace, self._likely = await self.backend.next_token(own, self.model, text, count)
        if not (self._likely or trace.failure):
            words = "the token came without log probabilities"
            trace.failure = Failed(trace.end_ns, "no_logprobs", "stream", 200, words)
        return trace

    async def _read_texts(self, role: str) -> None:
        """Read the log probabilities of whole texts once, if the server gives them."""
        if role in self.texts:
            return
        found: dict[str, list[float]] | None = {}
        for passage in self._passages:
            values = await self.backend.text_logprobs(self.model, passage.text)
            if values is None:
                found = None
                break
            found[passage.id] = values  # type: ignore[index]
        self.texts = {**self.texts, role: found}
        self.write("facts", {"text_logprobs": self.texts})

    def _more(self, trace: Trace) -> Document:  # noqa: ARG002 - every request has these fields
        load_ms = self._load.get("load_ms")
        return {"likely": self._likely or None, "load_ms": load_ms, "size_mb": self._size_mb}


async def _check_logprobs(backend: Backend, model: Model, count: int) -> None:
    """Raise ServerError if a loaded model's server gives no log probabilities."""
    wire = backend.wire()
    try:
        trace, likely = await backend.next_token(wire, model, _PROBE, count)
    finally:
        wire.close()
    if likely:
        return
    why = f" ({trace.failure.message})" if trace.failure else ""
    raise ServerError(
        f"damage: {backend.address.url} gave no log probabilities with a token of "
        f"{model.id}{why}: use a server that gives them: {GIVE_LOGPROBS}"
    )


def _key(role: str, part: str, number: int, prompt_id: str) -> Document:
    key = {"role": role, "part": part, "round": number, "prompt_id": prompt_id}
    return {**key, "passage": None, "category": None}

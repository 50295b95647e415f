"""How a model is asked questions: the search before, the request, and the row of the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, cast

from pytest_llamaburn import modalities
from pytest_llamaburn.backends._base import GIVE_LOGPROBS
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.kept_media import Keeper
from pytest_llamaburn.kinds._run import row_of
from pytest_llamaburn.kinds.eval import answer_cache, asking, room, structure, task
from pytest_llamaburn.load.node import exchanged
from pytest_llamaburn.media import identified
from pytest_llamaburn.option import changed
from pytest_llamaburn.search import _evidence, _record
from pytest_llamaburn.texts import whole
from pytest_llamaburn.thinking import split_thinking
from pytest_llamaburn.trace import Failed, Sent, Trace, fold

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from pytest_llamaburn.backends._base import Backend, Body, Likely, Message, Model, Server
    from pytest_llamaburn.documents import Clock, Document
    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.kinds.eval.documents import AnswerFacts, AnswerRow, Cited
    from pytest_llamaburn.kinds.eval.room import Room
    from pytest_llamaburn.kinds.eval.settings import Eval
    from pytest_llamaburn.media import Medium
    from pytest_llamaburn.search._base import Hit, Search
    from pytest_llamaburn.search._record import SearchRecord


_LETTER_PROMPT = "Which letter comes first, A or B? Answer with the letter only."
# How servers refuse a medium that they do not support, and more media than fit.
_REFUSED = {
    "bad_request": "media_refused",
    "unsupported": "media_refused",
    "context_overflow": "media_overflow",
}
_ALTERNATIVES = (20, 5)  # likeliest tokens to ask for: the first number that a server accepts


@dataclass
class Answering:
    """Asks one model the questions of one set.

    `conversation` returns the messages that send a text. With --cache bust they begin with a fresh
    prefix, so that nothing comes from the server's cache.
    """

    settings: Eval
    backend: Backend
    model: Model
    server: Server
    asking: asking.Asking
    search: Search | None
    conversation: Callable[[str], list[Message]]
    modality: Any = None  # the module of the set's media
    room: Room | None = None  # what a first frame of a video showed
    tell: Callable[[str], None] = print
    clock: Callable[[Trace], Clock] | None = None  # when a request was in flight, for its energy
    via: Callable[[Body], Awaitable[tuple[Trace, Likely]]] | None = None  # another machine sends
    _alternatives: int = field(default=_ALTERNATIVES[0], init=False)

    def __post_init__(self) -> None:
        """Open the cache of earlier answers; it reads and writes nothing yet."""
        self._cache = answer_cache.Cache(Path(self.settings.results_dir))
        self.keeper = Keeper(Path(self.settings.results_dir))
        self._told = False  # of a video that does not fit

    async def row(self, question: Question, number: int) -> AnswerRow:
        """Return the row of an answer; `number` counts the samples of a question from 0."""
        about = {
            "prompt_id": question.id,
            "category": question.category,
            "prompt_sha256": question.sha256,
            "repeat": 0,
            "iteration": number,
            "start": "warm",
            "question": question._asdict(),
        }
        try:
            record = await self._searched(question)
        except ServerError as err:
            facts = facts_of(_unsearched(str(err)), question.prompt)
            return _row(about, facts, _cited(None, question, "", []))
        hits = [*(_record.hits_of(record) if record else ()), *task.documents(question)]
        facts = await self._answer(question, number, hits)
        return _row(about, facts, _cited(record, question, facts["answer"] or "", hits))

    async def check(self, questions: Sequence[Question]) -> None:
        """Raise ServerError if the server cannot answer the questions as the settings say."""
        if self.settings.choice_by == "logprob":
            await self._check_logprobs(questions)
        await self._check_structure(questions)

    async def _check_logprobs(self, questions: Iterable[Question]) -> None:
        """Raise ServerError if a question needs log probabilities and the server gives none."""
        if not any(map(self.asking.by_letter, questions)):
            return  # another set of the session has choices
        messages = self.conversation(_LETTER_PROMPT)
        for self._alternatives in _ALTERNATIVES:
            trace, likely = await self._sent(self._letter_body(messages, 0))
            if likely:
                self.backend.settings = self.settings
                return
            if trace.failure is None:
                break
        why = f" ({trace.failure.message})" if trace.failure else ""
        raise ServerError(
            f"--choice-by: logprob is refused: {self.server.host} gave no log probabilities with "
            f"an answer of {self.model.id}{why}: leave the option out, or use a server that gives "
            f"them: {GIVE_LOGPROBS}"
        )

    async def _searched(self, question: Question) -> SearchRecord | None:
        if self.search is None or not question.allow_web_search:
            return None
        return await _record.look_up(self.search, question.prompt, self.settings.search_results)

    async def _answer(self, question: Question, number: int, hits: list[Hit]) -> AnswerFacts:
        """Return the answer of the model, or that of an earlier run to the same request."""
        prompt = _evidence.prompt_with(self.asking.text(question), hits)
        media = self._encoded(question)
        if modalities.asks(self.modality, question, self.settings):
            facts = await self._asked(question, media, prompt)
            return cast("AnswerFacts", {**facts, **_shown(media)})
        if hasattr(self.modality, "prompt"):
            prompt = self.modality.prompt(question, prompt)
        prompt = structure.prompt(question, prompt, self.settings)
        messages = self._messages(question, prompt, media)
        body = self._request(question, messages, number)
        shown = {**_shown(media), **self._expected(media)}
        if too_long := self._overflow(media, body):
            return cast("AnswerFacts", {**facts_of(_unsent(too_long), prompt), **shown})
        key = answer_cache.key_of(self.model, self.server, identified(body, media))
        cached = self._cache.get(key) if self.settings.cache_answers else None
        facts = cached or await self._answer_to(question, body, messages)
        if cached is None:
            self._cache.put(key, facts)
        more = {**shown, **self._measured(question, facts)}
        return cast("AnswerFacts", {**facts, **more, "cached": cached is not None})

    def _request(self, question: Question, messages: list[Message], number: int) -> Body:
        """Return the request that asks a question with these messages."""
        by_letter = self.asking.by_letter(question)
        body = (self._letter_body if by_letter else self._body)(messages, number)
        if hasattr(self.modality, "constrained"):
            body = self.modality.constrained(body, question, self.server, self.settings)
        return {**body, **structure.fields(question, self.backend, self.settings)}

    def _measured(self, question: Question, facts: AnswerFacts) -> Document:
        """Return the field `measured` of an answer that the modality measures; or nothing."""
        if not hasattr(self.modality, "of_answer"):
            return {}
        found = self.modality.of_answer(question, facts, self.server, self.settings)
        return {"measured": found}

    def _expected(self, media: list[Medium]) -> Document:
        """Return the least tokens of the frames of videos, for the row; nothing if unknown."""
        tokens = self.room.expected(media) if self.room else None
        return {} if tokens is None else {"expected_media_tokens": tokens}

    def _overflow(self, media: list[Medium], body: Body) -> str | None:
        """Return why frames surely do not fit into the context; the first time it is told."""
        tokens = self._expected(media).get("expected_media_tokens")
        found = room.overflow(media, tokens, room.context_of(body, self.model))
        if found and not self._told:
            self._told = True
            self.tell(f"a video is {found}")
        return found

    def _encoded(self, question: Question) -> list[Medium]:
        """Return the media of a question; what is recorded of each has the id of its copy."""
        media = modalities.encoded(question.media, self.settings)
        for medium in media:
            medium.facts["id"] = self.keeper.of_sent(medium)
        return media

    async def _asked(self, question: Question, media: list[Medium], prompt: str) -> AnswerFacts:
        """Return the answer to a request that the modality itself sends."""
        sent = (self.backend, self.model, question, media, self.settings)
        trace, measured = await self.modality.ask(*sent)
        _refused(trace)
        facts = facts_of(trace, prompt)
        facts["measured"], facts["media_tokens"] = measured, trace.usage.media
        return facts

    def _messages(self, question: Question, prompt: str, media: list[Medium]) -> list[Message]:
        """Return the conversation that asks a question; a fresh prefix is at its very start."""
        first, *rest = self.asking.messages(question, prompt)
        (fresh,) = self.conversation(first["content"])
        messages = [{**first, "content": fresh["content"]}, *rest]
        if media:
            messages[-1] = {**messages[-1], "media": media}
        return messages

    def _body(self, messages: list[Message], number: int, **update: object) -> Body:
        """Return the request for an answer."""
        update["seed"] = self.settings.seed + number
        self.backend.settings = changed(self.settings, update)
        return self.backend.body(self.model, messages)

    def _letter_body(self, messages: list[Message], number: int) -> Body:
        """Return the request for the probabilities of an answer's first token."""
        body = self._body(messages, number, **asking.ONE_LETTER)
        return {**body, "logprobs": True, "top_logprobs": self._alternatives}

    async def _answer_to(
        self, question: Question, body: Body, messages: list[Message]
    ) -> AnswerFacts:
        """Send the request with these messages; return the answer."""
        trace, likely = await self._sent(body)
        if question.media:
            _refused(trace)
        structure.refuse(question, trace, self.settings)
        by_letter = self.asking.by_letter(question) and trace.failure is None
        if by_letter and trace.text and not likely:
            words = "the answer came without log probabilities"
            trace.failure = Failed(trace.end_ns, "no_logprobs", "stream", 200, words)
        facts = facts_of(trace, "\n".join(message["content"] for message in messages))
        more: Document = structure.calls_of(question, trace, self.settings)
        if self.clock is not None:
            more["clock"] = self.clock(trace)
        facts = cast("AnswerFacts", {**facts, **more})
        if question.media:
            facts["media_tokens"] = trace.usage.media
        if by_letter and likely:
            return cast("AnswerFacts", {**facts, **asking.letter_of(question, likely)})
        return facts

    async def _check_structure(self, questions: Iterable[Question]) -> None:
        """Raise ServerError if the server does not take the tools or the schemas of questions."""

        async def send(body: Body) -> Trace:
            return (await self._sent(body))[0]

        self.backend.settings = changed(self.settings, asking.ONE_LETTER)
        of = (self.model, self.server)
        await structure.probe(self.backend, of, (questions, self.settings), send)
        self.backend.settings = self.settings

    async def _sent(self, body: Body) -> tuple[Trace, Likely]:
        """Send a request; return its trace, and the likeliest first tokens if asked for."""
        return await (self.via or partial(exchanged, self.backend))(body)


def _refused(trace: Trace) -> None:
    """Set the kind of failure of a refused request with media."""
    if trace.failure:
        trace.failure.kind = _REFUSED.get(trace.failure.kind, trace.failure.kind)


def _shown(media: list[Medium]) -> Document:
    """Return the field `media` of a row; nothing without media."""
    return {"media": [medium.facts for medium in media]} if media else {}


def thought_in(trace: Trace | None) -> bool:
    """Return whether an answer has thinking, separate from its text or within it."""
    return trace is not None and bool(trace.thinking or split_thinking(trace.text)[1])


def facts_of(trace: Trace, prompt: str) -> AnswerFacts:
    """Return the facts of an answer; its thinking is separated from its text."""
    text, thought = split_thinking(whole(trace.text))
    facts: Document = {
        **row_of(trace, prompt),
        "answer": text or (None if trace.failure else ""),
        "thinking": whole(trace.thinking or thought) or None,
        "cached": False,
        "choice_logprobs": None,
        "choice_mass": None,
    }
    return cast("AnswerFacts", facts)


def _row(about: Document, facts: AnswerFacts, cited: Cited) -> AnswerRow:
    return cast("AnswerRow", {**about, **facts, **cited})


def _cited(record: SearchRecord | None, question: Question, answer: str, hits: list[Hit]) -> Cited:
    """Return the search of an answer, whether it found the reference, and what the answer cites."""
    accept = question.options.get("accept", [])
    more = [accept] if isinstance(accept, str) else accept
    found = _evidence.reference_found(question.reference, more, hits)
    return {
        "search": record,
        "reference_found": found if record else None,
        "cited": _evidence.citations(answer, hits),
    }


def _unsearched(words: str) -> Trace:
    now = perf_counter_ns()
    return fold([Sent(now), Failed(now, "search_failed", "search", None, words)])


def _unsent(words: str) -> Trace:
    now = perf_counter_ns()
    return fold([Sent(now), Failed(now, "media_overflow", "request", None, words)])

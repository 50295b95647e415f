"""A run that embeds or reranks texts.

First it checks the vectors, with texts of known meaning. Then it sends batches of fresh texts, one
request at a time, so that no server has them in a cache.
"""

from __future__ import annotations

import random
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import metrics
from pytest_llamaburn.backends import _vectors
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.kinds._run import utc_now
from pytest_llamaburn.kinds._single import Question, SingleRun
from pytest_llamaburn.kinds.embed import KIND, checking, plan
from pytest_llamaburn.kinds.embed.plan import EMBED, OVERFLOW, RERANK, Cell, Speed
from pytest_llamaburn.load import prompts
from pytest_llamaburn.progress import Event
from pytest_llamaburn.texts import counted
from pytest_llamaburn.trace import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.backends._base import Message
    from pytest_llamaburn.backends._http import Wire
    from pytest_llamaburn.backends._vectors import Dialect
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.store.journal import Record
    from pytest_llamaburn.trace import Trace

_REFUSALS = ("bad_request", "not_found", "unsupported", "empty_answer")
_SHORT = 0.9  # a text with a smaller share of its tokens was cut by the server
_QUERY_WORDS = 8
_SHORT_WORDS, _LONG_WORDS = prompts.RULED
_PROBES = 4  # texts of a batch that shows how long each of them takes
_TEXTS = ("input", "query", "documents")  # fields of a body
_ADVICE = {
    EMBED: "use an embedding model, such as nomic-embed-text",
    RERANK: "use a reranker on llama.cpp, vLLM or another server with /v1/rerank",
}
_START = {
    EMBED: ", and start llama-server with --embeddings --pooling mean",
    RERANK: ", and start llama-server with --reranking",
}


class EmbedRun(SingleRun):
    """The run of a model whose embeddings or rankings are measured."""

    kind = KIND
    keys = ("batch", "length", "iteration")
    counts_words = False

    def __init__(self, *args: object) -> None:
        """Take the arguments of Run."""
        super().__init__(*args)
        self.task = EMBED
        self.facts: Document = {}  # of the vectors, for the result file
        self._dialect: Dialect
        self._dimension: int | None = None
        self._words: prompts.Ruler | None = None  # None if the server counts no tokens
        self._speed: Speed | None = None

    def take_over(self, record: Record) -> None:
        """Take over the rows, and what the checks found: they are not made again."""
        super().take_over(record)
        self.facts = {**record.facts.get("embedding", {})}

    async def measure(self, key: str) -> list[Document]:
        """Check the vectors, then embed or rerank texts of all lengths; return the rows.

        `key` is the name of this call in the journal's plan. The checks are always whole; their
        time is part of --budget.
        """
        planned = plan.requests(self.settings)
        first = [] if self.facts else checking.requests(self)
        self._progress.say(self._estimate(first, planned))
        if first:
            began = perf_counter()
            await self.check_vectors()
            self._limits.spend(perf_counter() - began)
        return await self.take(key, self._questions(), planned, planned)

    def _estimate(self, first: Sequence[Cell], planned: int) -> str:
        """Return a sentence with the estimated time; `first` are the requests of the checks."""
        seconds = plan.seconds(self.settings, self._speed, first)
        before = f"{counted(len(first), 'request')} of the checks, then " if first else ""
        return before + self.budgeted(seconds, planned)

    async def embed(self, texts: Sequence[str], wire: Wire | None = None) -> _vectors.Reply:
        """Return the trace of a request and its vectors; all of a run must have one dimension."""
        own = wire or self.backend.wire()
        try:
            reply = await _vectors.ask(self.backend, own, self._dialect, self.model, texts)
        finally:
            if wire is None:
                own.close()
        return self._of_one_dimension(reply)

    def _of_one_dimension(self, reply: _vectors.Reply) -> _vectors.Reply:
        """Return the reply, as a failure if its vectors have another dimension than the first."""
        if not reply.vectors:
            return reply
        dimension = len(reply.vectors[0])
        self._dimension = self._dimension or dimension
        if dimension == self._dimension:
            return reply
        words = f"the vectors have {dimension} numbers, those before {self._dimension}"
        end = reply.trace.end_ns
        reply.trace.failure = Failed(end, _vectors.RAGGED, "response", 200, words)
        return reply._replace(vectors=[])

    async def send_untimed(self, text: str) -> Trace:
        """Embed a text, or rerank it as the only document; return the trace."""
        return (await self.embed(self._asked([text]))).trace

    async def load_model(self) -> None:
        """Find out whether the server embeds or reranks, with a request that loads the model.

        Raises ServerError if it does neither.
        """
        refused: dict[str, Failed] = {}
        for task, dialect in self._tasks().items():
            self.task, self._dialect = task, dialect
            failure = (await self.send_untimed("hello")).failure
            if failure is None:
                return
            refused[task] = failure
            if failure.kind not in _REFUSALS:
                break
        raise ServerError(self._refusal(refused))

    def _tasks(self) -> dict[str, Dialect]:
        """Return what the server may do, with how it is asked."""
        known = {EMBED: self.backend.embeds, RERANK: self.backend.reranks}
        if self.settings.rerank:
            del known[EMBED]
        return {task: dialect for task, dialect in known.items() if dialect is not None}

    def _refusal(self, refused: dict[str, Failed]) -> str:
        """Return a sentence about a model that does not do what it was asked for."""
        wanted = RERANK if self.settings.rerank else EMBED
        verb = "reranks no documents" if wanted == RERANK else "embeds no text"
        who = f"{self.model.id} at {self.server.host} {verb}"
        start = _START[wanted] if self.server.kind == "llama.cpp" else ""
        advice = f"; {_ADVICE[wanted]}{start}"
        failure = refused.get(wanted)
        if failure is None:
            return f"{who}: {self.server.kind} has no endpoint for it{advice}"
        status = f" ({failure.status})" if failure.status else ""
        words = " ".join(failure.message.split()).rstrip(".")
        return f"{who}: {failure.kind}{status}: {words}{advice * (failure.kind in _REFUSALS)}"

    def _sent(self) -> Document:
        """Return what each request carries besides its texts."""
        body = self._dialect.body(self.backend, self.model, ["", ""])
        return {"path": self._dialect.path, **{n: v for n, v in body.items() if n not in _TEXTS}}

    async def _warm_up(self) -> None:
        """Warm up, and find out how the server counts our words and how fast it is."""
        await super()._warm_up()
        seen: list[Trace] = []

        async def brief(text: str) -> Trace:
            seen.append(await self.send_untimed(text))
            return seen[-1]

        try:
            self._words = await prompts.ruler(brief)
        except ServerError:
            self._words = None
        if len(seen) == 1:  # the ruler ends at the first text without a count
            await brief(prompts.text(_LONG_WORDS, random.Random(0)))  # noqa: S311 - no secret
        batch = (await self.embed(self._probes())).trace
        self._speed = _speed([*seen, batch])

    async def check_vectors(self) -> None:
        """Check the vectors of the model, and write the findings to the journal."""
        found = await checking.of_task(self)
        unit = "tokens" if self._words else "words"
        self.facts = {"task": self.task, "length_unit": unit, **found}
        self.write("facts", {"embedding": self.facts})

    def _questions(self) -> Iterator[Question]:
        """Yield the requests; after an overflow, no more requests of that length."""
        overflowed: set[int] = set()
        for cell, iteration in plan.places(self.settings):
            if cell.length in overflowed:
                continue
            key = {**cell._asdict(), "iteration": iteration}
            yield Question(key, self._fresh(cell, iteration), 0)
            error = self.rows[-1]["error"]
            if error and error["kind"] == OVERFLOW:
                overflowed.add(cell.length)

    def _fresh(self, cell: Cell, iteration: int) -> list[Message]:
        """Return texts of this length that no other request of the run has, as messages."""
        luck = random.Random(f"{self.identity.run_id}/{cell}/{iteration}")  # noqa: S311 - no secret
        words = cell.length
        if self._words is not None:
            words = max(1, self._words.words(cell.length - self._words.fixed))
        texts = [prompts.text(words, luck) for _ in range(cell.batch)]
        return [{"role": "user", "content": text} for text in self._asked(texts, luck)]

    def _asked(self, texts: Sequence[str], luck: random.Random | None = None) -> list[str]:
        """Return the texts of a request: reranking has a query before its documents."""
        luck = luck or random.Random(0)  # noqa: S311 - no secret
        query = [prompts.text(_QUERY_WORDS, luck)] if self.task == RERANK else []
        return [*query, *texts]

    def _probes(self) -> list[str]:
        """Return a batch of short texts, each another one."""
        luck = random.Random(1)  # noqa: S311 - no secret
        return self._asked([prompts.text(_SHORT_WORDS, luck) for _ in range(_PROBES)])

    async def _send(self, wire: Wire, question: Question) -> Trace:
        return (await self.embed([one["content"] for one in question.messages], wire)).trace

    def _note(self, question: Question, trace: Trace) -> None:
        row = {**question.key, "clock": self.clock(trace), **_measured(question.key, trace)}
        if self._is_cut(row):
            row["flags"].append("truncated_prompt")
        self.rows.append(row)
        self._limits.count(row["error"])
        self.write("request", row)
        failure = row["error"] and row["error"]["kind"]
        self._progress.step(Event(failure=failure, tokens_per_sec=row["tokens_per_sec"]))

    def _is_cut(self, row: Document) -> bool:
        """Return whether the server counted far fewer tokens than the texts have."""
        if self._words is None or row["tokens"] is None:
            return False
        return bool(row["tokens"] < _SHORT * row["batch"] * row["length"])


def _measured(key: Document, trace: Trace) -> Document:
    """Return the fields of a request's row that were measured, and why others are null."""
    failed = "failed" if trace.failure else None
    latency_ms = None if failed else (trace.end_ns - trace.sent_ns) / 1e6
    counted = metrics.input_sequence_length(trace)
    uncounted = failed or (counted.reason if isinstance(counted, metrics.Missing) else None)
    tokens = None if uncounted else counted
    reasons = {
        **dict.fromkeys(("latency_ms", "texts_per_sec"), failed),
        **dict.fromkeys(("tokens", "tokens_per_sec"), uncounted),
    }
    return {
        "timestamp": utc_now(),
        "latency_ms": latency_ms,
        "texts_per_sec": _rate(key["batch"], latency_ms),
        "tokens": tokens,
        "tokens_per_sec": _rate(tokens, latency_ms),
        "connect_ms": trace.connect_ms,
        "load_duration_ms": trace.timings.load_ms,
        "flags": trace.flags,
        "null_reasons": {name: why for name, why in reasons.items() if why},
        "error": trace.error,
    }


def _rate(count: Any, latency_ms: float | None) -> float | None:
    return None if count is None or not latency_ms else 1e3 * count / latency_ms


def _speed(seen: Sequence[Trace]) -> Speed | None:
    """Return the speed that a short text, a long one and a batch of short ones show.

    It is None if one of them failed.
    """
    if len(seen) < 3 or any(trace.failure for trace in seen):
        return None
    short_ms, long_ms, batch_ms = ((trace.end_ns - trace.sent_ns) / 1e6 for trace in seen)
    token_ms = max(0.0, (long_ms - short_ms) / (_LONG_WORDS - _SHORT_WORDS))
    text_ms = max(0.0, (batch_ms - short_ms) / (_PROBES - 1) - _SHORT_WORDS * token_ms)
    return Speed(max(0.0, short_ms - text_ms - _SHORT_WORDS * token_ms), text_ms, token_ms)

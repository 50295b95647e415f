"""Embeddings and reranking on the timed connection: the requests, and what is believed of answers.

Ollama embeds at `/api/embed`, OpenAI-compatible servers at `/embeddings`. llama.cpp and vLLM rerank
at `/rerank`. An answer is one JSON object. A client reads its vectors by their place, so each
vector must be there, in its place, and a list of numbers of the same length as the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from pytest_llamaburn.backends import _failures, _lenient
from pytest_llamaburn.backends._http import request_bytes
from pytest_llamaburn.texts import counted, dumps
from pytest_llamaburn.trace import (
    Event,
    Failed,
    Finished,
    Headers,
    Sent,
    ServerTimings,
    Usage,
    fold,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_llamaburn.backends._base import Backend, Body, Model
    from pytest_llamaburn.backends._exchange import Exchange
    from pytest_llamaburn.backends._http import Wire
    from pytest_llamaburn.trace import Trace

Vector: TypeAlias = list[float]
EMPTY, COUNT, INDEX = "empty_answer", "wrong_count", "wrong_index"
NUMBERS, RAGGED = "not_a_vector", "ragged_vectors"
_HUGE, _TINY = 1e150, 1e-150  # beyond them a vector's length cannot be computed
_LISTED = 5  # indexes that a message shows


class Dialect(NamedTuple):
    """How a server is asked for vectors: the path, the body, and how the answer is read.

    `body` takes the backend, the model and the texts. Of reranking, the first text is the query,
    and the score of each document is a vector of one number.
    """

    path: str
    body: Callable[[Any, Any, Sequence[str]], Body]
    read: Callable[[dict[str, Any], int], list[Vector]]
    queries: int = 0  # texts of a request that get no vector


class Reply(NamedTuple):
    """The trace of a request, and a vector for each text; none if it failed."""

    trace: Trace
    vectors: list[Vector]


class _UnusableError(Exception):
    """An answer that a client cannot use, with its kind of failure."""

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


async def ask(
    backend: Backend, wire: Wire, dialect: Dialect, model: Model, texts: Sequence[str]
) -> Reply:
    """Send a timed request; return its trace, and the vectors in the order of the texts.

    An answer that a client could not use is a failure.
    """
    data = dumps(dialect.body(backend, model, texts)).encode()
    headers = backend._headers()  # noqa: SLF001 - those of all its requests
    payload = request_bytes(backend.address, dialect.path, headers, data)
    exchange = await wire.send(payload, _newest, has_lines=False)
    vectors: list[Vector] = []
    events = _events(exchange, dialect, len(texts) - dialect.queries, vectors)
    trace = fold(events, exchange.connect_ms, len(data))
    if trace.failure and trace.failure.kind == "reset" and not await backend.alive():
        trace.failure.kind = "server_crash"
    return Reply(trace, vectors)


def _body_of_ollama(backend: Backend, model: Model, texts: Sequence[str]) -> Body:
    """Return the body for Ollama; it must not cut long texts without saying so."""
    usual = backend.body(model, [])
    return {
        "model": model.id,
        "input": [*texts],
        "truncate": False,
        "keep_alive": usual["keep_alive"],
        "options": {"num_ctx": usual["options"]["num_ctx"]},
    }


def _body_of_openai(_: Backend, model: Model, texts: Sequence[str]) -> Body:
    return {"model": model.id, "input": [*texts], "encoding_format": "float"}


def _body_of_ranking(_: Backend, model: Model, texts: Sequence[str]) -> Body:
    return {"model": model.id, "query": texts[0], "documents": [*texts[1:]]}


def _of_ollama(fields: dict[str, Any], count: int) -> list[Vector]:
    """Return the vectors of Ollama's `/api/embed`."""
    return _vectors(_list(fields, "embeddings", count))


def _of_openai(fields: dict[str, Any], count: int) -> list[Vector]:
    """Return the vectors of `/embeddings`, which must come in the order of the texts."""
    entries = _list(fields, "data", count)
    indexes = [_index(entry) for entry in entries]
    if indexes != [*range(count)]:
        raise _UnusableError(
            INDEX, f"the vectors have the indexes {_shown(indexes)}, not 0 to {count - 1} in order"
        )
    return _vectors([entry.get("embedding") for entry in entries])


def _of_ranking(fields: dict[str, Any], count: int) -> list[Vector]:
    """Return the score of each document of `/rerank`, which come in any order, best first."""
    entries = _list(fields, "results", count)
    indexes = [_index(entry) for entry in entries]
    if sorted(indexes, key=str) != sorted(range(count), key=str):
        raise _UnusableError(
            INDEX,
            f"the scores have the indexes {_shown(indexes)}, not each of 0 to {count - 1} once",
        )
    scores = {entry["index"]: entry.get("relevance_score") for entry in entries}
    for index, score in scores.items():
        if not _is_number(score):
            raise _UnusableError(NUMBERS, f"the score of document {index} is {_value(score)}")
    return [[float(scores[index])] for index in range(count)]


OLLAMA = Dialect("/api/embed", _body_of_ollama, _of_ollama)
OPENAI = Dialect("/embeddings", _body_of_openai, _of_openai)
RANKING = Dialect("/rerank", _body_of_ranking, _of_ranking, queries=1)


def _events(
    exchange: Exchange, dialect: Dialect, count: int, vectors: list[Vector]
) -> Iterator[Event]:
    """Yield Sent, Headers, what the server counted, and the end; add the vectors to `vectors`."""
    yield Sent(exchange.sent_ns)
    framing = exchange.framing
    if exchange.headers_ns:
        yield Headers(exchange.headers_ns, framing.status)
    if exchange.failure:
        yield exchange.failure
    elif not framing.succeeded:
        kind, words = _failures.classify(framing.status, framing.body)
        yield Failed(exchange.ended_ns, kind, "response", framing.status, words)
    else:
        yield from _read(exchange, dialect, count, vectors)


def _read(
    exchange: Exchange, dialect: Dialect, count: int, vectors: list[Vector]
) -> Iterator[Event]:
    end, body = exchange.ended_ns, exchange.framing.body
    try:
        fields = _parsed(body)
    except (ValueError, RecursionError) as err:
        yield _failures.malformed(end, body, err)
        return
    error = _failures.error_in(fields)
    if error is not None:
        yield _failures.failed(end, error)
        return
    try:
        vectors += dialect.read(fields, count)
    except _UnusableError as err:
        yield Failed(end, err.kind, "response", exchange.framing.status, str(err))
        return
    yield from _counts(fields)
    yield Finished(end, None)


def _parsed(body: bytes) -> dict[str, Any]:
    """Return the object of an answer; raises ValueError, or RecursionError."""
    try:
        fields = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return _lenient.parse(body)  # it also reads NaN and numbers of any length
    if not isinstance(fields, dict):
        raise ValueError(f"Expected `object`, got `{type(fields).__name__}`")  # noqa: TRY004
    return fields


def _counts(fields: dict[str, Any]) -> Iterator[Event]:
    """Yield the tokens that the server counted in all texts, and its time to load the model."""
    usage = fields.get("usage")
    given = usage if isinstance(usage, dict) else {}
    counts = (fields.get("prompt_eval_count"), given.get("prompt_tokens"))
    tokens = next((one for one in (*counts, given.get("total_tokens")) if one is not None), None)
    yield Usage(prompt=_lenient.number(tokens))
    load_ns = _lenient.number(fields.get("load_duration"))
    yield ServerTimings(load_ms=load_ns / 1e6 if load_ns else None)


def _list(fields: dict[str, Any], name: str, count: int) -> list[Any]:
    """Return a list of the answer that has so many entries."""
    found = fields.get(name)
    if found in (None, []):
        raise _UnusableError(EMPTY, f"the answer has no '{name}', or an empty one")
    if not isinstance(found, list):
        raise _UnusableError(NUMBERS, f"'{name}' is {_value(found)}, not a list")
    if len(found) != count:
        words = f"the answer has {counted(len(found), 'entry', 'entries')} in '{name}' for "
        raise _UnusableError(COUNT, words + counted(count, "text"))
    return found


def _vectors(found: Sequence[Any]) -> list[Vector]:
    """Return lists of numbers of one length, none of them all zeros."""
    for place, one in enumerate(found):
        if not isinstance(one, list) or not one:
            raise _UnusableError(NUMBERS, f"vector {place} is {_value(one)}, not a list of numbers")
        odd = next((number for number in one if not _is_number(number)), None)
        if odd is not None or None in one:
            raise _UnusableError(NUMBERS, f"vector {place} contains {_value(odd)}, not a number")
        if not any(abs(number) > _TINY for number in one):
            raise _UnusableError(NUMBERS, f"vector {place} has only zeros")
    lengths = sorted({len(one) for one in found})
    if len(lengths) > 1:
        words = f"the vectors of one answer have from {lengths[0]} to {lengths[-1]} numbers"
        raise _UnusableError(RAGGED, words)
    return [[float(number) for number in one] for one in found]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -_HUGE < value < _HUGE  # NaN is not


def _index(entry: object) -> Any:
    """Return the index of an entry; raises _UnusableError for an entry that is no object."""
    if not isinstance(entry, dict):
        raise _UnusableError(NUMBERS, f"an entry of the answer is {_value(entry)}, not an object")
    index = entry.get("index")
    return index if type(index) is int else None


def _shown(indexes: Sequence[object]) -> str:
    more = ", …" if len(indexes) > _LISTED else ""
    return ", ".join(map(str, indexes[:_LISTED])) + more


def _value(value: object) -> str:
    """Return the start of a value as text."""
    text = str(value)
    return f"'{text[:20]}'" if isinstance(value, str) else text[:20]


def _newest(exchange: Exchange) -> int | None:
    """Return the stamp of the newest read, once the answer has begun."""
    return exchange.stamps[-1] if exchange.framing.succeeded and exchange.stamps else None

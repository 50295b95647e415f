"""A server of known behaviour that embeds and reranks: its times, its vectors and its faults.

`Embedder` decides what an answer is and how long it takes. `TimedWire` lets a backend ask it in
this process, in time that exists in numbers only, so that what is measured is exact.
`EmbeddingFacade` and `OllamaEmbedding` answer over the wire, at once.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.backends._exchange import Exchange
from pytest_llamaburn.kinds.embed.texts import SEARCHES, TRIPLES
from support.scripted import LlamaCppFacade, OllamaFacade, Request, Steps, sized

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MS = 1_000_000
REFUSAL = "This server does not support {}. Start it with `--{}`"
_NAN = re.compile(rb'"NaN"')


@dataclass
class Embedder:
    """A server whose requests take `fixed_ms` + `text_ms` per text + `token_ms` per word.

    `fault` changes the vectors of a request by its number and its texts; `broken` changes the
    entries of an answer. A server that does not embed, or not rerank, refuses it.
    """

    fixed_ms: float = 5.0
    text_ms: float = 2.0
    token_ms: float = 0.25
    dimension: int = 16
    length: float = 1.0
    context: int = 512
    counts: bool = True
    embeds: bool = True
    reranks: bool = True
    fault: Callable[[int, list[Any]], list[Any]] = lambda _, vectors: vectors
    broken: Callable[[list[Any]], Any] = lambda entries: entries
    meaning: bool = True  # whether vectors of texts with a like meaning are near each other
    asked: list[list[str]] = field(default_factory=list)
    held: int = 0

    def vector(self, text: str) -> list[float]:
        """Return the vector of a text: that of its meaning, and a little of its own."""
        own = self._random(text)
        meant = self._random(_meaning(text)) if self.meaning else own
        mixed = [a + b / 10 for a, b in zip(meant, own, strict=True)]
        size = sum(number**2 for number in mixed) ** 0.5
        return [self.length * number / size for number in mixed]

    def score(self, query: str, document: str) -> float:
        """Return how relevant a document is."""
        relevant = any((query, document) == (one.query, one.relevant) for one in SEARCHES)
        known = random.Random(f"{query}/{document}").uniform(-8, -2)  # noqa: S311 - no secret
        return 4.0 if relevant and self.meaning else known

    def milliseconds(self, texts: Sequence[str]) -> float:
        """Return how long a request takes."""
        words = sum(len(text.split()) for text in texts)
        return self.fixed_ms + self.text_ms * len(texts) + self.token_ms * words

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Return the status and the body of an answer."""
        ranks = path.endswith("/rerank")
        if not (self.reranks if ranks else self.embeds):
            words = ("reranking", "reranking") if ranks else ("embeddings", "embeddings")
            return 501, {"error": {"code": 501, "message": REFUSAL.format(*words)}}
        texts = body["documents"] if ranks else body["input"]
        self.asked.append(texts)
        if max(len(text.split()) for text in texts) > self.context:
            return 400, {"error": "the input length exceeds the context length"}
        return 200, self._answered(path, body, texts)

    def _answered(self, path: str, body: dict[str, Any], texts: list[str]) -> Any:
        tokens = sum(len(text.split()) for text in texts) if self.counts else None
        if path.endswith("/rerank"):
            scores: list[Any] = [self.score(body["query"], text) for text in texts]
            scores = self.fault(len(self.asked), scores)
            entries = [{"index": n, "relevance_score": one} for n, one in enumerate(scores)]
            entries.sort(key=lambda one: str(one["relevance_score"]), reverse=True)
            return self._written({"results": self.broken(entries)}, tokens)
        vectors = self.fault(len(self.asked), [self.vector(text) for text in texts])
        if path == "/api/embed":
            counted = {"prompt_eval_count": tokens} if tokens else {}
            return _nan({"embeddings": self.broken(vectors), "load_duration": 900_000, **counted})
        entries = [{"index": n, "embedding": one} for n, one in enumerate(vectors)]
        return self._written({"object": "list", "data": self.broken(entries)}, tokens)

    def _written(self, fields: dict[str, Any], tokens: int | None) -> Any:
        usage = {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}} if tokens else {}
        return _nan({"model": "tiny", **fields, **usage})

    def _random(self, what: str) -> list[float]:
        luck = random.Random(what)  # noqa: S311 - no secret
        return [luck.gauss(0, 1) for _ in range(self.dimension)]


class TimedWire:
    """A connection to such a server, on which time exists in numbers only."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder

    async def send(self, payload: list[bytes], *_: Any, **__: Any) -> Exchange:
        head, _end, body = b"".join(payload).partition(b"\r\n\r\n")
        asked = json.loads(body)
        path = head.decode().split(" ")[1]
        status, fields = self.embedder.answer(path, asked)
        texts = asked.get("documents") or asked["input"]
        data = sized(status, fields if isinstance(fields, bytes) else json.dumps(fields))
        exchange = Exchange(sent_ns=0, has_lines=False)
        exchange.stamps.append(round(self.embedder.milliseconds(texts) * MS))
        exchange.ends.append(len(data))
        exchange.headers_ns = exchange.stamps[0]
        exchange.framing.feed(data)
        return exchange

    def close(self) -> None:
        """Close nothing."""


@dataclass
class EmbeddingFacade(LlamaCppFacade):
    """The same server over llama.cpp's wire; it answers at once."""

    embedder: Embedder = field(default_factory=Embedder)

    def __call__(self, request: Request) -> Steps:
        if request.path in ("/v1/embeddings", "/v1/rerank"):
            return [sized(*self.embedder.answer(request.path, request.json), server=self.server)]
        return super().__call__(request)


@dataclass
class OllamaEmbedding(OllamaFacade):
    """The same server over Ollama's wire; like Ollama, it does not chat with such a model."""

    embedder: Embedder = field(default_factory=Embedder)

    def __call__(self, request: Request) -> Steps:
        if request.path == "/api/chat":
            return [sized(400, {"error": f'"{self.model}" does not support chat'})]
        if request.path != "/api/embed":
            return super().__call__(request)
        self.loaded = True
        return [sized(*self.embedder.answer(request.path, request.json))]


def _meaning(text: str) -> str:
    """Return a text that all texts with the same meaning have."""
    return next((one.text for one in TRIPLES if text in (one.text, one.near)), text)


def _nan(fields: dict[str, Any]) -> bytes:
    """Return an answer as JSON; the text NaN becomes the number that JSON does not have."""
    return _NAN.sub(b"NaN", json.dumps(fields).encode())

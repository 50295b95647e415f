"""What is believed of answers with embeddings and rankings."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.embedding_server import Embedder, TimedWire
from support.scripted import settings_for

from pytest_llamaburn.backends import _vectors, ollama, openai
from pytest_llamaburn.backends._base import Model

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.backends._vectors import Dialect, Reply

TEXTS = ["one", "two words", "and three words"]
HOST = "http://127.0.0.1:1"
DIALECTS = {
    "ollama": (ollama.Backend, _vectors.OLLAMA),
    "openai": (openai.Backend, _vectors.OPENAI),
}


def reply(
    server: Embedder, name: str = "openai", texts: list[str] = TEXTS, dialect: Dialect | None = None
) -> Reply:
    """Return what a backend reads of the server's answer."""
    make, usual = DIALECTS[name]
    backend, wire = make(settings_for(HOST)), cast("Any", TimedWire(server))
    model = Model("tiny", "tiny")
    return asyncio.run(_vectors.ask(backend, wire, dialect or usual, model, texts))


def kind_of(answer: Reply) -> str | None:
    """Return the kind of an answer's failure; a failed request has no vectors."""
    failure = answer.trace.failure
    assert (failure is None) == bool(answer.vectors)
    return failure.kind if failure else None


@pytest.mark.parametrize("name", DIALECTS)
def test_vectors_come_in_the_order_of_the_texts_with_time_and_tokens(name: str) -> None:
    server = Embedder()
    answer = reply(server, name)
    assert answer.vectors == [pytest.approx(server.vector(text)) for text in TEXTS]
    assert answer.trace.usage.prompt == 6
    assert (answer.trace.end_ns - answer.trace.sent_ns) / 1e6 == 5 + 3 * 2 + 6 * 0.25
    assert answer.trace.timings.load_ms == (0.9 if name == "ollama" else None)


def test_scores_are_those_of_the_documents_although_they_come_best_first() -> None:
    server = Embedder()
    answer = reply(server, texts=["query", *TEXTS], dialect=_vectors.RANKING)
    assert answer.vectors == [[server.score("query", text)] for text in TEXTS]


def replaced(place: int, value: Any) -> Callable[[int, list[Any]], list[Any]]:
    return lambda _, vectors: [*vectors[:place], value, *vectors[place + 1 :]]


WRONG: dict[str, tuple[str, Callable[[int, list[Any]], list[Any]]]] = {
    "none": ("empty_answer", lambda *_: []),
    "one too few": ("wrong_count", lambda _, vectors: vectors[1:]),
    "one too many": ("wrong_count", lambda _, vectors: [*vectors, vectors[0]]),
    "shorter": ("ragged_vectors", lambda _, vectors: [vectors[0][:-1], *vectors[1:]]),
    "null": ("not_a_vector", replaced(1, None)),
    "empty": ("not_a_vector", replaced(1, [])),
    "a text": ("not_a_vector", replaced(0, "AAAAgD8=")),
    "zeros": ("not_a_vector", replaced(2, [0.0] * 16)),
    "texts": ("not_a_vector", replaced(2, ["0.5"] * 16)),
    "NaN": ("not_a_vector", replaced(0, [0.5] * 15 + ["NaN"])),
    "null inside": ("not_a_vector", replaced(0, [0.5] * 15 + [None])),
    "true": ("not_a_vector", replaced(0, [0.5] * 15 + [True])),
    "a huge number": ("not_a_vector", replaced(0, [0.5] * 15 + [10**400])),
}


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("wrong", WRONG)
def test_an_answer_that_no_client_could_use_is_a_failure(name: str, wrong: str) -> None:
    kind, fault = WRONG[wrong]
    assert kind_of(reply(Embedder(fault=fault), name)) == kind


BROKEN: dict[str, tuple[str, Callable[[list[Any]], Any]]] = {
    "another order": ("wrong_index", lambda entries: entries[::-1]),
    "an index twice": ("wrong_index", lambda entries: [entries[0], *entries[:-1]]),
    "no index": ("wrong_index", lambda entries: [{**one, "index": None} for one in entries]),
    "no objects": ("not_a_vector", lambda entries: [1 for _ in entries]),
    "no list": ("not_a_vector", lambda _: "all of them"),
    "null": ("empty_answer", lambda _: None),
}


@pytest.mark.parametrize("wrong", BROKEN)
def test_an_answer_whose_entries_are_wrong_is_a_failure(wrong: str) -> None:
    kind, broken = BROKEN[wrong]
    assert kind_of(reply(Embedder(broken=broken))) == kind
    ranked = reply(Embedder(broken=broken), texts=["q", *TEXTS], dialect=_vectors.RANKING)
    assert kind_of(ranked) == (None if wrong == "another order" else kind)


@pytest.mark.parametrize("score", [None, "0.5", "NaN", True])
def test_a_score_that_is_no_number_is_a_failure(score: Any) -> None:
    server = Embedder(fault=replaced(1, score))
    ranked = reply(server, texts=["q", *TEXTS], dialect=_vectors.RANKING)
    assert kind_of(ranked) == "not_a_vector"


@pytest.mark.parametrize("tokens", [None, 0, -3, "many", 10**9])
def test_an_implausible_count_of_tokens_is_none(tokens: Any) -> None:
    class Counting(Embedder):
        def _written(self, fields: dict[str, Any], _: int | None) -> Any:
            return super()._written(fields, tokens)

    answer = reply(Counting())
    assert answer.vectors
    assert not answer.trace.usage.prompt


def test_a_refusal_keeps_the_servers_words() -> None:
    answer = reply(Embedder(embeds=False))
    assert kind_of(answer) == "unsupported"
    assert answer.trace.failure is not None
    assert "Start it with `--embeddings`" in answer.trace.failure.message
    assert kind_of(reply(Embedder(context=2))) == "context_overflow"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


ENTRY = st.fixed_dictionaries(
    {"index": st.integers(0, 2) | JSON, "embedding": st.lists(JSON) | JSON, "relevance_score": JSON}
)


@given(
    value=st.lists(ENTRY, max_size=3) | st.lists(st.lists(st.floats()), max_size=3) | JSON,
    name=st.sampled_from([*DIALECTS]),
    ranks=st.booleans(),
)
def test_any_json_is_either_a_failure_or_a_vector_for_each_text(
    value: Any, name: str, ranks: bool
) -> None:
    class Odd(Embedder):
        def _answered(self, *_: Any) -> Any:
            return {**dict.fromkeys(("data", "embeddings", "results"), value), "usage": value}

    dialect = _vectors.RANKING if ranks else DIALECTS[name][1]
    answer = reply(Odd(), name, ["query", "text"], dialect)
    if kind_of(answer) is None:
        assert len(answer.vectors) == 2 - ranks
        assert len({len(vector) for vector in answer.vectors}) == 1

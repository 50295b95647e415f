"""Prompts are brought to a length that the server counts, not one that we guess."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.benchmark_documents import failed_trace, trace_of

from pytest_llamaburn.datasets import Prompt
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.load import prompts
from pytest_llamaburn.trace import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.trace import Trace

GIVEN = [Prompt("own", "mine", "Hello?")]


class Counts:
    """A server whose tokens are a function of the words, and that remembers what it was asked."""

    def __init__(self, tokens: Callable[[int], int | None]) -> None:
        self.tokens, self.asked = tokens, 0

    async def __call__(self, text: str) -> Trace:
        self.asked += 1
        return trace_of(usage=Usage(prompt=self.tokens(len(text.split()))))


def made(isl: int | None, tokens: Callable[[int], int | None]) -> tuple[list[Prompt], Counts]:
    server = Counts(tokens)
    return asyncio.run(prompts.prompts(isl, GIVEN, server)), server


def test_without_a_length_the_prompts_are_those_given_and_nobody_is_asked() -> None:
    found, server = made(None, lambda words: words)
    assert (found, server.asked) == (GIVEN, 0)


@pytest.mark.parametrize(
    ("template", "a_word"), [(0, 1.0), (0, 2.0), (30, 1.4), (9, 1.5), (200, 0.8)]
)
@pytest.mark.parametrize("isl", [256, 500, 4000])
def test_the_length_is_met_within_one_percent_in_few_tries(
    isl: int, template: int, a_word: float
) -> None:
    def tokens(words: int) -> int:
        return template + round(a_word * words)

    found, server = made(isl, tokens)
    assert server.asked <= 6
    assert len({prompt.text for prompt in found}) == len(found) == 8
    assert {prompt.id for prompt in found} == {f"isl-{isl}-{i}" for i in range(8)}
    for prompt in found:
        assert abs(tokens(len(prompt.text.split())) - isl) <= max(1, 0.01 * isl)


def test_a_length_below_the_templates_own_is_refused_with_the_least() -> None:
    with pytest.raises(ServerError, match=r"counts 41 tokens at the nearest: .* above 41"):
        made(8, lambda words: 40 + words)


def test_a_ruler_knows_the_template_and_the_tokens_of_a_word() -> None:
    made_of = asyncio.run(prompts.ruler(Counts(lambda words: 30 + 2 * words)))
    assert (made_of.fixed, made_of.per_word, made_of.ms_per_token) == (30, 2, None)
    assert (made_of.words(100), made_of.words(-3)) == (50, 0)


def test_a_ruler_needs_a_count_that_grows_with_the_text() -> None:
    with pytest.raises(ServerError, match="it counts 20 in two texts, of 16 and of 128 words"):
        asyncio.run(prompts.ruler(Counts(lambda _: 20)))


def test_a_server_whose_count_never_moves_is_refused() -> None:
    with pytest.raises(ServerError, match="counts 20 tokens at the nearest"):
        made(4096, lambda _: 20)


@pytest.mark.parametrize("count", [None, 0])
def test_a_server_that_counts_nothing_is_refused(count: int | None) -> None:
    with pytest.raises(ServerError, match="needs a server that counts tokens: it sends no"):
        made(64, lambda _: count)


def test_a_server_that_fails_is_told_in_its_own_words() -> None:
    async def ask(_: str) -> Trace:
        return failed_trace(message="no memory left")

    with pytest.raises(ServerError, match="the request for it failed: no memory left"):
        asyncio.run(prompts.prompts(64, GIVEN, ask))

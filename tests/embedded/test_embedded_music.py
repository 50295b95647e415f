"""A real model writes music: llama.cpp holds it to the grammar of ABC."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.scripted import settings_for

from pytest_llamaburn.backends import _catalogue
from pytest_llamaburn.backends.embedded import Backend
from pytest_llamaburn.notation import grammar, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

ASKED = "Write a tune in ABC notation."


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    backend = Backend(settings_for(host=None))
    asyncio.run(backend.open(str(_catalogue.fetch("smollm2-135m", quiet=True))))
    yield backend.address.url
    backend.close()


def answer(address: str, **fields: Any) -> str:
    message = {"role": "user", "content": ASKED}
    body = {"messages": [message], "max_tokens": 160, "temperature": 0, "seed": 0, **fields}
    reply = httpx.post(f"{address}/chat/completions", json=body, timeout=300)
    text: str = reply.json()["choices"][0]["message"]["content"]
    return text


def test_a_model_that_knows_no_abc_writes_it_by_the_grammar(address: str) -> None:
    tune = reading.tune_in(answer(address, grammar=grammar.gbnf(2)))
    assert tune.notes
    assert tune.metre_text in grammar.METRES


def test_the_schema_of_ollama_gives_an_object_that_is_a_tune(address: str) -> None:
    """Ollama has its schemas translated by the same code of llama.cpp."""
    form = {"type": "json_schema", "json_schema": {"schema": grammar.schema(2)}}
    text = answer(address, response_format=form)
    assert set(json.loads(text)) == {"title", "metre", "unit", "tempo", "key", "bars"}
    assert reading.tune_in(text).notes

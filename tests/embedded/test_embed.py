"""The embedded engine embeds: real vectors, also of texts that are processed side by side."""

from __future__ import annotations

import asyncio
from typing import Any

from pytest_llamaburn.backends import _vectors, embedded
from pytest_llamaburn.kinds.embed import checks
from pytest_llamaburn.kinds.embed.settings import Embed
from pytest_llamaburn.kinds.embed.texts import TRIPLES
from pytest_llamaburn.option import model_of

MODEL = "smollm2-135m"


def test_texts_have_the_same_vectors_alone_and_in_a_batch_over_two_slots() -> None:
    settings: Any = model_of(Embed)(slots=2, num_ctx=256)
    backend = embedded.Backend(settings)
    texts = [*TRIPLES[0], TRIPLES[2].text]

    async def asked() -> tuple[list[_vectors.Reply], _vectors.Reply]:
        await backend.open(MODEL)
        wire, model = backend.wire(), await backend.describe(MODEL)

        async def embed(some: list[str]) -> _vectors.Reply:
            return await _vectors.ask(backend, wire, backend.embeds, model, some)

        try:
            return [await embed([text]) for text in texts], await embed(texts)
        finally:
            wire.close()

    try:
        alone, batch = asyncio.run(asked())
    finally:
        backend.close()
    singles = [reply.vectors[0] for reply in alone]
    for one, other in zip(singles, batch.vectors, strict=True):
        assert checks.agree(one, other)
    assert checks.shape(singles)["normalised"]
    assert checks.shape(singles)["dimension"] == 576
    assert checks.nearer(*singles[:3])
    assert batch.trace.usage.prompt == sum(reply.trace.usage.prompt or 0 for reply in alone)

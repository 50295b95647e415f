"""The requests that check vectors and rankings, and what they find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pytest_llamaburn.kinds.embed import checks, plan
from pytest_llamaburn.kinds.embed.checks import Pair
from pytest_llamaburn.kinds.embed.texts import SEARCHES, TRIPLES, statements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pytest_llamaburn.backends._vectors import Reply, Vector
    from pytest_llamaburn.documents import Document

    class Embedder(Protocol):
        """What is checked: a run."""

        task: str
        settings: Any

        async def embed(self, texts: Sequence[str]) -> Reply:
            """Return the vectors of texts, or a failure."""


_REPEATED = 4  # texts that are sent a second time
_USUAL_BATCH = 8  # checked if only single texts are measured
_MISPLACED = "the vectors of a batch come in another order than its texts"


async def of_task(run: Embedder) -> Document:
    """Return `vectors`, None if there are none, and `checks`; see `result.Check`."""
    return await (_embeddings(run) if run.task == plan.EMBED else _rankings(run))


async def _embeddings(run: Embedder) -> Document:
    known: dict[str, Vector] = {}
    failed: str | None = None
    for text in statements():
        reply = await run.embed([text])
        if reply.vectors:
            known[text] = reply.vectors[0]
        failed = failed or _failure(reply)
    if len(known) < len(statements()):
        nothing = [checks.same(checks.REPEAT, [], failed), checks.same(checks.BATCH, [], failed)]
        return {"vectors": None, "checks": [*nothing, _similarity(known, failed)]}
    return {
        "vectors": checks.shape([*known.values()]),
        "checks": [await _repeat(run, known), await _batch(run, known), _similarity(known, failed)],
    }


async def _repeat(run: Embedder, known: Mapping[str, Vector]) -> Document:
    """Send some texts again."""
    pairs, failed = [], None
    for text in [*known][:_REPEATED]:
        reply = await run.embed([text])
        pairs.append(Pair(known[text], reply.vectors[0] if reply.vectors else None))
        failed = failed or _failure(reply)
    return checks.same(checks.REPEAT, pairs, failed)


async def _batch(run: Embedder, known: Mapping[str, Vector]) -> Document:
    """Send the texts in batches of each size that is measured."""
    sizes = {cell.batch for cell in plan.cells(run.settings.model_dump()) if cell.batch > 1}
    pairs: list[Pair] = []
    reason: str | None = None
    for number, size in enumerate(sorted(sizes) or [_USUAL_BATCH]):
        texts = _turned([*known], number)[:size]
        reply = await run.embed(texts)
        vectors: list[Vector | None] = [*reply.vectors] or [None] * len(texts)
        pairs += [Pair(known[text], one) for text, one in zip(texts, vectors, strict=True)]
        moved = reply.vectors and checks.misplaced(texts, reply.vectors, known)
        reason = reason or _failure(reply) or (_MISPLACED if moved else None)
    return checks.same(checks.BATCH, pairs, reason)


def _similarity(known: Mapping[str, Vector], failed: str | None) -> Document:
    whole = [triple for triple in TRIPLES if all(text in known for text in triple)]
    right = sum(checks.nearer(*(known[text] for text in triple)) for triple in whole)
    return checks.ordered(checks.SIMILARITY, right, len(whole), 0.5, failed)


async def _rankings(run: Embedder) -> Document:
    """Rank the documents of each query: twice, in reverse order, and the relevant one alone."""
    pairs: dict[str, list[Pair]] = {checks.REPEAT: [], checks.ORDER: [], checks.BATCH: []}
    right, failed = 0, None
    for number, search in enumerate(SEARCHES):
        documents = _turned([search.relevant, *search.others], number % 4)
        known, why = await _ranked(run, search.query, documents)
        failed = failed or why
        right += bool(known) and _finds(search.relevant, known)
        for name, others in (
            (checks.REPEAT, documents),
            (checks.ORDER, documents[::-1]),
            (checks.BATCH, [search.relevant]),
        ):
            scores, why = await _ranked(run, search.query, others)
            failed = failed or why
            pairs[name] += [Pair(known[one], scores.get(one)) for one in others if known]
    found = [checks.same(name, some, failed) for name, some in pairs.items()]
    chance = 1 / (1 + len(SEARCHES[0].others))
    relevance = checks.ordered(checks.RELEVANCE, right, len(SEARCHES), chance, failed)
    return {"vectors": None, "checks": [*found, relevance]}


async def _ranked(
    run: Embedder, query: str, documents: Sequence[str]
) -> tuple[dict[str, Vector], str | None]:
    """Return the score of each document, none if the request failed, and why it did."""
    reply = await run.embed([query, *documents])
    return dict(zip(documents, reply.vectors, strict=False)), _failure(reply)


def _finds(relevant: str, scores: Mapping[str, Vector]) -> bool:
    """Return whether a document has the highest score of all."""
    others = (score for text, score in scores.items() if text != relevant)
    return all(scores[relevant][0] > score[0] for score in others)


def _turned(texts: list[str], by: int) -> list[str]:
    """Return a list that begins at another place."""
    return [*texts[by:], *texts[:by]]


def _failure(reply: Reply) -> str | None:
    failure = reply.trace.failure
    return f"failed with {failure.kind}: {' '.join(failure.message.split())}" if failure else None

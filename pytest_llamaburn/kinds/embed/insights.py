"""The insights of a run that embeds or reranks texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import insights
from pytest_llamaburn.insights import adding_to
from pytest_llamaburn.kinds.embed import checks
from pytest_llamaburn.kinds.embed.measures import check_of
from pytest_llamaburn.tables import number

if TYPE_CHECKING:
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.insights import Finding, Insight, Rule

_PAYS = 1.25  # times as many texts per second as single requests
_SLOTS = {
    "embedded": ": give it more with --slots 8.",
    "llama.cpp": ": start it with more slots, as llama-server -np 8.",
}
_CURES = {"llama.cpp": "Start it with --kv-unified, or send single texts."}
_RULES: list[Rule] = [insights.other_load]


def find(document: Document) -> list[Insight]:
    """Return the insights that apply to a result file."""
    return insights.evidenced(_RULES, document)


@adding_to(_RULES)
def vectors_differ(document: Document) -> Finding | None:
    """Warn of vectors or scores that depend on what else a request has."""
    for name in (checks.BATCH, checks.ORDER, checks.REPEAT):
        check = check_of(document, name)
        if check is not None and check["passed"] is False:
            why = f" ({check['reason']})" if check["reason"] else ""
            text = (
                f"Do not trust the vectors of this server: {check['n'] - check['right']} of "
                f"{check['n']} failed the check '{name}'{why}. "
                f"{_CURES.get(document['server']['kind'], 'Send single texts, or update it.')}"
            )
            return text, {"check": name, "difference": check["difference"]}
    return None


@adding_to(_RULES)
def no_better_than_chance(document: Document) -> Finding | None:
    """Warn of a model whose vectors or scores say little about the meaning of texts."""
    for name in (checks.SIMILARITY, checks.RELEVANCE):
        check = check_of(document, name)
        if check is not None and check["passed"] is False:
            what = "vectors" if name == checks.SIMILARITY else "scores"
            use = "embeddings" if name == checks.SIMILARITY else "reranking"
            text = (
                f"The {what} order {check['right']} of {check['n']} examples right, which chance "
                f"could do too. Use a model that was trained for {use}."
            )
            return text, {"check": name, "right": check["right"], "n": check["n"]}
    return None


@adding_to(_RULES)
def not_normalised(document: Document) -> Finding | None:
    """Warn of vectors that are not of length 1."""
    vectors = document["results"]["vectors"]
    if vectors is None or vectors["normalised"]:
        return None
    text = (
        f"The vectors are not normalised: they are {number(vectors['shortest'])} to "
        f"{number(vectors['longest'])} long. Compare them by cosine, not by their dot product."
    )
    return text, {"shortest": vectors["shortest"], "longest": vectors["longest"]}


@adding_to(_RULES)
def worth_of_batches(document: Document) -> Finding | None:
    """Compare the largest batch with the smallest, for the shortest texts."""
    cells = document["results"]["cells"]
    own = [c for c in cells if c["length"] == cells[0]["length"] and c["texts_per_sec"]["ci95"]]
    if len(own) < 2:
        return None
    few, many = own[0], own[-1]
    slow, fast = (cell["texts_per_sec"] for cell in (few, many))
    factor = fast["mean"] / slow["mean"]
    evidence = {"batch": many["batch"], "factor": factor}
    if factor >= _PAYS and fast["ci95"][0] > slow["ci95"][1]:
        text = (
            f"Batches pay: a request with {many['batch']} texts handles {factor:.1f} times as many "
            f"texts/s as one with {few['batch']}, {number(fast['mean'])} instead of "
            f"{number(slow['mean'])}."
        )
        return text, evidence
    if fast["ci95"][1] >= _PAYS * slow["ci95"][0]:
        return None
    text = (
        f"Batches bring little: a request with {many['batch']} texts handles {factor:.1f} times as "
        f"many texts/s as one with {few['batch']}. The server may process one text at a time"
        f"{_SLOTS.get(document['server']['kind'], '.')}"
    )
    return text, evidence


@adding_to(_RULES)
def texts_cut(document: Document) -> Finding | None:
    """Warn of texts that the server cut."""
    runs = document["results"]["runs"]
    cut = [row["length"] for row in runs if "truncated_prompt" in row["flags"]]
    if not cut:
        return None
    text = (
        f"The server cut the texts of {len(cut)} of {len(runs)} requests without saying so: it "
        "counted far fewer tokens than were sent. Send shorter texts, or load a longer context."
    )
    return text, {"length": min(cut)}

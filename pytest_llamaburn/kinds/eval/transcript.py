"""The transcript of an eval: every question with its answers, scores and judgments."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_llamaburn import tool_calls
from pytest_llamaburn.tables import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.documents import Document


_YES_NO = {0.0: "no", 1.0: "yes"}


def lines(document: Document) -> Iterator[str]:
    """Yield the lines of each question, its answers, and each score with its reasons."""
    for item in document["results"]["items"]:
        question = item["question"]
        yield f"── {question['id']} ({question['category']})"
        yield from said("question", question["prompt"])
        if question["reference"]:
            yield from said("reference", question["reference"])
        yield from _sources(item)
        yield from _answer(item)
        yield from _scores(item)
        yield ""


def texts(item: Document) -> list[tuple[str, str]]:
    """Return the texts of a question, its answers and its scores, by heading."""
    question = item["question"]
    parts = {
        "question": [question["prompt"]],
        "reference": [question["reference"] or ""],
        "sources": [*_sources(item)],
        "answer": [*_answer(item)],
        "scores": [*_scores(item)],
        "flags": [*item["flags"]],
    }
    return [(name, "\n".join(told)) for name, told in parts.items() if any(told)]


def scores_in_words(item: Document) -> dict[str, str]:
    """Return the score or grade on each criterion, in words."""
    yes_no = _yes_no(item["question"])
    return {
        name: _scored(one, _YES_NO if name in yes_no else {}) or ABSENT
        for name, one in item["scores"].items()
    }


def _scores(item: Document) -> Iterator[str]:
    """Yield each score and comparison with its reasons and quotes."""
    yes_no = _yes_no(item["question"])
    for name, word in scores_in_words(item).items():
        one = item["scores"][name]
        yield f"{name}: {word} ({one['state']})"
        yield from _judgments(one["judgments"], _YES_NO if name in yes_no else {})
    for one in item["comparisons"]:
        turned = ", the winner differs in the other order" if one["inconsistent"] else ""
        yield f"compared: {one['verdict'] or ABSENT} ({one['state']}{turned})"
        yield from _judgments(one["judgments"], {})


def _sources(item: Document) -> Iterator[str]:
    """Yield the sources that the model was given, and whether the answer cites them."""
    hits = item["search"]["hits"] if item["search"] else []
    told = [f"{hit['title']} <{hit['url']}>" for hit in hits]
    told += item["question"].get("context", ())
    for count, words in enumerate(told, 1):
        cited = ", cited" if count in item["cited"] else ""
        yield from said(f"source [{count}]{cited}", words)
    if item["search"] and not hits:
        yield f"source: none: {item['search']['backend']} found nothing"


def _answer(item: Document) -> Iterator[str]:
    for one in (item, *item["more_samples"]):
        if one["error"]:
            yield f"failed: {one['error']['kind']}: {one['error']['message']}"
        if one["thinking"]:
            yield from said("thinking", one["thinking"])
        if one["answer"] or (one["answer"] is not None and not one.get("tool_calls")):
            yield from said("answer", one["answer"])
        for call in one.get("tool_calls", ()):
            fault = f" ({call['fault']})" if call["fault"] else ""
            yield from said("call", tool_calls.written("", [call]) + fault)
        if one.get("choice_logprobs"):
            yield f"letters: {_probabilities(one['choice_logprobs'])}"
        if one["verdict"]:
            word = {True: "right", False: "wrong", None: "no score"}[one["correct"]]
            reason = f": {one['verdict']['reason']}" if one["verdict"]["reason"] else ""
            yield f"scorer: {word} ({one['verdict']['state']}){reason}"


def _probabilities(logprobs: dict[str, float | None]) -> str:
    """Return the probability of each letter."""
    shares = {k: ABSENT if v is None else f"{math.exp(v):.1%}" for k, v in logprobs.items()}
    return ", ".join(f"{letter} {share}" for letter, share in shares.items())


def _yes_no(question: Document) -> set[str]:
    """Return the names of the criteria that judges answer with yes or no."""
    told = question.get("definitions", ())
    return {one["name"] for one in told if one.get("scale") == "yes/no"}


def _scored(one: Document, words: dict[float, str]) -> str | None:
    """Return a score, in words if it has a word, or the verdict; None without either."""
    if one["score"] is None:
        verdict: str | None = one.get("verdict")
        return verdict
    return words.get(one["score"], f"{one['score']:g}")


def _judgments(judgments: list[Document], scores_in_words: dict[float, str]) -> Iterator[str]:
    for one in judgments:
        who = one["judge"] or "rule"
        score = _scored(one, scores_in_words) or one["state"]
        words = one["reasoning"] or (one["error"] or {}).get("words", "")
        yield from said(f"  {who} {score}", words)
        for quote in one["evidence"]:
            yield from said("    quotes", quote)
        for claim in one.get("claims", ()):
            yield from _claim(claim)


def _claim(claim: Document) -> Iterator[str]:
    """Yield a claim, whether it counts as supported, and the passage that is quoted for it."""
    good = claim["supported"] and claim["found"]
    yield from said("    supported" if good else "    unsupported", claim["claim"])
    if claim["quote"]:
        where = "quotes" if claim["found"] else "quotes a text that is not in the evidence"
        yield from said(f"      {where}", claim["quote"])


def said(who: str, words: str) -> Iterator[str]:
    """Yield the lines of a text, the first one after a name."""
    for index, line in enumerate(words.splitlines() or [""]):
        yield f"{who}: {line}" if index == 0 else f"    {line}"

"""The insights of evals: each is a sentence with an advice, and its evidence."""

from __future__ import annotations

import math
import re
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import insights, registry
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.insights import Insight, Rule

    Found = tuple[str, Document]

MANY_UNPARSABLE = 0.1
FEWEST_UNPARSABLE = 3
LOW_ALPHA = 2 / 3  # below it not even tentative conclusions are allowed (Krippendorff, ch. 12)
_NEARLY = 0.9  # of the limit; an answer that was cut earlier did not fit in the context
_FEWEST_FINISHED = 3  # finished answers that show whether a model thinks
_STEP = 128  # tokens; an advised limit is a multiple
_ADVICE = "Say in the questions, or with --system-prompt, in which form to answer"
_LETTERS = re.compile(r"[a-z]+")

RULES: list[Rule] = []
_rule = insights.adding_to(RULES)


def find(document: Document) -> list[Insight]:
    """Return the insights into an eval's result file."""
    return insights.evidenced(RULES, document)


@_rule
def cut_before_answer(document: Document) -> Found | None:
    """Count the answers that the limit of tokens cut before they began."""
    answers = [{**one, **one["timing"]} for one in _answers(document)]
    return cut_answers(answers, document["config"])


@_rule
def cut_in_judged_answers(document: Document) -> Found | None:
    """Count the answers that judges saw only in part, because the limit of tokens cut them."""
    items = [item for item in document["results"]["items"] if item["scores"] or item["comparisons"]]
    answers = [{**one, **one["timing"]} for one in items]
    cut = [one for one in answers if _is_cut(one) and one["answer"]]
    if not cut:
        return None
    evidence = _cut_evidence(cut, answers, document["config"])
    what = "in the middle. Judges saw only what was there"
    return _cut_text(evidence, document["config"], f"judged answers were cut off {{at}} {what}")


@_rule
def cut_where_others_think(document: Document) -> Found | None:
    """Count the answers that were cut and have no thinking, although all the others have it.

    If a server does not separate thinking from the answer, only the tag at its end shows where the
    answer begins.
    """
    answers = [{**one, **one["timing"]} for one in _answers(document)]
    finished = [one for one in answers if one["finish_reason"] == "stop"]
    if len(finished) < _FEWEST_FINISHED or not all(one["thinking"] for one in finished):
        return None
    cut = [one for one in answers if _is_cut(one) and one["answer"] and not one["thinking"]]
    if not cut:
        return None
    evidence = _cut_evidence(cut, answers, document["config"])
    what = "and have no end of thinking, unlike all others: their text may be thinking"
    return _cut_text(evidence, document["config"], f"answers were cut off {{at}} {what}")


@_rule
def unparsable_answers(document: Document) -> Found | None:
    """Count the answers in which a scorer found no answer, for the scorer with the most of them."""
    states: dict[str, Counter[str]] = {}
    for item in document["results"]["items"]:
        for one in (item, *item["more_samples"]):
            if one["correct"] is not None:
                counts = states.setdefault(item["question"]["scorer"], Counter())
                counts[one["verdict"]["state"]] += 1
    shares = {name: counts["unparsable"] / counts.total() for name, counts in states.items()}
    name = max(shares, key=lambda name: shares[name], default=None)
    if name is None or shares[name] < MANY_UNPARSABLE:
        return None
    count, total = states[name]["unparsable"], states[name].total()
    if count < FEWEST_UNPARSABLE:
        return None
    advice = _ADVICE
    if name in registry.names("scorers"):
        advice = getattr(registry.load("scorers", name), "ADVICE", _ADVICE)
    text = (
        f"The scorer {name} found no answer, or several, in {count} of {counted(total, 'answer')} "
        f"({shares[name]:.0%}). They count as wrong. {advice}."
    )
    return text, {"scorer": name, "unparsable": count, "of": total, "share": shares[name]}


@_rule
def calls_in_text(document: Document) -> Found | None:
    """Count the answers whose calls of tools stand in their text, where they do not count."""
    details = [one["verdict"].get("details", {}) for one in _answers(document) if one["verdict"]]
    written = [one["calls_in_text"] for one in details if "calls_in_text" in one]
    if not any(written):
        return None
    text = (
        f"{sum(written)} of {counted(len(written), 'answer')} have a call of a tool in their text, "
        "where it does not count: the server may not know how this model writes calls. Use "
        "--structured prompt to read calls from the text."
    )
    return text, {"in_text": sum(written), "of": len(written)}


@_rule
def judges_disagree(document: Document) -> Found | None:
    """Find the criterion on which judges agree least, if its whole interval is low."""
    alphas = {
        name: one["jury_alpha"]
        for name, one in document["results"]["criteria"].items()
        if one["jury_alpha"] and one["jury_alpha"]["ci95"]
    }
    low = {name: one for name, one in alphas.items() if one["ci95"][1] < LOW_ALPHA}
    if not low:
        return None
    name = min(low, key=lambda name: low[name]["value"])
    alpha, (lower, upper), n = (low[name][key] for key in ("value", "ci95", "n"))
    text = (
        f"The judges disagree on {name}: Krippendorff's alpha is {alpha:.2f} (95 % interval "
        f"{lower:.2f} to {upper:.2f}) over {n} answers, below {LOW_ALPHA:.2f}. Compare each judge "
        "with human labels: llamaburn judge calibrate."
    )
    return text, {"criterion": name, "alpha": alpha, "ci95": [lower, upper], "n": n}


@_rule
def judge_position_bias(document: Document) -> Found | None:
    """Test whether judges prefer the answer that is shown first, or the second."""
    pairwise = document["results"]["pairwise"]
    rate = pairwise and pairwise["first_position_rate"]
    if not rate or not rate["ci95"] or rate["ci95"][0] <= 0.5 <= rate["ci95"][1]:
        return None
    share, (low, high) = rate["value"], rate["ci95"]
    text = (
        f"The judges chose the answer shown first in {share:.0%} of their decisions (95 % interval "
        f"{low:.0%} to {high:.0%}); without bias it is 50 %. Use another judge, or several with "
        "--judge."
    )
    return text, {"first_position_rate": share, "ci95": [low, high], "n": rate["n"]}


@_rule
def self_preference(document: Document) -> Found | None:
    """Find a judge of the same family as one of the models whose answers it judged."""
    results = document["results"]
    families = {document["model"]["id"]: _families(document["model"])}
    if results["pairwise"]:
        opponent = results["pairwise"]["rival"]
        families[opponent] = _families({"id": opponent})
    for judge, states in results["judging"]["by_judge"].items():
        own = _family(judge.partition("@")[0].partition(":")[2])
        alike = [model for model, names in families.items() if own in names]
        if states.get("scored") and len(alike) == 1:
            text = (
                f"The judge {judge} and the model {alike[0]} belong to the same family, {own}. "
                "Judges tend to prefer answers of their own family. Add a judge of another family "
                "with --judge."
            )
            return text, {"judge": judge, "model": alike[0], "family": own}
    return None


def unbegun(answer: Mapping[str, object]) -> bool:
    """Return whether the limit of tokens cut an answer before it began."""
    return _is_cut(answer) and not answer["answer"] and not answer.get("tool_calls")


def cut_answers(
    answers: Sequence[Mapping[str, object]], config: Document, least: int = 1
) -> Found | None:
    """Return a sentence about answers that were cut before they began, and its evidence.

    None for fewer than `least` such answers. The answers have their lengths in tokens.
    """
    cut = [one for one in answers if unbegun(one)]
    if len(cut) < least:
        return None
    evidence = _cut_evidence(cut, answers, config)
    thought = f"; {evidence['thinking']} of them were all thinking" if evidence["thinking"] else ""
    what = f"before they began{thought}. They count as wrong"
    return _cut_text(evidence, config, f"answers were cut off {{at}} {what}")


def _is_cut(answer: Mapping[str, object]) -> bool:
    """Return whether the limit of tokens cut an answer; one token is enough for a letter."""
    is_letter = answer.get("choice_mass") is not None
    return answer["finish_reason"] == "length" and not answer["error"] and not is_letter


def _cut_evidence(
    cut: Sequence[Mapping[str, object]], answers: Sequence[Mapping[str, object]], config: Document
) -> Document:
    limit = config["max_tokens"]
    finished = [n for n in _lengths(answers, "stop") if n]
    p95 = finished[math.ceil(0.95 * len(finished)) - 1] if finished else None
    return {
        "cut": len(cut),
        "of": len(answers),
        "thinking": sum(bool(one["thinking"]) for one in cut),
        "max_tokens": limit,
        "cut_after_tokens": median(_lengths(cut, "length") or [limit]),
        "finished_p95_tokens": p95,
        "advised_max_tokens": _step_up(2 * max(limit, p95) if p95 else 4 * limit),
    }


def _answers(document: Document) -> Iterator[Document]:
    for item in document["results"]["items"]:
        yield from (item, *item["more_samples"])


def _lengths(answers: Sequence[Mapping[str, Any]], reason: str) -> list[float]:
    """Return the sorted lengths, in tokens, of the answers with this finish reason."""
    alike = [one["output_sequence_length"] for one in answers if one["finish_reason"] == reason]
    return sorted(tokens for tokens in alike if tokens is not None)


def _cut_text(cut: Document, config: Document, what: str) -> Found:
    """Return the sentences on answers that were cut, with the advice, and the evidence.

    `what` contains `{at}`, which is replaced by the place of the cut.
    """
    advised, p95, used = (
        cut[name] for name in ("advised_max_tokens", "finished_p95_tokens", "cut_after_tokens")
    )
    early = used < _NEARLY * cut["max_tokens"]
    limit = f"at the limit of {cut['max_tokens']} tokens"
    at = f"after {used:.0f} tokens, where the context was full," if early else limit
    others = f"Of the others, 95 % took up to {p95:.0f} tokens" if p95 else "No other finished"
    context = config["sent"].get("options", {}).get("num_ctx")
    room = f" --num-ctx {2 * advised}" if context and context < 2 * advised else ""
    off = " or --think off" if cut["thinking"] and config["think"] != "off" else ""
    text = (
        f"{cut['cut']} of {cut['of']} {what.format(at=at)}. "
        f"{others}. Use --max-tokens {advised}{room}{off}."
    )
    return text, cut


def _step_up(tokens: float) -> int:
    return _STEP * math.ceil(tokens / _STEP)


def _families(model: Document) -> set[str | None]:
    """Return the families that a model belongs to, by its name and by what its server says."""
    return {_family(model["id"]), _family(model.get("family") or "")} - {None}


def _family(name: str) -> str | None:
    """Return the family that a model's name begins with, such as llama in meta/Llama-3.1-8B."""
    match = _LETTERS.match(name.lower().rpartition("/")[2])
    return match and match[0]

"""The insights of a run that measures the damage of a quantization."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import insights
from pytest_llamaburn.insights import adding_to
from pytest_llamaburn.kinds.damage import places, plan
from pytest_llamaburn.tables import number
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.insights import Finding, Insight, Rule

_LOOSE = 0.8  # with less of the probability told, the bound may be far below the divergence
_NAMED = 3  # places that a sentence names
_RULES: list[Rule] = [insights.other_load]


def find(document: Document) -> list[Insight]:
    """Return the insights that apply to a result file."""
    return insights.evidenced(_RULES, document)


@adding_to(_RULES)
def damage(document: Document) -> Finding | None:
    """Say how often the likeliest token is another one, and what the speed gains."""
    found = document["results"]
    changed, speed = found["changed_tokens"], found["speed_ratio"]
    if changed["value"] is None or changed["ci95"] is None:
        return None
    low, high = (f"{100 * end:.1f}" for end in changed["ci95"])
    text = (
        f"At {100 * changed['value']:.1f} % of the places the likeliest token is another one "
        f"(95 %: {low} to {high} %)"
        if changed["value"]
        else "The likeliest token is the same at all places "
        f"(95 %: another one at most at {high} %)"
    )
    if speed["ci95"] is not None and not speed["ci95"][0] <= 1 <= speed["ci95"][1]:
        text += f", and the model writes {number(speed['value'])} times as fast as the reference"
    return f"{text}.", {"changed_tokens": changed["value"], "speed_ratio": speed["value"]}


@adding_to(_RULES)
def unpaired(document: Document) -> Finding | None:
    """Name the places that only one model answered."""
    found = document["results"]
    sides = zip(plan.ROLES, places.unpaired(found["runs"]), strict=True)
    alone = {role: names for role, names in sides if names}
    if not alone:
        return None
    words = " and ".join(
        f"{found[role]['name']} alone answered {counted(len(names), 'place')} ({_named(names)})"
        for role, names in alone.items()
    )
    text = f"{words}: places without an answer of both models are left out."
    return text, {f"only_{role}": len(names) for role, names in alone.items()}


def _named(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


@adding_to(_RULES)
def same_model(document: Document) -> Finding | None:
    """Say that a model was compared with itself."""
    found = document["results"]
    both = [found[role]["model"] for role in ("reference", "other")]
    same = both[0]["id"] == both[1]["id"] and both[0]["digest"] == both[1]["digest"]
    if not same or document["config"].get("other_host"):
        return None
    text = (
        "Both names are the same model: every difference is noise of the server, and shows what "
        "damage it hides."
    )
    return text, {"kl_divergence": found["kl_divergence"]["value"]}


@adding_to(_RULES)
def other_tokens(document: Document) -> Finding | None:
    """Say that the models have other tokens, and what that means for the numbers."""
    found = document["results"]
    same, kl = found["same_tokens"], found["kl_divergence"]
    if same["value"] is None or same["value"] == 1:
        return None
    evidence = {"same_tokens": same["value"], "shared_mass": found["shared_mass"]["value"]}
    if kl["value"] is None and kl["reason"]:
        return f"{kl['reason'][0].upper()}{kl['reason'][1:]}.", evidence
    text = (
        f"The models split text into other tokens ({100 * (1 - same['value']):.0f} % of the "
        "prefixes have another number of tokens). Tokens are compared as texts, so a part of the "
        "damage is only other tokens."
    )
    return text, evidence


@adding_to(_RULES)
def loose_bound(document: Document) -> Finding | None:
    """Warn of a divergence of which the server shows only a part."""
    shared = document["results"]["shared_mass"]
    if shared["value"] is None or shared["value"] >= _LOOSE:
        return None
    asked = document["config"]["top_logprobs"]
    text = (
        f"Both models told {100 * shared['value']:.0f} % of the reference's probability with "
        f"{counted(asked, 'token')} at each place. The divergence may be larger: ask for more with "
        "--top-logprobs, if the server allows it."
    )
    return text, {"shared_mass": shared["value"], "top_logprobs": asked}


@adding_to(_RULES)
def worst_category(document: Document) -> Finding | None:
    """Name the kind of text that is damaged most, if that is sure."""
    found = document["results"]
    known = [one for one in found["categories"] if one["kl_divergence"]["ci95"]]
    if len(known) < 2 or found["kl_divergence"]["value"] is None:
        return None
    worst = max(known, key=lambda one: one["kl_divergence"]["value"])
    others = [one for one in known if one is not worst]
    next_high = max(one["kl_divergence"]["ci95"][1] for one in others)
    if worst["kl_divergence"]["ci95"][0] <= next_high:
        return None
    value, whole = worst["kl_divergence"]["value"], found["kl_divergence"]["value"]
    text = (
        f"The damage is largest in {worst['category']}: {number(value)} nats, {number(whole)} over "
        "all texts."
    )
    return text, {"category": worst["category"], "kl_divergence": value}

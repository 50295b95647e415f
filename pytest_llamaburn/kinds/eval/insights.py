"""Plain sentences about an eval: what it shows, on what evidence, and one advice."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.insights import adding_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.insights import Document, Rule

_NEARLY = 0.9  # of the limit; an answer that was cut below it did not fit in the context
_STEP = 128  # tokens; an advised limit is a multiple


def unbegun(answer: dict[str, Any]) -> bool:
    """Return whether the limit of tokens cut an answer of an eval before it began."""
    return answer["finish_reason"] == "length" and not answer["answer"] and not answer["error"]


RULES: list[Rule] = []


@adding_to(RULES)
def cut_before_answer(document: Document) -> tuple[str, dict[str, Any]] | None:
    """Count the answers that the limit of tokens cut before they began."""
    items = document["results"]["items"]
    answers = [answer for item in items for answer in (item, *item["more_samples"])]
    return cut([{**answer, **answer["timing"]} for answer in answers], document["config"])


def cut(
    answers: Sequence[dict[str, Any]], config: dict[str, Any], least: int = 1
) -> tuple[str, dict[str, Any]] | None:
    """Return what the limit of tokens cut before an answer began; None for fewer than `least`.

    The answers are an eval's, with their lengths in tokens.
    """
    short = [one for one in answers if unbegun(one)]
    if len(short) < least:
        return None
    limit = config["max_tokens"]
    finished = [n for n in _lengths(answers, "stop") if n]
    p95 = finished[math.ceil(0.95 * len(finished)) - 1] if finished else None
    found = {
        "cut": len(short),
        "of": len(answers),
        "thinking": sum(bool(one["thinking"]) for one in short),
        "max_tokens": limit,
        "cut_after_tokens": median(_lengths(short, "length") or [limit]),
        "finished_p95_tokens": p95,
        "advised_max_tokens": _step_up(2 * max(limit, p95) if p95 else 4 * limit),
    }
    return _cut_text(found, config), found


def _lengths(answers: Sequence[dict[str, Any]], reason: str) -> list[float]:
    """Return the lengths in tokens of the answers that ended for a reason, the shortest first."""
    alike = [one["output_sequence_length"] for one in answers if one["finish_reason"] == reason]
    return sorted(tokens for tokens in alike if tokens is not None)


def _cut_text(found: dict[str, Any], config: dict[str, Any]) -> str:
    advised, p95, used = (
        found[name] for name in ("advised_max_tokens", "finished_p95_tokens", "cut_after_tokens")
    )
    early = used < _NEARLY * found["max_tokens"]
    limit = f"at the limit of {found['max_tokens']} tokens"
    at = f"after {used:.0f} tokens, where the context was full," if early else limit
    thought = f"; {found['thinking']} of them were all thinking" if found["thinking"] else ""
    others = f"Of the others, 95 % took up to {p95:.0f} tokens" if p95 else "No other finished"
    context = config["sent"].get("options", {}).get("num_ctx")
    room = f" --num-ctx {2 * advised}" if context and context < 2 * advised else ""
    off = " or --think off" if found["thinking"] and config["think"] != "off" else ""
    return (
        f"{found['cut']} of {found['of']} answers were cut off {at} before they began{thought}. "
        f"They count as wrong. "
        f"{others}. Use --max-tokens {advised}{room}{off}."
    )


def _step_up(tokens: float) -> int:
    return _STEP * math.ceil(tokens / _STEP)

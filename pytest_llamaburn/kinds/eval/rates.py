"""Rates over all answers, such as word error rate: all errors over the length of all references.

A missing answer counts as an empty one if the model failed to give it.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import metrics, registry
from pytest_llamaburn.kinds.eval import scores
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.eval.documents import Item, Verdict

# For each rate: the counts to add up, and the field with the length; without one, each answer is 1.
_COUNTS: dict[str, tuple[tuple[str, ...], str | None]] = {
    "wer": (("substitutions", "deletions", "insertions"), "reference_words"),
    "cer": (("character_errors",), "reference_characters"),
    "field_accuracy": (("fields_right",), "fields"),
    "event_f1": (("events_double",), "events_both"),
    "segment_f1": (("segments_double",), "segments_both"),
    "parse_rate": (("parsed",), None),
    "key_obeyed": (("keys_right",), "keys_asked"),
    "metre_obeyed": (("metres_right",), "metres_asked"),
    "facts_found": (("facts_found",), "facts"),
    "vqa_accuracy": (("vqa_accuracy",), None),
    "render_success": (("render_success",), None),
    "right_tools": (("tools_right",), None),
    "right_arguments": (("arguments_right",), "arguments_due"),
    "schema_valid": (("schema_valid",), None),
}


def of(items: Iterable[Item]) -> dict[str, dict[str, Document]]:
    """Return the field `rates` of the results, by name; nothing if no scorer counts any."""
    verdicts: dict[str, list[Verdict]] = {}
    for item in items:
        for name in _counted(item["question"]["scorer"]):
            given = (one["verdict"] for one in scores.samples(item))
            verdicts.setdefault(name, []).extend(one for one in given if one is not None)
    found = {name: _rate(given, *_COUNTS[name]) for name, given in verdicts.items() if given}
    return {"rates": found} if found else {}


def _counted(scorer: str | None) -> tuple[str, ...]:
    known = scorer is not None and scorer in registry.names("scorers")
    return getattr(registry.load("scorers", scorer), "RATES", ()) if known and scorer else ()


def _rate(verdicts: Sequence[Verdict], parts: tuple[str, ...], whole: str | None) -> Document:
    asked = [one for one in verdicts if one["state"] not in metrics.NO_VERDICT]
    # Details without the counts are those of an answer that cannot be counted.
    known = [one["details"] for one in asked if whole is None or parts[0] in one["details"]]
    pairs = [
        (float(sum(one.get(part, 0) for part in parts)), float(1 if whole is None else one[whole]))
        for one in known
    ]
    pairs = [pair for pair in pairs if pair != (0, 0)]  # what nobody asked for
    total = sum(length for _, length in pairs)
    mean = sum(count for count, _ in pairs) / total if total else None
    return {
        "n_total": len(verdicts),
        "n_scored": len(pairs),
        "by_state": dict(Counter(one["state"] for one in verdicts)),
        "mean": mean,
        "ci95": None if mean is None else _interval(pairs, mean, total),
        "reason": "no answer was scored" if mean is None else None,
    }


def _interval(pairs: Sequence[tuple[float, float]], rate: float, total: float) -> Any:
    """Return the 95 % interval of a ratio of sums, by its linear approximation; not below 0.

    Where each answer counts 1, and all of it or nothing is found, it is Wilson's of a share.
    """
    n = len(pairs)
    if n < 2:
        return None
    if set(pairs) <= {(0.0, 1.0), (1.0, 1.0)}:
        return samples.wilson(sum(count for count, _ in pairs), n)
    squares = sum((count - rate * length) ** 2 for count, length in pairs)
    half = samples.t_quantile(n - 1) * math.sqrt(n / (n - 1) * squares) / total
    return [max(0.0, rate - half), rate + half]

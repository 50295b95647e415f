"""Evals compared: the difference of each mark over the same questions, and how sure it is.

It is better or worse where its whole interval is (`agreement.mean`), which takes 6 questions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import agreement, evidence, results
from pytest_llamaburn.errors import ResultsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Document = dict[str, Any]

MARKS = ("accuracy", "completeness", "coherence", "correct")
_ALIKE = ("judge", "judge_repeats", "temperature", "max_tokens", "web_search", "samples", "seed")


def document(
    sources: Mapping[str, Document], baseline: str, run_id: str, timestamp: str
) -> Document:
    """Return the content of the comparison of some evals, by path, with one of them.

    Raises ResultsError where files share no question.
    """
    labels = {path: evidence.label(index) for index, path in enumerate(sources)}
    others = [path for path in sources if path != baseline]
    return {
        "schema": "llamaburn/eval-comparison",
        "schema_version": results.SCHEMA_VERSION,
        "run_id": run_id,
        "status": "complete",
        "timestamp": timestamp,
        "config": {"baseline": labels[baseline]},
        "results": {
            "files": [_file(path, labels, baseline, found) for path, found in sources.items()],
            "warnings": [
                {"file": labels[path], "text": text}
                for path in others
                for text in _unlike(sources[baseline], sources[path])
            ],
            "differences": [
                {"file": labels[path], **found}
                for path in others
                for found in _differences(sources[baseline], sources[path], path)
            ],
            "method": {
                "interval": "95 % percentile bootstrap over questions, from 6 on",
                "draws": agreement.DRAWS,
            },
        },
    }


def _file(path: str, labels: Mapping[str, str], baseline: str, found: Document) -> Document:
    kept = ("run_id", "model", "server", "timestamp", "status")
    about = {"label": labels[path], "path": path, "baseline": path == baseline}
    return {**about, **{n: found[n] for n in kept}, "eval_set": found["results"]["eval_set"]}


def _unlike(before: Document, after: Document) -> Iterator[str]:
    """Yield what differs between two evals besides the marks."""
    for name in _ALIKE:
        was, now = before["config"].get(name), after["config"].get(name)
        if was != now:
            yield f"{name} is {_word(now)}, {_word(was)} in the baseline"
    sets = [found["results"]["eval_set"] for found in (before, after)]
    if sets[0]["sha256"] != sets[1]["sha256"]:
        yield "the eval set is another one: only questions that are the same are compared"


def _differences(before: Document, after: Document, path: str) -> Iterator[Document]:
    """Yield the difference of each mark that both have."""
    sides = [_by_question(found) for found in (before, after)]
    shared = [key for key in sides[0] if key in sides[1]]
    if not shared:
        raise ResultsError(f"compare: {path} has no question in common with the baseline")
    for name in MARKS:
        pairs = [(_mark(sides[0][key], name), _mark(sides[1][key], name)) for key in shared]
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        if any(side is not None for pair in pairs for side in pair):
            yield _difference(name, both, len(shared))


def _difference(name: str, pairs: Sequence[tuple[float, float]], shared: int) -> Document:
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = agreement.paired_difference(a, b, (0, 1) if name == "correct" else (1, 5))
    return {
        "mark": name,
        "unit": "share" if name == "correct" else "1 to 5",
        "baseline": agreement.mean(a).value,
        "value": agreement.mean(b).value,
        "difference": found.value,
        "ci95": None if found.ci95 is None else [*found.ci95],
        "questions": len(pairs),
        "shared": shared,
        "verdict": _verdict(found.ci95),
        "reason": found.reason,
    }


def _verdict(interval: Sequence[float] | None) -> str:
    if interval is None:
        return "inconclusive"
    low, high = interval
    return "better" if low > 0 else "worse" if high < 0 else "inconclusive"


def _by_question(found: Document) -> dict[tuple[Any, ...], Document]:
    """Return the items by what makes a question the same."""
    names = ("id", "prompt", "reference", "rubric")
    items = found["results"]["items"]
    return {tuple(item["question"][n] for n in names): item for item in items}


def _mark(item: Document, name: str) -> float | None:
    if name == "correct":
        return None if item["correct"] is None else float(item["correct"])
    score: float | None = item["scores"].get(name, {}).get("score")
    return score


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)

"""Evals compared: the difference of each mark over the same questions, and how sure it is.

It is better or worse where its whole interval is (`figures.mean`), which takes 6 questions. Of
several answers to a question, the mean counts.
"""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import criteria
from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.kinds.eval.measures import MEASURES
from pytest_llamaburn.stats import figures, runs
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Document = dict[str, Any]


def _unread(answer: Document) -> bool | None:
    """Return whether nothing could be read from an answer, None where it has no verdict."""
    return None if answer["correct"] is None else answer["verdict"]["state"] != "scored"


# What each share takes of an answer; None where the answer is not in it.
_SHARES: dict[str, Callable[[Document], bool | None]] = {
    "correct": lambda answer: answer["correct"],
    "correct_of_parsed": lambda answer: None if _unread(answer) else answer["correct"],
    "unparsable": _unread,
}
_ALIKE = (
    *("judge", "judge_repeats", "temperature", "max_tokens", "web_search", "samples", "seed"),
    *("system", "few_shot", "choice_by"),
)
_BEFORE = {"few_shot": 0, "choice_by": "text"}  # what files of earlier versions do not say
_SHOWN = 60  # characters of a system message


def document(
    sources: Mapping[str, Document], baseline: str, run_id: str, timestamp: str
) -> Document:
    """Return the content of the comparison of some evals, by path, with one of them.

    Raises ResultsError where files share no question.
    """
    labels = {path: runs.label(index) for index, path in enumerate(sources)}
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
                "interval": "95 % over questions, by Gaffke's method for means on a scale; of an "
                "F-score by MOVER",
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
        sides = (found["config"].get(name, _BEFORE.get(name)) for found in (before, after))
        was, now = (value or None if name == "system" else value for value in sides)
        if was != now:
            yield f"{name} is {_word(now)}, {_word(was)} in the baseline"
    sets = [found["results"]["eval_set"] for found in (before, after)]
    if sets[0]["sha256"] != sets[1]["sha256"]:
        yield "the eval set is another one: only questions that are the same are compared"
    for name in _redefined(before, after):
        yield f"{name} is defined in other words than in the baseline: it is not compared"


def _redefined(before: Document, after: Document) -> list[str]:
    """Return the criteria of the user's own whose definitions differ."""
    was, now = (_defined(found) for found in (before, after))
    return [name for name in was if name in now and was[name] != now[name]]


def _defined(found: Document) -> dict[str, set[str]]:
    """Return the definitions that a file has of each criterion of the user's own."""
    told: dict[str, set[str]] = {}
    for item in found["results"]["items"]:
        for one in criteria.defined(item["question"].get("definitions", ())).values():
            told.setdefault(one.name, set()).add(one.key)
    return told


def _differences(before: Document, after: Document, path: str) -> Iterator[Document]:
    """Yield the difference of each mark that both have."""
    sides = [_by_question(found) for found in (before, after)]
    shared = [key for key in sides[0] if key in sides[1]]
    if not shared:
        raise ResultsError(f"compare: {path} has no question in common with the baseline")
    unread = any(_mark(side[key], "unparsable") for side in sides for key in shared)
    shares = _SHARES if unread else ("correct",)
    names = [name for name in _judged(sides) if name not in _redefined(before, after)]
    for name in (*names, *criteria.SHARES_OF_GRADES, *shares):
        pairs = [(_mark(sides[0][key], name), _mark(sides[1][key], name)) for key in shared]
        both = [(a, b) for a, b in pairs if a is not None and b is not None]
        if any(side is not None for pair in pairs for side in pair):
            yield _difference(name, both, len(shared))
    grades = [(_grade(sides[0][key]), _grade(sides[1][key])) for key in shared]
    if any(side is not None for pair in grades for side in pair):
        yield _f_score([(a, b) for a, b in grades if a and b], len(shared))


def _judged(sides: Sequence[Mapping[Any, Document]]) -> list[str]:
    """Return the criteria that have scores, built-in ones first."""
    found = (name for side in sides for item in side.values() for name in item["scores"])
    return [n for n in dict.fromkeys((*criteria.BUILT_IN, *found)) if n != "grade"]


def _difference(name: str, pairs: Sequence[tuple[float, float]], shared: int) -> Document:
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    is_share = name in _SHARES or name in criteria.SHARES_OF_GRADES
    scale = (0, 1) if is_share else criteria.named(name).scale
    found = figures.paired_difference(a, b, scale)
    means = [fmean(side) if side else None for side in (a, b)]
    return _told(name, "share" if scale == (0, 1) else "1 to 5", means, found, (len(pairs), shared))


def _f_score(grades: Sequence[tuple[str, str]], shared: int) -> Document:
    sides = [figures.graded("f_score", [pair[side] for pair in grades]) for side in (0, 1)]
    found, values = figures.difference(*sides), [one.value for one in sides]
    return _told("f_score", "share", values, found, (len(grades), shared))


def _told(
    name: str,
    unit: str,
    values: Sequence[float | None],
    found: figures.Figure,
    counts: tuple[int, int],
) -> Document:
    measure = MEASURES.get(name)
    return {
        "mark": name,
        "unit": unit,
        "baseline": values[0],
        "value": values[1],
        "difference": found.value,
        "ci95": None if found.ci95 is None else [*found.ci95],
        "questions": counts[0],
        "shared": counts[1],
        "verdict": _verdict(found.ci95, measure.better if measure else "higher"),
        "reason": found.reason,
    }


def _verdict(interval: Sequence[float] | None, better: str) -> str:
    low, high = interval or (0.0, 0.0)
    if low <= 0 <= high:
        return "inconclusive"
    if better == "none":
        return "higher" if low > 0 else "lower"
    return "better" if (low > 0) == (better == "higher") else "worse"


def _by_question(found: Document) -> dict[tuple[Any, ...], Document]:
    """Return the items by what makes a question the same."""
    names = ("id", "prompt", "reference", "rubric")
    return {
        (*(item["question"][n] for n in names), *item["question"].get("context", ())): item
        for item in found["results"]["items"]
    }


def _grade(item: Document) -> str | None:
    grade: str | None = item["scores"].get("grade", {}).get("verdict")
    return grade


def _mark(item: Document, name: str) -> float | None:
    if name in criteria.SHARES_OF_GRADES:
        grade = _grade(item)
        told = None if grade is None else criteria.SHARES_OF_GRADES[name](grade)
        return None if told is None else float(told)
    if name not in _SHARES:
        score: float | None = item["scores"].get(name, {}).get("score")
        return score
    found = [_SHARES[name](answer) for answer in (item, *item["more_samples"])]
    counted = [float(one) for one in found if one is not None]
    return fmean(counted) if counted else None


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    words = str(value)
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}…"

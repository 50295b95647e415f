"""What the scores of an audit come to: what the judge sees, and what sways it.

Each question counts as one independent value. All intervals are Gaffke's (`stats/figures.py`).
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn.criteria import SCORES
from pytest_llamaburn.judges import _kept
from pytest_llamaburn.judges._planting import ERRORS, MANIPULATIONS
from pytest_llamaburn.kinds.audit import material, words
from pytest_llamaburn.stats import figures
from pytest_llamaburn.stats.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.judges import Comparison, JudgeResult

    Points = dict[str, list[tuple[int, float]]]  # doses and scores, by question

_SCALE: Final = (float(SCORES[0]), float(SCORES[-1]))
WIDTH: Final = _SCALE[1] - _SCALE[0]
_MOST: Final = 1 / 2  # of the texts
_SMALL: Final = 1 / 8  # of the largest possible shift: half a point of a score from 1 to 5
_WORTH: Final = {"A": 1.0, "tie": 0.5, "B": 0.0}  # A is the right answer
_SIDE: Final = {"A": 1.0, "tie": 0.0, "B": -1.0}  # A is the answer shown first
_NO_ROOM: Final = "no answer has room for it, or none was scored"
_NO_SCORES: Final = "no text was scored"


def row(probe: material.Probe, found: Sequence[Any] | None) -> Document:
    """Return a probe with the verdicts on it, as in the result file.

    The `score` of a pair is 1 if the right answer was preferred, 0.5 for a tie. Its `first` is from
    −1 (always the second one) to 1 (always the answer that was shown first).
    """
    swayed = probe.kind in (*MANIPULATIONS, material.ORDER)
    about: Document = {
        "question_id": probe.question.id,
        "kind": probe.kind,
        "dose": probe.dose,
        "criterion": probe.criterion or None,
        "base": [*material.base(probe.question)] if swayed else None,
        "text": probe.text,
    }
    state = "unfinished" if found is None else _kept.state_of(found)
    judged = _compared if probe.kind == material.ORDER else _scored
    return {**about, "state": state, **judged(found or ())}


def _scored(found: Sequence[JudgeResult]) -> Document:
    each = [one.as_dict() for result in found for one in result.judgments]
    return {"score": found[0].score if found else None, "first": None, "judgments": each}


def _compared(found: Sequence[Comparison]) -> Document:
    scored = [one for one in found if one.verdict is not None]
    sides = [_SIDE[str(j.verdict)] for one in scored for j in one.judgments]
    return {
        "score": _mean([_WORTH[str(one.verdict)] for one in scored]),
        "first": _mean(sides),
        "judgments": [j.as_dict() for one in found for j in one.judgments],
    }


def of(rows: Sequence[Document]) -> Document:
    """Return the part of `results` that follows from the scores of the probes."""
    scored = sum(one["state"] == "scored" for one in rows)
    return {
        "n_total": len(rows),
        "n_scored": scored,
        "unscored_share": 1 - scored / len(rows),
        "by_state": dict(sorted(Counter(one["state"] for one in rows).items())),
        "errors": [_error(rows, kind) for kind in ERRORS],
        "manipulations": [*_manipulations(rows)],
        "preference": _preference(rows),
    }


def _error(rows: Sequence[Document], kind: str) -> Document:
    """Return how the score depends on the dose of an error."""
    points = points_of(rows, kind)
    falls = falls_of(points)
    steady = [all(b[1] <= a[1] for a, b in pairwise(each)) for each in points.values()]
    found: Document = {
        "kind": kind,
        "criterion": material.CRITERIA[kind],
        "doses": [*_doses(points)],
        "slope": _slope(points).as_dict(),
        "noticed": _share(falls, lambda fall: fall > 0),
        "raised": _share(falls, lambda fall: fall < 0),
        "monotone": figures.share([float(one) for one in steady], _NO_ROOM).as_dict(),
    }
    found["verdict"] = _seen(found["slope"]["ci95"], found["noticed"]["ci95"])
    return {**found, "says": words.of_error(found)}


def points_of(rows: Sequence[Document], kind: str) -> Points:
    """Return the doses and scores of each question with a scored right answer and a scored error.

    The right answer, with dose 0, is the first.
    """
    wanted = [one for one in rows if one["criterion"] == material.CRITERIA[kind]]
    found: Points = {}
    for one in wanted:
        if one["kind"] == material.RIGHT and one["score"] is not None:
            found[one["question_id"]] = [(0, one["score"])]
    for one in wanted:
        if one["kind"] == kind and one["score"] is not None and one["question_id"] in found:
            found[one["question_id"]].append((one["dose"], one["score"]))
    return {question: each for question, each in found.items() if len(each) > 1}


def falls_of(points: Points) -> list[tuple[str, float]]:
    """Return how much lower each text with an error scores than the right answer, by question."""
    return [(q, each[0][1] - score) for q, each in points.items() for _, score in each[1:]]


def shifts_of(rows: Sequence[Document], kind: str) -> list[tuple[str, float, float]]:
    """Return the question and the scores before and after a manipulation, where both are known."""
    scores = {(r["question_id"], r["kind"], r["dose"]): r["score"] for r in rows if r["criterion"]}
    found = []
    for one in rows:
        if one["kind"] == kind:
            before = scores.get((one["question_id"], *one["base"]))
            if before is not None and one["score"] is not None:
                found.append((one["question_id"], before, one["score"]))
    return found


def _doses(points: Points) -> Iterator[Document]:
    for dose in range(material.MOST_DOSE + 1):
        scores = [score for each in points.values() for at, score in each if at == dose]
        if scores:
            yield {"dose": dose, **figures.mean(scores, scale=_SCALE).as_dict()}


def _slope(points: Points) -> Figure:
    """Return the mean over questions of the slope of the least-squares line through their scores.

    The ends of the scale of slopes are those that scores at the ends of their scale allow.
    """
    if not points:
        return Figure(None, 0, reason=_NO_ROOM)
    found = slopes(points)
    return figures.mean([*found.values()], scale=(-steepest(points), steepest(points)))


def slopes(points: Points) -> dict[str, float]:
    """Return, by question, the slope of the least-squares line through its scores by dose."""
    return {
        question: sum(
            w * (score - each[0][1])
            for w, (_, score) in zip(_weights([dose for dose, _ in each]), each, strict=True)
        )
        for question, each in points.items()
    }


def steepest(points: Points) -> float:
    """Return the steepest slope that scores at the ends of their scale allow."""
    weights = (_weights([dose for dose, _ in each]) for each in points.values())
    return max(WIDTH * sum(w for w in each if w > 0) for each in weights)


def _weights(doses: Sequence[int]) -> list[float]:
    """Return the weight of each score in the slope of the least-squares line."""
    middle = sum(doses) / len(doses)
    spread = sum((dose - middle) ** 2 for dose in doses)
    return [(dose - middle) / spread for dose in doses]


def _share(falls: Sequence[tuple[str, float]], counts: Callable[[float], bool]) -> Document:
    if not falls:
        return Figure(None, 0, reason=_NO_ROOM).as_dict()
    values = [float(counts(fall)) for _, fall in falls]
    return figures.mean(values, [question for question, _ in falls], (0, 1)).as_dict()


def _seen(slope: Sequence[float] | None, noticed: Sequence[float] | None) -> str:
    """Return whether an error is seen: the score surely falls with the dose, or mostly is lower."""
    if slope is None or noticed is None:
        return "unknown"
    if slope[1] < 0 or noticed[0] > _MOST:
        return "seen"
    return "rewarded" if slope[0] > 0 else "not shown"


def _manipulations(rows: Sequence[Document]) -> Iterator[Document]:
    """Yield what each manipulation changes, and at last the order of two answers."""
    for kind in MANIPULATIONS:
        known = shifts_of(rows, kind)
        shifts = [after - before for _, before, after in known]
        top = sum(before == _SCALE[1] for _, before, _ in known)
        yield _manipulation(kind, shifts, WIDTH, top)
    sides = [one["first"] for one in rows if one["first"] is not None]
    yield _manipulation(material.ORDER, sides, 1.0, 0)  # from −1 to 1


def _manipulation(kind: str, shifts: Sequence[float], reach: float, top: int) -> Document:
    """Return what a manipulation changes; the largest possible shift is `reach`."""
    no_values = Figure(None, 0, reason=_NO_SCORES)
    shift = figures.mean(shifts, scale=(-reach, reach)) if shifts else no_values
    found: Document = {
        "kind": kind,
        "unit": "share" if kind == material.ORDER else "score",
        "shift": shift.as_dict(),
        "changed": figures.share([float(s != 0) for s in shifts], _NO_SCORES).as_dict(),
        "at_top": top,
        "verdict": _swayed(shift.ci95, _SMALL * reach),
    }
    return {**found, "says": words.of_manipulation(found)}


def _swayed(interval: tuple[float, float] | None, small: float) -> str:
    if interval is None:
        return "unknown"
    low, high = interval
    if -small <= low and high <= small:
        return "steady"
    return "up" if low > 0 else "down" if high < 0 else "open"


def _preference(rows: Sequence[Document]) -> Document:
    """Return how often the right answer is preferred to one with errors."""
    scores = [one["score"] for one in rows if one["kind"] == material.ORDER]
    found = figures.share([one for one in scores if one is not None], _NO_SCORES).as_dict()
    return {**found, "says": words.of_preference(found)}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None

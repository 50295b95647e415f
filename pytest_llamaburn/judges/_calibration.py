"""Calibration of a judge: how well its verdicts agree with human labels."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import datasets, files, registry
from pytest_llamaburn.converters._row import Row
from pytest_llamaburn.criteria import SCORES, YES_NO, named
from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.gates import Gate, Selector, decide
from pytest_llamaburn.measures import Measure, Observed
from pytest_llamaburn.stats import agreement, figures
from pytest_llamaburn.texts import dumps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pydantic import BaseModel, ValidationError

    from pytest_llamaburn.criteria import Criterion
    from pytest_llamaburn.documents import Document

VERDICTS = {"A": 1, "tie": 0, "B": -1}  # verdicts of a comparison, as ratings
_WORDS = {**VERDICTS, **{word: value for value, word in enumerate(YES_NO)}}
FIGURES: dict[str, agreement.Statistic] = {
    "qwk": agreement.qwk,
    "spearman": agreement.spearman,
    "kendall": agreement.kendall,
    "pearson": agreement.pearson,
    "alpha": agreement.alpha,
    "exact": agreement.exact,
    "within_one": agreement.within_one,
    "mae": agreement.mae,
    "bias": agreement.bias,
}


class Label(NamedTuple):
    """One answer, or two to be compared, and how people rated it.

    Ratings are scores from 1 to 5, which may be fractions; of comparisons they are 1, 0 and −1 for
    A, tie and B. `recorded` is the verdict of a judge in the file, None if the judge gave none;
    `judged` says whether the file has the field at all. `scale` has the possible scores; yes is 1
    and no is 0.
    """

    question: str
    answers: tuple[str, ...]
    reference: str | None
    criterion: str
    human: tuple[float, ...]
    judged: bool
    recorded: float | None
    place: str
    scale: tuple[int, ...] = SCORES


def read(path: Path, own: Mapping[str, Criterion] = MappingProxyType({})) -> list[Label]:
    """Return the labels of a JSON Lines file; `own` has the user's own criteria.

    Raises DatasetError with file, line and field.
    """
    try:
        lines = files.text(path.read_bytes()).split("\n")  # a text may contain U+2028
    except (OSError, ValueError) as err:
        raise DatasetError(f"--labels: {path} cannot be read: {err}") from None
    places = ((f"{path}:{number}", line) for number, line in enumerate(lines, 1) if line.strip())
    return _alike([_label(_parsed(line, place), place, own) for place, line in places], path)


def formats() -> list[str]:
    """Return the formats of labels that `imported` reads."""
    names = registry.names("converters")
    return [name for name in names if hasattr(registry.load("converters", name), "labels")]


def imported(path: Path, form: str) -> tuple[list[Label], int]:
    """Return the labels in a file of another format, and how many rows were left out.

    Raises DatasetError with file, place and field.
    """
    rows = (Row(fields, f"{path}: {place}", form) for place, fields in datasets.rows(path))
    found = registry.load("converters", form).labels(rows)
    labels = [_label(fields, place, {}) for place, fields in found.entries]
    return _alike(labels, path), found.left_out


def _alike(labels: list[Label], path: Path) -> list[Label]:
    """Return the labels; raises DatasetError if there are none, or both scores and comparisons."""
    if not labels:
        raise DatasetError(f"--labels: {path} has no labels")
    for label in labels:
        if len(label.answers) != len(labels[0].answers):
            raise DatasetError(f"{label.place}: a file has scores or comparisons, not both")
    return labels


def recorded(labels: Sequence[Label]) -> list[float | None]:
    """Return the verdicts in the file; raises DatasetError for a label without one."""
    for label in labels:
        if not label.judged:
            raise DatasetError(
                f'{label.place}: there is no recorded verdict: add "judge", or name a --judge'
            )
    return [label.recorded for label in labels]


def report(
    labels: Sequence[Label], verdicts: Sequence[float | None], minima: Mapping[str, float | None]
) -> Document:
    """Return the agreement of verdicts with the labels, by criterion, and the gates.

    A verdict is None if the judge gave none. `minima` has the lower bound of each figure.
    """
    pairs = list(zip(labels, verdicts, strict=True))
    names = dict.fromkeys(label.criterion for label in labels)
    criteria = {name: _agreement([p for p in pairs if p[0].criterion == name]) for name in names}
    scored = sum(verdict is not None for verdict in verdicts)
    return {
        "n_total": len(labels),
        "n_scored": scored,
        "unscored_share": 1 - scored / len(labels),
        "criteria": criteria,
        "gates": list(_gates(criteria, minima)),
    }


class Preference(NamedTuple):
    """A judge's preference for the first of two answers, from 0 to 1; None without a score.

    `consistent` is the share of its verdicts that are the same in both orders; `first_picks` of
    `picks` verdicts chose the answer that was shown first.
    """

    question: str
    points: float | None
    consistent: float
    first_picks: int
    picks: int


def pairwise(found: Sequence[Preference]) -> Document:
    """Return how often each side wins, and how consistent the judge is; each pair has one vote.

    Pairs of one question are not independent, so the intervals treat them as one cluster.
    """
    scored = [one for one in found if one.points is not None]
    points = [0.5 if one.points is None else one.points for one in scored]
    won, lost = (sum(sign * (point - 0.5) > 0 for point in points) for sign in (1, -1))
    picked = [one for one in scored if one.picks]
    decided = [one for one in scored if one.points != 0.5]
    return {
        "n_total": len(found),
        "n_scored": len(scored),
        "wins": won,
        "losses": lost,
        "ties": len(scored) - won - lost,
        "win_rate": _rate(scored, points),
        "decisive_rate": _rate(decided, [float((one.points or 0.0) > 0.5) for one in decided]),
        "consistency": _rate(scored, [one.consistent for one in scored]),
        "first_position_rate": _rate(picked, [one.first_picks / one.picks for one in picked]),
    }


def _rate(found: Sequence[Preference], values: Sequence[float]) -> Document:
    return figures.mean(values, [one.question for one in found], (0, 1)).as_dict()


def _agreement(pairs: Sequence[tuple[Label, float | None]]) -> Document:
    """Return the figures of one criterion, and for reference those of a human and of a constant."""
    scored = [(label, verdict) for label, verdict in pairs if verdict is not None]
    human = [agreement.consensus(label.human) for label, _ in scored]
    judge = [verdict for _, verdict in scored]
    questions = [label.question for label, _ in scored]
    ratings = [label.human for label, _ in pairs]
    compared = len(pairs[0][0].answers) > 1
    scale = (*VERDICTS.values(),) if compared else pairs[0][0].scale
    return {
        "n": len(scored),
        "raters": max(map(len, ratings)),
        "figures": {
            name: _with_interval(f, (human, judge), questions, scale).as_dict()
            for name, f in FIGURES.items()
        },
        "human_ceiling": {
            name: agreement.ceiling(f, ratings).as_dict() for name, f in FIGURES.items()
        },
        "constant_predictor": agreement.constant(human),
        "confusion": {
            "labels": [*VERDICTS] if compared else [*YES_NO] if len(scale) == 2 else [*scale],
            "human_by_judge": agreement.confusion(human, judge, scale),
        },
    }


def _with_interval(
    statistic: agreement.Statistic,
    ratings: tuple[Sequence[float], Sequence[float]],
    questions: Sequence[str],
    scale: Sequence[int],
) -> figures.Figure:
    """Return a figure with its interval: Gaffke's for a mean on a scale, else a jackknife's."""
    import numpy as np

    value, (human, judge) = statistic.of_difference, ratings
    if value is None or not human:
        return agreement.with_interval(statistic, human, judge, questions)
    width = float(max(scale) - min(scale))
    ends = value(np.array([-width, 0.0, width]))
    values = value(np.array(judge, dtype=float) - np.array(human, dtype=float))
    return figures.mean(values.tolist(), questions, (float(min(ends)), float(max(ends))))


def _gates(criteria: Mapping[str, Any], minima: Mapping[str, float | None]) -> Iterator[Document]:
    """Yield the verdict on each bound and criterion: the interval must be above the bound."""
    asked = {figure: minimum for figure, minimum in minima.items() if minimum is not None}
    for figure, minimum in asked.items():
        of = Selector(Measure(figure, "", "higher", "agreement of a judge with people"))
        gate = Gate(f"--min-{figure}", of, ">=", minimum)
        for criterion, found in criteria.items():
            value, interval = (found["figures"][figure][key] for key in ("value", "ci95"))
            words = [
                decide(gate, Observed(value, interval), mode)["verdict"]
                for mode in ("point", "certain")
            ]
            yield {
                "figure": figure,
                "criterion": criterion,
                "minimum": minimum,
                "value": value,
                "ci95": interval,
                "verdict": "fail" if "fail" in words else words[-1],
            }


def _parsed(line: str, place: str) -> Any:
    try:
        return json.loads(dumps(json.loads(line)))
    except (ValueError, RecursionError) as err:
        raise DatasetError(f"{place}: is not JSON: {err}") from None


def _label(content: object, place: str, own: Mapping[str, Criterion]) -> Label:
    from pydantic import ValidationError

    scores, compares = _models()
    model = compares if isinstance(content, dict) and "response_a" in content else scores
    try:
        entry: Any = model.model_validate(content)
    except ValidationError as err:
        raise DatasetError(f"{place}: {_located(err)}") from None
    scale = SCORES if model is compares else _scale(entry, place, own)
    answers = ("response",) if model is scores else ("response_a", "response_b")
    return Label(
        entry.question,
        tuple(getattr(entry, name) for name in answers),
        entry.reference,
        entry.criterion,
        tuple(_rating(label) for label in entry.human),
        "judge" in entry.model_fields_set,
        None if entry.judge is None else _rating(entry.judge),
        place,
        scale,
    )


def _scale(entry: Any, place: str, own: Mapping[str, Criterion]) -> tuple[int, ...]:
    """Return the possible ratings of a label's criterion; raises DatasetError for other ratings."""
    asked = own.get(entry.criterion) or named(entry.criterion)
    if asked.kind not in ("scale", "yes_no"):
        raise DatasetError(f"{place}: criterion: {entry.criterion} is not scored from 1 to 5")
    given = [("human", one) for one in entry.human]
    given += [("judge", entry.judge)] if entry.judge is not None else []
    for field, one in given:
        if isinstance(one, str) != (asked.kind == "yes_no"):
            wanted = "a score from 1 to 5" if asked.kind == "scale" else "yes or no"
            raise DatasetError(f"{place}: {field}: '{one}' is refused: {asked.name} gets {wanted}")
    return SCORES if asked.kind == "scale" else (0, 1)


def _rating(label: float | str) -> float:
    return _WORDS[label] if isinstance(label, str) else label


def _located(err: ValidationError) -> str:
    first = err.errors()[0]
    # Names of fields and indices; what is left names the alternatives of a type.
    places = [str(one) for one in first["loc"] if isinstance(one, int) or one.isidentifier()]
    where = ".".join(places) or "the whole line"
    return f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}"


@cache
def _models() -> tuple[type[BaseModel], type[BaseModel]]:
    """Return the models of a line with a score, and of a line with a comparison."""
    from typing import Annotated, Literal

    from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

    text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    score = Annotated[float, Field(strict=True, ge=1, le=5)]
    verdict = Literal["A", "B", "tie"]
    decision = Literal["yes", "no"]
    one_or_several = BeforeValidator(lambda found: found if isinstance(found, list) else [found])

    class _Line(BaseModel):
        model_config = ConfigDict(extra="forbid")
        question: text
        reference: str | None = None

    class Scored(_Line):
        response: str
        criterion: text = "accuracy"
        human: Annotated[list[score | decision], Field(min_length=1), one_or_several]
        judge: score | decision | None = None

    class Compared(_Line):
        response_a: str
        response_b: str
        criterion: text = "preference"
        human: Annotated[list[verdict], Field(min_length=1), one_or_several]
        judge: verdict | None = None

    return Scored, Compared


def by_state(states: Sequence[str]) -> dict[str, int]:
    """Return how many verdicts are in each state."""
    return dict(sorted(Counter(states).items()))

"""How evals are compared: the difference of each score over the questions that both files have.

The questions are paired. A score is better or worse only if its whole 95 % interval is
(`figures.mean`); this needs at least 6 questions. A question with several answers counts with the
mean of their scores.
"""

from __future__ import annotations

from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Any, cast

from pytest_llamaburn import criteria
from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.kinds import _comparable
from pytest_llamaburn.kinds._comparable import Change, Column, Estimate, Subject
from pytest_llamaburn.kinds.eval import costs, programs, scores
from pytest_llamaburn.kinds.eval.measures import MEASURES
from pytest_llamaburn.program_measures import PROGRAMS
from pytest_llamaburn.stats import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_llamaburn.criteria import Criterion
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.eval.documents import Item


def _unread(answer: Document) -> bool | None:
    """Return whether a scorer could read nothing from an answer; None without a verdict."""
    return None if answer["correct"] is None else answer["verdict"]["state"] not in scores.READ


def _untried(answer: Document) -> bool | None:
    """Return whether an answer declines or is empty; None without a verdict."""
    return None if answer["correct"] is None else answer["verdict"]["state"] in scores.NO_ATTEMPT


# How an answer counts for each share; None if it does not count.
_SHARES: dict[str, Callable[[Document], bool | None]] = {
    "correct": lambda answer: answer["correct"],
    "correct_of_parsed": lambda answer: None if _unread(answer) else answer["correct"],
    "unparsable": _unread,
    "not_attempted": _untried,
    "correct_given_attempted": lambda answer: None if _untried(answer) else answer["correct"],
}
# Each of these shares is of the answers that another share leaves out.
_WITH = {"unparsable": "correct_of_parsed", "not_attempted": "correct_given_attempted"}
_SAMPLING = {"video_rate": 1.0, "video_frames": 16, "video_as": "frames", "video_sound": "auto"}
# The values in files of earlier versions.
_BEFORE = {"few_shot": 0, "choice_by": "text", "structured": "auto", **_SAMPLING}
_F_SCORE = "f_score"
_ON_A_SCALE = "1 to 5"
_SPEEDS = {one.name: one for one in PROGRAMS}
_MARGINS = 5  # a speed differs between sessions as other speeds do: by some percent


class ScoredEval(Subject):
    """An eval as one side of comparisons."""

    alike = (
        *("judge", "judge_repeats", "temperature", "max_tokens", "web_search", "samples", "seed"),
        *("system_prompt", "few_shot", "choice_by", "image_size", *_SAMPLING),
        *("think", "structured"),
    )

    @cached_property
    def items(self) -> dict[tuple[Any, ...], Document]:
        """Its items, by the fields that identify a question."""
        names = ("id", "prompt", "reference", "rubric")
        return {
            (*(item["question"][n] for n in names), *item["question"].get("context", ())): item
            for item in self.document["results"]["items"]
        }

    @cached_property
    def defined(self) -> dict[str, set[str]]:
        """The definitions of each of the user's own criteria."""
        keys: dict[str, set[str]] = {}
        for one in self._definitions:
            keys.setdefault(one.name, set()).add(one.key)
        return keys

    @property
    def own(self) -> dict[str, Criterion]:
        """The user's own criteria, by name."""
        return {one.name: one for one in self._definitions}

    @cached_property
    def _definitions(self) -> list[Criterion]:
        asked = [item["question"] for item in self.document["results"]["items"]]
        given = (criteria.defined(question.get("definitions", ())) for question in asked)
        return [one for each in given for one in each.values()]

    def setting(self, name: str) -> Any:
        """Return a setting of the eval; None for an empty system prompt."""
        config = self.document["config"]
        if name == "system_prompt":
            return config.get(name, config.get("system")) or None  # the name in earlier versions
        return config.get(name, _BEFORE.get(name))


class Comparison(_comparable.Comparison):
    """A comparison of evals over the questions that they have in common."""

    kind = noun = "eval"
    options = ("margin",)
    margin = (
        0.01  # of the scale of a score; unlike speeds, answers do not vary from session to session
    )
    subject = ScoredEval
    changes_key = "differences"

    def columns(self, other: ScoredEval) -> list[Column]:
        """Return the scores that either side has, those of criteria first.

        Raises ResultsError for a file without any question of the baseline.
        """
        sides, shared = (self.baseline.items, other.items), self._shared(other)
        if not shared:
            raise ResultsError(
                f"compare: {other.path} has no question in common with the baseline, "
                f"{self.baseline.path}"
            )
        items = [side[key] for side in sides for key in shared]
        redefined = self._redefined(other)
        found = dict.fromkeys(name for s in sides for item in s.values() for name in item["scores"])
        judged = [n for n in (*criteria.BUILT_IN, *found) if n != "grade" and n not in redefined]
        names = dict.fromkeys((*judged, *_shares_of(items), _F_SCORE))
        own = {**other.own, **self.baseline.own}
        marks = [
            _column(name, own.get(name) or criteria.named(name))
            for name in names
            if any(_score(item, name) is not None for item in items)
        ]
        sides_of = (self.baseline.document, other.document)
        spent = costs.columns(sides_of, self._pairs(other, shared))
        return [*marks, *self._speeds(shared), *spent]

    def estimate(self, other: ScoredEval, column: Column) -> Estimate:
        """Return the mean difference over the questions for which both sides have the score."""
        shared = self._shared(other)
        if column.metric in costs.NAMES:
            return costs.estimate(column.metric, self._pairs(other, shared))
        if column.metric in _SPEEDS:
            return self._of_speed(other, column, shared)
        was, now, name = self.baseline.items, other.items, column.metric
        scored = ((_score(was[key], name), _score(now[key], name)) for key in shared)
        pairs = [(a, b) for a, b in scored if a is not None and b is not None]
        sides = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        if column.metric == _F_SCORE:
            before, after = (figures.graded(_F_SCORE, side) for side in sides)
            found, values = figures.difference(before, after), (before.value, after.value)
        else:
            scale = (1, 5) if column.unit == _ON_A_SCALE else (0, 1)
            found = figures.paired_difference(*sides, scale)
            values = (fmean(sides[0]), fmean(sides[1])) if pairs else (None, None)
        facts = {"questions": len(pairs), "shared": len(shared)}
        return Estimate(*values, found.value, found.ci95, found.reason, facts)

    def _pairs(self, other: ScoredEval, shared: Sequence[tuple[Any, ...]]) -> list[tuple[Any, Any]]:
        """Return the items of the questions that both have."""
        return [(self.baseline.items[key], other.items[key]) for key in shared]

    def _speeds(self, shared: Sequence[tuple[Any, ...]]) -> list[Column]:
        """Return the columns of what programs measured; their margin is 5 % of the baseline."""
        found = {name: self._means(self.baseline, name, shared) for name in _SPEEDS}
        return [
            Column(one.name, one.unit, one.better, width=_MARGINS * fmean(found[name].values()))
            for name, one in _SPEEDS.items()
            if found[name]
        ]

    def _of_speed(
        self, other: ScoredEval, column: Column, shared: Sequence[tuple[Any, ...]]
    ) -> Estimate:
        """Return the mean difference over the questions that both answered right.

        Frame rates of different renderers, such as a GPU and a processor, are not compared.
        """
        before, after = (self._means(s, column.metric, shared) for s in (self.baseline, other))
        both = [key for key in before if key in after]
        found = figures.mean([after[key] - before[key] for key in both])
        drawn = [programs.renderers(one.document) for one in (self.baseline, other)]
        reason = found.reason or None
        if not both:
            reason = "no question has a right answer in both"
        elif drawn[0] != drawn[1]:
            was, now = (", ".join(names) or "nothing" for names in drawn)
            reason = f"drawn by {now}, in the baseline by {was}"
        was_mean = fmean(before[key] for key in both or before) if before else None
        now_mean = fmean(after[key] for key in both or after) if after else None
        change, interval = (None, None) if reason else (found.value, found.ci95)
        facts = {"questions": len(both), "shared": len(shared)}
        return Estimate(was_mean, now_mean, change, interval, reason, facts)

    @staticmethod
    def _means(side: ScoredEval, name: str, shared: Sequence[tuple[Any, ...]]) -> dict[Any, float]:
        """Return the mean of a measure of programs by question, where it has one."""
        found = {key: programs.values_of(cast("Item", side.items[key]), name) for key in shared}
        return {key: fmean(values) for key, values in found.items() if values}

    def file(self, subject: ScoredEval) -> Document:
        """Return the entry of a file in the comparison, with its eval set."""
        return {**super().file(subject), "eval_set": subject.document["results"]["eval_set"]}

    def differing(self, other: ScoredEval) -> Iterator[str]:
        """Yield sentences about other differences from the baseline."""
        yield from super().differing(other)
        sets = [one.document["results"]["eval_set"]["sha256"] for one in (self.baseline, other)]
        if sets[0] != sets[1]:
            yield "the eval sets differ: only the questions that both have are compared"
        if self._other_examples(other):
            yield "the solved examples before the questions differ from those of the baseline"
        for name in self._redefined(other):
            yield f"the definition of {name} differs from that of the baseline: it is not compared"

    def written(self, change: Change) -> Document:
        """Return the entry of a change in the result file."""
        return _comparable.as_difference(change)

    def method(self) -> Document:
        """Return how the intervals were computed."""
        words = (
            "95 % over questions, by Gaffke's method for means on a scale; of an F-score by MOVER"
        )
        metrics = (column.metric for columns in self.planned.values() for column in columns)
        spent = not set(costs.NAMES).isdisjoint(metrics)
        return {
            "interval": f"{words}; of times, tokens and energy by Student's" if spent else words
        }

    def _shared(self, other: ScoredEval) -> list[tuple[Any, ...]]:
        return [key for key in self.baseline.items if key in other.items]

    def _other_examples(self, other: ScoredEval) -> bool:
        """Return whether both sides had examples, but different ones."""
        sides = (one.document["results"]["eval_set"] for one in (self.baseline, other))
        was, now = (side.get("few_shot_sha256") for side in sides)
        return None not in (was, now) and was != now

    def _redefined(self, other: ScoredEval) -> list[str]:
        """Return the user's own criteria whose definitions differ."""
        was, now = self.baseline.defined, other.defined
        return [name for name in was if name in now and was[name] != now[name]]


def _shares_of(items: Sequence[Document]) -> Iterator[str]:
    """Yield the shares to compare; unread and unattempted answers have shares if there are any."""
    graded = any("grade" in item["scores"] for item in items)
    yield from criteria.SHARES_OF_GRADES if graded else ()
    yield "correct"
    for name, other in _WITH.items():
        if any(_score(item, name) for item in items):
            yield from (other, name)


def _column(name: str, asked: Criterion) -> Column:
    of_shares = name in _SHARES or name in criteria.SHARES_OF_GRADES or name == _F_SCORE
    is_share = of_shares or asked.scale == (0, 1)
    measure = MEASURES.get(name)
    better = measure.better if measure else "higher"
    return Column(name, "share", better) if is_share else Column(name, _ON_A_SCALE, better, width=4)


def _score(item: Document, name: str) -> Any:
    """Return a score of a question: a number or, for the F-score, the grade; None without one."""
    if name == _F_SCORE:
        return item["scores"].get("grade", {}).get("verdict")
    if name in criteria.SHARES_OF_GRADES and "grade" in item["scores"]:
        grade = _score(item, _F_SCORE)
        has_it = None if grade is None else criteria.SHARES_OF_GRADES[name](grade)
        return None if has_it is None else float(has_it)
    if name not in _SHARES:
        return item["scores"].get(name, {}).get("score")
    found = [_SHARES[name](answer) for answer in (item, *item["more_samples"])]
    counted = [float(one) for one in found if one is not None]
    return fmean(counted) if counted else None

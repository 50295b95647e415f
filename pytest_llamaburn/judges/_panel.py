"""Several judges, each asked several times: their common verdict, and what it will cost."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from statistics import median, median_low
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import registry
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.judges import _judging, _prices, _prompt
from pytest_llamaburn.judges._base import Usage, parse
from pytest_llamaburn.judges._caller import CHARS_PER_TOKEN, Budget, Caller, Window
from pytest_llamaburn.judges._judging import Judgment
from pytest_llamaburn.stats import agreement
from pytest_llamaburn.thinking import split_thinking

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from pytest_llamaburn.criteria import Criterion
    from pytest_llamaburn.judges._base import Judge
    from pytest_llamaburn.judges._prompt import Case, Pair, Prompt
    from pytest_llamaburn.settings import Judging

_OUTPUT_TOKENS = 500  # of a usual verdict, for the estimate
_GRADES = ("incorrect", "not_attempted", "correct")  # in the order in which judges vote on them


@dataclass(frozen=True)
class Score:
    """The common verdict on one criterion: the median of the scored judgments, None without any.

    `verdict` is the common grade: the lower median of incorrect, not attempted and correct, so that
    judges who disagree do not make an answer correct. `flip_rate` is the share of a judge's repeats
    that differ from its most frequent mark, the mean over the judges; None where none was scored
    twice.
    """

    criterion: str
    score: float | None
    state: str
    flip_rate: float | None
    judgments: tuple[Judgment, ...]
    verdict: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return vars(self) | {"judgments": [j.as_dict() for j in self.judgments]}


@dataclass(frozen=True)
class Comparison:
    """One judge's verdict on two answers, shown in both orders.

    `verdict` is A, B or tie, None unless both orders were judged. Orders that disagree are a tie
    and `inconsistent`. `first_picks` counts the verdicts for the answer that was shown first.
    """

    verdict: str | None
    state: str
    inconsistent: bool
    first_picks: int
    judgments: tuple[Judgment, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return vars(self) | {"judgments": [j.as_dict() for j in self.judgments]}


class Estimate(NamedTuple):
    """What judging will take, before anything is sent; costs are None for an unknown price.

    `most_usd` holds if no call fails: one that breaks off may be billed, and is repeated.
    """

    judge: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    most_usd: float | None


@dataclass
class Panel:
    """The judges of a run, with one budget. To be used in one event loop."""

    callers: Sequence[Caller]
    budget: Budget = field(default_factory=Budget)
    repeats: int = 1

    @classmethod
    def of(
        cls, settings: Judging, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> Panel:
        """Return the panel that settings describe. Opens nothing.

        Raises SettingsError for a missing key, an unknown judge, or a cost limit without prices,
        MissingExtraError without the SDK.
        """
        prices = _prices.parse(settings.judge_price)
        budget = Budget(settings.max_judge_calls, settings.max_judge_cost)
        callers = []
        for judge in load(settings):
            known = prices.get(judge.model)
            if budget.max_cost_usd is not None and not judge.local:
                _check_priced(judge, known)
            caller = Caller(judge, Window(settings.judge_concurrency), budget, known, sleep=sleep)
            caller.retries, caller.dice = settings.judge_retries, random.Random(0)  # noqa: S311
            callers.append(caller)
        return cls(callers, budget, settings.judge_repeats)

    @property
    def notes(self) -> list[str]:
        """What there is to know of the judges, such as an announced end."""
        return [note for caller in self.callers for note in caller.judge.notes]

    def refuse_self(self, model: str) -> None:
        """Raise SettingsError if a judge is the model under test."""
        for caller in self.callers:
            if bare(caller.judge.model) == bare(model):
                raise SettingsError(
                    f"--judge {caller.judge.name}: {model} would judge itself; choose another "
                    "judge or say --allow-self-judge"
                )

    async def probe(self) -> None:
        """Raise UsageError where a judge surely cannot be had; loads and bills nothing."""
        for caller in self.callers:
            await caller.judge.probe()

    async def open(self) -> None:
        """Open all judges; raises UsageError where one cannot be had."""
        await asyncio.gather(*(caller.open() for caller in self.callers))

    async def close(self) -> None:
        """Close all judges."""
        await asyncio.gather(*(caller.judge.close() for caller in self.callers))

    async def judge(self, case: Case, criterion: str | Criterion) -> Score:
        """Return the common verdict on one answer and criterion; raises where a judge cannot open.

        An answer that needs no judge gets one judgment, by rule.
        """
        ruled = _judging.by_rule(case, criterion)
        if ruled is not None:
            return score((ruled,))
        calls = [
            _judging.judge(caller, case, criterion)
            for caller in self.callers
            for _ in range(self.repeats)
        ]
        return score(await asyncio.gather(*calls))

    async def compare(self, pair: Pair) -> list[Comparison]:
        """Return each judge's verdicts on two answers, one a repeat, each from both orders."""
        each = [caller for caller in self.callers for _ in range(self.repeats)]
        return list(await asyncio.gather(*(_both_orders(caller, pair) for caller in each)))

    def spent(self) -> dict[str, Any]:
        """Return the calls and their cost; None where the price of any call is unknown."""
        known = None if self.budget.unpriced else self.budget.cost_usd
        return {
            "calls": self.budget.calls,
            "cost_usd": known,
            "known_cost_usd": self.budget.cost_usd,
            "unpriced_calls": self.budget.unpriced,
        }

    def estimate(
        self, cases: Iterable[Case], criteria: Sequence[str | Criterion]
    ) -> list[Estimate]:
        """Return what each judge will take for these answers, none of which is sent.

        A verdict is taken to be 500 tokens, a token 4 characters; `most_usd` is with every reply
        cut at its limit twice and a token a byte, but with no call that fails. For answers that are
        not there yet, give texts of their expected length.
        """
        asked = [(case, c) for case in cases for c in criteria if not _judging.by_rule(case, c)]
        prompts = [_prompt.absolute(case, c) for case, c in asked]
        return [self._estimate(caller, prompts * self.repeats) for caller in self.callers]

    def estimate_pairs(self, pairs: Iterable[Pair]) -> list[Estimate]:
        """Return what each judge will take to compare these answers, in both orders."""
        prompts = [_prompt.pairwise(pair) for pair in pairs]
        return [self._estimate(caller, prompts * 2 * self.repeats) for caller in self.callers]

    def _estimate(self, caller: Caller, prompts: Sequence[Prompt]) -> Estimate:
        tokens = sum(len(p.system) + len(p.user) for p in prompts) // CHARS_PER_TOKEN
        output = len(prompts) * _OUTPUT_TOKENS
        usual = _prices.cost_usd(Usage(input=tokens, output=output), caller.prices)
        worst = [_judging.worst_usd(caller, prompt) for prompt in prompts]
        return Estimate(caller.judge.name, len(prompts), tokens, output, usual, _sum(worst))


def load(settings: Judging) -> list[Judge]:
    """Return the judges that settings name, unopened; raises SettingsError or MissingExtraError."""
    models = dict(_model(entry) for entry in settings.judge_model)
    found = []
    for text in settings.judge:
        spec = parse(text)
        spec = spec._replace(model=spec.model or models.get(spec.provider))
        module = registry.load("judges", spec.provider)
        found.append(module.Judge(spec, settings.judge_timeout))
    return found


def score(judgments: Iterable[Judgment]) -> Score:
    """Return the common verdict of judgments on one answer and criterion.

    Its state is scored if any is, else the first one's.
    """
    every = tuple(judgments)
    scores = [j.score for j in every if j.score is not None]
    grades = [_GRADES.index(j.verdict) for j in every if j.verdict is not None]
    state = "scored" if scores or grades else every[0].state
    middle = float(median(scores)) if scores else None
    grade = _GRADES[median_low(grades)] if grades else None
    return Score(every[0].criterion, middle, state, _flip_rate(every), every, grade)


def comparison(shown_ab: Judgment, shown_ba: Judgment) -> Comparison:
    """Return the verdict of the two orders; `shown_ba` calls A what was B.

    Of two states without a verdict, the one that stands first in STATES is told, in either order.
    """
    both = (shown_ab, shown_ba)
    firsts = sum(j.verdict == "A" for j in both)
    unscored = [j.state for j in both if not j.scored]
    if unscored:
        state = min(unscored, key=_judging.STATES.index)
        return Comparison(None, state, inconsistent=False, first_picks=0, judgments=both)
    one, other = shown_ab.verdict, {"A": "B", "B": "A"}.get(str(shown_ba.verdict), "tie")
    verdict = one if one == other else "tie"
    return Comparison(verdict, "scored", one != other, firsts, both)


def total(estimates: Sequence[Estimate]) -> Estimate:
    """Return the sum of one judge's estimates."""
    usual, most = _sum([e.cost_usd for e in estimates]), _sum([e.most_usd for e in estimates])
    calls, tokens, output = (
        sum(column) for column in zip(*(e[1:4] for e in estimates), strict=True)
    )
    return Estimate(estimates[0].judge, calls, tokens, output, usual, most)


def alpha(scores: Iterable[Score]) -> dict[str, Any]:
    """Return the ordinal alpha of a jury over many answers, with the reason where None.

    A judge's vote is the median of its repeats.
    """
    votes = [_votes(one.judgments) for one in scores]
    judges = sorted({name for vote in votes for name in vote})
    table = [[vote.get(name) for vote in votes] for name in judges]
    return agreement.krippendorff(table, "ordinal").as_dict()


def _sum(costs: Sequence[float | None]) -> float | None:
    return None if None in costs else sum(filter(None, costs))


async def _both_orders(caller: Caller, pair: Pair) -> Comparison:
    ruled = by_rule_of_pair(pair)
    if ruled is not None:
        return ruled
    swapped = pair._replace(answer_a=pair.answer_b, answer_b=pair.answer_a)
    return comparison(
        *await asyncio.gather(_judging.compare(caller, pair), _judging.compare(caller, swapped))
    )


def by_rule_of_pair(pair: Pair) -> Comparison | None:
    """Return the verdict where an answer is empty: the other one wins, two empty ones tie."""
    a, b = (bool(split_thinking(text)[0]) for text in (pair.answer_a, pair.answer_b))
    if a and b:
        return None
    verdict = "A" if a else "B" if b else "tie"
    why = "an answer is empty"
    ruled = Judgment("preference", "scored", "rule", verdict=verdict, reasoning=why)
    return Comparison(verdict, "scored", inconsistent=False, first_picks=0, judgments=(ruled,))


def _flip_rate(judgments: Sequence[Judgment]) -> float | None:
    rates = [
        1 - Counter(marks).most_common(1)[0][1] / len(marks)
        for marks in _by_judge(judgments, "score", "verdict").values()
        if len(marks) > 1
    ]
    return sum(rates) / len(rates) if rates else None


def _votes(judgments: Sequence[Judgment]) -> dict[str, float]:
    return {name: float(median(scores)) for name, scores in _by_judge(judgments, "score").items()}


def _by_judge(judgments: Sequence[Judgment], *fields: str) -> dict[str, list[Any]]:
    """Return the marks of each judge, which stand in any of these fields."""
    found: dict[str, list[Any]] = {}
    for one in judgments:
        marks = [value for name in fields if (value := getattr(one, name)) is not None]
        if marks and one.judge is not None:
            found.setdefault(one.judge, []).extend(marks)
    return found


def _check_priced(judge: Judge, known: dict[str, float] | None) -> None:
    if known is None or not {"input", "output"} <= set(known):
        raise SettingsError(
            f"--max-judge-cost: the price of {judge.model} is unknown: give "
            f"--judge-price {judge.model}.input=USD and {judge.model}.output=USD per million tokens"
        )


def _model(entry: str) -> tuple[str, str]:
    provider, _, model = entry.partition("=")
    if provider not in registry.names("judges") or not model:
        raise SettingsError(f"--judge-model: '{entry}' is refused: write PROVIDER=MODEL")
    return provider, model


def bare(model: str) -> str:
    """Return what is equal for all names that Ollama takes for one model."""
    from pytest_llamaburn.backends.ollama import full_name

    return full_name(model)

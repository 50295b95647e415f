"""The judges of a run: they judge every answer, each as often as asked, within one budget."""

from __future__ import annotations

import asyncio
import functools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_llamaburn import evalsets, registry
from pytest_llamaburn.criteria import named
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.judges import _estimate, _judging, _prices, _result
from pytest_llamaburn.judges._base import parse
from pytest_llamaburn.judges._caller import Budget, Caller, Window
from pytest_llamaburn.judges._prompt import absolute, pairwise

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from pytest_llamaburn.criteria import Criterion
    from pytest_llamaburn.judges._base import Judge
    from pytest_llamaburn.judges._documents import JudgmentFields, Spending
    from pytest_llamaburn.judges._estimate import Estimate
    from pytest_llamaburn.judges._judging import Judgment, Key
    from pytest_llamaburn.judges._prompt import Case, Pair, Prompt
    from pytest_llamaburn.judges._result import Comparison, JudgeResult
    from pytest_llamaburn.settings import Judging


def _keep_nothing(row: JudgmentFields) -> None:
    """Keep no judgment."""


@dataclass
class Panel:
    """The judges of a run, with one budget. To be used in one event loop.

    `known` has the judgments that are there already, by key: they are not asked for again. `note`
    gets the row of each new judgment as soon as it is there. `own` has the user's own criteria.
    """

    callers: Sequence[Caller]
    budget: Budget = field(default_factory=Budget)
    repeats: int = 1
    known: dict[Key, Judgment] = field(default_factory=dict)
    note: Callable[[JudgmentFields], None] = _keep_nothing
    own: dict[str, Criterion] = field(default_factory=dict)

    @classmethod
    def of(
        cls, settings: Judging, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> Panel:
        """Return the panel that settings describe. Opens nothing.

        Raises SettingsError for a missing key, an unknown judge, a limit of cost without prices,
        or a criterion that cannot be, and MissingExtraError without the SDK.
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
        own = evalsets.own_criteria(settings.criterion)
        return cls(callers, budget, settings.judge_repeats, own=own)

    @property
    def notes(self) -> list[str]:
        """Sentences about the judges, such as that a model will be shut down."""
        return [note for caller in self.callers for note in caller.judge.notes]

    def refuse_self(self, model: str) -> None:
        """Raise SettingsError if a judge is the model under test."""
        for caller in self.callers:
            if bare(caller.judge.model) == bare(model):
                raise SettingsError(
                    f"--judge {caller.judge.name}: {model} would judge itself: choose another "
                    "judge, or add --allow-self-judge"
                )

    async def probe(self) -> None:
        """Raise UsageError if a judge is certainly not available; loads and bills nothing."""
        for caller in self.callers:
            await caller.judge.probe()

    async def open(self) -> None:
        """Open all judges; raises UsageError if one is not available."""
        await asyncio.gather(*(caller.open() for caller in self.callers))

    async def close(self) -> None:
        """Close all judges."""
        await asyncio.gather(*(caller.judge.close() for caller in self.callers))

    def resume(self, rows: Iterable[JudgmentFields]) -> None:
        """Take over the judgments of an earlier part of the run, and charge what they cost."""
        rows = list(rows)
        self.known = _judging.restored(rows)
        for row in rows:
            self.budget.charge(row["calls"], row["cost_usd"], row["most_usd"])

    async def judge(self, case: Case, criterion: str | Criterion, name: str = "") -> JudgeResult:
        """Return the common result on one answer and criterion.

        `name` identifies the answer among those of the run. An answer that needs no judge gets one
        judgment, by rule. Raises UsageError if a judge cannot be opened.
        """
        asked = self.criterion(criterion)
        ruled = _judging.by_rule(case, asked)
        if ruled is not None:
            return _result.combined((ruled,))
        prompt = functools.partial(absolute, case, asked)
        calls = [
            self._judgment((name, asked.key, *turn), caller, prompt()._replace(shown=case.shown))
            for caller, *turn in self._turns()
        ]
        return _result.combined(await asyncio.gather(*calls))

    def criterion(self, asked: str | Criterion) -> Criterion:
        """Return a criterion by its name, which may be one of the user's own."""
        return named(self.own.get(asked, asked) if isinstance(asked, str) else asked)

    async def compare(self, pair: Pair, name: str = "") -> list[Comparison]:
        """Return each judge's verdicts on two answers, one for each repeat, from both orders.

        If an answer is empty, there is one verdict, by rule.
        """
        ruled = _result.by_rule(pair)
        if ruled is not None:
            return [ruled]
        swapped = pair._replace(answer_a=pair.answer_b, answer_b=pair.answer_a)
        calls = [
            self._judgment(
                (name, "preference", *turn, order),
                caller,
                pairwise(shown)._replace(shown=pair.shown),
            )
            for caller, *turn in self._turns()
            for order, shown in (("ab", pair), ("ba", swapped))
        ]
        found = await asyncio.gather(*calls)
        both_orders = zip(found[::2], found[1::2], strict=True)
        return [_result.comparison(*both) for both in both_orders]

    def _turns(self) -> Iterator[tuple[Caller, str, str]]:
        """Yield each judge as often as it is asked, with its name and the number of the repeat."""
        for caller in self.callers:
            for number in range(self.repeats):
                yield caller, caller.judge.name, str(number)

    async def _judgment(self, key: Key, caller: Caller, prompt: Prompt) -> Judgment:
        """Return the known judgment on the same prompt, else ask for one."""
        known = self.known.get(key)
        if known is not None and known.prompt_sha256 == prompt.sha256:
            return known
        judgment = await _judging.ask(caller, prompt)
        self.note({"key": [*key], **judgment.as_dict()})
        return judgment

    def spent(self) -> Spending:
        """Return the number of calls and their cost; None if the price of any call is unknown."""
        known = None if self.budget.unpriced else self.budget.cost_usd
        return {
            "calls": self.budget.calls,
            "cost_usd": known,
            "known_cost_usd": self.budget.cost_usd,
            "unpriced_calls": self.budget.unpriced,
        }

    def estimate(self, cases: Iterable[tuple[Case, Sequence[str | Criterion]]]) -> list[Estimate]:
        """Return what each judge would take to judge some answers, each on its criteria.

        Nothing is sent. For answers that are not there yet, give texts of their expected length.
        """
        asked = ((case, self.criterion(one)) for case, criteria in cases for one in criteria)
        prompts = [
            absolute(case, one)._replace(shown=case.shown)
            for case, one in asked
            if _judging.by_rule(case, one) is None
        ]
        return [_estimate.of(caller, prompts * self.repeats) for caller in self.callers]

    def estimate_pairs(self, pairs: Iterable[Pair]) -> list[Estimate]:
        """Return what each judge would take to compare these answers, in both orders."""
        prompts = [pairwise(pair)._replace(shown=pair.shown) for pair in pairs]
        return [_estimate.of(caller, prompts * 2 * self.repeats) for caller in self.callers]


def load(settings: Judging) -> list[Judge]:
    """Return the judges of the settings, unopened; raises SettingsError or MissingExtraError."""
    models = dict(_model(entry) for entry in settings.judge_model)
    found = []
    for text in settings.judge:
        spec = parse(text)
        spec = spec._replace(model=spec.model or models.get(spec.provider))
        module = registry.load("judges", spec.provider)
        found.append(module.Judge(spec, settings.judge_timeout))
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
    """Return a model's full name, which is the same for all names that Ollama accepts for it."""
    from pytest_llamaburn.backends.ollama import full_name

    return full_name(model)

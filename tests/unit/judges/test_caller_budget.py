"""Limits on calls and on money hold before a call is sent."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from support.judge_servers import (
    Claude,
    Fake,
    judge_server,
    judging,
    verdict_json,
)
from support.judging import CASE, PRICES, judgment_of, judgments_of, panel_result, unscored
from support.scripted import Close, sized

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.judges import Pair, Panel
from pytest_llamaburn.judges._base import Ask
from pytest_llamaburn.judges._caller import Budget, BudgetError
from pytest_llamaburn.judges._prompt import absolute


def test_calls_beyond_the_budget_are_not_sent(kind: type[Fake]) -> None:
    fake = kind([verdict_json(4)])
    found = judgments_of(fake, judge_repeats=3, max_judge_calls=2, judge_concurrency=1)
    assert sorted(j.state for j in found) == ["budget", "scored", "scored"]
    left_out = next(j for j in found if not j.scored)
    assert "--max-judge-calls" in unscored(left_out, "budget", "budget")
    assert (left_out.calls, left_out.cost_usd) == (0, 0.0)
    assert len(fake.calls) == 2


def test_calls_before_the_budget_is_used_up_are_counted_with_their_cost(kind: type[Fake]) -> None:
    fake = kind([[kind().error(500, "it broke")]])
    found = judgment_of(fake, max_judge_calls=2)
    unscored(found, "budget", "budget")
    assert (found.calls, found.retries, found.cost_usd) == (2, 1, 0.0)
    found = judgment_of(
        kind([[kind().cut("{")]]), max_judge_calls=1, judge_price=PRICES[kind.provider]
    )
    unscored(found, "budget", "budget")
    assert (found.calls, found.usage.output) == (1, 120)
    assert found.cost_usd == found.most_usd == pytest.approx(0.004592)


def test_call_that_is_refused_costs_nothing_even_without_a_price(kind: type[Fake]) -> None:
    found = judgment_of(kind([[kind().error(400, "no")]]))
    assert (found.calls, found.cost_usd, found.cost_reason) == (1, 0.0, None)


@pytest.mark.parametrize(
    "broken", [[Close()], [sized(200, "<html>", content_type="application/json")], [sized(504, "")]]
)
def test_call_that_came_to_no_answer_may_have_cost_its_most(kind: type[Fake], broken: Any) -> None:
    fake = kind([broken, verdict_json(4)])
    found = judgments_of(
        fake, judge_price=PRICES[kind.provider], judge_repeats=2, judge_concurrency=1
    )
    (lost,) = [j for j in found if j.cost_usd is None]
    assert lost.cost_reason == "a call without an answer may have been billed"
    assert (lost.most_usd or 0) > 4096 * 15 / 1e6
    assert sum(j.calls for j in found) == len(fake.calls)


def test_cost_without_a_price_is_unknown_for_that_reason(kind: type[Fake]) -> None:
    found = judgment_of(kind([verdict_json(4)]))
    assert (found.cost_usd, found.most_usd) == (None, None)
    assert found.cost_reason == "the price of a judge is unknown"


def test_cost_never_exceeds_its_limit(kind: type[Fake]) -> None:
    fake = kind([verdict_json(4)])
    prices = PRICES[kind.provider]
    limit = 0.075  # one call may cost 0.066 at worst and costs 0.0046
    found = judgments_of(
        fake, judge_repeats=6, max_judge_cost=limit, judge_price=prices, judge_concurrency=1
    )
    states = [j.state for j in found]
    scored = states.count("scored")
    assert 1 <= scored < 6
    assert states.count("budget") == 6 - scored
    assert len(fake.calls) == scored
    left_out = next(j for j in found if not j.scored)
    assert "--max-judge-cost" in unscored(left_out, "budget", "budget")


def test_budget_waits_for_calls_that_are_under_way(kind: type[Fake]) -> None:
    """Each of six calls may cost 0.07 and costs 0.005: a limit of 0.1 pays for all of them."""
    fake = kind([verdict_json(4)])
    found = judgments_of(
        fake, judge_repeats=6, max_judge_cost=0.11, judge_price=PRICES[kind.provider]
    )
    assert [one.state for one in found] == ["scored"] * 6
    assert sum(one.cost_usd or 0 for one in found) <= 0.11


def test_call_that_was_not_sent_after_all_makes_room_for_another() -> None:
    async def work() -> tuple[int, bool]:
        budget = Budget(max_calls=1)
        budget.take(None)
        waiting = asyncio.ensure_future(budget.room(None))
        await asyncio.sleep(0)
        waited = not waiting.done()
        budget.settle(None, 0.0, calls=0)
        await waiting
        budget.take(None)
        return budget.calls, waited

    assert asyncio.run(work()) == (1, True)


def test_budget_without_a_call_under_way_waits_for_nothing() -> None:
    budget = Budget(max_calls=0)
    asyncio.run(budget.room(None))
    with pytest.raises(BudgetError, match="all 0 calls"):
        budget.take(None)


def test_earlier_calls_count_with_the_most_they_can_have_cost() -> None:
    budget = Budget(max_cost_usd=1.0)
    budget.charge(2, 0.3, 0.3)
    budget.charge(1, None, 0.5)
    assert (budget.calls, budget.cost_usd, budget.unpriced) == (3, 0.3, 1)
    budget.take(0.2)
    with pytest.raises(BudgetError, match=r"0\.0000 of --max-judge-cost are left"):
        budget.take(0.1)


def test_schema_counts_in_the_most_that_a_call_can_cost() -> None:
    caller = Panel.of(judging(judge=("claude:m",), judge_price=("m.input=1e6", "m.output=0")))
    prompt = absolute(CASE, "accuracy")
    ask = Ask(prompt.system, prompt.user, prompt.schema, 100)
    sent = len((prompt.system + prompt.user + json.dumps(prompt.schema)).encode())
    assert caller.callers[0].worst_usd(ask) == sent


def test_cost_limit_needs_prices() -> None:
    for prices in ((), ("m.input=3",)):
        settings = judging(judge=("claude:m",), max_judge_cost=1, judge_price=prices)
        with pytest.raises(SettingsError, match="the price of m is unknown"):
            Panel.of(settings)


def test_cost_of_a_call_that_was_lost_stays_reserved() -> None:
    budget = Budget(max_cost_usd=1.0)
    budget.take(0.6)
    budget.settle(0.6, None)
    with pytest.raises(BudgetError):
        budget.take(0.6)
    assert (budget.calls, budget.unpriced, budget.cost_usd) == (1, 1, 0.0)


def test_what_was_spent_is_told_and_unknown_where_a_price_is() -> None:
    async def work(panel: Panel) -> Any:
        await panel.judge(CASE, "accuracy")
        return panel.spent()

    with judge_server(Claude([verdict_json(4)]), "m") as name:
        known = panel_result(judging(judge=(name,), judge_price=PRICES["claude"]), work)
        no_tier = panel_result(judging(judge=(name,), judge_price=PRICES["claude"][:2]), work)
        unknown = panel_result(judging(judge=(name,)), work)
    assert (known["calls"], known["unpriced_calls"]) == (1, 0)
    assert known["cost_usd"] == pytest.approx(0.004592)
    for spent in (no_tier, unknown):
        assert (spent["cost_usd"], spent["unpriced_calls"]) == (None, 1)


def test_estimate_sends_nothing() -> None:
    cases = [CASE, CASE._replace(answer="x" * 4000), CASE._replace(answer="")]
    fake = Claude([verdict_json(4)])

    async def work(panel: Panel) -> Any:
        return panel.estimate((case, ("accuracy", "coherence")) for case in cases)

    with judge_server(fake, "m") as name:
        settings = judging(judge=(name,), judge_repeats=2, judge_price=PRICES["claude"])
        (found,) = panel_result(settings, work)
        (unpriced,) = panel_result(judging(judge=(name,)), work)
    assert found.calls == 2 * 2 * 2
    assert found.output_tokens == 8 * 500
    assert 4000 < found.input_tokens < 10_000
    expected = (found.input_tokens * 3 + 8 * 500 * 15) / 1e6
    assert found.cost_usd == pytest.approx(expected)
    assert found.most_usd > found.cost_usd
    assert (unpriced.calls, unpriced.cost_usd, unpriced.most_usd) == (4, None, None)
    assert fake.calls == []


def test_estimates_most_holds_where_every_reply_is_cut_twice() -> None:
    def cut(system: str, user: str) -> Any:
        usage = {"input_tokens": len((system + user).encode()), "output_tokens": fake.limit(-1)}
        return [fake.reply("{", stop_reason="max_tokens", usage=usage)]

    async def work(panel: Panel) -> tuple[float, Any]:
        pair = Pair(CASE.question, "Pâris.", "Lyon.", "Paris")
        told = panel.estimate([(CASE, ("accuracy",))]) + panel.estimate_pairs([pair])
        await panel.judge(CASE, "accuracy")
        await panel.compare(pair)
        return sum(one.most_usd or 0 for one in told), panel.spent()["cost_usd"]

    fake = Claude([cut])
    with judge_server(fake, "m") as name:
        settings = judging(judge=(name,), judge_repeats=2, judge_price=PRICES["claude"])
        most, cost = panel_result(settings, work)
    assert len(fake.calls) == 2 * 2 + 2 * 2 * 2
    assert 0.9 * most < cost <= most


@pytest.mark.parametrize("entry", ["m.input", "input=3", "m.price=3", "m.input=-1", "m.input=x"])
def test_price_that_is_none_is_refused(entry: str) -> None:
    with pytest.raises(SettingsError, match="--judge-price"):
        Panel.of(judging(judge=("claude:m",), judge_price=(entry,)))

"""Runs that differ in one setting: their variants, pairs and costs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds._kind import target_id
from pytest_llamaburn.kinds._target import Target
from pytest_llamaburn.kinds.eval import costs, variation
from pytest_llamaburn.kinds.eval.settings import Eval
from pytest_llamaburn.option import model_of


def settings(**values: Any) -> Any:
    return model_of(Eval)(**values)


@given(st.text(max_size=20), st.sampled_from(["think=on", "structured=server"]))
def test_a_variant_has_its_set_and_its_setting(name: str, setting: str) -> None:
    found, changes = variation.split(f"{name}?{setting}")
    assert (found, "=".join(*changes.items())) == (name, setting)


@pytest.mark.parametrize("name", ["math", "./what?.json", "a?b=c", "a?thinking=on"])
def test_a_set_alone_changes_nothing(name: str) -> None:
    assert variation.split(name) == (name, {})
    assert variation.variants(settings(set=(name,))) == [name]


def test_each_value_is_compared_with_the_first_one() -> None:
    found = variation.variants(settings(set=("a", "b"), vary="think=off,on,high"))
    assert found[:4] == ["a?think=off", "a?think=on", "a?think=high", "b?think=off"]
    targets = [Target("eval", "m", 0, one) for one in found]
    pairs = variation.pairs(targets)
    assert [(a.variant, b.variant) for a, b in pairs] == [
        ("a?think=off", "a?think=on"),
        ("a?think=off", "a?think=high"),
        ("b?think=off", "b?think=on"),
        ("b?think=off", "b?think=high"),
    ]
    assert len({target_id(target) for target in targets}) == len(targets)


def test_files_of_one_set_have_different_names() -> None:
    names = {variation.suffix({"vary": "think=off,on", "think": one}) for one in ("off", "on")}
    assert names == {"_think-off", "_think-on"}
    assert variation.suffix({"vary": None, "think": "on"}) == ""
    assert variation.suffix({"think": "on"}) == ""  # a file of an earlier version


def test_a_resumed_run_has_its_value_and_may_vary_it() -> None:
    both: Any = {"vary": "think=off,on", "think": "on"}
    with pytest.raises(SettingsError, match="exclude each other"):
        variation.check(settings(**both))
    variation.check(settings(**both, resume="last"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("think=on", "--vary: think=on is refused: give at least two values, such as think="),
        ("think=on,on", "give at least two values"),
        ("think=on,maybe", "--vary: unknown value of think 'maybe'"),
        ("seed=1,2", "--vary: unknown setting 'seed'"),
    ],
)
def test_a_variation_needs_a_known_setting_and_two_of_its_values(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        variation.check(settings(vary=text))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"rescore": "x.json"}, "--vary is refused with --rescore"),
        ({"compare_to": "x.json"}, "--vary is refused with --compare-to"),
        ({"choice_by": "logprob"}, "--think: on is refused with --choice-by logprob"),
    ],
)
def test_what_does_not_go_together_is_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        variation.check(settings(vary="think=off,on", **more))


def item(tokens: float | None, *, cached: bool = False, energy_wh: float | None = None) -> Any:
    timing = {"output_sequence_length": tokens, "energy_wh": energy_wh}
    reasons = {"energy_wh": "no_provider"} if energy_wh is None else {}
    answer = {"timing": timing, "cached": cached, "null_reasons": reasons}
    return {**answer, "more_samples": []}


def test_costs_are_paired_by_question_and_leave_out_earlier_answers() -> None:
    pairs = [(item(10), item(30)), (item(20), item(50)), (item(99, cached=True), item(1))]
    found = costs.estimate("output_sequence_length", pairs)
    assert (found.baseline, found.value, found.change) == (15, 40, 25)
    assert found.facts == {"questions": 2, "shared": 3}
    assert found.interval is not None
    assert found.interval[0] == pytest.approx(25 - 12.7062 * 5, rel=1e-4)  # Student's t, n = 2


def test_energy_is_in_joules_or_null_with_a_reason() -> None:
    found = costs.estimate(
        "joules_per_answer", [(item(1, energy_wh=0.01), item(1, energy_wh=0.03))]
    )
    assert (found.baseline, found.value, found.change) == pytest.approx((36, 108, 72))
    without = costs.estimate("joules_per_answer", [(item(1), item(1))])
    assert (without.change, without.reason) == (None, "no power sensor is read")


def test_costs_are_compared_only_between_runs_of_one_variation() -> None:
    def columns(*sides: tuple[str | None, str]) -> list[Any]:
        documents: Any = [{"config": {"vary": v}, "session_id": s} for v, s in sides]
        return [*costs.columns(documents, [(item(10), item(30))])]

    vary = "think=off,on"
    assert [one.metric for one in columns((vary, "s"), (vary, "s"))] == [*costs.NAMES]
    assert columns((vary, "s"), (vary, "t")) == []
    assert columns((None, "s"), (None, "s")) == []

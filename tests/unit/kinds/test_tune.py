"""The best setting, and what each option is worth, are those of the server."""

from __future__ import annotations

import asyncio
import math
import shlex
import sys
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from support import single_runs
from support.single_runs import IDENTITY, Journal
from support.tuned_server import Tuned, TunedBackend

from pytest_llamaburn import gates
from pytest_llamaburn.backends._base import Model, Server
from pytest_llamaburn.errors import ServerError, SettingsError
from pytest_llamaburn.kinds._comparable import Choice
from pytest_llamaburn.kinds.tune import (
    charts,
    comparable,
    insights,
    plan,
    result,
    started,
    table,
    trials,
)
from pytest_llamaburn.kinds.tune.measures import MEASURES
from pytest_llamaburn.kinds.tune.run import TuneRun
from pytest_llamaburn.kinds.tune.settings import Tune
from pytest_llamaburn.load.prompts import Ruler
from pytest_llamaburn.option import model_of
from pytest_llamaburn.progress import Silent
from pytest_llamaburn.store.journal import Record
from pytest_llamaburn.tables import rows_of
from pytest_llamaburn.web import forms

OPTIONS = ("num_batch=128,512", "num_thread=1,2,4")
FACTORS = {"num_batch=128": 1.1, "num_thread=1": 2.0, "num_thread=4": 1.05}
UNCACHED = 256 - 20  # tokens of a prompt without the chat template, which stays cached
COMMAND = "llama-server -m m.gguf {args}"


def run_of(tuned: Tuned, **asked: Any) -> Any:
    """Return a run after its preparations."""
    settings: Any = model_of(Tune)(**{"option": OPTIONS, **asked})
    run: Any = TuneRun(settings, IDENTITY, 0, cast("Any", Silent()))
    run.backend = TunedBackend(tuned, settings)
    run.server = Server("ollama", None, "here", local=True)
    run.model = Model("tiny", "tiny")
    run.profiler = SimpleNamespace(segment="a", has_power=False)
    run.journal = Journal()
    run._ruler = Ruler(20, 1.0, 0.5)
    return run


def found_by(run: Any) -> dict[str, Any]:
    rows = asyncio.run(run.measure("k"))
    config = run.settings.model_dump()
    about = ("ollama", "tiny")
    found = result.found(rows, config, about, run.failed, run.left_out)
    return {**found, "run": run, "runs": rows}


def measured(tuned: Tuned, **asked: Any) -> dict[str, Any]:
    return found_by(run_of(tuned, **asked))


def document(found: dict[str, Any], run_id: str = "a") -> dict[str, Any]:
    kept = {n: v for n, v in found.items() if n != "run"}
    config = {"search": "grid", **found["run"].settings.model_dump()}
    return single_runs.document("tune", kept, config, {"other_cpu_share": None}, run_id)


def level(found: dict[str, Any], option: str, value: Any) -> dict[str, Any]:
    (effect,) = (one for one in found["effects"] if one["option"] == option)
    (known,) = (one for one in effect["levels"] if one["value"] == value)
    return dict(known)


def test_the_best_setting_is_found_and_each_option_has_its_worth() -> None:
    found = measured(Tuned(FACTORS, noise=0.01))
    assert found["best"]["options"] == {"num_batch": 512, "num_thread": 2}
    assert found["best"]["together"] == []
    for option, value, truth in (
        ("num_batch", 128, 0.1),
        ("num_thread", 1, 1.0),
        ("num_thread", 4, 0.05),
    ):
        known = level(found, option, value)
        low, high = known["more_ci95"]
        assert low <= truth <= high
        assert known["more"] == pytest.approx(truth, abs=0.03)
    assert [effect["apart"] for effect in found["effects"]] == [True, True]
    assert found["noise"] == pytest.approx(0.01, rel=0.5)


def test_times_are_those_of_the_objective() -> None:
    for objective, truth in (
        ("decode", 10.0),
        ("prefill", 7 + 0.5 * UNCACHED),
        ("total", 7 + 0.5 * UNCACHED + 63 * 10.0),
    ):
        best = measured(Tuned(FACTORS), objective=objective)["best"]
        assert best["time_ms"]["mean"] == pytest.approx(truth, rel=0.005)


def test_options_that_change_nothing_cannot_be_told_apart() -> None:
    found = measured(Tuned(noise=0.02))
    assert {one["group"] for one in found["settings"]} == {1}
    assert len(found["best"]["together"]) == 5
    assert [effect["apart"] for effect in found["effects"]] == [False, False]
    told = {one["id"] for one in insights.find(document(found))}
    assert told == {"nothing_told_apart"}


def test_a_drift_of_the_machine_does_not_choose_the_setting() -> None:
    """Each load is 2 % slower than the one before: the last round takes twice the first."""
    found = measured(Tuned(FACTORS, noise=0.01, drift=0.02), iterations=6)
    assert found["best"]["options"]["num_thread"] in (2, 4)
    low, high = level(found, "num_thread", 1)["more_ci95"]
    assert low <= 1.0 <= high
    rounds = [row["round"] for row in found["runs"]]
    assert rounds == sorted(rounds)


def test_each_round_has_every_setting_in_an_order_of_its_own() -> None:
    tuned = Tuned(FACTORS)
    measured(tuned, iterations=4)
    tried = [plan.name(one) for one in tuned.loads]
    rounds = [tried[n : n + 6] for n in range(0, 24, 6)]
    assert all(sorted(one) == sorted(rounds[0]) for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1


def test_halving_leaves_out_what_is_certainly_slower_and_says_so(tmp_path: Any) -> None:
    tuned = Tuned(FACTORS, noise=0.005)
    found = measured(tuned, search="halving", iterations=6)
    out = {one["name"]: one["rounds"] for one in found["settings"] if one["left_out"]}
    assert found["best"]["options"] == {"num_batch": 512, "num_thread": 2}
    assert out
    assert max(out.values()) < 6
    assert len(tuned.loads) < 36
    assert found["run"].journal.facts()["left_out"] == out
    low, high = level(found, "num_batch", 128)["more_ci95"]
    assert low <= 0.1 <= high
    (sheet,) = table.sheets(document(found), tmp_path / "f.json")
    assert any(row[6].endswith(", left out") for row in sheet.rows)


def simulated(truth: list[float], noise: float, looks: int, luck: np.random.Generator) -> list[int]:
    """Return the settings that are left at the end of a search by halving."""
    names = [str(n) for n in range(len(truth))]
    values: dict[str, dict[int, float]] = {name: {} for name in names}
    alive = names
    for number in range(looks + trials.LEAST_ROUNDS):
        common = luck.normal(0, 0.2)
        for name in alive:
            values[name][number] = truth[int(name)] + common + luck.normal(0, noise)
        out = trials.slower(values, alive, looks)
        alive = [name for name in alive if name not in out]
    return [*map(int, alive)]


@pytest.mark.parametrize("worse", [0.0, 0.01])
def test_halving_throws_the_best_away_no_more_often_than_stated(worse: float) -> None:
    luck, times = np.random.default_rng(7), 200
    truth = [0.0] + [worse] * 5
    lost = sum(0 not in simulated(truth, 0.03, 4, luck) for _ in range(times))
    allowed = times * trials.ERROR
    assert lost <= allowed + 2 * math.sqrt(allowed)


def test_halving_does_leave_out_what_is_much_slower() -> None:
    luck = np.random.default_rng(3)
    left = [simulated([0.0, 0.3, 0.3, 0.3], 0.03, 4, luck) for _ in range(20)]
    assert all(0 in one for one in left)
    assert sum(map(len, left)) < 2 * len(left)


def test_equal_settings_are_told_apart_no_more_often_than_stated() -> None:
    luck, times, wrong = np.random.default_rng(11), 200, 0
    for _ in range(times):
        rounds = [luck.normal(0, 0.2) for _ in range(5)]
        values = {
            name: {n: common + luck.normal(0, 0.05) for n, common in enumerate(rounds)}
            for name in "abcd"
        }
        wrong += max(trials.groups(values).values()) > 1
    allowed = times * trials.ERROR
    assert wrong <= allowed + 2 * math.sqrt(allowed)


def test_settings_form_groups_that_can_be_told_apart() -> None:
    luck = np.random.default_rng(6)
    values = {
        name: {n: level + luck.normal(0, 0.01) for n in range(6)}
        for name, level in (("a", 0.0), ("b", 0.001), ("c", 0.5), ("d", 0.501))
    }
    found = trials.groups(values)
    assert {found["a"], found["b"]} == {1}
    assert {found["c"], found["d"]} == {2}


def test_a_round_that_was_cut_does_not_change_the_order() -> None:
    values = {"a": {0: 1.0, 1: 1.1}, "b": {0: 2.0, 1: 2.1}, "c": {0: 0.5, 1: 0.6, 2: 9.0}}
    assert trials.ranked(values) == ["c", "a", "b"]
    assert trials.means(values)["b"] - trials.means(values)["a"] == pytest.approx(1.0)


def test_without_two_rounds_there_is_no_interval() -> None:
    values = {"a": {0: 1.0}, "b": {0: 2.0}}
    assert trials.noise(values) is None
    assert trials.difference(values, "b", "a", None, 0.05) == trials.Difference(1.0, None)
    assert trials.slower(values, ["a", "b"], 1) == []
    apart = trials.difference({"a": {0: 1.0}, "b": {1: 2.0}}, "b", "a", None, 0.05)
    assert math.isnan(apart.middle)
    assert (
        trials.effect({"a": {0: 1.0}, "b": {1: 1.0}}, {"a": 1, "b": 2}, None)[0].more.ends is None
    )
    assert trials.ranked({}) == []
    assert trials.groups({}) == {}


def test_a_setting_that_cannot_be_loaded_has_a_reason_and_is_not_tried_again() -> None:
    tuned = Tuned(FACTORS, broken=("num_thread=4",))
    found = measured(tuned)
    failed = [one for one in found["settings"] if one["options"]["num_thread"] == 4]
    assert {one["reason"] for one in failed} == {"the runner has terminated"}
    assert {one["time_ms"]["mean"] for one in failed} == {None}
    assert {effect["reason"] for effect in found["effects"]} == {"not all settings have a time"}
    assert found["best"]["options"] == {"num_batch": 512, "num_thread": 2}
    assert len(found["run"].journal.facts()["failed"]) == 2
    assert len(tuned.loads) == 4 * 5


def test_a_resumed_run_loads_only_what_is_missing() -> None:
    first = measured(Tuned(FACTORS))["runs"]
    run = run_of(tuned := Tuned(FACTORS))
    run.take_over(Record(None, 0, first[:-1], {}, [], interrupted=True))
    assert len(found_by(run)["runs"]) == len(first)
    assert len(tuned.loads) == 1


def test_a_second_call_finds_the_same_and_loads_nothing() -> None:
    run = run_of(tuned := Tuned(FACTORS, noise=0.01))
    first, loads = found_by(run)["settings"], len(tuned.loads)
    assert found_by(run)["settings"] == first
    assert len(tuned.loads) == loads


def test_a_budget_ends_the_run_and_says_what_was_not_tried() -> None:
    found = measured(Tuned(FACTORS), budget=1e-9)
    assert found["best"] is None
    assert "--budget or an interruption" in found["settings"][0]["reason"]
    made = document(found)
    for name in ("tuned_time_ms", "tuning_gain"):
        assert MEASURES[name].observed(made).value is None


def test_answers_without_a_time_are_null_with_their_reason() -> None:
    rows = measured(Tuned(FACTORS))["runs"]
    config = model_of(Tune)(option=OPTIONS).model_dump()
    blank = [
        {
            **r,
            "inter_token_latency_ms": None,
            "null_reasons": {"inter_token_latency_ms": "one_read"},
        }
        for r in rows
    ]
    failed = [{**r, "error": {"kind": "oom", "message": "no memory"}} for r in rows]
    for given, reason in ((blank, "one_read"), (failed, "failed with oom: no memory")):
        found = result.found(given, config, ("ollama", "tiny"), {}, {})
        assert {one["reason"] for one in found["settings"]} == {reason}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"option": ()},
            "--option: the number of combinations is 0: nothing to compare; give options with",
        ),
        ({"option": ("a=1",)}, "--option: the number of combinations is 1: nothing to compare"),
        (
            {"option": ("a=1,2,3,4,5,6,7,8,9", "b=1,2,3,4,5,6,7,8")},
            "combinations is 72: at most 64",
        ),
        ({"option": ("num_batch",)}, "--option: 'num_batch' is refused: write an option and its"),
        ({"option": ("a=1,$(x)",)}, "--option: 'a=1,$(x)' is refused"),
        ({"option": ("a=1,2", "a=3")}, "--option: 'a' is given twice"),
        ({"server_command": "llama-server"}, "write {args} where the options of a setting belong"),
        ({"server_command": "llama-server 'x {args}"}, "No closing quotation"),
        ({"threshold": ("speed>1",)}, "unknown metric 'speed'"),
        ({"fail_if": ("tuned_time_ms:+5%",)}, "--fail-if needs a comparison"),
    ],
)
def test_bad_input_is_one_sentence(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        result.check(cast("Any", model_of(Tune)(**{"option": OPTIONS, **asked})))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("word", ["a", "1.5", "true"])
def test_a_value_that_is_no_number_is_refused_before_a_load(word: str) -> None:
    run = run_of(Tuned(), option=(f"num_batch=128,{word}",))
    with pytest.raises(SettingsError, match="is refused: write whole numbers, as num_batch=1,2"):
        run.check()


def test_an_option_that_the_server_would_ignore_is_refused() -> None:
    run = run_of(Tuned(), option=("num_threads=1,2",))
    with pytest.raises(SettingsError, match="--option: unknown option of ollama 'num_threads'"):
        run.check()
    run.server = run.server._replace(kind="vllm")
    with pytest.raises(SettingsError, match="vllm takes its options at its start: let the run"):
        run.check()
    run.server = run.server._replace(kind="embedded")
    run.settings = run.settings.model_copy(update={"option": ("kv_type=f16,q8_0",)})
    run.check()
    run._own = object()
    run.settings = run.settings.model_copy(update={"option": ("anything=1,2",)})
    run.check()


def test_options_are_numbers_truths_or_words() -> None:
    assert plan.options([" a = 1,2 ,1", "b=0.5,true,q8_0,nan"]) == {
        "a": [1, 2],
        "b": [0.5, True, "q8_0", "nan"],
    }


def test_what_keeps_a_setting_is_what_its_server_takes() -> None:
    one: Any = {"num_batch": 512, "t": 4}
    assert plan.keeping("ollama", "llama3.1:8b", one, None) == [
        *("FROM llama3.1:8b", "PARAMETER num_batch 512", "PARAMETER t 4")
    ]
    assert plan.keeping("llama.cpp", "m", one, COMMAND) == [
        "llama-server -m m.gguf --num_batch 512 -t 4"
    ]
    assert plan.keeping("embedded", "m", one, None) == ["num_batch = 512", "t = 4"]


def test_table_names_the_best_what_it_is_worth_and_how_to_keep_it(tmp_path: Any) -> None:
    (sheet,) = table.sheets(document(measured(Tuned(FACTORS, noise=0.005))), tmp_path / "f.json")
    assert sheet.rows[0][0] == "num_batch=512 num_thread=2"
    assert [row[5] for row in sheet.rows][:2] == ["1", "2"]
    sections = sheet.sections()
    assert sections["best setting"] == ["num_batch=512 num_thread=2: no other is as fast"]
    keep = ["FROM tiny", "PARAMETER num_batch 512", "PARAMETER num_thread 2"]
    assert sections["to keep it"] == keep
    alone = document(measured(Tuned(FACTORS, noise=0.005)))
    for one in alone["results"]["settings"][1:]:
        one["rounds"] = 0
    (sheet,) = table.sheets(alone, tmp_path / "f.json")
    assert sheet.sections()["best setting"][0].endswith(": no other was measured")
    batch, thread = sections["what each option is worth"]
    assert batch.startswith("num_batch: 512 is best; 128 takes +")
    assert thread.startswith("num_thread: 2 is best; 4 takes +5")
    assert len([*rows_of(document(measured(Tuned())))]) == 6 * 5 * 2


def test_table_says_what_cannot_be_told_apart_and_what_is_not_known(tmp_path: Any) -> None:
    equal = document(measured(Tuned(noise=0.02)))
    (sheet,) = table.sheets(equal, tmp_path / "f.json")
    assert "it cannot be told apart from num_batch=" in sheet.sections()["best setting"][0]
    assert "the values cannot be told apart" in sheet.sections()["what each option is worth"][0]
    broken = document(measured(Tuned(broken=("num_thread=4",))))
    (sheet,) = table.sheets(broken, tmp_path / "f.json")
    assert sheet.sections()["not measured"][0].endswith(": the runner has terminated")
    assert sheet.sections()["what each option is worth"][0] == (
        "num_batch: not known, not all settings have a time"
    )
    none = document(measured(Tuned(), budget=1e-9))
    (sheet,) = table.sheets(none, tmp_path / "f.json")
    assert "best setting" not in sheet.sections()
    few = document(measured(Tuned(FACTORS)))
    few["results"]["effects"][0]["levels"][1] |= {"more": None, "more_ci95": None}
    (sheet,) = table.sheets(few, tmp_path / "f.json")
    few["results"]["effects"][1]["levels"][1]["apart"] = False
    (sheet,) = table.sheets(few, tmp_path / "f.json")
    assert (
        "num_thread: 2, 4 are best and cannot be told apart; 4 takes +5"
        in (sheet.sections()["what each option is worth"][1])
    )
    assert "128 not known" in sheet.sections()["what each option is worth"][0]


def test_insights_advise_values_past_the_end_of_a_range() -> None:
    found = measured(Tuned({"num_thread=1": 3.0, "num_thread=2": 1.5}, noise=0.005))
    texts = {one["id"]: one["text"] for one in insights.find(document(found))}
    assert texts["at_the_end_of_a_range"] == (
        "The best num_thread, 4, is the largest that was tried. Try larger ones too."
    )


def test_gates_read_the_best_time_and_the_gain() -> None:
    made = document(measured(Tuned(FACTORS, noise=0.005)))
    wanted = ("tuning_gain>40%", "tuned_time_ms<1", "error_rate<1%")
    verdicts = gates.judged(made, MEASURES, wanted, "point")
    assert [gate["verdict"] for gate in verdicts] == ["pass", "fail", "pass"]
    gain: Any = MEASURES["tuning_gain"].observed(made)
    assert gain.value == pytest.approx(1 - 1 / 2.2, abs=0.02)
    assert gain.interval[0] <= gain.value <= gain.interval[1]


def test_charts_show_settings_and_values_against_the_best() -> None:
    made = document(measured(Tuned(FACTORS, noise=0.005)))
    assert [chart.title for chart in charts.charts(made)] == [
        "Settings, against the best one",
        "Values of options, against the best value",
    ]
    assert [card.label for card in charts.cards(made)][:2] == ["best setting", "time of an answer"]
    none = document(measured(Tuned(), budget=1e-9))
    assert [*charts.charts(none)] == []
    assert len([*charts.cards(none)]) == 1


def test_files_are_compared_by_the_time_of_their_best() -> None:
    before = document(measured(Tuned(FACTORS, noise=0.005)), "a")
    after = document(
        measured(Tuned({"num_thread=1": 2.0}, noise=0.005), option=("num_thread=1,2",))
    )
    names = comparable.Comparison.default
    columns = tuple(comparable.Comparison.column(name, "c") for name in names)
    compared = comparable.Comparison([("a", before), ("b", after)], Choice(columns, ()))
    change = compared.change(compared.others[0], columns[0])
    assert change.estimate.change == pytest.approx(0, abs=0.02)


def test_estimate_counts_loads_and_answers_and_a_budget_limits_it() -> None:
    run = run_of(Tuned(), isl=100, osl=10, iterations=3, answers=2)
    assert run.estimate() == (
        "6 settings in 3 rounds, 36 answers: no estimate, the warm-up showed no speed"
    )
    run._load_s, run.token_ms = 2.0, lambda: 100.0
    assert run.estimate().endswith(f"about {18 * (2.0 + 2 * (0.05 + 1.0)):.0f} s")
    run.settings = run.settings.model_copy(update={"budget": 7.0})
    assert run.estimate().endswith("about 7 s")


def test_requests_are_counted_before_a_run() -> None:
    assert plan.requests(model_of(Tune)(option=OPTIONS)) == 6 * 5 * 2
    assert plan.order(["a", "b", "c"], 1, 0) == plan.order(["a", "b", "c"], 1, 0)
    started.check(COMMAND)


@pytest.mark.parametrize("name", ["server_command", "results_dir"])
def test_a_client_of_the_page_can_set_no_command_and_no_directory(name: str) -> None:
    assert name not in forms.allowed(TuneRun.kind)


def test_a_server_that_is_never_ready_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(started, "STOP_S", 0.1)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    server = started.Started(shlex.join([sys.executable, "-c", deaf]) + " {args}", 0.5)
    with pytest.raises(ServerError, match=r"was not ready within 0.5 s: it said nothing"):
        asyncio.run(server.start({"a": 1}))
    assert server._child is None
    server.stop()

"""Bake-offs: the order of models is the true one, equal models share a rank, drift cancels."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import record as golden
from support.benchmark_documents import record
from support.fleet import Fleet
from support.rated_server import Rated
from support.single_runs import document, prepared

from pytest_llamaburn import grids
from pytest_llamaburn.charts import Forest, Plot
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds import _several
from pytest_llamaburn.kinds.bakeoff import (
    KIND,
    charts,
    insights,
    plan,
    quality,
    ranking,
    result,
    table,
)
from pytest_llamaburn.kinds.bakeoff.run import BakeoffRun
from pytest_llamaburn.kinds.bakeoff.settings import Bakeoff
from pytest_llamaburn.option import model_of
from pytest_llamaburn.store import results

FACTS = {"other_cpu_share": None}


class Phases:
    segment = "a"

    def phase(self, _: str) -> Any:
        return nullcontext()


def held(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, done: list[Any] | None = None, **asked: Any
) -> dict[str, Any]:
    """Return what a bake-off of a fleet finds; `done` are the rows of an earlier part."""
    monkeypatch.setattr(_several, "connect", fleet.connect)
    asked = {"model": (*fleet.speeds,), "max_tokens": 16, "iterations": 2, **asked}
    run = prepared(BakeoffRun, Rated(context=None), **asked)
    run.profiler = Phases()
    run.candidates = [asyncio.run(run.described(name)) for name in fleet.speeds]
    run.backend = asyncio.run(fleet.connect(run.settings, next(iter(fleet.speeds))))
    run.take_over(record(done or []))
    rows = asyncio.run(run.hold("k"))
    known = run.journal.facts().get("quality", {})
    found = result.found(rows, run.candidates, run.settings.model_dump(), known)
    return {**found, "runs": rows}


def ranks(found: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one["rank"] for one in found["candidates"]}


def file_of(found: dict[str, Any], **asked: Any) -> dict[str, Any]:
    config = model_of(Bakeoff)(model=("a", "b"), **asked).model_dump()
    made = document("bakeoff", found, config, FACTS)
    made["insights"] = insights.find(made)
    return made


def test_faster_models_rank_first_and_the_run_ends_when_the_order_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = held(Fleet({"slow": 13.0, "fast": 10.0, "middle": 11.5}), monkeypatch, rounds=30)
    assert ranks(found) == {"fast": (1, 1), "middle": (2, 2), "slow": (3, 3)}
    assert found["decided"]
    assert found["winner"] == "fast"
    assert found["rounds"] < 12
    (pair,) = [p for p in found["pairs"] if {p["first"], p["second"]} == {"slow", "fast"}]
    assert pair["change"] == pytest.approx(10 / 13 - 1, abs=0.02)
    assert pair["interval"][0] < 10 / 13 - 1 < pair["interval"][1]


def test_equal_models_share_a_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet({"a": 10.0, "b": 10.0, "c": 20.0}, noise=0.05)
    found = held(fleet, monkeypatch, rounds=8)
    assert ranks(found) == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}
    assert not found["decided"]
    assert found["rounds"] == 8
    texts = [one["text"] for one in file_of(found)["insights"]]
    assert any(text.startswith("8 rounds cannot tell a and b apart") for text in texts)


def test_models_within_the_margin_are_the_same_and_end_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = held(Fleet({"a": 10.0, "b": 10.1}, noise=0.002), monkeypatch, rounds=30)
    assert [pair["verdict"] for pair in found["pairs"]] == ["same"]
    assert ranks(found) == {"a": (1, 2), "b": (1, 2)}
    assert found["rounds"] < 30


def test_drift_of_the_machine_meets_all_models_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet({"a": 10.0, "b": 10.0, "c": 10.0}, noise=0.001, drift=0.02)
    found = held(fleet, monkeypatch, rounds=12, early_stop=False, margin=0.05)
    assert {pair["verdict"] for pair in found["pairs"]} <= {"same", "open"}
    assert {*ranks(found).values()} == {(1, 3)}


def test_equal_models_are_ordered_wrongly_in_at_most_one_of_a_hundred_bake_offs() -> None:
    dice = np.random.default_rng(5)
    wrong = 0
    for _ in range(300):
        values = {name: dict(enumerate(np.exp(dice.normal(0, 0.02, 12)))) for name in "abc"}
        for rounds in range(2, 13):
            seen = {n: {r: v[r] for r in range(rounds)} for n, v in values.items()}
            found = ranking.pairs(seen, "higher", 0.0)
            if any(pair.verdict in (ranking.AHEAD, ranking.BEHIND) for pair in found):
                wrong += 1
                break
    assert wrong <= 6  # 3 are expected at most; 7 would have a probability of 3 %


def test_exchanged_models_exchange_the_verdicts() -> None:
    dice = np.random.default_rng(6)
    a, b = (dict(enumerate(np.exp(dice.normal(mean, 0.02, 8)))) for mean in (0.1, 0.0))
    (one,) = ranking.pairs({"a": a, "b": b}, "higher", 0.03)
    (other,) = ranking.pairs({"b": b, "a": a}, "higher", 0.03)
    (lower,) = ranking.pairs({"a": a, "b": b}, "lower", 0.03)
    assert (one.verdict, other.verdict, lower.verdict) == ("faster", "slower", "slower")
    assert one.change is not None
    assert other.change is not None
    assert one.interval is not None
    assert other.interval is not None
    assert (1 + one.change) * (1 + other.change) == pytest.approx(1)
    assert (1 + one.interval[0]) * (1 + other.interval[1]) == pytest.approx(1)


def test_every_model_is_first_and_last_in_turn_and_alone_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [plan.order("abc", n) for n in range(4)] == [
        ["a", "b", "c"],
        ["c", "a", "b"],
        ["b", "c", "a"],
        ["a", "b", "c"],
    ]
    fleet = Fleet({"a": 10.0, "b": 11.0})
    held(fleet, monkeypatch, rounds=2, early_stop=False)
    loaded: set[str] = set()
    for what, name in fleet.events:
        loaded = {*loaded, name} if what == "load" else loaded - {name}
        assert len(loaded) <= 1


def test_models_of_a_round_answer_the_same_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = held(Fleet({"a": 10.0, "b": 11.0}), monkeypatch, rounds=3, early_stop=False)
    asked: dict[tuple[str, int], list[str]] = {}
    for row in found["runs"]:
        asked.setdefault((row["model"], row["round"]), []).append(row["prompt_id"])
    assert all(asked["a", number] == asked["b", number] for number in range(3))
    assert len({id_ for ids in asked.values() for id_ in ids}) == 6


def test_model_that_cannot_be_loaded_is_out_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet = Fleet({"a": 10.0, "huge": 5.0, "b": 12.0}, broken=frozenset({"huge"}))
    found = held(fleet, monkeypatch, rounds=20)
    assert ranks(found) == {"a": (1, 1), "b": (2, 2), "huge": None}
    huge = found["candidates"][-1]
    assert huge["out"] == "not_loaded: huge does not fit into memory"
    assert huge["errors"] == {"not_loaded": 1}
    assert found["decided"]


def test_model_that_fails_for_a_whole_turn_is_out_though_it_answered_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = held(Fleet({"a": 10.0, "b": 12.0}), monkeypatch, rounds=2)
    error = {"kind": "oom", "phase": "load", "status": 500, "message": "out of memory"}
    last = {**found["runs"][-1], "model": "b", "round": 2, "error": error}
    about = [{"name": n, "model": {"id": n}, "server": "ollama"} for n in ("a", "b")]
    config = model_of(Bakeoff)(model=("a", "b"), iterations=2).model_dump()

    def out(failures: int) -> Any:
        rows = [*found["runs"], *failures * [last]]
        shown = result.found(rows, about, config, {})
        return {one["name"]: one["out"] for one in shown["candidates"]}

    assert out(1) == {"a": None, "b": None}
    assert out(2) == {"a": None, "b": "oom: out of memory"}


def test_names_of_one_model_are_refused() -> None:
    tagged = [{"name": name, "model": {"id": "a:latest"}} for name in ("a", "a:latest")]
    with pytest.raises(SettingsError, match="a and a:latest are the same model: name it once"):
        plan.check_different(tagged)


def test_too_few_rounds_for_any_order_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = held(Fleet({"a": 10.0, "b": 20.0}), monkeypatch, rounds=3)
    texts = [one["text"] for one in file_of(found, rounds=3)["insights"]]
    assert texts[0].endswith("At least 4 --rounds are needed for these models.")
    found = held(Fleet({"a": 10.0, "b": 20.0}, noise=0.001), monkeypatch, rounds=4)
    assert found["decided"]


def test_model_that_does_not_keep_a_requirement_is_out(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet({"a": 10.0, "b": 20.0})
    found = held(fleet, monkeypatch, rounds=8, require=("tokens_per_sec.mean>80",))
    assert ranks(found) == {"a": (1, 1), "b": None}
    assert found["candidates"][1]["out"].startswith(
        "does not keep --require tokens_per_sec.mean>80"
    )
    assert found["winner"] == "a"


def test_resumed_bake_off_sends_only_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {"rounds": 3, "early_stop": False}
    whole = held(Fleet({"a": 10.0, "b": 13.0}), monkeypatch, **asked)
    fleet = Fleet({"a": 10.0, "b": 13.0})
    rest = held(fleet, monkeypatch, whole["runs"][:7], **asked)
    keys = [[row[name] for name in BakeoffRun.keys] for row in whole["runs"]]
    assert [[row[name] for name in BakeoffRun.keys] for row in rest["runs"]] == keys
    assert rest["runs"][:7] == whole["runs"][:7]


def test_slowest_ranks_first_if_lower_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet({"a": 20.0, "b": 10.0})
    found = held(fleet, monkeypatch, rank="total_generation_ms", rounds=20)
    assert found["winner"] == "b"
    assert ranks(found) == {"b": (1, 1), "a": (2, 2)}
    (sheet,) = table.sheets(file_of(found, rank="total_generation_ms"), Path("x.json"))
    change = sheet.rows[1][2].partition(" %")[0]
    means = [one["summary"]["total_generation_ms"]["mean"] for one in found["candidates"]]
    assert float(change) == pytest.approx(100 * (means[1] / means[0] - 1), abs=2)


def test_loads_and_characters_are_those_of_each_model(monkeypatch: pytest.MonkeyPatch) -> None:
    found = held(Fleet({"a": 10.0, "b": 20.0}, noise=0.0), monkeypatch, rounds=6)
    first, second = found["candidates"]
    assert second["load_ms"]["n"] == found["rounds"] / 2  # it stays for the round after
    written = len("".join(f"w{n} " for n in range(16)))
    assert first["characters_per_sec"]["mean"] == pytest.approx(written / 0.15)
    assert second["characters_per_sec"]["mean"] == pytest.approx(written / 0.30)


def test_tokens_of_other_lengths_are_told() -> None:
    lengths = {"a": (100.0, 400.0), "b": (80.0, 240.0)}
    candidates = [
        {
            "name": name,
            "rank": (1, 2),
            "summary": {"tokens_per_sec": {"mean": tokens}},
            "characters_per_sec": {"mean": characters},
        }
        for name, (tokens, characters) in lengths.items()
    ]
    made = {"results": {"candidates": candidates, "pairs": [], "decided": False, "rounds": 3}}
    made |= {"telemetry": {}, "config": {"rounds": 12}}
    (insight,) = insights.find(made)
    assert "characters per token: a 4.00, b 3.00" in insight["text"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"model": ("a",)}, "name two or more different models; named: a"),
        ({"model": ("a", "a")}, "name two or more different models; named: a, a"),
        ({"rank": "speed"}, "--rank: unknown metric 'speed'"),
        ({"rank": "output_sequence_length"}, "--rank: unknown metric 'output_sequence_length'"),
        ({"require": ("speed<1",)}, "--require: 'speed<1': unknown metric 'speed'"),
        ({"prompts": ("nothing",)}, "--prompts: "),
    ],
)
def test_settings_without_a_meaning_are_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        KIND.check(model_of(Bakeoff)(**{"model": ("a", "b"), **asked}))
    assert words in str(caught.value)


def test_quality_is_that_of_the_newest_eval_of_the_same_weights(tmp_path: Path) -> None:
    made = json.loads((golden.HOME / "eval-complete" / "result.json").read_text())
    path = results.write(tmp_path, made)
    about = made["model"]
    same = {"name": "a", "model": {"id": about["id"], "digest": about["digest"]}}
    other = {"name": "b", "model": {"id": about["id"], "digest": "another"}}
    (wanted,) = made["config"]["set"][:1]
    found = quality.of(tmp_path, [same, other], wanted)
    assert found["a"]["path"] == str(path)
    assert (found["a"]["value"] is None) == bool(found["a"]["reason"])
    words = f"there is no complete eval of this set alone: llamaburn eval b --set {wanted}"
    assert found["b"] == {**dict.fromkeys(found["b"]), "reason": words}


def test_quality_leaves_out_evals_of_several_sets_and_damaged_files(tmp_path: Path) -> None:
    made = json.loads((golden.HOME / "eval-complete" / "result.json").read_text())
    (wanted,) = made["config"]["set"][:1]
    made["config"]["set"] = [wanted, "another"]
    path = results.write(tmp_path, made)
    brief = {n: made[n] for n in ("schema", "run_id", "status", "model")}
    path.with_name("damaged.json").write_text(json.dumps({**brief, "results": {}}))
    found = quality.of(tmp_path, [{"name": "a", "model": made["model"]}], wanted)
    assert found["a"]["value"] is None
    assert found["a"]["reason"].startswith("there is no complete eval of this set alone")


def test_table_and_charts_show_ranks_intervals_and_quality(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = held(Fleet({"a": 10.0, "b": 13.0}), monkeypatch, rounds=20)
    known = {"value": 0.5, "ci95": [0.4, 0.6], "measure": "correct", "path": "x", "reason": None}
    for one in found["candidates"]:
        one["quality"] = known
    made = file_of(found, quality="math")
    (sheet,) = table.sheets(made, Path("x.json"))
    assert [row[:2] for row in sheet.rows] == [("1", "a"), ("2", "b")]
    assert sheet.rows[0][2] == "–"
    assert sheet.rows[1][2].startswith("−22.9 % [")
    fitted = grids.text(grids.Table(sheet.columns, sheet.rows, 3, sheet.least, sheet.wrapped), 80)
    assert max(map(len, fitted.splitlines())) <= 80
    pareto, pairs = charts.charts(made)
    assert isinstance(pareto, Plot)
    assert isinstance(pairs, Forest)
    assert [point.label for point in pareto.lines[0].points] == ["a", "b"]
    assert next(charts.cards(made)).value == sheet.rows[0][3]

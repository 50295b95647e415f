"""Rates by depth are those that the server has."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support import single_runs
from support.benchmark_documents import record
from support.rated_server import Rated
from support.single_runs import prepared

from pytest_llamaburn import gates
from pytest_llamaburn.errors import SettingsError, StoppedError
from pytest_llamaburn.kinds._comparable import Choice
from pytest_llamaburn.kinds._counts import counts
from pytest_llamaburn.kinds.depth import charts, comparable, insights, plan, result, table
from pytest_llamaburn.kinds.depth.measures import MEASURES
from pytest_llamaburn.kinds.depth.run import DepthRun
from pytest_llamaburn.kinds.depth.settings import Depth
from pytest_llamaburn.load.prompts import Ruler
from pytest_llamaburn.option import model_of
from pytest_llamaburn.tables import rows_of

DEPTHS = "0,512,2k"
EXACT = 0.005


def settings(**asked: Any) -> Any:
    return model_of(Depth)(**asked)


def measured(rated: Rated, depths: str = DEPTHS, **asked: Any) -> dict[str, Any]:
    """Return what a run finds, with the run itself."""
    run = prepared(DepthRun, rated, depths=depths, **{"iterations": 2, **asked})
    rows = asyncio.run(run.measure("k"))
    facts = run.journal.facts()
    found = result.found(rows, depths, facts["past_context"])
    return {**found, "run": run, "runs": rows, "facts": facts}


def test_rates_at_each_depth_are_the_servers() -> None:
    rated = Rated(read_ms=0.5, write_ms=10, overhead_ms=7, slower=0.001)
    for at in measured(rated)["depths"]:
        slower = 1 + 0.001 * at["depth"]
        assert at["prefill"]["tokens_per_sec"] == pytest.approx(2000 / slower, rel=EXACT)
        assert at["decode"]["p50"] == pytest.approx(100 / slower, rel=EXACT)
        assert at["inter_token_latency_ms"]["p50"] == pytest.approx(10 * slower, rel=EXACT)
        assert at["prefill"]["overhead_ms"] == pytest.approx(7, abs=0.1)
        low, high = at["prefill"]["ci95"]
        assert low <= at["prefill"]["tokens_per_sec"] <= high


def test_the_depth_comes_from_the_cache_and_is_what_was_asked_for() -> None:
    found = measured(Rated())
    for at in found["depths"][1:]:
        assert at["context_tokens"] == pytest.approx(at["depth"], abs=8)
    cached = [row["cached_tokens"] - row["depth"] for row in found["runs"] if row["depth"]]
    assert max(map(abs, cached)) <= 3


def test_a_server_without_a_prompt_cache_has_the_same_rate() -> None:
    for at in measured(Rated(caches=False))["depths"]:
        assert at["prefill"]["tokens_per_sec"] == pytest.approx(2000, rel=EXACT)


def test_a_depth_past_the_loaded_context_has_no_value_but_a_sentence() -> None:
    found = measured(Rated(context=2048))
    assert [row["depth"] for row in found["runs"] if row["depth"] > 512] == []
    deep = found["depths"][2]
    assert deep["prefill"]["tokens_per_sec"] is None
    assert deep["decode"]["mean"] is None
    assert deep["reason"].startswith("past the loaded context of 2048 tokens: it needs 2576; load")


def test_an_overflow_that_nobody_foresaw_is_a_reason_and_is_not_asked_for_again() -> None:
    run = prepared(DepthRun, Rated(context=1024), depths=DEPTHS, iterations=2)
    run.model.context_length = None
    rows = asyncio.run(run.measure("k"))
    assert [row["tokens"] for row in rows if row["depth"] == 2048] == [128]
    deep = result.found(rows, DEPTHS, {})["depths"][2]
    assert deep["reason"].startswith("failed with context_overflow: request (21")


def test_a_prompt_that_the_server_cut_gives_no_rate() -> None:
    run = prepared(DepthRun, Rated(context=1024, overflow="truncates"), depths="2k", iterations=1)
    run.model.context_length = None
    (at,) = result.found(asyncio.run(run.measure("k")), "2k", {})["depths"]
    assert at["prefill"]["tokens_per_sec"] is None
    assert at["reason"] == "the server cut the prompt to 532 tokens: its context is shorter"


def test_a_server_that_tells_nothing_of_its_cache_has_a_rate_but_no_overhead() -> None:
    rows = [{**row, "cached_tokens": None} for row in measured(Rated(), "0,512")["runs"]]
    alone, deep = (at["prefill"] for at in result.found(rows, "0,512", {})["depths"])
    assert deep["tokens_per_sec"] == pytest.approx(2000, rel=0.02)
    assert (alone["overhead_ms"], deep["overhead_ms"]) == (None, None)


def test_requests_that_missed_the_cache_are_left_out_of_the_slope() -> None:
    found = measured(Rated(), "512")
    rows = found["runs"]
    missed = {**rows[0], "cached_tokens": 0, "time_to_first_token_ms": 9e5}
    at = result.found([missed, *rows[1:]], "512", {})["depths"][0]
    assert at["prefill"]["tokens_per_sec"] == pytest.approx(2000, rel=EXACT)
    assert at["prefill"]["n"] == len([row for row in rows if row["part"] == "prefill"]) - 1


def test_one_outlier_hardly_moves_the_slope() -> None:
    rows = measured(Rated(), "0", iterations=3)["runs"]
    rows[0] = {**rows[0], "time_to_first_token_ms": 5000.0}
    at = result.found(rows, "0", {})["depths"][0]
    assert at["prefill"]["tokens_per_sec"] == pytest.approx(2000, rel=0.02)


def test_a_first_token_that_does_not_wait_for_the_prompt_has_no_rate() -> None:
    (at,) = measured(Rated(read_ms=0.0), "0")["depths"]
    assert at["prefill"]["tokens_per_sec"] is None
    assert "does not grow with the prompt" in at["prefill"]["reason"]


def test_a_run_that_ends_early_says_which_depth_is_missing() -> None:
    rows = measured(Rated(), "0")["runs"]
    deep = result.found(rows, "0,512", {})["depths"][1]
    assert deep["reason"].startswith("no request was sent: --budget or an interruption")
    few = result.found(rows[:2], "0", {})["depths"][0]["prefill"]
    assert few["reason"] == "fewer than 3 lengths of prompts gave a time to the first token"


def test_rounds_visit_every_depth_so_that_a_drift_hits_all_alike() -> None:
    rows = measured(Rated())["runs"]
    assert [row["iteration"] for row in rows] == sorted(row["iteration"] for row in rows)
    assert {row["depth"] for row in rows if row["iteration"] == 0} == {0, 512, 2048}


def test_a_resumed_run_sends_only_what_is_missing() -> None:
    first = measured(Rated(), "0,512")["runs"]
    rated = Rated()
    run = prepared(DepthRun, rated, depths="0,512", iterations=2)
    run.take_over(record(first[:-1]))
    sent = len(rated.asked)
    assert len(asyncio.run(run.measure("k"))) == len(first)
    assert len(rated.asked) - sent == 2  # the filling, and the request that was missing


def test_two_calls_in_one_run_each_have_their_own_rows_and_plan() -> None:
    run = prepared(DepthRun, Rated(), depths="0", iterations=1)
    first, second = (asyncio.run(run.measure(key)) for key in ("a", "b"))
    assert len(first) == len(second) == 5
    assert run.journal.lines[-1] == ("planned", {"items": {"b": 5}})


def test_a_budget_ends_the_run_and_its_plan() -> None:
    run = prepared(DepthRun, Rated(), depths="0", budget=1e-9)
    assert asyncio.run(run.measure("k")) == []
    assert run.journal.lines[-1] == ("planned", {"items": {"k": 0}})


def test_a_server_that_always_fails_is_not_asked_for_ever() -> None:
    run = prepared(DepthRun, Rated(), depths="0", iterations=9)
    run.backend.rated.crossing, run.backend.rated.context = "breaks", 1
    run.backend.rated.overflow = "truncates"
    run._questions = lambda places: (run._question(place) for place in places)
    with pytest.raises(StoppedError, match="5 requests in a row failed with context_overflow"):
        asyncio.run(run.measure("k"))


def test_estimate_counts_the_filling_of_each_round() -> None:
    places = plan.places(settings(iterations=2, osl=32), [0, 512])
    seconds = plan.seconds(places, Ruler(20, 1.0, ms_per_token=0.5), token_ms=10)
    read = 2 * (512 + 2 * (128 + 256 + 384 + 512))
    assert seconds == pytest.approx((read * 0.5 + 4 * 32 * 10) / 1000)
    assert plan.seconds(places, Ruler(20, 1.0), 10) is None


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"depths": "0,many"}, "--depths: 'many' is refused: write numbers of tokens"),
        ({"isl": "512,256"}, "--isl: '512,256' is refused: a slope needs at least 3 different"),
        ({"isl": "0,1,2"}, "--isl: '0,1,2' is refused: a slope needs at least 3 different"),
        ({"threshold": ("speed>1",)}, "unknown metric 'speed'"),
        ({"fail_if": ("decode_tokens_per_sec@0:-5%",)}, "--fail-if needs a comparison"),
    ],
)
def test_bad_input_is_one_sentence(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        result.check(settings(**asked))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_depths_are_read_in_tokens_and_in_thousands() -> None:
    assert counts(" 4k,0, 512,0", "--depths") == [0, 512, 4096]


def document(found: dict[str, Any], run_id: str = "a") -> dict[str, Any]:
    config = {"isl": "1,2,3", "osl": 32, "num_ctx": None, "temperature": 0.0}
    facts = {"context": 4096, "other_cpu_share": None}
    found = {"runs": [], **{name: found[name] for name in ("depths", "summary", "runs")}}
    return single_runs.document("depth", found, config, facts, run_id)


def test_gates_name_a_depth() -> None:
    made = document(measured(Rated(slower=0.001)))
    wanted = ("decode_tokens_per_sec@512>60", "prefill_tokens_per_sec@512>1400")
    verdicts = gates.judged(made, MEASURES, (*wanted, "prefill_tokens_per_sec>1990"), "point")
    assert [gate["verdict"] for gate in verdicts] == ["pass", "fail", "pass"]
    (absent,) = gates.judged(made, MEASURES, ("decode_itl_ms@7<1",), "point")
    assert absent["reason"] == "there is no depth 7"
    assert MEASURES["error_rate"].observed(made).value == 0


def test_insights_say_how_much_slower_the_greatest_depth_is() -> None:
    found = insights.find(document(measured(Rated(slower=0.001))))
    texts = {one["id"]: one["text"] for one in found}
    assert texts["slower_with_depth"].startswith(
        "The model writes 67% slower at depth 2048 than at depth 0: 32.8 instead of 100"
    )
    assert "reads 67% slower at depth 2048" in texts["slower_prefill"]
    assert "server_disagrees" not in texts
    assert insights.find(document(measured(Rated()))) == []


def test_no_insight_claims_a_loss_that_the_intervals_leave_open() -> None:
    made = document(measured(Rated(slower=0.001)))
    for at in made["results"]["depths"]:
        at["decode"]["ci95"], at["prefill"]["ci95"] = [10.0, 170.0], None
    assert insights.find(made) == []


def test_an_insight_says_if_the_server_counts_another_rate() -> None:
    made = document(measured(Rated(), "0"))
    made["results"]["depths"][0]["server_decode_tokens_per_sec"] = 150.0
    assert [one["id"] for one in insights.find(made)] == ["server_disagrees"]


def test_table_has_a_row_for_each_depth_and_says_what_is_missing(tmp_path: Any) -> None:
    found = measured(Rated(context=2048))
    (sheet,) = table.sheets(document(found), tmp_path / "f.json")
    assert [row[0] for row in sheet.rows] == ["0", "512", "2048"]
    assert sheet.rows[0][1:4] == ("2,000", "2,000 to 2,000", "100")
    assert sheet.rows[2][1:4] == ("–", "–", "–")
    (absent,) = sheet.sections()["not measured"]
    assert absent.startswith("– depth 2048: past the loaded context of 2048 tokens")
    assert [row["depth"] for row in rows_of(document(found))][:1] == [0]


def test_charts_show_each_rate_over_the_depth() -> None:
    made = document(measured(Rated()))
    assert [plot.title for plot in charts.charts(made)] == [
        "Prefill rate by depth",
        "Decode rate by depth",
    ]
    assert [card.label for card in charts.cards(made)][:2] == [
        "prefill at depth 0",
        "decode at depth 0",
    ]


def test_files_are_compared_at_the_depths_that_both_have() -> None:
    before = document(measured(Rated()), "a")
    after = document(measured(Rated(read_ms=1.0), "0,2k"), "b")
    choice = Choice(
        tuple(comparable.Comparison.column(n, "c") for n in comparable.Comparison.default),
        (comparable.Comparison.gate("decode_tokens_per_sec@512:-5%"),),
    )
    compared = comparable.Comparison([("a", before), ("b", after)], choice)
    columns = compared.planned["B"]
    assert {column.level for column in columns} == {0.0, 2048.0}
    slower = compared.change(compared.others[0], columns[0])
    assert slower.estimate.change == pytest.approx(-0.5, abs=0.01)
    assert compared.absent(choice.gates[0].column) == "the files have no depth 512 in common"
    unnamed = comparable.Comparison.column("decode_tokens_per_sec", "c")
    assert compared.absent(unnamed).startswith("name a depth")


def test_no_estimate_is_made_up_and_a_budget_limits_one() -> None:
    run = prepared(DepthRun, Rated(), budget=60)
    assert run.budgeted(None, 1) == "1 request to tiny: no estimate, the warm-up showed no speed"
    assert run.budgeted(90.4, 2) == "2 requests to tiny: about 60 s"
    assert run.token_ms() is None


def test_the_context_is_the_loaded_one_where_the_server_tells_it() -> None:
    run = prepared(DepthRun, Rated(context=4096))

    async def loaded() -> list[dict[str, Any]]:
        return [{"name": "other", "context_length": 1}, {"name": "tiny", "context_length": 512}]

    assert asyncio.run(run.context()) == 4096
    run.backend.loaded = loaded
    assert asyncio.run(run.context()) == 512


def test_what_has_no_value_has_a_reason_in_gates_and_in_the_table(tmp_path: Any) -> None:
    reasons = {"inter_token_latency_ms": "one_read", "tokens_per_sec": "one_read"}
    none = dict.fromkeys(("inter_token_latency_ms", "tokens_per_sec"))
    rows = measured(Rated(read_ms=0.0), "0")["runs"]
    blank = [{**row, **none, "null_reasons": reasons} for row in rows]
    made = document({**result.found(blank, "0", {}), "runs": rows})
    (sheet,) = table.sheets(made, tmp_path / "f.json")
    assert sheet.sections()["not measured"] == [
        "– prefill at depth 0: the time to the first token does not grow with the prompt",
        "– decode at depth 0: the whole answer came in one read",
    ]
    for name in ("prefill_tokens_per_sec", "decode_tokens_per_sec"):
        assert MEASURES[name].observed(made).value is None
        assert MEASURES[name].observed(made, "mean", 9.0).reason == "there is no depth 9"

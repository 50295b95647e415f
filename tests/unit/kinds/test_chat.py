"""Conversations: the times of their turns are the server's, and so is the end of the context."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from support.benchmark_documents import record
from support.rated_server import Rated
from support.single_runs import document, prepared

from pytest_llamaburn import gates
from pytest_llamaburn.charts import Plot
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds._comparable import Choice
from pytest_llamaburn.kinds.chat import charts, insights, plan, result, table
from pytest_llamaburn.kinds.chat.comparable import Comparison
from pytest_llamaburn.kinds.chat.measures import MEASURES
from pytest_llamaburn.kinds.chat.run import ChatRun
from pytest_llamaburn.kinds.chat.settings import Chat
from pytest_llamaburn.load.prompts import Ruler
from pytest_llamaburn.option import model_of
from pytest_llamaburn.tables import rows_of

CONFIG = {"isl": 64, "osl": 64, "num_ctx": None, "temperature": 0.0, "conversations": 2}
FACTS = {"other_cpu_share": None}


def settings(**asked: Any) -> Any:
    return model_of(Chat)(**asked)


def held(rated: Rated, *, context: int | None = 4096, **asked: Any) -> dict[str, Any]:
    """Return what a run finds; `context` is the length that the server tells."""
    run = prepared(ChatRun, rated, **{"turns": 4, "conversations": 2, **asked})
    run.model.context_length = context
    rows = asyncio.run(run.hold("k"))
    overflow = run.settings.overflow
    return {**result.found(rows, context, overflow=overflow), "runs": rows}


def file_of(found: dict[str, Any], run_id: str = "a") -> dict[str, Any]:
    return document("chat", found, CONFIG, FACTS, run_id)


def test_a_warm_turn_reads_only_its_question() -> None:
    found = held(Rated(read_ms=0.5, overhead_ms=7, write_ms=10))
    for turn in found["turns"][1:]:
        new = turn["context_tokens"] - turn["cached_tokens"]
        assert new == pytest.approx(64, abs=3)
        assert turn["ttft_ms"]["p50"] == pytest.approx(7 + 0.5 * new)
        assert turn["inter_token_latency_ms"]["p50"] == pytest.approx(10)


def test_the_context_grows_by_a_question_and_an_answer_each_turn() -> None:
    tokens = [turn["context_tokens"] for turn in held(Rated())["turns"]]
    grown = [b - a for a, b in itertools.pairwise(tokens)]
    assert grown == pytest.approx([64 + 64 + 2] * 3, abs=1)


def test_a_miss_costs_the_reading_of_all_earlier_turns() -> None:
    turns = held(Rated(read_ms=0.5))["turns"]
    for turn in turns[1:]:
        earlier = turn["cached_tokens"] - 20  # the chat template is always cached
        assert turn["miss_cost_ms"]["mean"] == pytest.approx(0.5 * earlier, abs=2)
    assert turns[0]["miss_cost_ms"]["reason"] == "the first turn has nothing in the cache"
    assert turns[0]["ttft_ms"]["n"] == 2


def test_without_a_cache_a_miss_costs_nothing_and_an_insight_says_so() -> None:
    found = held(Rated(caches=False))
    assert found["turns"][3]["miss_cost_ms"]["mean"] == pytest.approx(0, abs=2)
    (unused,) = insights.find(file_of(found))
    assert unused["text"].startswith(
        "The server did not have the earlier turns in its prompt cache"
    )
    assert unused["evidence"] == {"turns": [2, 3, 4]}


@pytest.mark.parametrize(
    ("rated", "prompt", "answer"),
    [
        (Rated(context=1024), "refuses", "stops"),
        (Rated(context=1024, overflow="truncates", crossing="shifts"), "truncates", "shifts"),
        (Rated(context=1024, crossing="breaks"), "refuses", "breaks off"),
    ],
)
def test_what_the_server_does_at_the_end_of_the_context(
    rated: Rated, prompt: str, answer: str
) -> None:
    found = held(rated, context=1024, turns=2)["overflow"]
    assert (found["prompt"]["behaviour"], found["answer"]["behaviour"]) == (prompt, answer)


def test_a_server_whose_context_is_longer_than_it_tells_accepts_the_prompt() -> None:
    found = held(Rated(context=4096), context=1024, turns=2)["overflow"]
    assert found["prompt"]["behaviour"] == "accepts"
    assert found["answer"]["behaviour"] == "shifts"


def test_the_turn_that_reaches_the_end_is_computed_from_the_growth() -> None:
    found = held(Rated(context=1024), context=1024, turns=3)["overflow"]
    assert (found["turn"], found["turn_measured"]) == (8, False)
    truth = held(Rated(context=1024, crossing="shifts"), context=1024, turns=9, overflow=False)
    assert (truth["overflow"]["turn"], truth["overflow"]["turn_measured"]) == (9, True)


def test_a_prompt_that_becomes_shorter_was_cut() -> None:
    rated = Rated(context=512, overflow="truncates", crossing="shifts")
    found = held(rated, context=512, turns=6, overflow=False)["overflow"]
    assert (found["turn"], found["turn_measured"]) == (5, True)


def test_a_conversation_ends_with_its_first_failure() -> None:
    found = held(Rated(context=300), context=300, turns=6, conversations=1, overflow=False)
    warm = [row for row in found["runs"] if row["part"] == "warm"]
    assert [bool(row["error"]) for row in warm] == [False, False, True]
    assert found["turns"][-1]["ttft_ms"]["reason"] == "failed with context_overflow"


@pytest.mark.parametrize(
    ("asked", "context", "reason"),
    [
        ({}, None, "the server does not tell the length of the context"),
        ({"overflow": False}, 4096, "it was left out with --no-overflow"),
    ],
)
def test_an_end_of_the_context_that_was_not_looked_for_has_a_reason(
    asked: dict[str, Any], context: int | None, reason: str
) -> None:
    found = held(Rated(), context=context, **asked)["overflow"]
    for name in ("prompt", "answer"):
        assert found[name]["behaviour"] is None
        assert found[name]["reason"] == reason


def test_probes_that_say_nothing_have_a_reason() -> None:
    rows = held(Rated(context=1024), context=1024, turns=2)["runs"]
    beyond, crossing = rows[-2:]
    gone = {"kind": "reset", "message": "the server left", "phase": "stream", "status": None}
    uncounted = {**beyond, "error": None, "input_sequence_length": None}
    broken = {**crossing, "error": gone}
    found = result.found([uncounted, broken], 1024, overflow=True)["overflow"]
    assert found["prompt"]["reason"] == "the server did not count the tokens of the prompt"
    assert (found["answer"]["behaviour"], found["answer"]["reason"]) == (
        None,
        "reset: the server left",
    )
    for counts, reason in (
        ({"output_sequence_length": 3}, "the model ended its answer after 3 tokens"),
        ({"output_sequence_length": None}, "the server did not count the tokens"),
    ):
        ended = {**crossing, **counts}
        told = result.found([ended], 1024, overflow=True)["overflow"]["answer"]
        assert told["reason"].startswith(reason)
    cut = {**crossing, "input_sequence_length": 500, "output_sequence_length": 64}
    told = result.found([cut], 1024, overflow=True)["overflow"]
    assert told["answer"]["behaviour"] == "truncates"
    assert told["prompt"]["reason"] == "the run ended before"


def test_a_resumed_conversation_goes_on_where_it_was() -> None:
    first = held(Rated())["runs"]
    rated = Rated()
    run = prepared(ChatRun, rated, turns=4, conversations=2)
    run.take_over(record(first[:3]))
    rows = asyncio.run(run.hold("k"))
    assert [row["input_sequence_length"] for row in rows] == [
        row["input_sequence_length"] for row in first
    ]
    assert rows[3]["cached_tokens"] == pytest.approx(first[3]["cached_tokens"], abs=3)


def test_estimate_counts_what_misses_the_cache() -> None:
    asked = settings(turns=2, conversations=3, isl=10, osl=20)
    seconds = plan.seconds(asked, Ruler(0, 1.0, ms_per_token=2.0), 5.0, 100)
    assert seconds == pytest.approx((3 * (20 + 40) * 2 + 200 * 2 + 3 * 40 * 5) / 1000)
    assert plan.seconds(asked, Ruler(0, 1.0), 5.0, 100) is None
    assert plan.requests(asked) == 3 * 3 + 2


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"threshold": ("speed>1",)}, "unknown metric 'speed'"),
        ({"fail_if": ("turn_ttft_ms@1:-5%",)}, "--fail-if needs a comparison"),
    ],
)
def test_bad_input_is_one_sentence(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        result.check(settings(**asked))
    assert words in str(refused.value)


def test_gates_name_a_turn() -> None:
    made = file_of(held(Rated(read_ms=0.5, overhead_ms=7)))
    wanted = ("turn_ttft_ms@4<50", "miss_ttft_ms@4<50", "miss_cost_ms>100", "turn_itl_ms@9<1")
    verdicts = gates.judged(made, MEASURES, wanted, "point")
    assert [gate["verdict"] for gate in verdicts] == ["pass", "fail", "pass", "undecided"]
    assert verdicts[3]["reason"] == "there is no turn 9"
    assert MEASURES["error_rate"].observed(made).value == 0


def test_insights_say_what_a_miss_costs_and_what_is_lost_in_silence() -> None:
    rated = Rated(context=1024, overflow="truncates")
    found = insights.find(file_of(held(rated, context=1024)))
    assert [one["id"] for one in found] == ["cost_of_a_miss", "silent_truncation"]
    assert found[0]["text"].startswith("In turn 4 a miss of the prompt cache costs 19")


@pytest.mark.parametrize("ci95", [None, [-6.0, 7.0]])
def test_a_cost_that_may_be_noise_is_not_said_to_be_one(ci95: list[float] | None) -> None:
    made = file_of(held(Rated(context=1024), context=1024))
    made["results"]["turns"][-1]["miss_cost_ms"]["ci95"] = ci95
    assert "cost_of_a_miss" not in [one["id"] for one in insights.find(made)]


def test_table_has_a_row_for_each_turn_and_says_what_happens_at_the_end(tmp_path: Any) -> None:
    found = held(Rated(context=1024), context=1024)
    (sheet,) = table.sheets(file_of(found), tmp_path / "f.json")
    assert [row[0] for row in sheet.rows] == ["1", "2", "3", "4"]
    assert sheet.rows[0][4:6] == ("–", "–")
    first, prompt, answer = sheet.sections()["end of the context"]
    assert first == ("context: 1024 tokens; at this growth, turn 8 would reach its end (computed)")
    assert prompt.startswith("prompt past the end of the context: the server refuses it: context_")
    assert "the server ends it after 24 tokens" in answer
    assert [row["turn"] for row in rows_of(file_of(found))][:2] == [1, 2]


def test_table_says_which_turn_reached_the_end_and_why_a_turn_has_no_value(tmp_path: Any) -> None:
    found = held(Rated(context=300), context=300, turns=6, overflow=False)
    (sheet,) = table.sheets(file_of(found), tmp_path / "f.json")
    assert sheet.sections()["end of the context"][0].endswith("turn 3 reached its end")
    assert sheet.sections()["not measured"] == ["– turn 3: failed with context_overflow"]


def test_charts_show_hits_and_misses_over_the_turns() -> None:
    made = file_of(held(Rated()))
    (plot,) = charts.charts(made)
    assert isinstance(plot, Plot)
    assert [line.name for line in plot.lines] == ["earlier turns cached", "cache miss"]
    assert [card.label for card in charts.cards(made)][:3] == [
        "time to first token, turn 1",
        "time to first token, turn 4",
        "cost of a cache miss, turn 4",
    ]


def test_files_are_compared_in_the_turns_that_both_have() -> None:
    before, after = file_of(held(Rated()), "a"), file_of(held(Rated(read_ms=1.0), turns=2), "b")
    columns = tuple(Comparison.column(name, "--columns") for name in Comparison.default)
    choice = Choice(columns, (Comparison.gate("turn_ttft_ms@4:+10%"),))
    compared = Comparison([("a", before), ("b", after)], choice)
    assert [column.level for column in compared.planned["B"]] == [1.0, 1.0, 2.0, 2.0]
    assert compared.absent(choice.gates[0].column) == "the files have no turn 4 in common"
    assert compared.absent(columns[0]).startswith("name a turn")


def test_a_turn_that_cannot_be_computed_is_not_made_up(tmp_path: Any) -> None:
    found = held(Rated(), turns=2, overflow=False)
    uncounted = [{**row, "input_sequence_length": None} for row in found["runs"]]
    unknown = result.found(uncounted, 4096, overflow=False)
    assert unknown["overflow"]["turn"] is None
    (sheet,) = table.sheets(file_of({**unknown, "runs": uncounted}), tmp_path / "f.json")
    assert sheet.sections()["end of the context"][0] == "context: 4096 tokens"
    alone = held(Rated(), turns=1, overflow=False)["overflow"]
    assert (alone["turn"], alone["turn_measured"]) == (None, False)

"""Speeds of embeddings and rankings are the server's, and wrong vectors are noticed."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import single_runs
from support.benchmark_documents import record
from support.embedding_server import Embedder, TimedWire
from support.scripted import settings_for
from support.single_runs import IDENTITY, Journal

from pytest_llamaburn import gates
from pytest_llamaburn.backends import ollama, openai
from pytest_llamaburn.backends._base import Model, Server
from pytest_llamaburn.errors import ServerError, SettingsError
from pytest_llamaburn.kinds._comparable import Choice
from pytest_llamaburn.kinds.embed import (
    charts,
    checking,
    checks,
    comparable,
    insights,
    result,
    table,
)
from pytest_llamaburn.kinds.embed import run as embed_run
from pytest_llamaburn.kinds.embed.measures import MEASURES
from pytest_llamaburn.kinds.embed.run import EmbedRun
from pytest_llamaburn.kinds.embed.settings import Embed
from pytest_llamaburn.option import model_of
from pytest_llamaburn.progress import Silent
from pytest_llamaburn.tables import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BACKENDS = {"openai": openai.Backend, "ollama": ollama.Backend}


def prepared(server: Embedder, kind: str = "openai", **asked: Any) -> Any:
    """Return a run after its warm-up, whose server is this one."""
    settings: Any = model_of(Embed)(
        **{"batch": "1,2,8", "isl": "4,16", "iterations": 2, "warmup": 1, **asked}
    )
    silent: Any = Silent()
    run: Any = EmbedRun(settings, IDENTITY, 0, silent)
    run.backend = BACKENDS[kind](settings_for("http://127.0.0.1:1"))
    run.backend.wire = lambda: TimedWire(server)
    run.backend.loaded = no_list
    run.model = Model("tiny", "tiny", context_length=512)
    run.server = Server(kind, None, "http://127.0.0.1:1", local=True)
    run.profiler = SimpleNamespace(segment="a", has_power=False, phase=lambda _: nullcontext())
    run.journal = Journal()
    asyncio.run(run._warm_up())
    server.asked.clear()
    return run


async def no_list() -> None:
    return None


def measured(server: Embedder, kind: str = "openai", **asked: Any) -> dict[str, Any]:
    """Return what a run finds, with the run itself."""
    run = prepared(server, kind, **asked)
    rows = asyncio.run(run.measure("k"))
    found = result.found(rows, run.settings.model_dump(), run.facts)
    return {**found, "run": run, "runs": rows}


def check_named(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(check for check in found["checks"] if check["name"] == name)


def document(found: dict[str, Any], run_id: str = "a") -> dict[str, Any]:
    config = {"batch": "1,2,8", "isl": "4,16", "rerank": False, "num_ctx": None}
    shown = {name: value for name, value in found.items() if name != "run"}
    return single_runs.document("embed", shown, config, {"other_cpu_share": None}, run_id)


def insight(found: dict[str, Any], name: str) -> str:
    return next(one["text"] for one in insights.find(document(found)) if one["id"] == name)


@pytest.mark.parametrize("kind", BACKENDS)
def test_speed_of_each_batch_and_length_is_the_servers(kind: str) -> None:
    server = Embedder(fixed_ms=5, text_ms=2, token_ms=0.25)
    cells = measured(server, kind)["cells"]
    assert [(c["batch"], c["length"]) for c in cells] == [
        (b, n) for n in (4, 16) for b in (1, 2, 8)
    ]
    for cell in cells:
        batch, tokens = cell["batch"], cell["batch"] * cell["length"]
        latency_ms = 5 + 2 * batch + 0.25 * tokens
        assert cell["latency_ms"]["p50"] == pytest.approx(latency_ms)
        assert cell["texts_per_sec"]["mean"] == pytest.approx(1000 * batch / latency_ms)
        assert cell["tokens_per_sec"]["mean"] == pytest.approx(1000 * tokens / latency_ms)
        assert cell["tokens_per_text"] == cell["length"]
        assert cell["texts_per_sec"]["n"] == cell["requests"] == 2
        assert cell["reason"] is None


def test_right_vectors_pass_all_checks() -> None:
    found = measured(Embedder())
    assert [(check["name"], check["passed"]) for check in found["checks"]] == [
        ("repeat", True),
        ("batch", True),
        ("similarity", True),
    ]
    assert found["vectors"]["dimension"] == 16
    assert found["vectors"]["normalised"]
    assert found["task"] == "embed"
    assert found["length_unit"] == "tokens"


def test_texts_of_timed_requests_are_never_the_same() -> None:
    server = Embedder()
    rows = measured(server)["runs"]
    timed = [text for texts in server.asked[-len(rows) :] for text in texts]
    assert len(timed) == 2 * 2 * (1 + 2 + 8)
    assert len({*timed}) == len(timed)


def test_a_batch_in_another_order_is_noticed() -> None:
    found = measured(Embedder(fault=lambda _, vectors: vectors[::-1]))
    batch = check_named(found, "batch")
    assert batch["passed"] is False
    assert batch["reason"] == "the vectors of a batch come in another order than its texts"
    assert (batch["n"], batch["right"]) == (2 + 8, 0)
    assert check_named(found, "repeat")["passed"]
    assert check_named(found, "similarity")["passed"]


def test_another_vector_in_a_batch_is_noticed_with_its_size() -> None:
    def shifted(_: int, vectors: list[Any]) -> list[Any]:
        return [[v[0] + 0.01, *v[1:]] for v in vectors] if len(vectors) > 1 else vectors

    batch = check_named(measured(Embedder(fault=shifted)), "batch")
    assert batch["passed"] is False
    assert batch["difference"] == pytest.approx(0.01)
    assert batch["reason"] is None


def test_a_vector_that_changes_from_request_to_request_is_noticed() -> None:
    def wanders(number: int, vectors: list[Any]) -> list[Any]:
        return [[v[0] + 0.002 * number, *v[1:]] for v in vectors]

    assert check_named(measured(Embedder(fault=wanders)), "repeat")["passed"] is False


@given(
    offset=st.floats(-0.01, 0.01),
    length=st.floats(1e-3, 1e3),
    vector=st.lists(st.floats(0.1, 1), min_size=2, max_size=8),
)
def test_vectors_are_the_same_up_to_a_thousandth_of_their_length(
    offset: float, length: float, vector: list[float]
) -> None:
    size = sum(number**2 for number in vector) ** 0.5
    first = [length * number / size for number in vector]
    second = [first[0] + offset * length, *first[1:]]
    assert checks.difference(first, second) == pytest.approx(abs(offset), abs=1e-9)
    if abs(abs(offset) - checks.TOLERANCE) > 1e-8:
        assert checks.agree(first, second) == (abs(offset) < checks.TOLERANCE)


def test_vectors_without_meaning_are_no_better_than_chance() -> None:
    found = measured(Embedder(meaning=False))
    similarity = check_named(found, "similarity")
    assert similarity["passed"] is False
    assert similarity["n"] == 16
    assert "which chance could do too" in insight(found, "no_better_than_chance")


def test_a_check_of_few_vectors_is_not_passed_for_the_others() -> None:
    def ends(number: int, vectors: list[Any]) -> list[Any]:
        return vectors if number <= 12 else [[0.0] * 16]

    run = prepared(Embedder(fault=ends))
    asyncio.run(run.check_vectors())
    similarity = check_named(run.facts, "similarity")
    assert (similarity["right"], similarity["n"], similarity["passed"]) == (4, 16, None)
    assert similarity["reason"].startswith("failed with not_a_vector")


@pytest.mark.parametrize(
    ("failing", "passed"),
    [
        ((2,), {"repeat": False}),
        ((3,), {"order": False}),
        ((1,), {"repeat": None, "order": None, "batch": None}),  # nothing to compare with
        (range(1, 29, 4), {"repeat": None, "order": None, "batch": None, "relevance": None}),
    ],
)
def test_a_ranking_that_fails_is_said_of_its_own_checks(
    failing: Sequence[int], passed: dict[str, Any]
) -> None:
    def fails(number: int, scores: list[Any]) -> list[Any]:
        return ["NaN"] * len(scores) if number in failing else scores

    server = Embedder()
    run = prepared(server, rerank=True)
    asyncio.run(run.load_model())
    server.asked.clear()
    server.fault = fails
    asyncio.run(run.check_vectors())
    found = {check["name"]: check for check in run.facts["checks"]}
    assert {name: check["passed"] for name, check in found.items()} == {
        **dict.fromkeys(("repeat", "order", "batch", "relevance"), True),
        **passed,
    }
    for name in ("repeat", "order", "batch"):
        assert (found[name]["reason"] is None) is (found[name]["passed"] is True)


@pytest.mark.parametrize(("length", "words"), [(1e-9, "1e-09 to 1e-09"), (1e149, "1e+149 to")])
def test_vectors_of_any_length_are_said_to_be_that_long(length: float, words: str) -> None:
    found = measured(Embedder(length=length), batch="1", isl="4", iterations=1)
    assert words in insight(found, "not_normalised")


def test_a_server_that_counts_no_tokens_has_no_rate_but_a_reason(tmp_path: Path) -> None:
    found = measured(Embedder(counts=False))
    assert found["length_unit"] == "words"
    for cell in found["cells"]:
        assert cell["tokens_per_sec"]["mean"] is None
        assert cell["tokens_per_sec"]["reason"] == "no_usage"
        assert cell["texts_per_sec"]["n"] == 2
    (sheet,) = table.sheets(document(found), tmp_path / "f.json")
    assert sheet.sections()["not measured"][0] == (
        "– tokens/s: the server sent no token counts, or 0 although there were tokens"
    )


def test_broken_batches_are_failures_and_never_speeds() -> None:
    def loses(_: int, vectors: list[Any]) -> list[Any]:
        return vectors[1:] if len(vectors) == 8 else vectors

    found = measured(Embedder(fault=loses))
    by_batch = {cell["batch"]: cell for cell in found["cells"]}
    assert by_batch[8]["texts_per_sec"]["n"] == 0
    assert by_batch[8]["reason"] == "failed with wrong_count"
    assert by_batch[2]["failed"] == 0
    batch = check_named(found, "batch")
    assert (batch["passed"], batch["right"], batch["n"]) == (False, 2, 10)
    assert "wrong_count: the answer has 7 entries in 'data' for 8 texts" in batch["reason"]
    assert {row["error"]["kind"] for row in found["runs"] if row["error"]} == {"wrong_count"}


def test_a_dimension_that_changes_during_a_run_is_a_failure() -> None:
    def shrinks(number: int, vectors: list[Any]) -> list[Any]:
        return [v[:9] for v in vectors] if number in (57, 58) else vectors

    rows = measured(Embedder(fault=shrinks))["runs"]
    failed = [row for row in rows if row["error"]]
    assert len(failed) == 2
    assert {row["error"]["kind"] for row in failed} == {"ragged_vectors"}
    assert failed[0]["error"]["message"] == "the vectors have 9 numbers, those before 16"


def test_a_text_that_does_not_fit_is_not_sent_again() -> None:
    found = measured(Embedder(context=512), isl="4,1k", batch="1,2", iterations=2)
    assert [row["length"] for row in found["runs"]] == [4, 4, 1024, 4, 4]
    assert [cell["reason"] for cell in found["cells"][2:]] == [
        "failed with context_overflow",
        "not sent: a text of this length did not fit into the context",
    ]


def test_a_server_that_cuts_texts_is_noticed_by_its_count() -> None:
    class Cutting(Embedder):
        def _written(self, fields: dict[str, Any], tokens: int | None) -> Any:
            return super()._written(fields, tokens and min(tokens, 200))

    found = measured(Cutting(), isl="4,300", batch="1", iterations=1)
    assert [row["flags"] for row in found["runs"]] == [[], ["truncated_prompt"]]
    assert "cut the texts of 1 of 2 requests" in insight(found, "texts_cut")


def test_reranking_is_measured_and_checked() -> None:
    server = Embedder()
    found = measured(server, rerank=True)
    assert found["task"] == "rerank"
    assert found["vectors"] is None
    passed = {check["name"]: check["passed"] for check in found["checks"]}
    assert passed == dict.fromkeys(("repeat", "order", "batch", "relevance"), True)
    (cell,) = (c for c in found["cells"] if (c["batch"], c["length"]) == (8, 4))
    assert cell["latency_ms"]["p50"] == 5 + 2 * 8 + 0.25 * 8 * 4


def test_scores_that_depend_on_the_order_of_the_documents_are_noticed() -> None:
    def by_place(_: int, scores: list[Any]) -> list[Any]:
        return [score + place / 100 for place, score in enumerate(scores)]

    found = measured(Embedder(fault=by_place), rerank=True)
    assert check_named(found, "order")["passed"] is False
    assert check_named(found, "repeat")["passed"]
    assert check_named(found, "relevance")["passed"]
    assert "failed the check 'batch'" in insight(found, "vectors_differ")


def test_a_reranker_that_ranks_at_random_is_no_better_than_chance() -> None:
    relevance = check_named(measured(Embedder(meaning=False), rerank=True), "relevance")
    assert relevance["passed"] is False
    assert relevance["n"] == 8


def test_a_server_that_only_reranks_is_found_by_its_answers() -> None:
    assert measured(Embedder(embeds=False))["task"] == "rerank"


@pytest.mark.parametrize(
    ("kind", "asked", "words"),
    [
        (
            "openai",
            {},
            "embeds no text: unsupported (501): This server does not support embeddings",
        ),
        ("openai", {"rerank": True}, "reranks no documents: unsupported (501): This server does"),
        ("ollama", {"rerank": True}, "reranks no documents: ollama has no endpoint for it; use"),
    ],
)
def test_a_model_that_does_not_embed_is_told_by_its_first_refusal(
    kind: str, asked: dict[str, Any], words: str
) -> None:
    server = Embedder(embeds=False, reranks=False)
    with pytest.raises(ServerError) as refused:
        prepared(server, kind, **asked)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_resumed_run_sends_only_what_is_missing() -> None:
    first = measured(Embedder(fault=lambda _, vectors: vectors[::-1]))
    server = Embedder()
    run = prepared(server)
    journal = first["run"].journal.facts()
    run.take_over(record(first["runs"][:-2], facts=journal))
    assert len(asyncio.run(run.measure("k"))) == len(first["runs"])
    assert len(server.asked) == 2
    assert check_named(run.facts, "batch")["passed"] is False  # as it was found before


@pytest.mark.parametrize("asked", [{}, {"batch": "1"}, {"rerank": True}])
def test_as_many_requests_check_as_the_estimate_says(asked: dict[str, Any]) -> None:
    server = Embedder()
    run = prepared(server, **asked)
    if run.settings.rerank:
        asyncio.run(run.load_model())
        server.asked.clear()
    foreseen = checking.requests(run)
    asyncio.run(run.check_vectors())
    assert sorted(map(len, server.asked)) == sorted(cell.batch for cell in foreseen)


def test_the_time_of_the_checks_is_part_of_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepared(Embedder(), budget=60.0)
    now = iter((0.0, 61.0))  # the checks take longer than the budget
    monkeypatch.setattr(embed_run, "perf_counter", lambda: next(now))
    assert asyncio.run(run.measure("k")) == []
    assert len(run.facts["checks"]) == 3


def test_a_budget_ends_the_run_and_the_estimate_is_known_before() -> None:
    run = prepared(Embedder(), budget=1e-9)
    assert asyncio.run(run.measure("k")) == []
    assert run.journal.lines[-1] == ("planned", {"items": {"k": 0}})
    free = prepared(Embedder(fixed_ms=500, text_ms=100, token_ms=10), iterations=3)
    said: list[str] = []
    free._progress.say = said.append
    asyncio.run(free.measure("k"))
    # 62 texts of about 10 tokens in 54 requests: 39 s; then 22 s
    assert said == ["54 requests of the checks, then 18 requests to tiny: about 62 s"]
    uncounted = prepared(Embedder(fixed_ms=500, text_ms=100, token_ms=10, counts=False))
    assert uncounted._speed == pytest.approx((500, 100, 10))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"batch": "one"}, "--batch: 'one' is refused: write numbers of texts, as 1,8,32"),
        (
            {"batch": "0,4"},
            "--batch: '0,4' is refused: each number of texts must be from 1 to 4096",
        ),
        ({"isl": "0"}, "--isl: '0' is refused: each number of tokens must be from 1 to 1000000"),
        ({"isl": ""}, "--isl: '' is refused: write numbers of tokens"),
        ({"batch": "4k", "iterations": 10_000}, "--iterations: 10000 is refused: it makes"),
        ({"threshold": ("speed>1",)}, "unknown metric 'speed'"),
        ({"fail_if": ("texts_per_sec@32:-5%",)}, "--fail-if needs a comparison"),
    ],
)
def test_bad_input_is_one_sentence(asked: dict[str, Any], words: str) -> None:
    settings: Any = model_of(Embed)(**asked)
    with pytest.raises(SettingsError) as refused:
        result.check(settings)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_gates_name_a_batch_and_the_checks() -> None:
    made = document(measured(Embedder(fault=lambda _, vectors: vectors[::-1])))
    wanted = ("texts_per_sec@8>200", "embed_latency_ms@1<8", "texts_per_sec.mean>275")
    verdicts = gates.judged(made, MEASURES, (*wanted, "checks_failed<1"), "point")
    assert [gate["verdict"] for gate in verdicts] == ["pass", "fail", "pass", "fail"]
    (absent,) = gates.judged(made, MEASURES, ("texts_per_sec@7>1",), "point")
    assert absent["reason"] == "there is no batch of 7"
    (other,) = gates.judged(made, MEASURES, ("relevance_share>0.5",), "point")
    assert other["reason"] == "the check 'relevance' was not made"
    assert MEASURES["similarity_share"].observed(made).value == 1
    assert MEASURES["error_rate"].observed(made).value == 0


def test_insights_say_what_batches_bring() -> None:
    pays = measured(Embedder(fixed_ms=50, text_ms=1))
    assert insight(pays, "worth_of_batches") == (
        "Batches pay: a request with 8 texts handles 6.3 times as many texts/s as one with 1, "
        "121 instead of 19.2."
    )
    little = measured(Embedder(fixed_ms=0.1, text_ms=20))
    assert insight(little, "worth_of_batches").startswith(
        "Batches bring little: a request with 8 texts handles 1.0 times as many texts/s"
    )
    assert "they are 3 to 3 long" in insight(measured(Embedder(length=3.0)), "not_normalised")


def test_table_has_a_row_for_each_cell_and_a_warning_for_a_failed_check(tmp_path: Path) -> None:
    found = measured(Embedder(fault=lambda _, vectors: vectors[::-1]))
    (sheet,) = table.sheets(document(found), tmp_path / "f.json")
    assert [row[:2] for row in sheet.rows][:3] == [("1", "4"), ("2", "4"), ("8", "4")]
    assert sheet.rows[0][2] == "125"
    assert sheet.warnings == ("the check 'batch' failed",)
    assert sheet.sections()["checks"][1].startswith(
        "failed: a batch gives what single requests give: 0 of 10 (largest difference "
    )
    assert "vectors of 16 numbers, normalised" in sheet.facts
    assert len([*rows_of(document(found))]) == len(found["runs"])


def test_charts_show_speed_and_latency_by_batch() -> None:
    made = document(measured(Embedder()))
    plots: list[Any] = [*charts.charts(made)]
    assert [plot.title for plot in plots] == ["Speed by batch size", "Latency by batch size"]
    assert [line.name for line in plots[0].lines] == ["4 tokens", "16 tokens"]
    assert [card.label for card in charts.cards(made)] == [
        "texts per second, batch 8, 4 tokens",
        "latency of a request, p50",
        "checks that passed",
        "requests that succeeded",
    ]


def test_files_are_compared_at_the_batches_that_both_have() -> None:
    before = document(measured(Embedder()), "a")
    after = document(measured(Embedder(fixed_ms=14, text_ms=4), batch="1,8"), "b")
    choice = Choice(
        tuple(comparable.Comparison.column(n, "c") for n in comparable.Comparison.default),
        (comparable.Comparison.gate("texts_per_sec@2:-5%"),),
    )
    compared = comparable.Comparison([("a", before), ("b", after)], choice)
    columns = compared.planned["B"]
    assert {column.level for column in columns} == {1.0, 8.0}
    change = compared.change(compared.others[0], columns[0])
    assert change.estimate.change == pytest.approx(8 / 19 - 1)
    assert compared.absent(choice.gates[0].column) == "the files have no batch of 2 in common"


def test_a_file_without_any_request_says_so() -> None:
    found = result.found([], {"batch": "1", "isl": "4"}, {})
    assert found["cells"][0]["reason"].startswith("no request was sent")
    assert found["checks"] == []
    assert MEASURES["checks_failed"].observed({"results": found}).reason == "no check was made"

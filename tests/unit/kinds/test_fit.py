"""What fits in memory: the prediction is llama.cpp's, the edge is the GPU's."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support import single_runs
from support.gpu_server import INFO, PER_TOKEN, TENSORS, Gpu, GpuBackend, taken
from support.single_runs import IDENTITY, Journal

from pytest_llamaburn import gates
from pytest_llamaburn.backends._base import Held, Model, Server
from pytest_llamaburn.backends._gguf import Header, tensor_bytes
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds._comparable import Choice
from pytest_llamaburn.kinds.fit import (
    charts,
    comparable,
    foresight,
    insights,
    memory,
    plan,
    prediction,
    result,
    table,
)
from pytest_llamaburn.kinds.fit.documents import NOTHING
from pytest_llamaburn.kinds.fit.measures import MEASURES
from pytest_llamaburn.kinds.fit.prediction import Asked
from pytest_llamaburn.kinds.fit.run import FitRun
from pytest_llamaburn.kinds.fit.settings import Fit
from pytest_llamaburn.option import model_of
from pytest_llamaburn.progress import Silent
from pytest_llamaburn.store.journal import Record
from pytest_llamaburn.tables import rows_of

MIB = 1 << 20
SIZES: dict[str, int | None] = {t["name"]: tensor_bytes(t["type"], t["shape"]) for t in TENSORS}
HEADER = Header(INFO, SIZES)
GB = 10**9


def llama(layers: int, embedding: int, inner: int, heads: int, kv_heads: Any) -> dict[str, Any]:
    return {
        "general.architecture": "llama",
        "llama.block_count": layers,
        "llama.embedding_length": embedding,
        "llama.feed_forward_length": inner,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": kv_heads,
        "llama.vocab_size": 49152,
    }


# The sizes in MiB that llama.cpp's log gave for models of these shapes: KV, compute and output.
LOGGED = [
    (llama(30, 576, 1536, 9, 3), 512, 11.25, 15.14 + 0.19),
    (llama(30, 576, 1536, 9, 3), 4096, 90.0, 18.64 + 0.19),
    (llama(30, 576, 1536, 9, 3), 32768, 720.0, 46.64 + 0.19),
    (llama(4, 256, 512, 4, 4), 512, 2.0, 6.02 + 0.19),
    (llama(4, 256, 2048, 8, 2), 4096, 4.0, 18.52 + 0.19),
    (llama(6, 512, 1024, 8, 1), 4096, 6.0, 15.02 + 0.19),
]


@pytest.mark.parametrize(("keys", "num_ctx", "kv", "compute"), LOGGED)
def test_prediction_is_what_llama_cpp_logs(
    keys: dict[str, Any], num_ctx: int, kv: float, compute: float
) -> None:
    wanted: Any = prediction.need(prediction.shape(Header(keys, {"a": 1000})), Asked(num_ctx))
    assert wanted.kv == kv * MIB
    assert wanted.compute == pytest.approx(compute * MIB, rel=0.005)
    assert wanted.total == 1000 + wanted.kv + wanted.compute


def test_cache_types_and_slots_change_the_cache_and_nothing_else() -> None:
    model = prediction.shape(HEADER)
    plain, half, two = (
        prediction.need(model, asked)
        for asked in (Asked(4096), Asked(4096, kv_type="q8_0"), Asked(4096, slots=2))
    )
    assert plain.kv == 4096 * PER_TOKEN
    assert half.kv == plain.kv * 34 / 64
    assert two.kv == 2 * plain.kv
    assert plain.compute == half.compute == two.compute
    assert prediction.need(model, Asked(4097)).kv == (4096 + 256) * PER_TOKEN


def test_a_number_of_heads_for_each_layer_is_taken_layer_by_layer() -> None:
    model = prediction.shape(Header(llama(3, 256, 512, 4, [4, 2, 0]), {"a": 1}))
    assert model.kv_bytes_per_token("f16") == (4 + 2 + 0) * 2 * 64 * 2
    assert foresight.shortened(model.kv_heads) == [4, 2, 0]


def test_a_head_of_another_length_than_the_embedding_says_is_taken() -> None:
    keys = {**llama(2, 256, 512, 4, 2), "llama.attention.key_length": 128}
    keys["llama.attention.value_length"] = 32
    assert prediction.shape(Header(keys, {})).kv_bytes_per_token("f16") == 2 * 2 * (128 + 32) * 2


def test_the_table_of_inputs_is_not_on_the_gpu_unless_it_is_the_output_too() -> None:
    keys = llama(1, 256, 512, 4, 4)
    sizes = {"token_embd.weight": 700, "blk.0.attn_q.weight": 50, "blk.0.attn_k.weight": 30}
    tied = prediction.need(prediction.shape(Header(keys, sizes)), Asked(512))
    apart = prediction.shape(Header(keys, {**sizes, "output.weight": 700}))
    own: Any = prediction.need(apart, Asked(512))
    assert tied.total == tied.gpu
    assert own.total - own.gpu == 700
    assert apart.layer_bytes == 80


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"llama.block_count": None}, "the metadata lack llama.block_count"),
        ({"llama.block_count": "four"}, "the metadata lack llama.block_count"),
        ({"llama.attention.head_count": None, "llama.attention.head_count_kv": None}, "head_count"),
        ({"llama.attention.head_count_kv": [1, 2]}, None),
        ({"llama.embedding_length": 0}, "lack llama.embedding_length or attention.key_length"),
        ({"llama.attention.sliding_window": 1024}, "keep only a sliding window"),
        ({"llama.attention.kv_lora_rank": 512}, "compressed keys and values (MLA)"),
        ({"llama.ssm.state_size": 16}, "keep a state instead"),
        ({"general.architecture": "strange"}, "what the layers of the architecture strange keep"),
        ({"general.architecture": None}, "do not name the model's architecture"),
        ({"llama.attention.causal": False}, "it is an encoder"),
    ],
)
def test_metadata_that_leave_the_cache_open_give_a_reason_not_a_number(
    changed: dict[str, Any], words: str | None
) -> None:
    model = prediction.shape(Header({**INFO, **changed}, SIZES))
    wanted = prediction.need(model, Asked(4096))
    if words is None:  # without a number of KV heads, each head has its own
        assert model.kv_heads == model.heads
        return
    assert words in str(model.reason)
    assert (wanted.kv, wanted.compute, wanted.total, wanted.gpu) == (None,) * 4


def test_a_cache_type_whose_blocks_do_not_divide_a_row_is_not_possible() -> None:
    model = prediction.shape(Header(llama(1, 20, 40, 1, 1), {"a": 1}))
    assert model.kv_bytes_per_token("q8_0") is None
    assert prediction.need(model, Asked(512, kv_type="q8_0")).total is None


def test_tensors_of_an_unknown_type_leave_the_weights_open() -> None:
    model = prediction.shape(Header(INFO, {**SIZES, "odd": None}))
    assert model.weights_bytes is None
    assert prediction.need(model, Asked(512)).total is None


@settings(max_examples=300)
@example(first=64, longest=2625, edge=64, truth=2560, beyond=plan.SPILLS)
@given(
    first=st.integers(64, 5000),
    longest=st.integers(64, 300_000),
    edge=st.sampled_from([64, 256, 1024]),
    truth=st.integers(0, 310_000),
    beyond=st.sampled_from([plan.SPILLS, plan.FAILED, plan.RAM]),
)
def test_the_edge_is_found_wherever_it_is(
    first: int, longest: int, edge: int, truth: int, beyond: str
) -> None:
    first = min(first, longest)
    search: Any = plan.Search(first, longest, edge)
    while (num_ctx := search.next()) is not None:
        assert num_ctx not in search.places
        search.tell(num_ctx, plan.GPU if num_ctx <= truth else beyond)
    assert len(search.places) <= plan.most(first, longest, edge)
    never = beyond == plan.RAM and truth < first  # then there is no GPU
    if truth >= longest or never:
        assert (search.largest, search.beyond) == (longest, None)
    elif search.largest is not None:
        assert search.largest <= truth < search.beyond
        assert search.beyond - search.largest <= edge
    else:
        assert truth < min(edge, first)


def run_of(gpu: Gpu, sight: Any = None, **asked: Any) -> Any:
    """Return a run after its preparations, on this machine."""
    settings: Any = model_of(Fit)(**{"warmup": 0, "max_ctx": 32768, **asked})
    run: Any = FitRun(settings, IDENTITY, 0, cast("Any", Silent()))
    run.backend = GpuBackend(gpu, settings)
    run.server = Server("ollama", None, "http://127.0.0.1:1", local=True)
    run.model = Model("tiny", "tiny", context_length=32768)
    run.profiler = SimpleNamespace(segment="a", has_power=False)
    run.journal = Journal()
    run.foreseen = sight or seen(settings)
    run.check()
    run.room.left = lambda: 20 * GB
    run.room.reserve = GB
    return run


def seen(settings: Any, header: Header = HEADER, **facts: Any) -> Any:
    shape = prediction.shape(header)
    known = {**NOTHING, "context_length": 32768, "layers": 4, "weights_bytes": 1}
    per_token = {kv: shape.kv_bytes_per_token(kv) for kv in settings.kv_type}
    about = {"kv_bytes_per_token": per_token, "memory": "ram", "memory_bytes": 19 * GB}
    return {"shape": shape, "facts": {**known, **about, "reason": shape.reason, **facts}}


def measured(gpu: Gpu, **asked: Any) -> dict[str, Any]:
    """Return what a run finds, with the run itself."""
    run = run_of(gpu, **asked)
    rows = asyncio.run(run.measure("k"))
    return {**result.found(rows, run.steps, run.foreseen, run.ends), "run": run, "runs": rows}


def document(found: dict[str, Any], run_id: str = "a") -> dict[str, Any]:
    config = {"osl": 32, "slots": 1, "reserve": 0.1, "kv_type": ["f16"], "edge": 256}
    kept = ("foreseen", "series", "steps", "summary", "runs")
    facts = {"other_cpu_share": None, **found["run"].journal.facts()}
    return single_runs.document("fit", {n: found[n] for n in kept}, config, facts, run_id)


@pytest.mark.parametrize("holds", [2048, 4096, 9472, 17664, 20224])
def test_the_largest_context_on_the_gpu_is_found_exactly(holds: int) -> None:
    (series,) = measured(Gpu(holds=holds), edge=256)["series"]
    assert series["memory"] == "gpu"
    assert (series["largest_context"], series["beyond"]) == (holds, holds + 256)
    assert series["reason"].startswith(f"with {holds + 256} tokens, 25.0% of the memory is not on")


def test_what_the_spill_costs_is_what_the_server_loses() -> None:
    found = measured(Gpu(holds=8192, fast_ms=10, slower=2.5), edge=256)
    (series,) = found["series"]
    assert series["spill_loss"] == pytest.approx(1 - 1 / 2.5, rel=1e-6)
    low, high = series["spill_loss_ci95"]
    assert low <= series["spill_loss"] <= high
    rates = {step["num_ctx"]: step["decode"]["mean"] for step in found["steps"]}
    assert rates[8192] == pytest.approx(100, rel=1e-6)
    assert rates[16384] == pytest.approx(1000 / (10 * 2.5**2), rel=1e-6)


def test_prediction_and_size_stand_side_by_side() -> None:
    for step in measured(Gpu())["steps"]:
        assert step["total_bytes"] == taken(step["num_ctx"])
        assert step["difference"] == pytest.approx(0, abs=1e-6)


def test_without_a_gpu_the_search_is_for_ram() -> None:
    (series,) = measured(Gpu(holds=None), max_ctx=8192)["series"]
    assert (series["memory"], series["largest_context"], series["beyond"]) == ("ram", 8192, None)
    assert series["reason"] == "the longest context fits"
    assert series["spill_loss"] is None


def test_a_context_that_would_leave_too_little_ram_is_not_loaded() -> None:
    gpu = Gpu(holds=None)
    run = run_of(gpu, edge=256)
    run.room.left = lambda: GB + taken(10240)
    rows = asyncio.run(run.measure("k"))
    found = result.found(rows, run.steps, run.foreseen, run.ends)
    (series,) = found["series"]
    assert (series["largest_context"], series["beyond"]) == (10240, 10496)
    assert max(gpu.loads) == 10240
    assert "must stay free (--reserve)" in series["reason"]
    refused = [step for step in found["steps"] if step["place"] == plan.REFUSED]
    assert {step["decode"]["n"] for step in refused} == {0}
    assert {step["load_ms"] for step in refused} == {None}


def test_without_a_prediction_the_steps_before_say_what_the_next_takes() -> None:
    gpu = Gpu(holds=None)
    odd = Header({**INFO, "llama.attention.sliding_window": 512}, SIZES)
    run = run_of(gpu, edge=256)
    run.foreseen = seen(run.settings, odd)
    run.room.left = lambda: GB + taken(10240)
    asyncio.run(run.measure("k"))
    assert max(gpu.loads) == 10240
    assert {step["foreseen"]["total"] for step in run.steps} == {None}


def test_the_memory_of_a_gpu_is_not_asked_of_the_ram() -> None:
    gpu = Gpu(holds=32768)
    run = run_of(gpu)
    run.foreseen = seen(run.settings, memory="gpu", memory_bytes=taken(32768))
    run.room.left = lambda: GB
    asyncio.run(run.measure("k"))
    assert max(gpu.loads) == 32768


def test_a_context_that_cannot_be_loaded_is_past_the_edge() -> None:
    found = measured(Gpu(holds=None, breaks=6000), edge=256)
    (series,) = found["series"]
    assert (series["largest_context"], series["beyond"]) == (5888, 6144)
    assert series["reason"] == "with 6144 tokens: the server is out of memory"


def test_a_size_that_the_server_does_not_tell_is_null_with_its_reason() -> None:
    run = run_of(Gpu(), max_ctx=4096)

    async def silent(_: Model) -> Held:
        return Held(reason="the server does not say")

    run.backend.held = silent
    rows = asyncio.run(run.measure("k"))
    found = result.found(rows, run.steps, run.foreseen, run.ends)
    assert {step["total_bytes"] for step in found["steps"]} == {None}
    assert {step["place"] for step in found["steps"]} == {plan.LOADED}
    assert found["series"][0]["memory"] == "unknown"
    missing = MEASURES["memory_mb"].observed({"results": found})
    assert missing.reason == "the server does not say"
    assert found["steps"][0]["decode"]["n"] == 3


def test_a_server_that_loads_at_its_start_has_one_step() -> None:
    run = run_of(Gpu())
    run.backend.can_unload = False
    run.model.context_length = 4096
    run.settings = run.backend.settings = run.settings.model_copy(update={"num_ctx": 4096})
    asyncio.run(run.measure("k"))
    assert [step["num_ctx"] for step in run.steps] == [4096]
    assert run.backend.gpu.loads == []
    assert "one context only" in run.journal.facts()["limit"]


def test_memory_of_another_machine_is_only_risked_if_the_user_says_so() -> None:
    for asked, tried in (({"max_ctx": None}, [2048]), ({"max_ctx": 4096}, [2048, 4096])):
        run = run_of(Gpu(holds=None), **asked)
        run.server = run.server._replace(local=False)
        run.check()
        asyncio.run(run.measure("k"))
        assert [step["num_ctx"] for step in run.steps] == tried
        assert {step["left_bytes"] for step in run.steps} == {None}
    assert "limit" not in run.journal.facts()


def test_a_resumed_run_loads_only_what_is_missing() -> None:
    first = measured(Gpu(), edge=1024)
    lines = [fields for kind, fields in first["run"].journal.lines if kind == "step"]
    gpu = Gpu()
    run = run_of(gpu, edge=1024)
    rows = [row for row in first["runs"] if row["num_ctx"] != 32768]
    kept = [line for line in lines if line["num_ctx"] != 32768]
    run.take_over(Record(None, 0, rows, {}, [], interrupted=False, others={"step": kept}))
    assert len(asyncio.run(run.measure("k"))) == len(first["runs"])
    assert gpu.loads == [32768]
    assert [step["num_ctx"] for step in run.steps] == [line["num_ctx"] for line in lines]


def test_a_run_that_ends_early_says_that_the_edge_is_open() -> None:
    found = measured(Gpu(), budget=1e-9)
    assert found["series"] == []
    run = found["run"]
    search_of = result.found([], run.steps, run.foreseen, run.ends)
    assert MEASURES["largest_context"].observed({"results": search_of}).reason == (
        "no context was tried"
    )
    whole = measured(Gpu())
    part = [step for step in whole["run"].steps if step["num_ctx"] <= 16384][:3]
    (series,) = result.found([], part, whole["run"].foreseen, (2048, 32768, 256))["series"]
    assert series["reason"].startswith("the run ended before the edge was found")


def test_answers_that_all_fail_put_the_context_past_the_edge() -> None:
    run = run_of(Gpu(holds=None), max_ctx=4096, edge=2048)
    run.backend.rated.crossing, run.backend.rated.context = "breaks", 30
    asyncio.run(run.measure("k"))
    assert {step["place"] for step in run.steps} == {plan.FAILED}
    assert run.steps[0]["reason"].startswith("failed with context_overflow: ")


def test_a_second_call_finds_the_same_steps_and_loads_nothing() -> None:
    run = run_of(gpu := Gpu(holds=8192))
    first = asyncio.run(run.measure("a"))
    loads, steps = [*gpu.loads], run.steps
    assert asyncio.run(run.measure("b")) == first
    assert (gpu.loads, run.steps) == (loads, steps)


def test_several_cache_types_are_searched_one_after_another() -> None:
    run = run_of(Gpu(), max_ctx=4096)
    run.server = run.server._replace(kind="embedded")
    run.settings = run.settings.model_copy(update={"kv_type": ("f16", "q8_0")})
    run.check()
    asyncio.run(run.measure("k"))
    tried = [(step["kv_type"], step["num_ctx"]) for step in run.steps]
    assert tried == [("f16", 2048), ("f16", 4096), ("q8_0", 2048), ("q8_0", 4096)]
    assert run.backend.options == {"kv_type": "q8_0", "log_level": 4}


def test_a_load_that_takes_the_reserve_is_stopped() -> None:
    room: Any = memory.Room(0.5)
    room.left = lambda: 0
    ended = []

    async def load() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    with pytest.raises(memory.TooFullError, match=r"loading was stopped: less than .* were left"):
        asyncio.run(room.watched(load()))
    assert ended == [True]


def test_a_load_within_the_memory_returns_what_it_returns() -> None:
    async def load() -> str:
        await asyncio.sleep(0)
        return "loaded"

    assert asyncio.run(memory.Room(0.01).watched(load())) == "loaded"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"kv_type": ("f99",)}, "--kv-type: 'f99' is refused: use a type such as f16"),
        ({"num_ctx": 8192, "max_ctx": 4096}, "--num-ctx: 8192 is refused: the first context"),
        ({"threshold": ("speed>1",)}, "unknown metric 'speed'"),
        ({"fail_if": ("memory_mb@2048:-5%",)}, "--fail-if needs a comparison"),
    ],
)
def test_bad_input_is_one_sentence(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        result.check(cast("Any", model_of(Fit)(**asked)))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_gates_name_a_context() -> None:
    made = document(measured(Gpu(holds=8192), edge=256))
    wanted = ("largest_context>=8192", "memory_mb@4096<1", "step_tokens_per_sec@16384<30")
    verdicts = gates.judged(made, MEASURES, (*wanted, "prediction_error<5%"), "certain")
    assert [gate["verdict"] for gate in verdicts] == ["pass", "fail", "pass", "pass"]
    for name in ("memory_mb", "step_tokens_per_sec"):
        assert MEASURES[name].observed(made, None, 7.0).reason == "no context of 7 was tried"
    assert MEASURES["error_rate"].observed(made).value == 0
    assert MEASURES["spill_loss"].observed(made).value == pytest.approx(0.5, rel=1e-6)
    none: Any = {"results": {"series": [], "steps": [], "runs": []}}
    assert MEASURES["prediction_error"].observed(none).value is None
    assert MEASURES["memory_mb"].observed(none).reason == "no context was tried"


def test_insights_name_the_cost_of_the_spill_and_a_wrong_prediction() -> None:
    made = document(measured(Gpu(holds=8192), edge=256))
    texts = {one["id"]: one["text"] for one in insights.find(made)}
    assert texts["spill_cost"].startswith(
        "With 8448 tokens of context a part of the model leaves the GPU, and it writes 50% slower."
    )
    assert "prediction_off" not in texts
    made["results"]["steps"][0]["difference"] = -0.2
    made["results"]["steps"][0]["place"] = plan.REFUSED
    made["results"]["series"][0]["spill_loss_ci95"] = [-0.1, 0.9]
    texts = {one["id"]: one["text"] for one in insights.find(made)}
    assert "With 2048 tokens the prediction differs by -20%" in texts["prediction_off"]
    assert texts["stopped_by_reserve"].startswith("2048 tokens of context would leave less RAM")
    assert "spill_cost" not in texts


def test_table_has_a_row_for_each_context_and_says_where_the_edge_is(tmp_path: Any) -> None:
    made = document(measured(Gpu(holds=8192), edge=256))
    (sheet,) = table.sheets(made, tmp_path / "f.json")
    assert [row[0] for row in sheet.rows][:3] == ["2048", "4096", "8192"]
    assert sheet.rows[0][1:8] == ("f16", "GPU", "31.0", "31.0", "+0.0%", "100%", "100")
    assert {row[2] for row in sheet.rows} == {"GPU", "GPU and RAM", "RAM"}
    (largest,) = sheet.sections()["largest context"]
    assert largest.startswith(
        "KV cache f16: 8192 tokens wholly on the GPU; with 8448 tokens, 25.0%"
    )
    assert largest.endswith(", and it writes 50% (50% to 50%) slower")
    assert len([*rows_of(made)]) == 3 * len(sheet.rows)


def test_table_says_why_there_is_no_size_rate_or_longer_context(tmp_path: Any) -> None:
    found = measured(Gpu(holds=None, breaks=1024), max_ctx=4096, edge=4096)
    made = document(found)
    made["telemetry"]["limit"] = "because"
    made["results"]["foreseen"] = {**made["results"]["foreseen"], "reason": "odd"}
    (sheet,) = table.sheets(made, tmp_path / "f.json")
    assert sheet.sections()["not measured"] == [
        "– context 2048, KV cache f16: the server is out of memory",
        "– other contexts: because",
    ]
    assert sheet.sections()["prediction"] == ["no prediction: odd"]
    assert sheet.sections()["largest context"] == [
        "KV cache f16: no context is in RAM; with 2048 tokens: the server is out of memory"
    ]
    step = made["results"]["steps"][0]
    step["reason"], step["decode"] = None, {**step["decode"], "reason": "one_read"}
    (sheet,) = table.sheets(made, tmp_path / "f.json")
    assert "the whole answer came in one read" in sheet.sections()["not measured"][0]


def test_charts_show_memory_and_rate_over_the_context() -> None:
    made = document(measured(Gpu(holds=8192), edge=256))
    plots: list[Any] = [*charts.charts(made)]
    assert [plot.title for plot in plots] == [
        "Memory by context, KV cache f16",
        "Decode rate by context, KV cache f16",
    ]
    assert [line.name for line in plots[0].lines] == [
        "as the server says",
        "on the GPU",
        "predicted",
    ]
    cards = [*charts.cards(made)]
    assert [card.value for card in cards[:2]] == ["8,192", "50%"]


def test_files_are_compared_as_a_whole_and_at_common_contexts() -> None:
    before = document(measured(Gpu(holds=8192), edge=256), "a")
    after = document(measured(Gpu(holds=4096, fast_ms=20), edge=256), "b")
    names = comparable.Comparison.default
    gate = comparable.Comparison.gate("step_tokens_per_sec@77:-5%")
    columns = tuple(comparable.Comparison.column(name, "c") for name in names)
    compared = comparable.Comparison([("a", before), ("b", after)], Choice(columns, (gate,)))
    planned = compared.planned["B"]
    assert planned[0].metric == "largest_context"
    assert {column.level for column in planned} >= {None, 2048.0, 16384.0}
    whole = compared.change(compared.others[0], planned[0])
    assert (whole.estimate.change, whole.verdict) == (-0.5, "worse")
    slower = next(c for c in planned if c.metric == "step_tokens_per_sec" and c.level == 2048)
    change = compared.change(compared.others[0], slower)
    assert change.estimate.change == pytest.approx(-0.5, rel=1e-6)
    assert compared.absent(gate.column) == "the files have no context of 77 in common"
    assert compared.absent(columns[1]).startswith("name a context, as in memory_mb@8192")


def test_estimate_counts_loads_and_answers_and_a_budget_limits_it() -> None:
    run = run_of(Gpu(), osl=10, iterations=2)
    assert run.estimate(5) == (
        "at most 5 loads and 10 answers: no estimate, the warm-up showed no speed"
    )
    run._load_s, run.token_ms = 3.0, lambda: 100.0
    assert run.estimate(5) == "at most 5 loads and 10 answers: about 25 s"
    run.settings = run.settings.model_copy(update={"budget": 7.0})
    assert run.estimate(5).endswith("about 7 s")


def test_the_longest_context_is_the_users_or_the_models() -> None:
    asked: Any = model_of(Fit)
    assert plan.ends(asked(), 32768) == (2048, 32768)
    assert plan.ends(asked(), None) == (2048, 8192)
    assert plan.ends(asked(max_ctx=65536), 32768) == (2048, 32768)
    assert plan.ends(asked(max_ctx=1024), None) == (1024, 1024)
    assert plan.ends(asked(num_ctx=512, max_ctx=4096), 32768) == (512, 4096)


def test_nothing_on_the_gpu_and_no_rate_past_the_edge_are_said() -> None:
    whole = measured(Gpu(holds=8192), edge=256)
    steps = [dict(step) for step in whole["run"].steps]
    for step in steps:
        if step["num_ctx"] > 8192:
            step["place"] = plan.RAM
    sight, ends = whole["run"].foreseen, whole["run"].ends
    rows = [row for row in whole["runs"] if row["num_ctx"] <= 8192]
    (series,) = result.found(rows, steps, sight, ends)["series"]
    assert series["reason"] == "with 8448 tokens, nothing is on the GPU"
    assert series["spill_loss"] is None


def test_how_much_memory_another_machine_has_is_not_known() -> None:
    facts: Any = {**seen(model_of(Fit)())["facts"], "memory": "unknown", "memory_bytes": None}
    assert [*foresight.said(facts)][-1] == "how much memory is free is not known"


def test_free_memory_of_gpus_is_what_their_sensors_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    def gpu(total: float | None, used: float | None, *, integrated: bool = False) -> dict[str, Any]:
        return {"vram_total_mb": total, "vram_used_mb": used, "integrated": integrated}

    shown: list[dict[str, Any]] = []
    gauges = SimpleNamespace(read=lambda: shown, close=lambda: None)
    monkeypatch.setattr("pytest_llamaburn.telemetry._detect.Gauges", lambda _: gauges)
    assert memory.free_on_gpus() is None
    shown += [gpu(8000, 1000), gpu(4000, None), gpu(32000, 0, integrated=True), gpu(2000, 500)]
    assert memory.free_on_gpus() == (7000 + 1500) * 10**6


def test_a_prediction_names_the_largest_context_of_each_cache_type() -> None:
    settings: Any = model_of(Fit)(kv_type=("f16", "q8_0"), edge=1024)
    facts: Any = {**seen(settings)["facts"], "memory_bytes": taken(10240) + 1}
    shape = prediction.shape(HEADER)
    assert foresight.largest_context(settings, shape, facts, "f16") == 10240
    smaller: Any = foresight.largest_context(settings, shape, facts, "q8_0")
    assert smaller > 10240
    none: Any = {**facts, "memory_bytes": 1}
    assert foresight.largest_context(settings, shape, none, "f16") is None

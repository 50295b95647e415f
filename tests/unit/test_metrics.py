"""Each number about a request, by hand; and why one is null."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.benchmark_documents import MS, failed_trace, trace_of

from pytest_llamaburn import metrics
from pytest_llamaburn.measures import REASONS
from pytest_llamaburn.metrics import REQUEST, Missing
from pytest_llamaburn.trace import Delta, Failed, Finished, Sent, ServerTimings, Trace, Usage, fold

# sent at 0, deltas at 100 110 120 130 140 ms, five tokens, of 20 prompt tokens 4 cached
BY_HAND = {
    "time_to_first_token_ms": 100,
    "inter_token_latency_ms": 10,
    "tokens_per_sec": 100,
    "e2e_tokens_per_sec": 1000 * 5 / 140,
    "total_generation_ms": 140,
    "prompt_eval_ms": 8,
    "load_duration_ms": 1.5,
    "input_sequence_length": 20,
    "output_sequence_length": 5,
    "stream_ms": 142,
    "time_to_first_answer_token_ms": 100,
    "queue_ms": 0.5,
    "prompt_tokens_per_sec": 2000,
    "server_tokens_per_sec": 100,
    "cached_tokens": 4,
    "tokens_per_chunk": 1,
    "connect_ms": 0.25,
}


def value(name: str, trace: Trace) -> float | None:
    return metrics.compute(trace)[0][name]


def reason(name: str, trace: Trace) -> str:
    values, reasons = metrics.compute(trace)
    assert values[name] is None
    return reasons[name]


@pytest.mark.parametrize(("name", "expected"), BY_HAND.items())
def test_a_number_is_what_its_formula_says(name: str, expected: float) -> None:
    assert value(name, trace_of()) == pytest.approx(expected)


def test_only_what_needs_a_power_sensor_is_null_in_a_whole_trace() -> None:
    _, reasons = metrics.compute(trace_of())
    assert reasons == {"power_draw_watts": "no_provider", "energy_wh": "no_provider"}
    assert set(REQUEST) == BY_HAND.keys() | reasons.keys()


def test_several_tokens_in_a_delta_are_several_intervals() -> None:
    trace = trace_of([100, 180], Usage(completion=9))
    assert value("inter_token_latency_ms", trace) == 10
    assert value("tokens_per_sec", trace) == 100
    assert value("tokens_per_chunk", trace) == 4.5


def test_thinking_is_the_first_token_but_not_the_first_answer() -> None:
    trace = trace_of(thinking=2)
    assert value("time_to_first_token_ms", trace) == 100
    assert value("time_to_first_answer_token_ms", trace) == 120


def test_an_answer_of_thinking_alone_has_no_answer_token() -> None:
    assert reason("time_to_first_answer_token_ms", trace_of(thinking=5)) == "no_thinking_end"


@pytest.mark.parametrize(
    "name",
    [
        "time_to_first_token_ms",
        "time_to_first_answer_token_ms",
        "inter_token_latency_ms",
        "tokens_per_sec",
        "e2e_tokens_per_sec",
        "total_generation_ms",
        "tokens_per_chunk",
    ],
)
def test_an_answer_without_content_has_no_times(name: str) -> None:
    assert reason(name, trace_of([])) == "no_delta"


@pytest.mark.parametrize(
    "name",
    [
        "input_sequence_length",
        "output_sequence_length",
        "inter_token_latency_ms",
        "tokens_per_sec",
        "e2e_tokens_per_sec",
        "tokens_per_chunk",
    ],
)
@pytest.mark.parametrize("usage", [None, Usage(0, 0, 0)])
def test_without_counts_no_tokens_are_guessed_from_chunks(name: str, usage: Usage | None) -> None:
    assert reason(name, trace_of(usage=usage)) == "no_usage"


@pytest.mark.parametrize("name", ["inter_token_latency_ms", "tokens_per_sec"])
@pytest.mark.parametrize(("deltas", "count"), [([], 0), ([100], 1)])
def test_one_token_has_no_gap(name: str, deltas: list[float], count: int) -> None:
    assert reason(name, trace_of(deltas, Usage(completion=count))) == "below_two_tokens"


@pytest.mark.parametrize("name", ["inter_token_latency_ms", "tokens_per_sec"])
@pytest.mark.parametrize("deltas", [[100], [100, 100, 100]])
def test_an_answer_in_one_read_has_no_speed(name: str, deltas: list[float]) -> None:
    assert reason(name, trace_of(deltas)) == "one_read"


@pytest.mark.parametrize(
    "name",
    [
        "prompt_eval_ms",
        "load_duration_ms",
        "queue_ms",
        "prompt_tokens_per_sec",
        "server_tokens_per_sec",
    ],
)
def test_what_the_server_does_not_say_is_not_reported(name: str) -> None:
    assert reason(name, trace_of(timings=None)) == "not_reported"


def test_cached_tokens_are_not_reported_where_usage_leaves_them_out() -> None:
    assert reason("cached_tokens", trace_of(usage=Usage(20, None, 5))) == "not_reported"


def test_a_prompt_rate_needs_the_count_of_uncached_tokens() -> None:
    timings = ServerTimings(prompt_ms=8.0)
    assert reason("prompt_tokens_per_sec", trace_of(timings=timings)) == "no_uncached_count"


def test_a_prompt_rate_needs_a_millisecond_of_the_server_s_clock() -> None:
    name = "prompt_tokens_per_sec"
    short = trace_of(timings=ServerTimings(prompt_ms=0.999, prompt_tokens=3))
    assert reason(name, short) == "clock_too_short"
    assert value(name, trace_of(timings=ServerTimings(prompt_ms=1.0, prompt_tokens=3))) == 3000


@pytest.mark.parametrize(
    ("timings", "expected"),
    [
        (ServerTimings(eval_ms=0.0, eval_tokens=5), "not_reported"),
        (ServerTimings(eval_ms=4.0), "not_reported"),
        (ServerTimings(eval_ms=4.0, eval_tokens=1), "below_two_tokens"),
        (ServerTimings(eval_ms=0.9, eval_tokens=5), "clock_too_short"),
        (ServerTimings(eval_ms=1e-320, eval_tokens=5), "clock_too_short"),
    ],
)
def test_the_server_s_speed_needs_its_time_and_two_tokens(
    timings: ServerTimings, expected: str
) -> None:
    assert reason("server_tokens_per_sec", trace_of(timings=timings)) == expected


def test_a_reused_connection_cost_nothing_to_open() -> None:
    assert reason("connect_ms", trace_of(connect_ms=None)) == "connection_reused"


def test_a_failed_request_has_no_values_at_all() -> None:
    values, reasons = metrics.compute(failed_trace())
    assert values == dict.fromkeys(REQUEST)
    assert reasons == dict.fromkeys(REQUEST, "failed")


def test_gaps_between_chunks_are_those_of_successive_deltas() -> None:
    assert metrics.chunk_gaps_ms(trace_of([100, 100, 130.5])) == [0, 30.5]
    assert metrics.chunk_gaps_ms(trace_of([])) == []


def test_an_alias_means_its_metric() -> None:
    aliases = {m.alias: m.name for m in REQUEST.values() if m.alias}
    assert aliases == {
        "ttft_ms": "time_to_first_token_ms",
        "itl_ms": "inter_token_latency_ms",
        "tps": "tokens_per_sec",
        "e2e_ms": "total_generation_ms",
        "isl": "input_sequence_length",
        "osl": "output_sequence_length",
    }


milliseconds = st.none() | st.floats(0, 1e9)
counts = st.none() | st.integers(0, 10**9)
usages = st.builds(Usage, counts, counts, counts, counts)
timings_made = st.builds(
    ServerTimings, milliseconds, milliseconds, counts, milliseconds, counts, milliseconds
)
kinds = st.sampled_from(["content", "thinking", "tool"])
deltas_made = st.lists(st.tuples(st.integers(0, 10**12), kinds, st.text(min_size=1)), max_size=20)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Any request whose clock goes forward; reads may share a stamp."""
    now = draw(st.integers(1, 10**15))
    events: list[Sent | Delta | Usage | ServerTimings | Finished | Failed] = [Sent(now)]
    now += 1
    for gap, kind, text in draw(deltas_made):
        now += gap
        events.append(Delta(now, kind, text))
    events += [draw(usages), draw(timings_made)]
    now += draw(st.integers(0, 10**12))
    failure = Failed(now, "reset", "stream")
    events.append(failure if draw(st.booleans()) else Finished(now, "stop"))
    return fold(events, draw(milliseconds))


@given(traces())
def test_every_number_is_finite_or_has_a_known_reason(trace: Trace) -> None:
    values, reasons = metrics.compute(trace)
    assert values.keys() == REQUEST.keys()
    for name, found in values.items():
        assert (found is None) == (name in reasons)
        assert found is None or math.isfinite(found)
    assert set(reasons.values()) <= REASONS.keys()


@given(traces())
def test_the_numbers_of_a_request_agree_with_each_other(trace: Trace) -> None:
    values, _ = metrics.compute(trace)
    first, total = values["time_to_first_token_ms"], values["total_generation_ms"]
    if first is not None and total is not None:
        assert 0 < first <= total <= (values["stream_ms"] or 0)
        assert sum(metrics.chunk_gaps_ms(trace)) == pytest.approx(total - first, abs=1e-3)
    gap, speed = values["inter_token_latency_ms"], values["tokens_per_sec"]
    assert (gap is None) == (speed is None)
    if gap is not None and speed is not None:
        assert gap * speed == pytest.approx(1000)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_there_is_one_gap_less_than_there_are_chunks(steps: list[int]) -> None:
    stamps = [sum(steps[: i + 1]) for i in range(len(steps))]
    trace = fold([Sent(0), *(Delta(stamp * MS, "content", "x") for stamp in stamps)])
    assert metrics.chunk_gaps_ms(trace) == [b - a for a, b in pairwise(stamps)]


def test_a_missing_number_carries_only_its_reason() -> None:
    assert metrics.time_to_first_token_ms(trace_of([])) == Missing("no_delta")

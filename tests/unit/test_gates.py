"""A gate is read exactly, and judged only as far as the samples go."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.benchmark_documents import benchmark_document, failed_trace, header, row, trace_of

from pytest_llamaburn import gates
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.benchmark.measures import MEASURES


def gate_verdict(
    expression: str, made: list[dict[str, Any]], mode: str = "point", start: str = "warm"
) -> Any:
    """Return the verdict on a run of these rows."""
    config = {"threshold": (expression,), "gate_mode": mode, "start": start}
    (verdict,) = benchmark_document(made, header=header(config=config))["results"]["gates"]
    found: dict[str, Any] = verdict
    return found


def with_ttfts(*ttfts_ms: float, **fields: Any) -> list[dict[str, Any]]:
    return [row(trace_of([ms, ms + 10]), **fields) for ms in ttfts_ms]


@pytest.mark.parametrize(
    ("expression", "parsed"),
    [
        ("ttft_ms.p95<500", ("time_to_first_token_ms", "p95", "<", 500)),
        ("ttft_ms < 0.5s", ("time_to_first_token_ms", "mean", "<", 500)),
        ("time_to_first_token_ms.median<=1e3 ms", ("time_to_first_token_ms", "p50", "<=", 1000)),
        ("tps.p99.9>=20 tokens/s", ("tokens_per_sec", "p99_9", ">=", 20)),
        ("tps.cv<5%", ("tokens_per_sec", "cv", "<", 0.05)),
        ("chunk_gap_ms.max<100", ("chunk_gap_ms", "max", "<", 100)),
        ("energy_wh<2 mWh", ("energy_wh", "mean", "<", 0.002)),
        ("osl.n>=10", ("output_sequence_length", "n", ">=", 10)),
        ("error_rate<1%", ("error_rate", None, "<", 0.01)),
        ("number_accuracy>0.9", ("number_accuracy", None, ">", 0.9)),
        (" queue_ms.min > -1 ", ("queue_ms", "min", ">", -1)),
        ("ttft_ms<.5 s", ("time_to_first_token_ms", "mean", "<", 500)),
        ("ttft_ms<5.", ("time_to_first_token_ms", "mean", "<", 5)),
    ],
)
def test_an_expression_is_read_in_the_metric_s_own_unit(
    expression: str, parsed: tuple[str, str, str, float]
) -> None:
    gate = gates.parse(expression, MEASURES)
    assert gate.expression == expression
    assert (gate.of.measure.name, gate.of.statistic, gate.operator) == parsed[:3]
    assert gate.bound == pytest.approx(parsed[3])


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "write METRIC.STATISTIC<NUMBER"),
        ("ttft_ms", "write METRIC.STATISTIC<NUMBER"),
        ("ttft_ms=5", "write METRIC.STATISTIC<NUMBER"),
        ("ttft_ms<fast", "write METRIC.STATISTIC<NUMBER"),
        ("ttft_ms<1.2.3", "write METRIC.STATISTIC<NUMBER"),
        ("ttft_ms<.", "write METRIC.STATISTIC<NUMBER"),
        ("ttft_ms<1e999", "1e999 is refused: write a number below 1e308"),
        ("ttft_ms<1e308 s", "1e308 is refused: write a number below 1e308"),
        ("tftt_ms<5", "unknown metric 'tftt_ms'; did you mean 'ttft_ms'?"),
        ("ttft_ms.p96<5", "unknown statistic 'p96'; did you mean"),
        ("ttft_ms<5 kg", "unit 'kg' is unknown; known: ms, s"),
        ("ttft_ms.n<5 ms", "unit 'ms' is unknown; known: none"),
        ("error_rate.p95<1%", "error_rate has no statistic 'p95'"),
        ("ttft_ms@4<5", "time_to_first_token_ms is not a number of one level: leave out @"),
    ],
)
def test_an_expression_that_means_nothing_is_refused(expression: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        gates.parse(expression, MEASURES)
    assert str(caught.value).startswith(f"--threshold: '{expression}'")
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "ttft ms", "ttft_ms<5", "ttft_ms@", "5"])
def test_a_name_that_is_not_written_as_one_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^--columns: '.*' is refused: write METRIC"):
        gates.selector(text, MEASURES, "--columns")


@given(st.text("ttft_ms.p95<>= 0123456789e+-%", max_size=20) | st.text(max_size=10))
def test_any_expression_is_read_or_refused(expression: str) -> None:
    try:
        gate = gates.parse(expression, MEASURES)
    except SettingsError:
        return
    assert gate.of.measure.name in MEASURES


@given(st.text("0123456789.e+-", max_size=8))
def test_any_bound_is_a_finite_number_or_refused(bound: str) -> None:
    try:
        gate = gates.parse(f"ttft_ms<{bound}", MEASURES)
    except SettingsError:
        return
    assert math.isfinite(gate.bound)


@pytest.mark.parametrize(
    ("expression", "verdict", "margin"),
    [
        ("ttft_ms<121", "pass", 1),
        ("ttft_ms<120", "fail", 0),
        ("ttft_ms<=120", "pass", 0),
        ("ttft_ms>=125", "fail", -5),
        ("ttft_ms>110", "pass", 10),
        ("ttft_ms.p50<130", "pass", 10),
        ("ttft_ms.max<130", "fail", -10),
        ("ttft_ms.n>=5", "pass", 0),
    ],
)
def test_a_value_is_held_against_the_bound(expression: str, verdict: str, margin: float) -> None:
    found = gate_verdict(expression, with_ttfts(100, 110, 120, 130, 140))
    assert (found["verdict"], found["reason"]) == (verdict, None)
    assert found["margin"] == pytest.approx(margin)
    assert math.copysign(1, found["margin"]) == (1 if margin >= 0 else -1)


@pytest.mark.parametrize(("bound", "verdict"), [(99, "fail"), (115, "undecided"), (141, "pass")])
def test_a_certain_gate_holds_the_whole_interval_against_the_bound(
    bound: float, verdict: str
) -> None:
    found = gate_verdict(f"ttft_ms<{bound}", with_ttfts(100, 110, 120, 130, 140), mode="certain")
    assert found["ci95"] == pytest.approx([100.37, 139.63], abs=0.01)
    assert found["verdict"] == verdict


def test_a_certain_gate_without_an_interval_is_undecided() -> None:
    found = gate_verdict("ttft_ms.max<1000", with_ttfts(100, 110), mode="certain")
    assert (found["verdict"], found["reason"]) == ("undecided", "no interval")


def test_a_percentile_that_is_not_certified_is_undecided() -> None:
    found = gate_verdict("ttft_ms.p95<1000", with_ttfts(*range(100, 158)))
    assert found["verdict"] == "undecided"
    assert found["reason"] == "58 samples are too few for it, 59 are needed"
    assert gate_verdict("ttft_ms.p95<1000", with_ttfts(*range(100, 159)))["verdict"] == "pass"


@pytest.mark.parametrize("expression", ["energy_wh<100", "ttft_ms.std<1", "number_accuracy>0.5"])
def test_what_has_no_value_is_undecided_for_a_reason(expression: str) -> None:
    found = gate_verdict(expression, with_ttfts(100))
    assert (found["verdict"], found["value"], found["margin"]) == ("undecided", None, None)
    assert found["reason"]
    assert gates.sentence(found) == f"{expression}: undecided: {found['reason']}"


def test_the_error_rate_is_of_the_requests_that_were_judged() -> None:
    made = [*with_ttfts(100, 110, 120), row(failed_trace()), row(failed_trace(), start="cold")]
    found = gate_verdict("error_rate<=25%", made)
    assert (found["value"], found["verdict"]) == (0.25, "pass")
    assert found["ci95"] == pytest.approx([0.0456, 0.6994], abs=1e-4)
    assert gate_verdict("error_rate<=25%", made, mode="certain")["verdict"] == "undecided"
    assert gate_verdict("error_rate<1%", [])["reason"] == "no requests"


def test_accuracy_is_what_the_results_say_of_correctness() -> None:
    made = {"results": {"correctness": {"accuracy": 0.8, "wilson95": [0.6, 0.9]}}}
    (found,) = gates.judged(made, MEASURES, ["number_accuracy>=75%"], "point")
    assert (found["verdict"], found["value"], found["ci95"]) == ("pass", 0.8, [0.6, 0.9])
    (certain,) = gates.judged(made, MEASURES, ["number_accuracy>=75%"], "certain")
    assert certain["verdict"] == "undecided"


def test_a_cold_run_is_judged_by_its_cold_requests() -> None:
    made = [*with_ttfts(500, 510, start="cold"), *with_ttfts(100)]
    assert gate_verdict("ttft_ms<400", made, start="cold")["value"] == 505


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("ttft_ms<130", "ttft_ms<130: pass: 120 [100.4, 139.6], margin 10"),
        ("ttft_ms.max<130", "ttft_ms.max<130: fail: 140, margin -10"),
        (
            "ttft_ms.p95<500",
            "ttft_ms.p95<500: undecided: 138: 5 samples are too few for it, 59 are needed",
        ),
    ],
)
def test_a_verdict_is_told_in_a_line(expression: str, words: str) -> None:
    assert gates.sentence(gate_verdict(expression, with_ttfts(100, 110, 120, 130, 140))) == words

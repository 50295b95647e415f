"""A load's gates are on the optimal level, a named one or a point, and judged as far as it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.stress_documents import (
    baseline,
    closed_loop,
    failed_row,
    level,
    open_loop,
    spike_load,
    stress_document,
)

from pytest_llamaburn import gates
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.stress import plan
from pytest_llamaburn.kinds.stress.measures import MEASURES, check
from pytest_llamaburn.kinds.stress.settings import Stress
from pytest_llamaburn.load.step import CLIENTS, RATE, Step
from pytest_llamaburn.option import model_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the results of a sweep on two slots that fails a third of the requests at level 9."""
    rows = closed_loop(9, 12, 100, 2)
    for i in range(0, len(rows), 3):
        rows[i] = failed_row(rows[i].sent_ns / 1e6, (rows[i].end_ns - rows[i].sent_ns) / 1e6, "oom")
    taken = [baseline(), *map(level, (1, 2, 3, 4, 8)), (Step(9, CLIENTS, 108), rows)]
    folder = tmp_path_factory.mktemp("swept")
    found: dict[str, Any] = stress_document(folder, taken, slo="ttft_ms<50")["results"]
    return found


def settings(values: dict[str, Any]) -> Stress:
    checked: Any = model_of(Stress)(**values)
    return plan.checked(checked)


def gate_verdict(expression: str, results: dict[str, Any], mode: str = "point") -> Any:
    (found,) = gates.judged({"results": results}, MEASURES, [expression], mode)
    assert found["expression"] == expression
    return found


@pytest.mark.parametrize(
    ("expression", "word", "value"),
    [
        ("ttft_ms.p50<11", "pass", 10),
        ("ttft_ms.p50@2<9", "fail", 10),
        ("ttft_ms.p50 @ 4 > 100", "pass", 110),
        ("ttft_ms.mean@4>100", "pass", 106),
        ("e2e_ms.max@4<1s", "pass", 200),
        ("requests_per_sec>=19", "pass", 20),
        ("output_tokens_per_sec>500", "fail", 200),
        ("error_rate@9<0.2", "fail", 1 / 3),
        ("error_rate<0.01", "pass", 0),
        ("goodput_share>0.9", "pass", 1),
        ("optimal.concurrency>=2", "pass", 2),
        ("degradation_point.concurrency<=4", "pass", 2.44),
        ("failure_point.concurrency<=9", "pass", 8.5),
    ],
)
def test_a_gate_is_judged_on_its_level(
    expression: str, word: str, value: float, swept: dict[str, Any]
) -> None:
    found = gate_verdict(expression, swept)
    assert (found["verdict"], found["value"]) == (word, pytest.approx(value, rel=0.1))


def test_strict_gates_want_the_interval_on_one_side(swept: dict[str, Any]) -> None:
    assert gate_verdict("error_rate@9<0.34", swept, "strict")["verdict"] == "undecided"
    assert gate_verdict("error_rate@9<0.9", swept, "strict")["verdict"] == "pass"
    assert gate_verdict("requests_per_sec>1", swept, "strict")["reason"] == "no interval"


def test_a_percentile_that_the_requests_do_not_certify_is_undecided(swept: dict[str, Any]) -> None:
    found = gate_verdict("ttft_ms.p99@1<500", swept)
    assert (found["verdict"], found["reason"]) == (
        "undecided",
        "12 samples are too few for it, 299 are needed",
    )


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("requests_per_sec@77>1", "there is no level 77"),
        ("ttft_ms.p50@77>1", "there is no level 77"),
        ("recovery_time_ms<5s", "no spike was sent"),
        ("queue_ms.mean<5", None),
        ("joules_per_output_token<5", "no power sensor is read"),
        ("energy_wh@2<1mWh", "no power sensor is read"),
    ],
)
def test_what_was_not_measured_is_undecided_with_the_reason(
    expression: str, reason: str | None, swept: dict[str, Any]
) -> None:
    found = gate_verdict(expression, swept)
    assert (found["verdict"], found["value"]) == ("undecided", None)
    assert found["reason"] == reason or (reason is None and found["reason"])


def test_a_point_that_was_not_reached_lies_above_all_that_was_sent(tmp_path: Path) -> None:
    found = stress_document(tmp_path, [baseline(), level(1), level(2)])["results"]
    assert not found["failure_point"]["reached"]
    above = gate_verdict("failure_point.concurrency>=2", found)
    assert (above["verdict"], above["value"]) == ("pass", 2)
    unknown = gate_verdict("failure_point.concurrency>=3", found)
    assert (unknown["verdict"], unknown["reason"]) == ("undecided", "not reached up to 2")
    assert gate_verdict("failure_point.concurrency<1", found)["verdict"] == "fail"
    assert gate_verdict("failure_point.concurrency>2", found)["verdict"] == "undecided"


def test_a_level_that_was_left_out_is_not_below_a_point(tmp_path: Path) -> None:
    taken = [baseline(), level(1, each=20), level(2, each=6)]
    found = stress_document(tmp_path, taken, cooldown_window="12")["results"]
    gate = gate_verdict("failure_point.concurrency>=2", found)
    assert (gate["verdict"], gate["reason"]) == ("undecided", "not reached up to 1")


def test_a_point_that_is_reached_somewhere_below_is_undecided(tmp_path: Path) -> None:
    rows = closed_loop(4, 3, 100, 4)
    rows[5] = failed_row(100, 100, "oom")
    found = stress_document(tmp_path, [baseline(), (Step(4, CLIENTS, 12), rows)])["results"]
    gate = gate_verdict("failure_point.concurrency>=2", found)
    assert (gate["verdict"], gate["reason"]) == (
        "undecided",
        "somewhere at or below 4; lower levels were not measured",
    )


@pytest.mark.parametrize(
    ("expression", "word", "value"),
    [
        ("failure_point>=4", "pass", 4),
        ("failure_point<4", "fail", 4),
        ("failure_point>4", "undecided", None),
        ("failure_point>8", "undecided", None),
    ],
)
def test_a_point_that_is_known_to_lie_above_a_level_decides_what_that_decides(
    expression: str, word: str, value: float | None, swept: dict[str, Any]
) -> None:
    point = {"concurrency": None, "reached": True, "bracket": (4, None), "failing": None}
    found = gate_verdict(expression, {**swept, "failure_point": point})
    reason = "somewhere above 4; higher levels were not measured"
    assert (found["verdict"], found["value"]) == (word, value)
    assert found["reason"] == (reason if value is None else None)


def test_a_run_without_levels_has_no_point_and_no_optimal_level(tmp_path: Path) -> None:
    found = stress_document(tmp_path, [baseline()])["results"]
    assert gate_verdict("failure_point.rate>=2", found)["reason"] == "there is none"
    assert gate_verdict("error_rate<1", found)["reason"] == "no level was optimal"


def test_goodput_needs_bounds_and_a_level_without_requests_no_rate(tmp_path: Path) -> None:
    found = stress_document(tmp_path, [baseline(), level(1)])["results"]
    assert gate_verdict("goodput_share>0", found)["reason"] == "goodput needs --slo"
    found["levels"][0]["requests_per_sec"] = None
    assert gate_verdict("requests_per_sec>0", found)["reason"] == "not measured"


def test_goodput_of_numbers_that_cannot_be_believed_decides_nothing(tmp_path: Path) -> None:
    step, rows = level(1)
    for one in rows:
        one.doubts = {"time_to_first_token_ms": "not_streamed"}
    found = stress_document(tmp_path, [baseline(), (step, rows)], slo="ttft_ms<5")["results"]
    judged = gate_verdict("goodput_share@1<=1", found)
    assert (judged["verdict"], judged["value"]) == ("undecided", None)
    assert "have no number to compare with --slo" in judged["reason"]


def test_a_rate_that_a_schedule_was_too_short_for_says_so(tmp_path: Path) -> None:
    short = Step(40, RATE, 6), open_loop(40, 0.15, 100)
    found = stress_document(tmp_path, [baseline(), short], arrival="static")["results"]
    assert "ended too soon" in gate_verdict("requests_per_sec@40>0", found)["reason"]


def test_tokens_that_nobody_counted_are_undecided_with_the_reason(tmp_path: Path) -> None:
    step, rows = level(2)
    for one in rows:
        one.values["output_sequence_length"] = None
    found = stress_document(tmp_path, [baseline(), (step, rows)])["results"]
    gate = gate_verdict("output_tokens_per_sec>1", found)
    assert (gate["verdict"], gate["reason"]) == (
        "undecided",
        "the server sent no token counts, or 0 although there were tokens",
    )


def test_recovery_is_gated_in_its_own_unit(tmp_path: Path) -> None:
    taken = [baseline(), spike_load()]
    found = stress_document(tmp_path, taken, mode="spike", arrival="poisson")["results"]
    assert gate_verdict("recovery_time_ms<=5s", found)["verdict"] == "pass"
    assert gate_verdict("recovery_time_ms<4s", found)["verdict"] == "fail"
    assert "one steady level" in gate_verdict("failure_point.rate>=2", found)["reason"]


def test_a_point_of_a_rate_is_gated_by_its_rate(tmp_path: Path) -> None:
    rows = [failed_row(100 * i, 100, "oom") for i in range(30)]
    found = stress_document(tmp_path, [baseline(), (Step(10, RATE, 30), rows)], arrival="static")[
        "results"
    ]
    assert found["failure_point"]["reached"]
    assert gate_verdict("failure_point.rate<=10", found)["verdict"] == "pass"


def test_a_point_of_clients_is_no_number_for_a_gate_on_a_rate(swept: dict[str, Any]) -> None:
    found = gate_verdict("failure_point.rate>=5", swept)
    assert (found["verdict"], found["reason"]) == ("undecided", "this load has no rate")


@pytest.mark.parametrize(
    ("values", "expression", "words"),
    [
        ({}, "failure_point.rate>=5", "have no rate: write failure_point.concurrency"),
        ({"rate": 2}, "optimal.concurrency>=5", "have no clients: write optimal.rate"),
        ({}, "goodput_share>0.9", "it needs --slo"),
        ({}, "recovery_time_ms<5s", "only --mode spike measures it, not --mode ramp"),
        ({"mode": "sweep", "levels": "1,2"}, "error_rate@8<0.01", "no level 8"),
        ({"mode": "sweep", "max_concurrency": 8}, "error_rate@3<0.01", "no level 3"),
        ({"mode": "sustained", "concurrency": 3}, "error_rate@4<0.01", "no level 4"),
        ({"mode": "spike", "rate": 3}, "error_rate@4<0.01", "no level 4"),
        ({"max_concurrency": 8}, "error_rate@9<0.01", "no level 9"),
        ({"max_concurrency": 8}, "error_rate@2.5<0.01", "no level 2.5"),
    ],
)
def test_a_gate_that_a_load_never_decides_is_refused(
    values: dict[str, Any], expression: str, words: str
) -> None:
    asked = settings(values)
    with pytest.raises(SettingsError) as caught:
        check([expression], asked)
    assert f"'{expression}' is refused" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("values", "expression"),
    [
        ({}, "failure_point.concurrency>=5"),
        ({}, "failure_point>=5"),
        ({}, "error_rate@7<0.01"),
        ({"rate": 2}, "failure_point.rate>=5"),
        ({"rate": 2}, "error_rate@7.5<0.01"),
        ({"slo": "ttft_ms<500"}, "goodput_share>0.9"),
        ({"mode": "spike"}, "recovery_time_ms<5s"),
        ({"mode": "spike"}, "error_rate@4<0.01"),
        ({"mode": "sweep", "levels": "1,2"}, "error_rate@2<0.01"),
        ({"mode": "sweep", "rate": 3, "max_rate": 9}, "error_rate@6<0.01"),
    ],
)
def test_a_gate_that_a_load_may_decide_is_taken(values: dict[str, Any], expression: str) -> None:
    check([expression], settings(values))


def test_energy_of_a_level_is_gated_in_its_own_unit(tmp_path: Path) -> None:
    found = stress_document(tmp_path, [baseline(), level(1)])["results"]
    found["levels"][0] |= {"energy_wh": 0.002, "joules_per_output_token": 0.5}
    assert gate_verdict("energy_wh@1<3mWh", found)["verdict"] == "pass"
    assert gate_verdict("joules_per_output_token@1<0.4", found)["verdict"] == "fail"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("failure_point.width>3", "unknown statistic 'width'. Known: concurrency, rate"),
        ("error_rte<1", "did you mean"),
        ("cached_tokens<5", "unknown metric 'cached_tokens'"),
        ("recovery_time_ms<5 parsecs", "unit 'parsecs' is unknown"),
    ],
)
def test_what_is_no_gate_of_a_load_is_refused(expression: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        gates.parse(expression, MEASURES)

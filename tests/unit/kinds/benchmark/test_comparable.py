"""Changes are told with the certainty that runs give, and equal machines raise no alarm."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from support.comparisons import comparison, comparison_document, valid_document
from support.virtual_benchmarks import Machine, dice, rows, virtual_benchmark

from pytest_llamaburn import gates
from pytest_llamaburn.energy import profiles
from pytest_llamaburn.kinds.benchmark.comparable import FIXED_N
from pytest_llamaburn.stats import runs as evidence
from pytest_llamaburn.stats import samples
from pytest_llamaburn.stats.runs import Noise, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

Document = dict[str, Any]

QUIET = Machine(jitter=0.0, first_noise=0.0, gap_noise=0.0, length_noise=0.0)
ALARMS = {"faster", "slower", "higher", "lower"}
NAMES = ("a", "b", "c", "d")
TTFT, ITL, OSL = "time_to_first_token_ms", "inter_token_latency_ms", "output_sequence_length"


def changes(*documents: Document, columns: Sequence[str] = (), **how: Any) -> dict[str, Document]:
    """Return the changes of the last file, by column."""
    made = comparison("benchmark", *documents, columns=columns, **how)
    other = made.others[-1]
    return {c.name: made.written(made.change(other, c)) for c in made.choice.every}


def documents(speeds: Sequence[float], runs: int = 5, machine: Machine = QUIET) -> list[Document]:
    """Return benchmarks of one machine, a day apart."""
    rng = dice(0)
    made = [rows(machine, runs, rng, speed) for speed in speeds]
    return [virtual_benchmark(m, NAMES[i], i + 1) for i, m in enumerate(made)]


def whole(*made: Document, **how: Any) -> Document:
    return valid_document(comparison_document("benchmark", *made, **how))


# A thousand reports of a machine whose runs vary by 1 %


def reports(
    count: int, runs: tuple[int, int], speed: float = 1.0, earlier: int = 0
) -> list[dict[str, dict[str, Any]]]:
    """Return the changes of so many comparisons of a machine with itself, or a slower one."""
    rng, machine = dice(20260113), Machine()
    found = []
    for _ in range(count):
        before = virtual_benchmark(rows(machine, runs[0], rng), "a")
        after = virtual_benchmark(rows(machine, runs[1], rng, speed), "b", 2)
        past = [virtual_benchmark(rows(machine, 1, rng), f"past-{i}") for i in range(earlier)]
        found.append(changes(before, after, history=past))
    return found


@pytest.mark.parametrize(
    ("runs", "earlier", "count"),
    [((5, 5), 0, 1000), ((1, 1), 0, 1000), ((1, 1), 5, 1000), ((2, 5), 0, 500), ((1, 5), 0, 500)],
)
def test_at_most_one_report_in_a_hundred_of_equal_machines_raises_an_alarm(
    runs: tuple[int, int], earlier: int, count: int
) -> None:
    alarms = [
        any(change["verdict"] in ALARMS for change in report.values())
        for report in reports(count, runs, earlier=earlier)
    ]
    assert sum(alarms) <= count / 100


def test_five_runs_a_side_find_a_speed_five_percent_lower_nine_times_in_ten() -> None:
    found = [report["tokens_per_sec"] for report in reports(300, (5, 5), 0.95)]
    assert sum(change["verdict"] == "slower" for change in found) >= 270
    covers = [change["interval"][0] <= -0.05 <= change["interval"][1] for change in found]
    assert sum(covers) >= 297


def test_intervals_of_pooled_requests_would_raise_alarms_all_the_time() -> None:
    """What the unit of evidence is for: Student's t over all requests, as if each were a run."""
    rng, machine, alarms = dice(1), Machine(iterations=20), 0
    for _ in range(100):
        sides = [
            [math.log(r[ITL] / (10 + int(r["prompt_id"][-1]))) for r in rows(machine, 1, rng)]
            for _ in range(2)
        ]
        found = evidence.ratio((sides[0], sides[1]), (), (), 0.95)
        alarms += not found.low <= 0 <= found.high
    assert alarms > 60


# Changes


def test_a_change_is_the_ratio_of_what_runs_give() -> None:
    found = changes(*documents([1.0, 0.8]))
    assert found[TTFT]["change"] == pytest.approx(0.25)
    assert found["tokens_per_sec"]["change"] == pytest.approx(-0.2)
    assert [found[name]["verdict"] for name in found] == ["slower"] * 4
    assert found[TTFT]["baseline"] == pytest.approx(350)  # 100 … 600, each prompt once
    assert found[TTFT]["value"] == pytest.approx(437.5)
    assert (found[TTFT]["runs"], found[TTFT]["prompts"], found[TTFT]["paired"]) == ([5, 5], 6, True)
    assert found[TTFT]["noise"] == []


def test_what_prompts_differ_in_cancels() -> None:
    before, after = documents([1.0, 1.0])
    after["results"]["runs"] = [
        row
        for row in after["results"]["runs"]
        for _ in range(9 if row["prompt_id"] == "prompt-5" else 1)
        if row["prompt_id"] != "prompt-0"
    ]
    found = changes(before, after)[TTFT]
    assert (found["change"], found["prompts"]) == (pytest.approx(0), 5)


def test_files_without_a_common_prompt_are_compared_with_a_warning() -> None:
    before, after = documents([1.0, 1.0])
    for row in after["results"]["runs"]:
        row["prompt_sha256"] = "f" * 16
    found = whole(before, after)["results"]
    assert (found["changes"][0]["paired"], found["changes"][0]["prompts"]) == (False, 0)
    texts = [warning["text"] for warning in found["warnings"] if warning["id"] == "prompts"]
    assert texts[0].startswith("prompts differs: 6 with checksum ")


def test_single_runs_without_a_common_prompt_carry_the_spread_of_prompts() -> None:
    before, after = documents([1.0, 1.0], runs=1)
    near = changes(before, after)[TTFT]["interval"]
    for row in after["results"]["runs"]:
        row["prompt_sha256"] = "f" * 16
    far = changes(before, after)[TTFT]["interval"]
    assert far[1] > 2 * near[1]


def test_the_total_at_a_fixed_length_ignores_how_long_answers_are() -> None:
    before, after = documents([1.0, 1.0])
    for row in after["results"]["runs"]:
        row[OSL], row["total_generation_ms"] = 128, 10 * row["total_generation_ms"]
    found = whole(before, after)["results"]
    assert found["method"]["fixed_n"] == 64
    change = next(c for c in found["changes"] if c["metric"] == FIXED_N)
    assert change["change"] == pytest.approx(0)
    assert change["baseline"] == pytest.approx(350 + 63 * 12.5)


def test_without_token_counts_there_is_no_fixed_length_and_the_reason_is_told() -> None:
    before, after = documents([1.0, 1.0])
    for document in (before, after):
        for row in document["results"]["runs"]:
            row[OSL] = row[ITL] = row["tokens_per_sec"] = None
    found = whole(before, after)["results"]
    assert found["method"]["fixed_n"] is None
    reasons = {c["metric"]: c["reason"] for c in found["changes"]}
    assert reasons[TTFT] is None
    assert reasons[FIXED_N] == reasons[ITL] == "no request of A gave a value"


def test_a_value_of_zero_has_no_ratio() -> None:
    before, after = documents([1.0, 1.0])
    for row in before["results"]["runs"]:
        row["queue_ms"] = 0.0
    for row in after["results"]["runs"]:
        row["queue_ms"] = 1.0
    found = changes(before, after, columns=["queue_ms"])["queue_ms"]
    assert found["verdict"] == "inconclusive"
    assert found["reason"] == "a run's value is 0, so there is no ratio"


def test_failed_and_cold_requests_are_not_compared() -> None:
    before, after = documents([1.0, 1.0])
    for row in after["results"]["runs"][:2]:
        row["error"], row[TTFT] = {"kind": "oom"}, None
    cold = {**after["results"]["runs"][5], "start": "cold", TTFT: 10_000.0}
    after["results"]["runs"].append(cold)
    assert changes(before, after)[TTFT]["change"] == pytest.approx(0)
    assert changes(before, after)[TTFT]["prompts"] == 4


def test_a_run_that_hardly_began_is_left_out() -> None:
    before, after = documents([1.0, 1.0])
    after["results"]["runs"] = after["results"]["runs"][:26]  # four runs and two requests
    found = whole(before, after)["results"]
    assert found["changes"][0]["runs"] == [5, 4]
    assert {
        "id": "left_out",
        "text": "B is compared without run 4, which has less than half the prompts",
    } in (found["warnings"])


@pytest.mark.parametrize(
    ("statistic", "before"),
    [("p50", 350.0), ("min", 100.0), ("max", 600.0)],
)
@pytest.mark.parametrize(("runs", "iterations"), [(5, 1), (1, 1), (1, 3)])
def test_quantiles_are_compared_too(
    statistic: str, before: float, runs: int, iterations: int
) -> None:
    made = documents([1.0, 0.5], runs, QUIET._replace(iterations=iterations))
    name = f"{TTFT}.{statistic}"
    found = changes(*made, columns=[name])[name]
    assert found["baseline"] == pytest.approx(before)
    assert found["change"] == pytest.approx(1.0)


def test_a_quantile_that_its_requests_do_not_certify_decides_nothing() -> None:
    made = documents([1.0, 0.5])
    found = changes(*made, columns=[f"{TTFT}.p95"])[f"{TTFT}.p95"]
    assert (found["verdict"], found["change"]) == ("inconclusive", pytest.approx(1.0))
    assert found["reason"] == "30 requests are too few for it, 59 are needed"


def test_a_quantile_that_may_be_zero_is_told_without_a_crash() -> None:
    made = documents([1.0, 1.0], runs=1, machine=QUIET._replace(iterations=3))
    for document in made:
        for row in document["results"]["runs"]:
            row["queue_ms"] = 0.0 if row["iteration"] < 1 else 1.0
    found = changes(*made, columns=["queue_ms.p50"])["queue_ms.p50"]
    assert found["verdict"] == "inconclusive"


@pytest.mark.parametrize(
    ("name", "word"),
    [(TTFT, "slower"), ("tokens_per_sec", "slower"), ("tokens_per_chunk", "higher")],
)
def test_times_and_speeds_are_faster_or_slower_and_all_else_higher_or_lower(
    name: str, word: str
) -> None:
    made = documents([1.0, 0.8])
    for number, document in enumerate(made):
        for row in document["results"]["runs"]:
            row["tokens_per_chunk"] = 1.0 + number
    assert changes(*made, columns=[name])[name]["verdict"] == word


# Noise between runs


def history(count: int, jitter: float = 0.02) -> list[Document]:
    rng, machine = dice(3), QUIET._replace(jitter=jitter)
    return [virtual_benchmark(rows(machine, 1, rng), f"past-{i}") for i in range(count)]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_earlier_runs_leave_the_noise_assumed(count: int) -> None:
    (noise,) = changes(*documents([1, 1], runs=1), history=history(count))[TTFT]["noise"]
    assert (noise["share"], noise["source"]) == (0.03, "assumed")


def test_earlier_runs_of_the_machine_and_model_teach_the_noise() -> None:
    past = history(20)
    logs = [math.log(d["results"]["runs"][0][TTFT]) for d in past]
    found = changes(*documents([1, 1], runs=1), history=past)[TTFT]
    (noise,) = found["noise"]
    assert (noise["source"], noise["runs"]) == ("learnt", 20)
    assert noise["share"] == pytest.approx(samples.distribution(logs, "")["std"])
    half = samples.t_quantile(19, 1 - 0.01 / 4) * noise["share"] * math.sqrt(2)
    assert found["interval"][1] == pytest.approx(math.expm1(half))


def test_three_noisy_runs_are_believed_and_three_quiet_ones_are_too_few() -> None:
    noisy = changes(*documents([1, 1], runs=1), history=history(3, 0.2))[TTFT]["noise"][0]
    assert (noisy["source"], noisy["share"] > 0.05) == ("learnt", True)
    quiet = changes(*documents([1, 1], runs=1), history=history(3, 0.01))[TTFT]["noise"][0]
    assert (quiet["source"], quiet["share"], quiet["runs"]) == ("assumed", 0.03, 3)
    assert 0 < quiet["seen"] < 0.03


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("environment", "fingerprint", "another machine"),
        ("environment", "fingerprint", None),
        ("model", "id", "another model"),
    ],
)
def test_runs_from_elsewhere_teach_nothing(part: str, field: str, value: str | None) -> None:
    past = [{**d, part: {**d[part], field: value}} for d in history(20)]
    (noise,) = changes(*documents([1, 1], runs=1), history=past)[TTFT]["noise"]
    assert (noise["source"], noise["runs"]) == ("assumed", 0)


def test_what_was_changed_on_purpose_is_no_noise() -> None:
    past = history(20, 0.01)
    for index, document in enumerate(past):
        limit = 64 if index % 2 else 128
        document["config"] = {**document["config"], "max_tokens": limit}
        for row in document["results"]["runs"]:
            row[TTFT] *= limit
    (noise,) = changes(*documents([1, 1], runs=1), history=past)[TTFT]["noise"]
    assert (noise["source"], noise["runs"]) == ("learnt", 20)
    assert noise["share"] < 0.02


def test_the_compared_files_do_not_teach_their_own_noise() -> None:
    made = documents([1, 0.5], runs=1)
    (noise,) = changes(*made, history=made)[TTFT]["noise"]
    assert (noise["source"], noise["runs"]) == ("assumed", 0)


def test_two_machines_bring_a_noise_each() -> None:
    before, after = documents([1, 1], runs=1)
    after["environment"] = {"fingerprint": "e" * 16}
    found = changes(before, after, history=history(20))[TTFT]
    assert [noise["source"] for noise in found["noise"]] == ["learnt", "assumed"]


# Intervals


def test_the_interval_of_runs_is_welch_s() -> None:
    """Runs 1, 2, 3 against 5, 7, 9: variances 1 and 4, so that 1/3 becomes 2.5/3 by the pool."""
    found = evidence.ratio(((1.0, 2.0, 3.0), (5.0, 7.0, 9.0)), (), (), 0.95)
    error, df = math.sqrt(2.5 / 3 + 4 / 3), (6.5 / 3) ** 2 / ((2.5 / 3) ** 2 / 2 + (4 / 3) ** 2 / 2)
    low, high = samples.t_quantile(3), samples.t_quantile(4)
    quantile = low + (high - low) * (1 / 3 - 1 / df) / (1 / 3 - 1 / 4)
    assert found.middle == 5
    assert found.high - 5 == pytest.approx(quantile * error)
    assert 5 - found.low == pytest.approx(quantile * error)


def test_more_noise_never_makes_an_interval_narrower() -> None:
    known = Noise(0.03, 10**9, "assumed", 0, None)
    logs = ((0.0,), (0.1,))
    one = evidence.ratio(logs, [known], (), 0.99)
    two = evidence.ratio(logs, [known, known], (), 0.99)
    three = evidence.ratio(logs, [known, known], [Part(0.01, 3)], 0.99)
    assert one.high < two.high < three.high
    assert one.high - 0.1 == pytest.approx(samples.normal_quantile(0.99) * 0.03, rel=1e-6)


def test_repetitions_of_a_prompt_show_its_noise_and_prompts_do_not() -> None:
    quiet = evidence.request_parts([[{"a": [1.0, 1.0], "b": [9.0, 9.0]}]], "mean", paired=True)
    assert quiet == [Part(0.0, 2)]
    (part,) = evidence.request_parts([[{"a": [1.0, 3.0], "b": [8.0, 8.0]}]], "mean", paired=True)
    assert part.variance == pytest.approx((2 / 2) / (2 * 5) ** 2)
    assert part.df == 2


def test_a_lone_request_shows_no_noise() -> None:
    assert evidence.request_parts([[{"a": [1.0]}], [{"a": [2.0]}]], "mean", paired=True) == []
    assert evidence.request_parts([[{"a": [1.0]}], [{"b": [2.0]}]], "p50", paired=False) == []


def test_runs_without_numbers_teach_nothing() -> None:
    assert evidence.learnt([[], [{}], [{"a": [1.0]}], [{"a": [0.0]}, {"a": [0.0]}]], "mean") is None


# Order, labels and warnings


def test_baseline_leads_then_files_by_time_or_rank_with_those_of_a_model_together() -> None:
    made = [
        virtual_benchmark(rows(QUIET, 1, dice(0), speed), name, day, model)
        for name, day, model, speed in [
            ("late", 9, "x", 1.0),
            ("other", 1, "y", 4.0),
            ("middle", 5, "x", 3.0),
            ("early", 2, "x", 2.0),
        ]
    ]

    def order(sort: str) -> list[str]:
        found = comparison("benchmark", *made, sort=sort)
        assert found.baseline.path == "late.json"
        return [side.path.removesuffix(".json") for side in found.subjects]

    assert order("time") == order("model") == ["late", "early", "middle", "other"]
    assert order("tokens_per_sec") == order(TTFT) == ["late", "middle", "early", "other"]
    assert order("power_draw_watts") == order("time")  # no values: by time


@pytest.mark.parametrize(
    ("part", "field", "identifier"),
    [
        ("environment", "fingerprint", "machine"),
        ("server", "kind", "server"),
        ("server", "version", "server_version"),
        ("model", "quantization", "quantization"),
        ("model", "digest", "digest"),
        *(("config", n, n) for n in ("num_ctx", "temperature", "max_tokens", "cache", "seed")),
    ],
)
def test_what_else_differs_is_a_warning(part: str, field: str, identifier: str) -> None:
    before, after = documents([1.0, 1.0])
    assert whole(before, after)["results"]["warnings"] == []
    after[part] = {**after[part], field: "other"}
    (warning,) = whole(before, after)["results"]["warnings"]
    assert warning["id"] == identifier
    assert warning["text"].endswith("(A); other (B)")


def test_a_different_start_is_a_warning() -> None:
    before, after = documents([1.0, 1.0])
    after["config"] = {**after["config"], "start": "cold"}
    for row in after["results"]["runs"]:
        row["start"] = "cold"
    texts = [warning["text"] for warning in whole(before, after)["results"]["warnings"]]
    assert texts == ["start differs: warm (A); cold (B)"]


def test_a_file_s_own_faults_are_warnings() -> None:
    before, after = documents([1.0, 1.0])
    after |= {"status": "partial", "contended": True, "run_id": "a"}
    after["results"]["totals"] = {"planned": 40, "succeeded": 30, "failed": 2}
    texts = [warning["text"] for warning in whole(before, after)["results"]["warnings"]]
    assert texts == [
        "A, B are the same run",
        "B is partial: 30 of 40 requests",
        "B has 2 failed requests, which have no latencies",
        "B was allowed to run at the same time as other measurements",
    ]


def test_a_busy_machine_without_earlier_runs_decides_nothing() -> None:
    before, after = documents([1.0, 2.0], runs=1)
    (change, *_) = whole(before, after)["results"]["changes"]
    assert change["verdict"] == "faster"
    after["insights"] = [{"id": "other_load", "text": "busy", "evidence": {}}]
    (doubtful, *_) = whole(before, after)["results"]["changes"]
    assert (doubtful["verdict"], doubtful["change"]) == ("inconclusive", change["change"])
    assert doubtful["reason"].startswith("the machine of B was busy, and too few earlier runs")


def test_what_made_a_file_s_own_numbers_doubtful_is_a_warning() -> None:
    before, after = documents([1.0, 1.0])
    before["telemetry"] = {"processes": 2}
    after["insights"] = [{"id": "other_load", "text": "busy", "evidence": {}}]
    after["config"] = {**after["config"], "warmup": 0}
    found = {one["id"]: one["text"] for one in whole(before, after)["results"]["warnings"]}
    assert found == {
        "warmup": "warmup differs: 2 (A); 0 (B)",
        "continued": "A was measured by 2 processes in turn: it was interrupted and resumed, or "
        "workers shared it",
        "other_load": "B was measured while other programs used much of the machine",
    }


def test_processes_are_counted_by_the_rows_they_wrote() -> None:
    made: list[Any] = [{"clock": {"segment": name}} for name in "aab"]
    assert profiles.processes(made) == 2
    without: list[Any] = [{}]
    assert profiles.processes(without) is None


def test_the_context_that_was_sent_is_compared_where_none_was_asked_for() -> None:
    before, after = documents([1.0, 1.0])
    sent = {"options": {"num_ctx": 2048}}
    after["config"] = {**after["config"], "sent": sent}
    (warning,) = whole(before, after)["results"]["warnings"]
    assert warning["text"] == "num_ctx differs: not known (A); 2048 (B)"


# Gates


@pytest.mark.parametrize(
    ("expression", "speed", "verdict"),
    [
        ("tokens_per_sec.mean:-5%", 1.0, "pass"),
        ("tokens_per_sec.mean:-5%", 0.9, "fail"),
        ("tps: -5 %", 1.2, "pass"),
        ("tps:+5%", 1.0, "fail"),  # an improvement is demanded
        ("tps:+5%", 1.2, "pass"),
        ("ttft_ms:+10%", 1.0, "pass"),
        ("ttft_ms:+10%", 0.8, "fail"),
        ("ttft_ms:-10%", 1.0, "fail"),
        ("osl:+1%", 1.0, "pass"),
        ("osl:-1%", 1.0, "pass"),
        (f"{FIXED_N}:+10%", 0.8, "fail"),
    ],
)
def test_a_gate_fails_when_the_change_is_surely_worse(
    expression: str, speed: float, verdict: str
) -> None:
    (found,) = whole(*documents([1.0, speed]), fail_if=[expression])["results"]["gates"]
    assert (found["verdict"], found["reason"]) == (verdict, None)
    assert gates.change_sentence(found).startswith(f"{expression}: B: {verdict}: ")


def test_a_gate_is_undecided_where_the_interval_holds_the_bound_or_is_missing() -> None:
    asked = {"columns": [TTFT], "fail_if": ["tps:-5%", "energy_wh:+1%"]}
    found = whole(*documents([1.0, 0.98], runs=1), **asked)["results"]["gates"]
    assert [gate["verdict"] for gate in found] == ["undecided", "undecided"]
    assert "the interval contains the bound" in gates.change_sentence(found[0])
    assert gates.change_sentence(found[1]) == (
        "energy_wh:+1%: B: undecided: no request of A gave a value"
    )


def test_a_gate_judges_every_other_file() -> None:
    made = documents([1.0, 0.9, 1.0])
    found = whole(*made, fail_if=["tps:-5%"], baseline=2)["results"]["gates"]
    assert [(gate["file"], gate["verdict"]) for gate in found] == [("B", "pass"), ("C", "fail")]

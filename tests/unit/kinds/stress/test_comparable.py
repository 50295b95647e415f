"""Stress runs compared: changes at common levels and of points, sure only where a file is."""

from __future__ import annotations

import copy
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from support.comparisons import comparison, valid_document
from support.stress_documents import (
    BASELINE,
    Taken,
    baseline,
    closed_loop,
    failed_row,
    level,
    open_loop,
    saved_stress,
    search_facts,
)

from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.kinds.comparison import engine
from pytest_llamaburn.kinds.stress.comparable import Comparison
from pytest_llamaburn.load.step import RATE, Step
from pytest_llamaburn.reports import csv, html, table
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


Document = dict[str, Any]
UNKNOWN = (
    "one run does not show the noise between runs: there are {} earlier runs of this load, "
    "3 are needed"
)


def stress_file(directory: Path, name: str, *taken: Taken, **fields: Any) -> Path:
    return saved_stress(directory / name, [baseline(), *taken], run_id=name, **fields)


def stress_comparison(*paths: Path, earlier: Path | None = None, **asked: Any) -> Document:
    directory = earlier or paths[0].parent
    return valid_document(engine.compare(directory, paths, paths[0], engine.Asked(**asked)))


def changes(*paths: Path, **asked: Any) -> dict[tuple[float | None, str], Document]:
    found = stress_comparison(*paths, **asked)["results"]["changes"]
    return {(one["level"], f"{one['metric']}.{one['statistic'] or ''}"): one for one in found}


def test_each_common_level_has_its_changes_and_each_point_its_own(tmp_path: Path) -> None:
    before = stress_file(tmp_path, "a", level(1), level(2), level(8))
    after = stress_file(tmp_path, "b", level(2, slots=1), level(8, slots=1), level(16))
    found = changes(before, after)
    assert {at for at, _ in found} == {2, 8, None}
    slower = found[8, "requests_per_sec."]
    assert slower["change"] == pytest.approx(-0.5, abs=0.02)
    assert (slower["baseline"], slower["better"]) == (pytest.approx(20, rel=0.02), "higher")
    assert found[8, "total_generation_ms.p50"]["change"] == pytest.approx(1, abs=0.02)
    assert {name for at, name in found if at is None} == {"failure_point.", "degradation_point."}


def test_what_has_no_interval_is_inconclusive_with_the_reason(tmp_path: Path) -> None:
    found = changes(
        stress_file(tmp_path, "a", level(8)), stress_file(tmp_path, "b", level(8, slots=1))
    )
    assert {one["verdict"] for one in found.values()} == {"inconclusive"}
    assert found[8, "error_rate."]["reason"] is None
    assert found[8, "total_generation_ms.p95"]["reason"] == UNKNOWN.format(0)
    assert found[None, "failure_point."]["reason"] == (
        "the baseline did not reach it up to 8; the file did not reach it up to 8"
    )
    assert found[None, "degradation_point."]["reason"] == (
        "in the baseline it lies between 1 and 8; in the file it lies between 1 and 8"
    )


@pytest.mark.parametrize(("every", "verdict"), [(3, "worse"), (48, "inconclusive")])
def test_shares_that_failed_are_told_apart_by_their_intervals(
    every: int, verdict: str, tmp_path: Path
) -> None:
    rows = closed_loop(8, 12, 100, 2)
    for i in range(0, len(rows), every):
        rows[i] = failed_row(rows[i].sent_ns / 1e6, (rows[i].end_ns - rows[i].sent_ns) / 1e6, "oom")
    paths = stress_file(tmp_path, "a", level(8)), stress_file(tmp_path, "b", (level(8)[0], rows))
    one = changes(*paths)[8, "error_rate."]
    assert (one["baseline"], one["value"]) == (0, pytest.approx(1 / every, abs=0.01))
    assert one["change"] == one["value"]
    low, high = one["interval"]
    assert low < one["change"] < high
    assert one["verdict"] == verdict
    assert changes(*paths[::-1])[8, "error_rate."]["interval"] == pytest.approx([-high, -low])


def test_a_run_without_a_point_says_so(tmp_path: Path) -> None:
    paths = stress_file(tmp_path, "a", level(8)), stress_file(tmp_path, "b", level(8))
    document = json.loads(paths[0].read_text())
    document["results"]["failure_point"] = None
    paths[0].write_text(json.dumps(document))
    words = changes(*paths)[None, "failure_point."]["reason"]
    assert words.startswith("the baseline does not have it; the file did not reach it")


def test_a_point_that_one_side_did_not_reach_says_how_far_it_came(tmp_path: Path) -> None:
    broken = (level(8)[0], [failed_row(10 * i, 10, "oom") for i in range(96)])
    found = changes(
        stress_file(tmp_path, "a", level(4), level(8)), stress_file(tmp_path, "b", level(4), broken)
    )
    words = found[None, "failure_point."]["reason"]
    assert words == "the baseline did not reach it up to 8; in the file it lies between 4 and 8"


def test_goodput_is_compared_where_both_have_its_bounds(tmp_path: Path) -> None:
    paths = (
        stress_file(tmp_path, "a", level(8), slo="e2e_ms<500"),
        stress_file(tmp_path, "b", level(8, slots=1), slo="e2e_ms<500"),
    )
    one = changes(*paths)[8, "goodput_share."]
    assert (one["baseline"], one["verdict"]) == (1, "inconclusive")
    assert one["change"] == pytest.approx(one["value"] - 1)


@pytest.mark.parametrize(
    ("after", "verdict"),
    [((20, 18, 22), "better"), ((5, 4, 6), "worse"), ((11, 9, 13), "inconclusive")],
)
def test_points_that_a_search_bracketed_are_told_apart_by_their_intervals(
    after: tuple[float, float, float], verdict: str, tmp_path: Path
) -> None:
    paths = (
        stress_file(tmp_path, "a", level(8), facts=search_facts(10, 8, 12)),
        stress_file(tmp_path, "b", level(8), facts=search_facts(*after)),
    )
    point = changes(*paths)[None, "failure_point."]
    assert (point["verdict"], point["reason"]) == (verdict, None)
    assert point["change"] == pytest.approx(after[0] / 10 - 1)
    low, high = point["interval"]
    assert low < point["change"] < high


def test_gaps_between_pieces_are_compared_where_they_are_asked_for(tmp_path: Path) -> None:
    paths = stress_file(tmp_path, "a", level(2)), stress_file(tmp_path, "b", level(2))
    one = changes(*paths, columns=["chunk_gap_ms.max"])[2, "chunk_gap_ms.max"]
    assert (one["unit"], one["better"], one["change"]) == ("ms", "lower", 0)


def test_energy_of_different_devices_is_not_compared(tmp_path: Path) -> None:
    paths = stress_file(tmp_path, "a", level(2)), stress_file(tmp_path, "b", level(2))
    for path, counted in zip(paths, (["01:00.0"], ["02:00.0"]), strict=True):
        document = json.loads(path.read_text())
        document["results"]["levels"][0]["energy_wh"] = 0.5
        document["telemetry"] |= {"counted": counted, "scope": "gpu_board"}
        document["environment"]["fingerprint"] = "same"
        path.write_text(json.dumps(document))
    found = stress_comparison(*paths, columns=["energy_wh"])["results"]
    (change,) = found["changes"]
    reason = "the energy of different devices was counted: 01:00.0 and 02:00.0"
    assert (change["value"], change["change"], change["reason"]) == (0.5, None, reason)
    assert {"file": "B", "text": reason} in found["warnings"]


def test_what_was_not_measured_on_a_side_has_no_change(tmp_path: Path) -> None:
    before, after = stress_file(tmp_path, "a", level(2)), stress_file(tmp_path, "b", level(2))
    document = json.loads(after.read_text())
    document["results"]["levels"][0]["requests_per_sec"] = None
    after.write_text(json.dumps(document))
    one = changes(before, after)[2, "requests_per_sec."]
    assert (one["value"], one["change"], one["verdict"]) == (None, None, "inconclusive")
    assert one["reason"] == "requests_per_sec was not measured at 2 on each side"


def test_rates_are_compared_with_rates_and_not_with_clients(tmp_path: Path) -> None:
    scheduled = Step(10, RATE, 100), open_loop(10, 10)
    before = stress_file(tmp_path, "a", scheduled, arrival="static")
    after = stress_file(tmp_path, "b", scheduled, arrival="static")
    assert (10, "requests_per_sec.") in changes(before, after)
    with pytest.raises(ResultsError, match="loaded by clients, the baseline by a rate"):
        stress_comparison(before, stress_file(tmp_path, "c", level(10)))


def test_what_else_differs_is_warned_of(tmp_path: Path) -> None:
    limited = closed_loop(8, 12, 100, 2)
    for one in limited:
        one.scheduled_ns -= 200_000_000
    said = {"baseline": {**BASELINE, "deadline_s": 30.0}}
    before = stress_file(tmp_path, "a", level(8), facts=said, prompts=("default", "code"))
    after = stress_file(tmp_path, "b", (level(8)[0], limited), osl=20)
    document = json.loads(after.read_text())
    document["environment"]["fingerprint"] = "other"
    after.write_text(json.dumps(document))
    found = stress_comparison(before, after)["results"]["warnings"]
    assert {one["file"] for one in found} == {"B"}
    assert [one["text"] for one in found] == [
        "osl is 20, none in the baseline",
        "prompts is default, default, code in the baseline",
        "it was measured on another machine",
        "a request failed after 10 s, in the baseline after 30",
        "in it the client was too slow at 8",
    ]


def test_a_busy_machine_on_either_side_is_warned_of(tmp_path: Path) -> None:
    before = stress_file(tmp_path, "a", level(2), facts={"other_cpu_share": 0.5})
    after = stress_file(tmp_path, "b", level(2), warmup=0)
    document = json.loads(after.read_text())
    document["contended"] = True
    after.write_text(json.dumps(document))
    assert [one["text"] for one in stress_comparison(before, after)["results"]["warnings"]] == [
        "warmup is 0, 2 in the baseline",
        "the baseline was measured while other programs used much of the machine",
        "it was allowed to run at the same time as other measurements",
    ]


def test_every_report_shows_the_changes(tmp_path: Path) -> None:
    before = stress_file(tmp_path, "a", level(2), level(8), facts=search_facts(10, 8, 12))
    after = stress_file(tmp_path, "b", level(8, slots=1), facts=search_facts(20, 18, 22))
    path = results.write(tmp_path, stress_comparison(before, after))
    text = table.render([path])
    for words in (
        "2 stress runs, compared with A",
        "A (baseline): llama3.1:q4, sweep, ",
        "8 clients   total generation, p95 ",
        "failure point ",
        "+100.0 % ",
        "each interval is a 99.889 % one: of reports of equal runs at most 1 in 100",
        " points ",
        f"B, requests per second and 5 more: {UNKNOWN.format(0)}",
    ):
        assert words in text, words
    head, *lines = csv.render([path]).splitlines()
    assert {"level", "metric", "verdict", "low", "high"} <= set(head.split(","))
    assert len(lines) == 7 + 2
    assert "failure point" in html.render([path])


# Noise that earlier runs show


def slower(found: Document, by: float, run_id: str) -> Document:
    """Return a run like another, with a rate that much lower."""
    changed: Document = copy.deepcopy(found)
    changed["run_id"] = run_id
    for one in changed["results"]["levels"]:
        one["requests_per_sec"] /= by
    return changed


def filed(directory: Path, document: Document) -> Path:
    return results.write(directory, document)


def history(directory: Path, *factors: float, **fields: Any) -> Document:
    """File earlier runs of one load that differ by these factors; return the first as made."""
    path = stress_file(directory / "made", "a", level(2), level(8), **fields)
    made: Document = json.loads(path.read_text())
    for number, factor in enumerate(factors):
        filed(directory, slower(made, factor, f"earlier-{number}"))
    return made


RATES = ("requests_per_sec",)


@pytest.mark.parametrize(
    ("by", "verdict"), [(1.0, "same"), (1.03, "worse"), (1.2, "worse"), (0.8, "better")]
)
def test_earlier_runs_of_the_load_show_how_much_of_a_change_is_noise(
    by: float, verdict: str, tmp_path: Path
) -> None:
    made = history(tmp_path, 1.0, 1.002, 0.998, 1.001)
    paths = filed(tmp_path, slower(made, 1, "now-1")), filed(tmp_path, slower(made, by, "now-2"))
    one = changes(*paths, earlier=tmp_path, columns=RATES)[8, "requests_per_sec."]
    assert (one["verdict"], one["reason"]) == (verdict, None)
    low, high = one["interval"]
    assert low < one["change"] < high
    assert one["noise"] == {"runs": 4, "std": pytest.approx(0.0017, abs=0.0002)}
    text = table.render([results.write(tmp_path, stress_comparison(*paths, earlier=tmp_path))])
    assert "intervals of levels are from 4 earlier runs of the same load" in text


def test_runs_of_another_load_and_the_compared_ones_show_no_noise(tmp_path: Path) -> None:
    made = history(tmp_path, 1.0, 1.002)
    history(tmp_path / "other", 1.0, 1.1, 1.2, 1.3, osl=20)
    for path in (tmp_path / "other" / "stress").iterdir():
        path.rename(tmp_path / "stress" / f"other-{path.name}")
    paths = filed(tmp_path, slower(made, 1, "now-1")), filed(tmp_path, slower(made, 1.1, "now-2"))
    one = changes(*paths, earlier=tmp_path, columns=RATES)[8, "requests_per_sec."]
    assert (one["verdict"], one["reason"]) == ("inconclusive", UNKNOWN.format(2))


def test_earlier_runs_that_are_all_equal_show_no_noise_either(tmp_path: Path) -> None:
    made = history(tmp_path, 1.0, 1.0, 1.0)
    paths = filed(tmp_path, slower(made, 1, "now-1")), filed(tmp_path, slower(made, 1.1, "now-2"))
    one = changes(*paths, earlier=tmp_path, columns=RATES)[8, "requests_per_sec."]
    assert one["reason"] == "3 earlier runs of the same load show no spread"


@pytest.mark.parametrize("change", ["machine", "slo", "level_requests"])
def test_noise_is_of_the_machine_and_of_levels_as_long(change: str, tmp_path: Path) -> None:
    made = history(tmp_path, 1.0, 1.002, 0.998, 1.001)
    for side in ("now-1", "now-2"):
        here = slower(made, 1.1, side)
        if change == "machine":
            here["environment"]["fingerprint"] = "another"
        else:
            here["config"][change] = "e2e_ms<9" if change == "slo" else 9
        filed(tmp_path / "now", here)
    paths = sorted((tmp_path / "now" / "stress").iterdir())
    one = changes(*paths, earlier=tmp_path, columns=RATES)[8, "requests_per_sec."]
    assert one["reason"] == UNKNOWN.format(0)


def test_a_server_that_came_to_a_halt_has_no_ratio(tmp_path: Path) -> None:
    made = history(tmp_path, 1.0, 1.002, 0.998, 1.001)
    paths = filed(tmp_path, slower(made, 1, "now-1")), filed(tmp_path, slower(made, 1e12, "now-2"))
    halted = json.loads(paths[1].read_text())
    halted["results"]["levels"][1]["requests_per_sec"] = 0
    paths[1].write_text(json.dumps(halted))
    one = changes(*paths, earlier=tmp_path, columns=RATES)[8, "requests_per_sec."]
    assert one["reason"] == "one of them is 0, to which there is no ratio"


def test_a_percentile_that_too_few_requests_certify_decides_nothing(tmp_path: Path) -> None:
    made = history(tmp_path, 1.0, 1.002, 0.998, 1.001)
    sides = [slower(made, 1, "now-1"), slower(made, 1, "now-2")]
    sides[1]["results"]["levels"][1]["total_generation_ms"]["p99_9"] *= 2
    for number, path in enumerate(sorted((tmp_path / "stress").iterdir())):
        document = json.loads(path.read_text())
        document["results"]["levels"][1]["total_generation_ms"]["p99_9"] *= 1 + number / 1000
        path.write_text(json.dumps(document))
    paths = [filed(tmp_path, side) for side in sides]
    columns = ["total_generation_ms.p99_9"]
    one = changes(*paths, earlier=tmp_path, columns=columns)[8, "total_generation_ms.p99_9"]
    assert one["interval"][0] > 0
    assert (one["verdict"], one["reason"]) == ("inconclusive", "96 requests are too few for it")


def test_goodput_that_is_0_on_both_sides_is_shown(tmp_path: Path) -> None:
    paths = [stress_file(tmp_path, name, level(8), slo="e2e_ms<1") for name in ("a", "b")]
    one = changes(*paths)[8, "goodput_share."]
    assert (one["baseline"], one["value"], one["change"]) == (0, 0, 0)


def test_a_gate_on_goodput_without_its_bounds_says_that_it_was_not_measured(tmp_path: Path) -> None:
    paths = stress_file(tmp_path, "a", level(8)), stress_file(tmp_path, "b", level(8))
    ((verdict, reason),) = gated(*paths, earlier=tmp_path, gates=["goodput_share@8:-1%"])
    assert (verdict, reason) == ("undecided", "goodput_share was not measured at 8 on each side")


def test_a_point_of_the_other_axis_is_refused(tmp_path: Path) -> None:
    paths = stress_file(tmp_path, "a", level(8)), stress_file(tmp_path, "b", level(8))
    with pytest.raises(SettingsError, match=r"failure_point\.rate: these loads have no rate"):
        stress_comparison(*paths, columns=["failure_point.rate"])


def test_a_run_that_was_cut_before_its_first_level_keeps_its_axis(tmp_path: Path) -> None:
    scheduled = Step(10, RATE, 100), open_loop(10, 10)
    before = stress_file(tmp_path, "a", scheduled, arrival="static")
    cut = stress_file(tmp_path, "b", arrival="static", interrupted=True)
    warnings = stress_comparison(before, cut)["results"]["warnings"]
    assert "it is interrupted" in [one["text"] for one in warnings]


def test_a_file_without_intervals_of_its_failures_is_compared(tmp_path: Path) -> None:
    paths = stress_file(tmp_path, "a", level(8)), stress_file(tmp_path, "b", level(8))
    old = json.loads(paths[0].read_text())
    del old["results"]["levels"][0]["error_rate_ci95"]
    paths[0].write_text(json.dumps(old))
    assert changes(*paths)[8, "error_rate."]["reason"] == UNKNOWN.format(0)


def jittered(file: str, rng: random.Random, by: float = 1) -> Document:
    """Return a run like that of a file; each number differs by chance, and by a factor."""
    changed: Document = json.loads(file)
    changed["run_id"] = str(rng.random())
    for one in changed["results"]["levels"]:
        for name in Comparison.default:
            metric, _, statistic = name.partition(".")
            if statistic:
                one[metric][statistic] *= by * rng.lognormvariate(0, 0.01)
            elif metric.endswith("_per_sec"):
                one[metric] *= by * rng.lognormvariate(0, 0.01)
    return changed


@pytest.mark.parametrize(("by", "least", "most"), [(1.0, 0, 6), (1.15, 180, 200)])
def test_reports_of_equal_runs_raise_no_alarm_and_unequal_ones_do(
    by: float, least: int, most: int, tmp_path: Path
) -> None:
    made = stress_file(tmp_path, "a", level(4), level(8)).read_text()
    rng, alarms = random.Random(1), 0  # noqa: S311 - not a secret
    for _ in range(200):
        earlier = [jittered(made, rng) for _ in range(12)]
        sides = jittered(made, rng), jittered(made, rng, by)
        found = comparison("stress", *sides, history=earlier)
        changes = [found.change(found.others[0], column) for column in found.planned["B"]]
        alarms += any(one.verdict in ("better", "worse") for one in changes)
    assert least <= alarms <= most


def gated(*paths: Path, earlier: Path, gates: Sequence[str]) -> list[tuple[str, str | None]]:
    found = stress_comparison(*paths, earlier=earlier, columns=RATES, fail_if=gates)["results"][
        "gates"
    ]
    return [(one["verdict"], one["reason"]) for one in found]


def test_a_gate_passes_only_what_is_surely_no_worse_than_its_bound(tmp_path: Path) -> None:
    made = history(tmp_path, 1.0, 1.002, 0.998, 1.001)
    apart = tmp_path / "apart"
    now = [filed(apart, slower(made, by, f"now-{by}")) for by in (1.0, 1.1, 1.001)]
    gates = ["requests_per_sec@8:-5%", "requests_per_sec:-5%", "requests_per_sec@8:-9.5%"]
    found = gated(now[0], now[1], earlier=tmp_path, gates=gates)
    holds = (
        "the interval contains the bound: more earlier runs of the same load in the results "
        "directory make it narrower"
    )
    assert found == [("fail", None), ("fail", None), ("undecided", holds)]
    assert {one[0] for one in gated(now[0], now[2], earlier=tmp_path, gates=gates)} == {"pass"}


def test_a_gate_that_nothing_can_decide_says_why(tmp_path: Path) -> None:
    paths = stress_file(tmp_path, "a", level(8)), stress_file(tmp_path, "b", level(8))
    gates = ["tps@4:-5%", "ttft_ms.p50@8:+5%", "failure_point.concurrency:-10%"]
    assert gated(*paths, earlier=tmp_path, gates=gates) == [
        ("undecided", "the files have no level 4 in common"),
        ("undecided", UNKNOWN.format(0)),
        (
            "undecided",
            "the baseline did not reach it up to 8; the file did not reach it up to 8",
        ),
    ]


def test_a_gate_without_a_level_needs_an_optimal_one(tmp_path: Path) -> None:
    paths = stress_file(tmp_path, "a", level(8)), stress_file(tmp_path, "b", level(8))
    before = json.loads(paths[0].read_text())
    before["results"]["optimal"] = None
    paths[0].write_text(json.dumps(before))
    ((verdict, reason),) = gated(*paths, earlier=tmp_path, gates=["error_rate:+1%"])
    assert verdict == "undecided"
    assert reason == "the baseline has no optimal level: name one, as in requests_per_sec@8:-5%"


def test_points_are_gated_by_their_intervals(tmp_path: Path) -> None:
    paths = (
        stress_file(tmp_path, "a", level(8), facts=search_facts(10, 9.8, 10.2)),
        stress_file(tmp_path, "b", level(8), facts=search_facts(10, 9.8, 10.2)),
        stress_file(tmp_path, "c", level(8), facts=search_facts(5, 4.9, 5.1)),
    )
    gates = ["failure_point.concurrency:-10%"]
    assert gated(*paths, earlier=tmp_path, gates=gates) == [("pass", None), ("fail", None)]

"""Stress runs compared: changes at common levels and of points, sure only where a file is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from loads import BASELINE, Taken, alone, closed, failed, level, opened, saved, searched

from pytest_llamaburn import compare_stress, results
from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.load import comparing
from pytest_llamaburn.load.step import RATE, Step
from pytest_llamaburn.reports import csv, html, table

if TYPE_CHECKING:
    from pathlib import Path


def run(directory: Path, name: str, *taken: Taken, **fields: Any) -> Path:
    return saved(directory / name, [alone(), *taken], run_id=name, **fields)


def compared(*paths: Path, baseline: int = 0) -> dict[str, Any]:
    document = comparing.compared_apart(paths, baseline)
    assert results.check(document) is None
    found: dict[str, Any] = document
    return found


def changes(*paths: Path) -> dict[tuple[float | None, str], dict[str, Any]]:
    found = compared(*paths)["results"]["changes"]
    return {(one["level"], f"{one['metric']}.{one['statistic'] or ''}"): one for one in found}


def test_each_common_level_has_its_changes_and_each_point_its_own(tmp_path: Path) -> None:
    before = run(tmp_path, "a", level(1), level(2), level(8))
    after = run(tmp_path, "b", level(2, slots=1), level(8, slots=1), level(16))
    found = changes(before, after)
    assert {at for at, _ in found} == {2, 8, None}
    slower = found[8, "requests_per_sec."]
    assert slower["change"] == pytest.approx(-0.5, abs=0.02)
    assert (slower["baseline"], slower["better"]) == (pytest.approx(20, rel=0.02), "higher")
    assert found[8, "total_generation_ms.p50"]["change"] == pytest.approx(1, abs=0.02)
    assert {name for at, name in found if at is None} == {"failure_point.", "degradation_point."}


def test_what_has_no_interval_is_inconclusive_with_the_reason(tmp_path: Path) -> None:
    found = changes(run(tmp_path, "a", level(8)), run(tmp_path, "b", level(8, slots=1)))
    assert {one["verdict"] for one in found.values()} == {"inconclusive"}
    assert found[8, "error_rate."]["reason"] is None
    assert found[8, "total_generation_ms.p95"]["reason"] == compare_stress.ALONE
    assert found[None, "failure_point."]["reason"] == (
        "the baseline did not reach it up to 8; the file did not reach it up to 8"
    )
    assert found[None, "degradation_point."]["reason"] == "no interval of it is known on each side"


@pytest.mark.parametrize(("every", "verdict"), [(3, "worse"), (48, "inconclusive")])
def test_shares_that_failed_are_told_apart_by_their_intervals(
    every: int, verdict: str, tmp_path: Path
) -> None:
    rows = closed(8, 12, 100, 2)
    for i in range(0, len(rows), every):
        rows[i] = failed(rows[i].sent_ns / 1e6, 100, "oom")
    paths = run(tmp_path, "a", level(8)), run(tmp_path, "b", (level(8)[0], rows))
    one = changes(*paths)[8, "error_rate."]
    assert (one["baseline"], one["value"]) == (0, pytest.approx(1 / every, abs=0.01))
    assert one["change"] == one["value"]
    low, high = one["interval"]
    assert low < one["change"] < high
    assert one["verdict"] == verdict
    assert changes(*paths[::-1])[8, "error_rate."]["interval"] == pytest.approx([-high, -low])


def test_a_point_that_one_side_did_not_reach_says_how_far_it_came(tmp_path: Path) -> None:
    broken = (level(8)[0], [failed(10 * i, 10, "oom") for i in range(96)])
    found = changes(run(tmp_path, "a", level(4), level(8)), run(tmp_path, "b", level(4), broken))
    words = found[None, "failure_point."]["reason"]
    assert words == "the baseline did not reach it up to 8; there is no number of it in the file"


def test_goodput_is_compared_where_both_have_its_bounds(tmp_path: Path) -> None:
    paths = (
        run(tmp_path, "a", level(8), slo="e2e_ms<500"),
        run(tmp_path, "b", level(8, slots=1), slo="e2e_ms<500"),
    )
    one = changes(*paths)[8, "goodput.share"]
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
        run(tmp_path, "a", level(8), facts=searched(10, 8, 12)),
        run(tmp_path, "b", level(8), facts=searched(*after)),
    )
    point = changes(*paths)[None, "failure_point."]
    assert (point["verdict"], point["reason"]) == (verdict, None)
    assert point["change"] == pytest.approx(after[0] / 10 - 1)
    low, high = point["interval"]
    assert low < point["change"] < high


def test_what_was_not_measured_on_a_side_has_no_change(tmp_path: Path) -> None:
    before, after = run(tmp_path, "a", level(2)), run(tmp_path, "b", level(2))
    document = json.loads(after.read_text())
    document["results"]["levels"][0]["requests_per_sec"] = None
    after.write_text(json.dumps(document))
    one = changes(before, after)[2, "requests_per_sec."]
    assert (one["value"], one["change"], one["verdict"]) == (None, None, "inconclusive")
    assert one["reason"] == "requests_per_sec was not measured at 2 on each side"


def test_rates_are_compared_with_rates_and_not_with_clients(tmp_path: Path) -> None:
    scheduled = Step(10, RATE, 100), opened(10, 10)
    before = run(tmp_path, "a", scheduled, arrival="static")
    after = run(tmp_path, "b", scheduled, arrival="static")
    assert (10, "requests_per_sec.") in changes(before, after)
    with pytest.raises(ResultsError, match="loaded by clients, the baseline by a rate"):
        compared(before, run(tmp_path, "c", level(10)))


def test_what_else_differs_is_warned_of(tmp_path: Path) -> None:
    limited = closed(8, 12, 100, 2)
    for one in limited:
        one.scheduled_ns -= 200_000_000
    said = {"baseline": {**BASELINE, "deadline_s": 30.0}}
    before = run(tmp_path, "a", level(8), facts=said, prompts=("default", "code"))
    after = run(tmp_path, "b", (level(8)[0], limited), osl=20)
    document = json.loads(after.read_text())
    document["environment"]["fingerprint"] = "other"
    after.write_text(json.dumps(document))
    found = compared(before, after)["results"]["warnings"]
    assert {one["file"] for one in found} == {"B"}
    assert [one["text"] for one in found] == [
        "osl is 20, none in the baseline",
        "prompts is default, default, code in the baseline",
        "it was measured on another machine",
        "a request failed after 10 s, in the baseline after 30",
        "in it the client was the limit at 8",
    ]


def test_the_baseline_may_be_any_of_the_files(tmp_path: Path) -> None:
    paths = [run(tmp_path, name, level(2)) for name in ("a", "b", "c")]
    document = compared(*paths, baseline=1)
    assert document["config"]["baseline"] == "B"
    assert {one["file"] for one in document["results"]["changes"]} == {"A", "C"}


def test_a_file_is_not_compared_with_itself(tmp_path: Path) -> None:
    path = run(tmp_path, "a", level(2))
    with pytest.raises(ResultsError, match="is named twice"):
        compared(path, path)


def test_every_report_shows_the_changes(tmp_path: Path) -> None:
    before = run(tmp_path, "a", level(2), level(8), facts=searched(10, 8, 12))
    after = run(tmp_path, "b", level(8, slots=1), facts=searched(20, 18, 22))
    path = results.write(tmp_path, compared(before, after))
    text = table.render([path])
    for words in (
        "2 stress runs, compared with A",
        "A (baseline): llama3.1:q4, sweep, ",
        "8 clients   total generation, p95 ",
        "failure point ",
        "+100.0 % ",
        " [+50.0, +175.0] %",
        " points ",
        f"B, requests per second: {compare_stress.ALONE}",
    ):
        assert words in text, words
    head, *lines = csv.render([path]).splitlines()
    assert {"level", "metric", "verdict", "low", "high"} <= set(head.split(","))
    assert len(lines) == 7 + 2
    assert "failure point" in html.render([path])

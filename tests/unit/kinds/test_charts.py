"""Cards and charts of the kinds of run: what a document has, and nothing that it has not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_llamaburn.charts import Forest, Plot
from pytest_llamaburn.kinds import _charts
from pytest_llamaburn.kinds.benchmark import charts as benchmark
from pytest_llamaburn.kinds.comparison import charts as comparison
from pytest_llamaburn.kinds.eval import charts as evals
from pytest_llamaburn.kinds.stress import charts as stress
from pytest_llamaburn.reports import table

GOLDEN = Path(__file__).parents[2] / "golden"
Document = dict[str, Any]


def golden(name: str) -> Document:
    path = GOLDEN / "journals" / name / "result.json"
    found: Document = json.loads(path.read_text(encoding="utf-8"))
    return found


def values(cards: Any) -> dict[str, str]:
    """Return the value of each card by its label."""
    return {card.label: card.value for card in cards}


def test_a_card_of_what_was_not_measured_is_a_dash_with_the_reason() -> None:
    cards = {card.label: card for card in benchmark.cards(golden("benchmark-failed"))}
    assert cards["time to first token"].value == "–"
    assert cards["requests that succeeded"].note == "5 failed"
    absent = {**golden("benchmark-complete")["results"]["summary"]["energy_wh"]}
    assert _charts.mean("energy_wh", absent).note == "no power sensor is read"


def test_known_energy_is_a_card() -> None:
    (card,) = _charts.energy({"energy_wh": 1.5, "power_draw_watts": 120.0})
    assert (card.value, card.unit, card.note) == ("1.50", "Wh", "120 W mean")
    assert not [*_charts.energy({"energy_wh": None})]


def sample(second: int, phase: str, **gpu: float | None) -> Document:
    return {
        "t_ms": 1000.0 * second,
        "phase": phase,
        "cpu_pct": 50.0,
        "ram_used_mb": 2000.0,
        "gpus": [{"id": "0", **gpu}] if gpu else [],
    }


def test_sensors_are_charts_with_the_phases_beside_the_requests_as_bands() -> None:
    read = {"util_pct": 90.0, "vram_used_mb": 1500.0, "power_w": 200.0, "temp_c": None}
    profile = [sample(i, "warmup", **read) for i in range(3)]
    profile += [sample(i, "generate", **read) for i in range(3, 9)]
    found = {plot.title: plot for plot in _charts.sensors({"system_profile": profile})}
    assert [*found] == ["Processors over time", "Memory over time", "Power over time"]
    processors, memory = found["Processors over time"], found["Memory over time"]
    assert isinstance(processors, Plot)
    assert isinstance(memory, Plot)
    assert [line.name for line in processors.lines] == ["CPU", "GPU 0"]
    assert [band.label for band in processors.bands] == ["warmup"]
    assert memory.lines[-1].points[0].y == 1.5


def test_phases_are_no_bands_where_no_request_was_seen() -> None:
    found = [*_charts.sensors({"system_profile": [sample(i, "idle") for i in range(9)]})]
    assert found
    assert all(isinstance(plot, Plot) and not plot.bands for plot in found)
    assert not [*_charts.sensors({"system_profile": []})]


def test_the_cards_of_a_load_name_its_points_and_its_best_level() -> None:
    found = values(stress.cards(golden("stress-complete")))
    assert found["failure point"] == "9.15"
    assert found["degradation point"] == "2 to 4"
    assert found["throughput"] == "107"
    other = golden("stress-resumed")
    assert values(stress.cards(other))["failure point"] == "not reached"
    other["results"]["recovery_time_ms"] = 1500.0
    other["results"]["recovery"] = {"range_ms": [1000.0, 2000.0]}
    assert values(stress.cards(other))["recovery after a spike"] == "1,500"


def test_a_chart_of_a_load_has_no_point_of_a_level_without_a_value() -> None:
    document = golden("stress-complete")
    level = document["results"]["levels"][0]
    level["output_tokens_per_sec"] = level["error_rate_ci95"] = None
    level["total_generation_ms"] = {**level["total_generation_ms"], "p95": None, "ci95": None}
    first, throughput, *_ = stress.charts(document)
    assert isinstance(first, Plot)
    assert [point.label for point in first.lines[0].points] == ["4", "8", "9", "12"]
    assert isinstance(throughput, Plot)
    assert len(throughput.lines[0].points) == 4


@pytest.mark.parametrize(
    ("count", "points", "name"), [(30, 30, "in each second"), (600, 60, "10 s")]
)
def test_seconds_are_drawn_alone_or_as_means(count: int, points: int, name: str) -> None:
    document = golden("stress-complete")
    second = document["results"]["timeline"][0]
    line = [{**second, "second": i, "failed": {"oom": 1}} for i in range(count)]
    document["results"]["timeline"] = line
    found = {plot.title: plot for plot in stress.charts(document)}
    requests = found["Requests over time"]
    assert isinstance(requests, Plot)
    assert [len(line.points) for line in requests.lines] == [points] * 3
    assert name in requests.y.unit
    assert "Tokens over time" in found


def marked() -> Document:
    """Return an eval with two categories, grades, pass@k and a comparison with a rival."""
    document = golden("eval-complete")
    found = document["results"]
    share = {**found["correct"], "unit": "share"}
    found["grades"] = {"graded_correct": share}
    found["pass_at_k"] = {**share, "k": 2}
    found["by_category"] = {
        name: {"questions": 3, "correct": share, "accuracy": found["criteria"]["accuracy"]}
        for name in ("colours", "shapes")
    }
    rate = {"value": 0.25, "ci95": [0.1, 0.5]}
    found["pairwise"] = {"rival": "other", "win_rate": rate, "n_scored": 4}
    found["criteria"]["coherence"] = {**share, "mean": None, "reason": "no judge answered"}
    return document


def test_the_cards_of_an_eval_are_its_scores_and_its_wins() -> None:
    found = values(evals.cards(marked()))
    assert found["pass@2"] == found["graded correct"] == found["correct"] == "0.571"
    assert found["wins against other"] == "0.250"
    assert found["coherence"] == "–"


def test_scores_are_drawn_on_their_scale_and_by_category() -> None:
    forests = [chart for chart in evals.charts(marked()) if isinstance(chart, Forest)]
    titles = [forest.title for forest in forests]
    assert titles[:2] == ["Scores, 1 to 5", "Scores, share"]
    assert "Accuracy by category, 1 to 5" in titles
    assert forests[0].x.low == 1
    assert forests[0].x.high == 5


def test_questions_say_what_came_of_them() -> None:
    document = golden("eval-complete")
    items = document["results"]["items"]
    items[0]["error"] = {"kind": "oom", "message": "out of memory"}
    items[1]["correct"], items[1]["scores"] = None, {}
    items[2]["correct"] = None
    items[3].update(correct=False, verdict={**items[3]["verdict"], "state": "not_attempted"})
    found = [entry.verdict for entry in evals.entries(document)]
    assert [*dict.fromkeys(found)] == [
        *("wrong", "not attempted", "failed", "unscored", "judged", "correct")
    ]


def test_a_measure_of_one_side_only_is_no_chart_of_a_comparison() -> None:
    path = GOLDEN / "comparisons" / "stress-gates.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    titles = [chart.title for chart in comparison.charts(document)]
    assert "Requests per second by level" in titles
    assert "Goodput by level" not in titles


def test_a_text_chart_that_does_not_fit_says_so() -> None:
    assert table.fitted_chart(["x" * 90], 80) == ["the chart needs 90 columns: --wide shows it"]
    assert table.fitted_chart(["x" * 90], None) == ["x" * 90]

"""Trends: which runs make a series, what changed with a step, gates, tables and charts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from golden import record as golden
from support.benchmark_documents import header, record, row, trace_of

from pytest_llamaburn import charts, gates, grids
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.kinds.trend import charts as drawn
from pytest_llamaburn.kinds.trend import engine, table
from pytest_llamaburn.kinds.trend.history import Wanted, changed
from pytest_llamaburn.store import results
from pytest_llamaburn.tables import ABSENT
from pytest_llamaburn.trace import ServerTimings

DRIVER = {"gpu_drivers": {"nvidia": "570.1"}}


def saved(directory: Path, day: int, gap_ms: float = 10.0, **about: Any) -> Path:
    """Write a benchmark of a day in January, whose tokens were so far apart."""
    made = [row(trace_of([100 + gap_ms * i for i in range(5)]))]
    model, machine = about.pop("model", "tiny"), about.pop("environment", {})
    stamp = f"2026-01-{day:02}T10:30:00Z"
    named = header(model, timestamp=stamp, run_id=f"{model}-{day}", **about)
    named["environment"] = {**named["environment"], **machine}
    return results.write(directory, results.build(record(made, header=named)))


def days(directory: Path, gaps: list[float], **about: Any) -> None:
    for day, gap_ms in enumerate(gaps, 1):
        saved(directory, day, gap_ms, **about)


def trend(directory: Path, *models: str, **asked: Any) -> dict[str, Any]:
    gates, margin = asked.pop("fail_if", ()), asked.pop("margin", None)
    wanted = Wanted(models=models, **asked)
    document = engine.trend(directory, engine.Asked(wanted, gates, margin))
    assert results.check(document) is None
    return document


def series(document: dict[str, Any], column: str = "inter_token_latency_ms") -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [one for one in document["results"]["series"] if one["column"] == column]
    return found


SLOWER = [10.0, 10.1, 9.9, 10.0, 10.1, 12.0, 12.1, 11.9, 12.0]


def test_step_has_its_day_its_size_and_what_changed_then(tmp_path: Path) -> None:
    for day, gap_ms in enumerate(SLOWER, 1):
        later = {"environment": DRIVER} if day > 5 else {}
        saved(tmp_path, day, gap_ms, **later)
    found = series(trend(tmp_path))
    (step,) = found["steps"]
    assert (step["at"], step["timestamp"][:10], step["verdict"]) == (5, "2026-01-06", "worse")
    assert step["change"] == pytest.approx(0.2, abs=0.01)
    assert step["interval"][0] < 0.2 < step["interval"][1]
    assert step["changed"] == ["driver of nvidia 570.1, before none"]
    assert [level["runs"] for level in found["levels"]] == [5, 4]
    assert found["overall"]["now"]["mean"] == pytest.approx(12.0)
    assert found["overall"]["change"] == step["change"]


def test_order_of_files_does_not_matter_but_that_of_time_does(tmp_path: Path) -> None:
    for day, gap_ms in reversed([*enumerate(SLOWER, 1)]):
        saved(tmp_path, day, gap_ms)
    values = [run["value"] for run in series(trend(tmp_path))["runs"]]
    assert values == pytest.approx(SLOWER)


def test_runs_of_another_model_machine_or_mode_are_series_of_their_own(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    saved(tmp_path, 2, model="other")
    saved(tmp_path, 3, environment={"fingerprint": "e" * 16})
    document = json.loads(saved(tmp_path, 4).read_text())
    document["config"]["mode"] = "correctness"
    results.write(tmp_path, document)
    saved(tmp_path, 5)
    found = trend(tmp_path)["results"]["series"]
    counts = {(o["model"], o["machine"][0], o["of"]): len(o["runs"]) for o in found}
    assert counts == {
        ("other", "f", "standard"): 1,
        ("tiny", "e", "standard"): 1,
        ("tiny", "f", "correctness"): 1,
        ("tiny", "f", "standard"): 2,
    }


def test_only_the_models_and_days_that_are_asked_for_are_read(tmp_path: Path) -> None:
    for day in (1, 2, 3):
        saved(tmp_path, day, model="llama3.1:latest")
    saved(tmp_path, 4, model="other")
    found = trend(tmp_path, "Llama3.1", since="2026-01-02")
    assert [run["timestamp"][8:10] for run in series(found)["runs"]] == ["02", "03"]


def test_files_that_are_left_out_are_counted_by_reason(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    cut = json.loads(saved(tmp_path, 2).read_text())
    results.write(tmp_path, {**cut, "status": "interrupted"})
    folder = tmp_path / "benchmarks"
    (folder / "broken.json").write_text("{")
    (folder / "nameless.json").write_text(json.dumps({k: cut[k] for k in cut if k != "model"}))
    (folder / "copy.json").write_bytes(saved(tmp_path, 3).read_bytes())
    found = trend(tmp_path)
    left_out = {"interrupted": 1, "unreadable": 2, "a copy of another file": 1}
    assert found["results"]["left_out"] == left_out
    assert len(series(found)["runs"]) == 2


@pytest.mark.parametrize(
    ("gaps", "verdict"),
    [
        (SLOWER, "fail"),
        ([10.0, 10.1, 9.9, 10.0, 10.1, 9.9], "pass"),
        ([10.0, 12.0, 9.0, 11.0, 10.0, 12.5], "undecided"),
        ([10.0, 10.1], "undecided"),
    ],
)
def test_gate_weighs_the_last_level_against_the_first(
    tmp_path: Path, gaps: list[float], verdict: str
) -> None:
    days(tmp_path, gaps)
    found = trend(tmp_path, fail_if=("itl_ms:+5%",))
    (gate,) = found["results"]["gates"]
    assert (gate["verdict"], gate["file"]) == (verdict, "tiny, benchmark")
    assert bool(gates.changes_not_passed(found)) == (verdict != "pass")


def test_gate_without_any_value_is_undecided(tmp_path: Path) -> None:
    days(tmp_path, [10.0, 10.0])
    (gate,) = trend(tmp_path, fail_if=("energy_wh:+5%",))["results"]["gates"]
    assert (gate["verdict"], gate["reason"]) == ("undecided", "no run has a value")


def test_last_run_that_stands_apart_is_told(tmp_path: Path) -> None:
    days(tmp_path, [10.0, 10.1, 9.9, 10.0, 10.1, 9.9, 14.0])
    found = trend(tmp_path, columns=("itl_ms",))
    assert series(found)["apart"]
    (sheet,) = table.sheets(found, Path("x.json"))
    assert "one more run decides" in " ".join(sheet.sections()["last run"])


def test_unknown_names_are_refused_with_the_nearest(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    with pytest.raises(ResultsError, match="unknown model 'tiney'; did you mean 'tiny'"):
        trend(tmp_path, "tiney")
    with pytest.raises(SettingsError, match="unknown kind 'bench'"):
        trend(tmp_path, kinds=("bench",))
    with pytest.raises(SettingsError, match="no file has the measure 'speed'"):
        trend(tmp_path, columns=("speed",))
    with pytest.raises(ResultsError, match="no complete run since 2027-01-01"):
        trend(tmp_path, since="2027-01-01")
    with pytest.raises(ResultsError, match="no complete run of tiny, kind stress, since 2027-01"):
        trend(tmp_path, "tiny", since="2027-01-01", kinds=("stress",))


def test_share_changes_are_points_and_zero_is_a_value(tmp_path: Path) -> None:
    scale = engine.Scale([0.0, 0.0, 0.0, 0.5, 0.5, 0.5], "share", 0.01)
    (step,) = scale.steps()
    assert scale.changed(step) == (0.5, [0.5, 0.5])
    assert scale.verdict(step, "lower") == "worse"
    assert table.change(0.5, "share") == "+50.0 points"
    assert table.change(-0.25, "score") == "−0.25"


def test_change_of_a_judged_score_is_in_points_of_its_scale(tmp_path: Path) -> None:
    made = json.loads((golden.HOME / "eval-complete" / "result.json").read_text())
    for day in range(1, 7):
        about = {"run_id": f"r{day}", "timestamp": f"2026-01-{day:02}T10:30:00Z"}
        results.write(tmp_path, {**made, **about})
    document = trend(tmp_path, columns=("accuracy",))
    assert series(document, "accuracy")["unit"] == "score"
    (sheet,) = table.sheets(document, Path("trend.json"))
    assert sheet.rows[0][-2:] == ("+0.00", "[+0.00, +0.00]")
    assert engine.Scale([3.0, 4.0], "score", 0.01).margin == pytest.approx(0.04)


def test_change_from_zero_milliseconds_is_no_percentage(tmp_path: Path) -> None:
    for day in range(1, 9):
        waited = ServerTimings(queue_ms=0.0 if day < 5 else 5.0)
        made = [row(trace_of(timings=waited))]
        about = header("tiny", timestamp=f"2026-01-{day:02}T10:30:00Z", run_id=f"r{day}")
        results.write(tmp_path, results.build(record(made, header=about)))
    document = trend(tmp_path, columns=("queue_ms",), fail_if=("queue_ms:+5%",))
    found = series(document, "queue_ms")
    assert (found["overall"]["change"], found["overall"]["verdict"]) == (None, "worse")
    assert found["overall"]["reason"] == engine.NO_RATIO
    assert document["results"]["gates"][0]["verdict"] == "undecided"
    (sheet,) = table.sheets(document, Path("trend.json"))
    assert sheet.rows[0][3:] == ("worse", "8", "0.000 ± 0.000", "5.00 ± 0.000", *2 * [ABSENT])
    notes = dict(sheet.notes)
    assert notes["steps"].endswith("queueing from 0.000 to 5.00 ms")
    assert notes["no percentage"] == f"queueing: {engine.NO_RATIO}"


def test_conditions_that_are_equal_are_not_told() -> None:
    before = {"kernel": "6.1", "server version": "0.11", "num_ctx": None}
    after = {"kernel": "6.1", "server version": "0.12", "num_ctx": "8192"}
    assert changed(before, after) == [
        "server version 0.12, before 0.11",
        "num_ctx 8192, before none",
    ]


@pytest.mark.parametrize("kind", ["benchmark", "eval", "stress"])
def test_every_kind_of_run_has_a_trend(kind: str, tmp_path: Path) -> None:
    for day in (1, 2):
        document = json.loads((golden.HOME / f"{kind}-complete" / "result.json").read_text())
        stamp = {"timestamp": f"2026-01-0{day}T10:30:00Z", "run_id": f"r{day}"}
        results.write(tmp_path, {**document, **stamp})
    found = trend(tmp_path)
    assert {one["kind"] for one in found["results"]["series"]} == {kind}
    assert {len(one["runs"]) for one in found["results"]["series"]} == {2}
    (sheet,) = table.sheets(found, Path("x.json"))
    assert sheet.rows
    assert "fewer than 6 runs" in sheet.sections()["not enough runs"][0]
    assert next(iter(table.rows(found)))["run_id"] == "r1"


def test_table_names_steps_once_and_fits_a_terminal(tmp_path: Path) -> None:
    days(tmp_path, SLOWER)
    found = trend(tmp_path)
    (sheet,) = table.sheets(found, Path("x.json"))
    (line,) = sheet.sections()["steps"]
    assert line.startswith("2026-01-06 10:30: the files show no other change: ")
    assert "inter-token latency +19.8 %" in line
    assert "tokens per second −16.5 %" in line
    least, wrapped = sheet.least, sheet.wrapped
    fitted = grids.text(grids.Table(sheet.columns, sheet.rows, 4, least, wrapped), 80)
    assert max(map(len, fitted.splitlines())) <= 80


@pytest.mark.parametrize(
    ("values", "bars"),
    [([1.0, 2.0, 3.0], "▁▅█"), ([5.0, 5.0], "▁▁"), ([0.0] * 10 + [1.0] * 24, "▁" * 24)],
)
def test_sparkline_spans_the_latest_values(values: list[float], bars: str) -> None:
    assert table.sparkline(values) == bars


def test_chart_shows_runs_levels_and_steps(tmp_path: Path) -> None:
    days(tmp_path, SLOWER)
    found = trend(tmp_path, columns=("itl_ms",))
    (plot,) = drawn.charts(found)
    assert isinstance(plot, charts.Plot)
    runs, levels = plot.lines
    assert [point.y for point in runs.points] == pytest.approx(SLOWER)
    assert [point.x for point in levels.points] == [1.0, 5.5, 5.5, 9.0]
    assert [mark.at for mark in plot.marks] == [5.5]
    (card,) = drawn.cards(found)
    assert (card.value, card.unit) == ("12.0", "ms")
    assert card.note.startswith("worse, +19.8 %")

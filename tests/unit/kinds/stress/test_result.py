"""A stress run's result file, from what its journal and its rows say."""

from __future__ import annotations

import asyncio
import gzip
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.benchmark_documents import header
from support.stress_documents import (
    baseline,
    failed_row,
    level,
    open_loop,
    row,
    spike_load,
    stress_document,
)

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.stress import result
from pytest_llamaburn.kinds.stress.run import StressRun as Load
from pytest_llamaburn.kinds.stress.settings import Stress
from pytest_llamaburn.load.rows import Rows
from pytest_llamaburn.load.sender import RequestRange
from pytest_llamaburn.load.step import CLIENTS, RATE, Burst, Step, StepHealth
from pytest_llamaburn.option import model_of
from pytest_llamaburn.store.journal import Record

if TYPE_CHECKING:
    from pathlib import Path


def test_a_step_comes_back_from_json_as_it_went_in() -> None:
    step = Step(10, RATE, seconds=60, bursts=(Burst(20, 10, 50, RATE),))
    assert Step.restored(json.loads(json.dumps(step._asdict()))) == step


@pytest.mark.parametrize(
    "values",
    [
        {"slo": "nonsense<5"},
        {"threshold": ("nonsense<5",)},
        {"levels": "2,1", "mode": "sweep"},
    ],
)
def test_what_means_nothing_is_refused_before_the_run(values: dict[str, Any]) -> None:
    checked: Any = model_of(Stress)
    result.check(checked(slo="ttft_ms<500"))
    with pytest.raises(SettingsError):
        result.check(checked(**values))


def test_a_mode_is_not_told_what_our_own_process_could_not_send(tmp_path: Path) -> None:
    file = Rows(tmp_path, "main")
    made = row(0, 100), failed_row(0, 1, "client_files"), failed_row(0, 100, "oom")
    for number, one in enumerate(made):
        one.number = number
        file.write(one)
    file.close()
    run: Any = SimpleNamespace(folder=tmp_path, _reader=None, _seen={})
    told = Load._requests(run, RequestRange(1), None)
    assert [record.failure for record in told] == [None, "oom"]


def test_more_in_flight_than_there_may_be_files_is_refused_before_the_baseline() -> None:
    run: Any = SimpleNamespace(_expected=lambda: (10**30, 50.0), _finished={0: []})
    with pytest.raises(SettingsError, match=r"requests at once need \d+ open files"):
        asyncio.run(Load._start_sending(run))


def test_rows_are_kept_beside_the_file_only_where_that_is_asked(tmp_path: Path) -> None:
    file = Rows(tmp_path, "main")
    file.write(baseline(1)[1][0])
    file.close()
    path = tmp_path / "tiny.json"
    for wanted in (False, True):
        made = header(schema="llamaburn/stress")
        made["config"] = {"save_requests": wanted}
        result.write_companions(Record(made, 1, [], {}, [], False, tmp_path), path)
        assert (tmp_path / "tiny.requests.jsonl.gz").exists() is wanted
    packed = (tmp_path / "tiny.requests.jsonl.gz").read_bytes()
    assert json.loads(gzip.decompress(packed))["number"] == 0


def test_what_is_excluded_is_counted_and_kept(tmp_path: Path) -> None:
    found = stress_document(
        tmp_path, [baseline(), level(2)], warmup_window="4", cooldown_window="2"
    )
    (one,) = found["results"]["levels"]
    assert (one["requests"], one["excluded"], one["total_generation_ms"]["n"]) == (24, 6, 18)
    assert found["results"]["totals"]["requests"] == 34


def test_visits_to_one_level_are_one_level(tmp_path: Path) -> None:
    found = stress_document(tmp_path, [baseline(), level(2), level(4), level(2)])["results"]
    assert [(one["concurrency"], one["requests"]) for one in found["levels"]] == [(2, 48), (4, 48)]


def test_of_a_level_taken_again_the_later_try_counts() -> None:
    said = [
        {"step": 1, "attempt": 0, "visit": 1, "load": {"level": 2}, "started_ns": 5},
        {"step": 1, "attempt": 1, "visit": 1, "load": {"level": 2}, "started_ns": 9},
        {"step": 2, "attempt": 1, "visit": 1, "load": {"level": 2}, "started_ns": 12},
        {"step": 1, "attempt": 1, "visit": 1, "ended_ns": 9, "health": {"cpu_share": 0.1}},
        {"step": 2, "attempt": 1, "visit": 1, "ended_ns": 9, "health": {"cpu_share": None}},
        {"step": 3, "attempt": 1, "visit": 3, "ended_ns": 9, "health": {"cpu_share": 0.7}},
    ]
    rows = level(1)[1]
    for number, one in enumerate(rows):
        one.attempt = number % 2
    record = Record(None, 1, [], {}, [], False, others={"step": said})
    (visit,) = result.visits_of(record, rows)
    assert (visit.number, visit.started_ns, len(visit.rows)) == (1, 9, 6)
    assert visit.health == StepHealth(cpu_share=0.1)
    assert visit.load == Step(2, CLIENTS)


def test_the_level_of_a_spike_run_is_its_load_before_the_first_burst(tmp_path: Path) -> None:
    step, rows = spike_load(comes_back=False)
    rows[-9:] = [failed_row(29_000, 500, "queue_full", burst=True) for _ in range(9)]
    found = stress_document(tmp_path, [baseline(), (step, rows)], mode="spike", arrival="poisson")[
        "results"
    ]
    (one,) = found["levels"]
    assert (one["requests"], one["failed"], one["state"]) == (200, 0, "optimal")
    assert one["requests_per_sec"] == pytest.approx(10)
    assert one["total_generation_ms"]["max"] == 100
    assert found["totals"]["failed"] == 9
    points = [found[name] for name in ("failure_point", "degradation_point", "degradation_points")]
    assert points == [None, None, []]
    assert "one steady level" in found["points_reason"]


def test_each_burst_has_its_own_requests_failures_and_waits(tmp_path: Path) -> None:
    step = Step(10, RATE, seconds=80, bursts=(Burst(20, 5, 50, RATE), Burst(50, 5, 50, RATE)))
    first = [row(20_000 + 20 * i, 1000, burst=True) for i in range(250)]
    second = [row(50_000 + 20 * i, 3000, burst=True) for i in range(200)]
    second += [failed_row(54_900, 10, "queue_full", burst=True) for _ in range(50)]
    taken = [baseline(), (step, open_loop(10, 80) + first + second)]
    found = stress_document(tmp_path, taken, mode="spike", arrival="poisson")["results"]
    bursts = [one["burst"] for one in found["recovery"]["spikes"]]
    assert [(one["requests"], one["failed"]) for one in bursts] == [(250, 0), (250, 50)]
    assert bursts[1]["errors"] == {"queue_full": 50}
    assert [one["total_generation_ms"]["p50"] for one in bursts] == [1000, 3000]
    assert bursts[0]["time_to_first_token_ms"]["p95"] == 100

"""The insights of stress runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.stress_documents import MS, baseline, level, open_loop, stress_document

from pytest_llamaburn.kinds.stress import insights
from pytest_llamaburn.load.step import RATE, Step

if TYPE_CHECKING:
    from pathlib import Path

    from support.stress_documents import Taken


def insights_of(folder: Path, *taken: Taken, **fields: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stress_document(folder, [baseline(), *taken], **fields)[
        "insights"
    ]
    return found


def scheduled(rate: float, slots: int, seconds: float = 30) -> Taken:
    return Step(rate, RATE, round(rate * seconds)), open_loop(rate, seconds, 100, slots)


def watched(samples: list[dict[str, Any]], other_cpu_share: float | None = None) -> dict[str, Any]:
    """Return the insights, with their evidence, into a run without levels."""
    document = {
        "results": {"levels": []},
        "telemetry": {"other_cpu_share": other_cpu_share},
        "system_profile": samples,
    }
    return {one["id"]: one["evidence"] for one in insights.find(document)}


def memory(*sizes_mb: float | None) -> list[dict[str, Any]]:
    loaded = {"phase": "load", "active": 2, "cpu_pct": 10.0}
    return [{**loaded, "server_rss_mb": size} for size in sizes_mb]


def test_slots_flat_throughput_and_halved_streams_are_told(tmp_path: Path) -> None:
    found = insights_of(tmp_path, level(1), level(2), level(8))
    assert {one["id"]: one["evidence"] for one in found} == {
        "slots_inferred": {"slots": 2},
        "throughput_flat": {"level": 2},
        "stream_halves": {"level": 8},
    }
    assert "2 requests at once" in found[0]["text"]


@pytest.mark.parametrize(
    ("engine", "names"),
    [("embedded", "(--slots)"), ("ollama", "(OLLAMA_NUM_PARALLEL, --parallel)")],
)
def test_the_advice_on_slots_names_the_engine_s_own_option(
    tmp_path: Path, engine: str, names: str
) -> None:
    (slots, *_) = insights_of(tmp_path, level(1), level(8), engine=engine)
    assert f"Raise its number of slots {names} if" in slots["text"]


def test_one_slot_is_one_request(tmp_path: Path) -> None:
    (slots, *_) = insights_of(tmp_path, level(1, slots=1), level(4, slots=1))
    assert "serves about 1 request at once" in slots["text"]


def test_rates_infer_no_slots(tmp_path: Path) -> None:
    found = insights_of(tmp_path, scheduled(10, 2), scheduled(20, 2), arrival="static")
    assert "slots_inferred" not in {one["id"] for one in found}


def test_levels_that_our_own_client_limited_infer_nothing_of_the_server(tmp_path: Path) -> None:
    step, rows = level(8)
    for one in rows:
        one.scheduled_ns -= 900 * MS
    made = stress_document(tmp_path, [baseline(), level(1), (step, rows)])
    levels = made["results"]["levels"]
    assert [one["client_health"]["client_limited"] for one in levels] == [False, True]
    assert made["insights"] == []


def test_memory_that_grows_while_the_server_works_is_told(tmp_path: Path) -> None:
    growing = memory(*range(500, 800))
    found = watched(growing)["memory_grows"]
    assert found["share"] == pytest.approx(found["last_mb"] / found["first_mb"] - 1)
    assert found["share"] == pytest.approx(0.5, abs=0.07)
    made = stress_document(tmp_path, [baseline(), level(1)])
    (told,) = (x for x in insights.find({**made, "system_profile": growing}) if "memory" in x["id"])
    assert f"grew by {found['share']:.0%} during" in told["text"]


def test_a_runner_that_is_found_late_is_no_growth() -> None:
    assert watched(memory(*[40.0 if i < 25 else 900.0 for i in range(300)])) == {}


@pytest.mark.parametrize("step_mb", [0.0, -1.0, None])
def test_memory_that_stays_falls_or_is_not_read_is_not(step_mb: float | None) -> None:
    sizes = [None if step_mb is None else 900 + step_mb * i for i in range(300)]
    assert watched(memory(*sizes)) == {}


def test_a_machine_that_others_use_is_told(tmp_path: Path) -> None:
    def told(share: float | None, cpu_pct: float | None) -> dict[str, Any]:
        before = {"cpu_pct": cpu_pct, "phase": "idle_before_load", "active": 0}
        return watched([before, before | {"phase": "load"}], share)

    assert told(0.5, 5.0) == {"other_load": {"other_cpu_share": 0.5}}
    assert told(None, 100.0) == {"busy_before": {"cpu_pct": 100.0}}
    assert told(0.05, 100.0) == told(None, 5.0) == told(None, None) == {}
    made = stress_document(tmp_path, [baseline(), level(1)], facts={"other_cpu_share": 0.5})
    assert made["telemetry"]["other_cpu_share"] == 0.5
    assert "Other programs used 50%" in made["insights"][-1]["text"]

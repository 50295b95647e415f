"""The file of a load from several machines: what each did, and what a lost one left undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.stress_documents import HEALTHY, baseline, level, stress_document

from pytest_llamaburn.kinds.stress import table
from pytest_llamaburn.load.step import CLIENTS, Step
from pytest_llamaburn.store import results

NODES = [{"node": "a", "has_key": False}, {"node": "b", "has_key": False}]
CLOCKS = [
    {"node": "a", "lost": None, "offset_bound_ms": 0.25},
    {"node": "b", "lost": "it died", "offset_bound_ms": 1.5},
]


def document(folder: Path, *ends: dict[str, Any]) -> dict[str, Any]:
    """Return a file with the baseline and a level of four clients for each end of a step."""
    taken = [level(4, 4) for _ in ends]
    for _, rows in taken:
        for number, row in enumerate(rows):
            row.node = number % 2
    ended = dict(enumerate(ends, start=1))
    facts = {"nodes": NODES, "clocks": CLOCKS}
    found = stress_document(folder, [baseline(), *taken], facts=facts, ended=ended)
    assert results.check(found) is None
    return found


def healthy(**of_b: float) -> dict[str, Any]:
    return {"0": HEALTHY, "1": {**HEALTHY, **of_b}}


def lost(unsent: int | None) -> dict[str, Any]:
    return {"nodes": {"0": HEALTHY}, "losses": [{"node": 1, "reason": "it died", "unsent": unsent}]}


@pytest.mark.parametrize("unsent", [7, None])
def test_the_requests_that_a_lost_machine_left_are_unsent_and_no_failures(
    unsent: int | None, tmp_path: Path
) -> None:
    (found,) = document(tmp_path, lost(unsent))["results"]["levels"]
    health = found["client_health"]
    assert (found["failed"], found["errors"], found["error_rate"]) == (0, {}, 0)
    assert health["client_limited"]
    assert health["unsent"] == unsent
    assert health["lost"][0]["node"] == "b"
    words = "7 requests of it were" if unsent else "its unsent requests are not known"
    assert health["reasons"][0].startswith(f"b was lost (it died): {words}")
    assert found["state"] != "degraded"


def test_a_level_that_was_sent_again_without_a_loss_is_not_limited(tmp_path: Path) -> None:
    (found,) = document(tmp_path, lost(7), {"nodes": healthy()})["results"]["levels"]
    health = found["client_health"]
    assert not health["client_limited"]
    assert health["unsent"] == 7
    assert health["not_counted"] == 48


def test_the_machine_that_was_the_bottleneck_is_named(tmp_path: Path) -> None:
    slow = {"health": {**HEALTHY, "cpu_share": 0.99}, "nodes": healthy(cpu_share=0.99)}
    (found,) = document(tmp_path, slow)["results"]["levels"]
    assert found["client_health"]["reasons"] == ["b: it used 99% of a processor"]
    assert [one["client_limited"] for one in found["client_health"]["nodes"]] == [False, True]


def test_requests_that_one_machine_sent_late_are_its_own(tmp_path: Path) -> None:
    rows = level(4, 4)[1]
    for number, row in enumerate(rows):
        row.node = number % 2
        row.scheduled_ns -= row.node * 40_000_000
    facts = {"nodes": NODES, "clocks": CLOCKS}
    step = (Step(4, CLIENTS, len(rows)), rows)
    made = stress_document(
        tmp_path, [baseline(), step], facts=facts, ended={1: {"nodes": healthy()}}
    )
    a, b = made["results"]["levels"][0]["client_health"]["nodes"]
    assert (a["schedule_lateness_p99_ms"], b["schedule_lateness_p99_ms"]) == (0, 40)


def test_the_table_names_clocks_and_lost_machines(tmp_path: Path) -> None:
    (sheet,) = table.sheets(document(tmp_path, lost(7)), Path("file.json"))
    said = [line for heading, line in sheet.notes if heading == "client"]
    assert "clocks of 2 machines: known to 1.50 ms, times of requests are corrected" in said
    assert "b was lost: it died" in said
    assert any("use more --nodes or --workers" in line for line in said)

"""A failure point is confirmed by a level at 0.9× that holds and one at 1.1× that fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.stress_documents import (
    baseline,
    closed_loop,
    failed_row,
    level,
    saved_stress,
    search_facts,
)
from support.virtual_server import VirtualServer, clients, drive, ramp

from pytest_llamaburn.capacity import loops, search
from pytest_llamaburn.capacity.search import Limits
from pytest_llamaburn.load.step import CLIENTS, Step
from pytest_llamaburn.reports import table

if TYPE_CHECKING:
    from pathlib import Path

    from support.stress_documents import Taken


@pytest.mark.parametrize(
    ("point", "whole", "levels"),
    [
        (27.8, True, (25, 31)),
        (3.5, True, (3, 4)),
        (3.0, True, (2, 4)),
        (1.4, True, (1, 2)),
        (3.5, False, (3.15, 3.85)),
    ],
)
def test_it_takes_the_nearest_numbers_of_clients_on_its_own_sides(
    point: float, whole: bool, levels: tuple[float, float]
) -> None:
    assert search.around(point, whole=whole) == pytest.approx(levels)


def test_a_search_confirms_its_point_where_the_budget_allows_it() -> None:
    few = [ramp(VirtualServer(1, "constant"), "closed", seed).failure for seed in range(4)]
    assert all(found.confirmed for found in few)
    for slots in (3, 8):
        more = [ramp(VirtualServer(slots, "bimodal"), "closed", seed).failure for seed in range(6)]
        assert sum(found.confirmed for found in more) >= 3


def test_a_search_whose_budget_is_spent_says_that_its_point_is_not_confirmed() -> None:
    limits = Limits(1, 1000, 10_500_000_000, budget=420)
    found, _ = drive(loops.search(limits), clients(VirtualServer(8, "bimodal").seed(1)))
    assert found.estimate is not None
    assert not found.confirmed
    assert not ramp(VirtualServer(3, "lognormal"), "poisson", 1).failure.confirmed


def rejecting(clients: int, *, bad: bool) -> Taken:
    """Return a level of a sweep, on which every third request fails if it is a bad one."""
    rows = closed_loop(clients, 12, 100, clients)
    for i in range(0, len(rows) if bad else 0, 3):
        rows[i] = failed_row(rows[i].sent_ns / 1e6, 100, "oom")
    return Step(clients, CLIENTS, len(rows)), rows


@pytest.mark.parametrize(("above", "confirmed"), [(11, True), (13, False)])
def test_levels_that_nobody_searched_confirm_a_point_too(
    above: int, confirmed: bool, tmp_path: Path
) -> None:
    taken = [baseline(), level(1), rejecting(10, bad=False), rejecting(above, bad=True)]
    path = saved_stress(tmp_path, taken)
    point: dict[str, Any] = json.loads(path.read_text())["results"]["failure_point"]
    assert point["concurrency"] is not None
    assert point["confirmed"] is confirmed
    assert ("not confirmed by levels at 0.9× and 1.1×" in table.render([path])) is not confirmed


def test_a_file_of_an_earlier_version_says_nothing_of_it(tmp_path: Path) -> None:
    path = saved_stress(tmp_path, [baseline(), level(1), level(2)], facts=search_facts(1.5, 1, 2))
    assert json.loads(path.read_text())["results"]["failure_point"]["confirmed"] is None
    assert "not confirmed" not in table.render([path])

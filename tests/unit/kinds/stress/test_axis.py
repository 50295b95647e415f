"""Where a level or a point lies is read and written in one way."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_llamaburn.kinds.stress import axis
from pytest_llamaburn.load.step import CLIENTS, RATE


@pytest.mark.parametrize(
    ("found", "place", "unit", "name"),
    [
        ({"concurrency": 1}, 1, CLIENTS, "1 client"),
        ({"concurrency": 4, "rate": None}, 4, CLIENTS, "4 clients"),
        ({"concurrency": 7.5}, 7.5, CLIENTS, "7.5 clients"),
        ({"rate": 1}, 1, RATE, "1 requests/s"),
        ({"concurrency": None, "rate": 2.5}, 2.5, RATE, "2.5 requests/s"),
    ],
)
def test_a_level_lies_at_its_clients_or_at_its_rate(
    found: dict[str, Any], place: float, unit: str, name: str
) -> None:
    assert (axis.place(found), axis.unit(found), axis.name(found)) == (place, unit, name)


def test_a_point_without_a_number_has_no_place_but_a_unit() -> None:
    assert (axis.place({"concurrency": None}), axis.unit({"concurrency": None})) == (None, CLIENTS)
    assert (axis.place({"rate": None}), axis.unit({"rate": None})) == (None, RATE)

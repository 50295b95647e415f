"""The slope of a line through points, and its interval."""

from __future__ import annotations

import random

import pytest

from pytest_llamaburn.stats.slopes import slope


def test_points_on_a_line_give_the_line() -> None:
    found = slope([(x, 3 + 2 * x) for x in (1, 2, 2, 5, 7, 9)])
    assert found is not None
    assert (found.value, found.at_zero, found.n) == (2, 3, 6)
    assert found.ci95 == (2, 2)


def test_points_at_one_place_have_no_slope() -> None:
    assert slope([(1, 2), (1, 3)]) is None
    assert slope([]) is None


def test_few_points_have_a_slope_without_an_interval() -> None:
    found = slope([(1, 1), (2, 2), (3, 3)])
    assert found is not None
    assert (found.value, found.ci95) == (1, None)


def test_the_interval_holds_the_truth_as_often_as_it_says_also_with_outliers() -> None:
    luck, held = random.Random(1), 0  # noqa: S311 - not a secret
    for _ in range(400):
        points = [(x, 2 * x + luck.gauss(0, 20)) for x in (128, 256, 384, 512) for _ in range(5)]
        points[0] = (128, 5000)
        found = slope(points)
        assert found is not None
        assert found.ci95 is not None
        held += found.ci95[0] <= 2 <= found.ci95[1]
    assert held / 400 == pytest.approx(0.95, abs=0.03)

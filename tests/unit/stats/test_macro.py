"""The mean over groups, each counted alike, and its interval."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_llamaburn.stats import figures
from pytest_llamaburn.stats.figures import Figure


@cache
def share(right: int, total: int) -> Figure:
    return figures.mean([1.0] * right + [0.0] * (total - right), scale=(0, 1))


def test_each_group_counts_alike() -> None:
    found = figures.macro([share(1, 2), share(90, 100)])
    assert found.value == pytest.approx(0.7)
    assert found.n == 2


@settings(max_examples=20)
@given(st.integers(0, 6), st.integers(1, 9))
def test_equal_groups_narrow_the_interval_by_the_root_of_their_number(
    right: int, count: int
) -> None:
    one = share(right, 6)
    found = figures.macro([one] * count)
    assert found.value is not None
    assert one.value is not None
    assert found.value == pytest.approx(one.value)
    assert one.ci95 is not None
    expected = [one.value + (end - one.value) / count**0.5 for end in one.ci95]
    assert found.ci95 == pytest.approx(expected)


def test_groups_without_a_value_do_not_count() -> None:
    nothing = Figure(None, 0, reason="no values")
    assert figures.macro([nothing, share(3, 6)]) == figures.macro([share(3, 6)])
    assert figures.macro([nothing]) == figures.macro([]) == nothing


@pytest.mark.parametrize("size", [1, 5, 20])
def test_the_interval_holds_the_truth_at_least_94_times_in_100(size: int) -> None:
    truth = np.linspace(0.3, 0.95, 12)  # of twelve subjects
    dice = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        rights = dice.binomial(size, truth)
        found = figures.macro([share(int(right), size) for right in rights])
        assert found.ci95 is not None
        held += found.ci95[0] <= truth.mean() <= found.ci95[1]
    assert held >= 282

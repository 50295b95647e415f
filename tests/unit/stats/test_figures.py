"""The mean over groups, each counted alike, and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_llamaburn.stats import figures
from pytest_llamaburn.stats.figures import Figure


def group(right: int, total: int) -> tuple[list[float], range]:
    return [1.0] * right + [0.0] * (total - right), range(total)


def test_each_group_counts_alike() -> None:
    found = figures.macro([group(1, 2), group(90, 100)])
    assert found.value == pytest.approx(0.7)
    assert found.n == 2


@settings(max_examples=20)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=5))
def test_groups_of_one_size_have_the_interval_of_all_their_answers(rights: list[int]) -> None:
    found = figures.macro([group(right, 6) for right in rights])
    together = figures.mean(group(sum(rights), 6 * len(rights))[0], scale=(0, 1))
    assert found.value == pytest.approx(together.value)
    assert found.ci95 == pytest.approx(together.ci95)


def test_several_answers_to_a_question_are_no_more_than_one() -> None:
    one, four = (([1.0] * n + [0.0] * n, ["a"] * n + ["b"] * n) for n in (1, 4))
    assert figures.macro([four]).ci95 == pytest.approx(figures.macro([one]).ci95)


def test_a_small_group_makes_the_interval_wide() -> None:
    low, high = figures.macro([group(2, 2), group(180, 200)]).ci95 or (0, 0)
    assert low < 0.6  # of the two answers nothing is known but that both were right
    assert high > 0.95


def test_groups_without_a_value_do_not_count() -> None:
    assert figures.macro([group(0, 0), group(3, 6)]) == figures.macro([group(3, 6)])
    assert figures.macro([group(0, 0)]) == Figure(None, 0, reason="no values")


@pytest.mark.parametrize("sizes", [[1] * 12, [2, 60], [1, 5, 50]])
def test_the_interval_holds_the_truth_at_least_94_times_in_100(sizes: list[int]) -> None:
    truth, dice = np.linspace(0.4, 0.9, len(sizes)), np.random.default_rng(1)
    held = 0
    for _ in range(100):
        rights = dice.binomial(sizes, truth).tolist()
        found = figures.macro([group(r, n) for r, n in zip(rights, sizes, strict=True)])
        assert found.ci95 is not None
        held += found.ci95[0] <= truth.mean() <= found.ci95[1]
    assert held >= 94

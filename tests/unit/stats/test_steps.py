"""Steps of a series: found where they are, not found where there is none, with their size."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_llamaburn.stats import steps

MARGIN = 0.03
NOISES = {
    "normal": lambda dice, n: dice.normal(0, 0.03, n),
    "heavy": lambda dice, n: 0.03 * dice.standard_t(3, n),
    "outliers": lambda dice, n: dice.normal(0, 0.01, n) - 0.2 * (dice.random(n) < 0.1),
}


def series(*levels: tuple[int, float], noise: float = 0.01, seed: int = 0) -> list[float]:
    """Return runs of levels: how many, and where."""
    dice = np.random.default_rng(seed)
    return [float(mean + dice.normal(0, noise)) for runs, mean in levels for _ in range(runs)]


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("runs", [6, 12, 40])
def test_series_of_equal_runs_seldom_have_a_step(noise: str, runs: int) -> None:
    dice = np.random.default_rng(runs)
    alarms = sum(bool(steps.steps(NOISES[noise](dice, runs), MARGIN)) for _ in range(200))
    assert alarms <= 6


@pytest.mark.parametrize(
    ("before", "after", "change"), [(10, 10, 0.05), (20, 5, 0.08), (5, 3, -0.08)]
)
def test_step_is_found_at_its_place_with_its_size(before: int, after: int, change: float) -> None:
    hits = covered = 0
    for seed in range(100):
        found = steps.steps(series((before, 0.0), (after, change), seed=seed), MARGIN)
        hits += [step.at for step in found] == [before]
        covered += any(step.low <= change <= step.high for step in found)
    assert hits >= 90
    assert covered >= 85


def test_level_that_comes_back_is_two_opposite_steps() -> None:
    for seed in range(20):
        down, up = steps.steps(series((10, 0.0), (10, -0.1), (10, 0.0), seed=seed), MARGIN)
        assert (down.at, up.at) == (10, 20)
        assert down.change < 0 < up.change


def test_steps_within_the_margin_are_left_out() -> None:
    constant = series((20, 0.0), (20, 0.02), noise=0.0001)
    assert steps.steps(constant, MARGIN) == []
    assert [step.at for step in steps.steps(constant, 0.01)] == [20]


def test_constant_levels_have_a_step_of_no_width() -> None:
    (step,) = steps.steps([1.0] * 5 + [2.0] * 4, MARGIN)
    assert step == (5, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("runs", range(steps.NEEDED))
def test_too_few_runs_have_no_step(runs: int) -> None:
    assert steps.steps([float(i) for i in range(runs)], MARGIN) == []


@settings(max_examples=40, deadline=None)
@given(
    levels=st.lists(st.tuples(st.integers(1, 12), st.floats(-1, 1)), min_size=1, max_size=4),
    shift=st.floats(-3, 3),
    scale=st.floats(0.1, 10),
    seed=st.integers(0, 1000),
)
def test_shifted_scaled_and_mirrored_series_have_the_same_steps(
    levels: list[tuple[int, float]], shift: float, scale: float, seed: int
) -> None:
    values = series(*levels, noise=0.05, seed=seed)
    found = [step.at for step in steps.steps(values, MARGIN)]
    moved = [shift + scale * value for value in values]
    assert [step.at for step in steps.steps(moved, MARGIN * scale)] == found
    mirrored = [-value for value in values]
    assert [step.at for step in steps.steps(mirrored, MARGIN)] == found
    ends = [0, *found, len(values)]
    assert all(later - earlier >= steps.LEAST for earlier, later in pairwise(ends)) or not found


def test_last_run_is_apart_only_outside_of_what_the_others_predict() -> None:
    level = series((12, 0.0))
    spread = float(np.std(level, ddof=1)) * math.sqrt(1 + 1 / 12)
    middle = float(np.mean(level))
    assert steps.is_apart(level, middle + 3.2 * spread)
    assert not steps.is_apart(level, middle + 3.0 * spread)
    assert not steps.is_apart(level[:4], 9.0)

"""Intervals that hold at all looks: their error rate, and what they cost."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_llamaburn.stats import sequential


def is_decided(values: list[float], alarm: float) -> bool:
    found = sequential.interval(values, alarm)
    return found is not None and (found.low > 0 or found.high < 0)


@pytest.mark.parametrize("alarm", [0.05, 0.2])
def test_whoever_looks_after_each_value_is_wrong_no_more_often_than_the_alarm_rate(
    alarm: float,
) -> None:
    dice = np.random.default_rng(1)
    series = dice.normal(0, 1, (500, 25)).tolist()
    wrong = sum(any(is_decided(one[:n], alarm) for n in range(2, 26)) for one in series)
    assert wrong / 500 <= alarm


def test_interval_covers_the_mean_and_becomes_narrower() -> None:
    values = np.random.default_rng(2).normal(3, 1, 400).tolist()
    few, many = (sequential.interval(values[:n], 0.01) for n in (20, 400))
    assert few is not None
    assert many is not None
    assert few.low < 3 < few.high
    assert many.low < 3 < many.high
    assert many.high - many.low < (few.high - few.low) / 3


def test_large_effects_are_known_after_few_values() -> None:
    values = np.random.default_rng(3).normal(0.3, 0.02, 20).tolist()
    first = next(n for n in range(2, 21) if is_decided(values[:n], 0.01 / 3))
    assert first <= 5


def test_shifted_and_scaled_values_have_a_shifted_and_scaled_interval() -> None:
    values = np.random.default_rng(4).normal(0, 1, 12).tolist()
    plain = sequential.interval(values, 0.01)
    moved = sequential.interval([5 - 2 * value for value in values], 0.01)
    assert plain is not None
    assert moved is not None
    expected = (5 - 2 * plain.mean, 5 - 2 * plain.high, 5 - 2 * plain.low)
    assert tuple(moved) == pytest.approx(expected)


def test_two_values_are_too_few_and_equal_values_have_no_width() -> None:
    assert sequential.interval([1.0], 0.01) is None
    assert sequential.interval([1.0, 1.1], 0.01) is None
    assert sequential.interval([1.0] * 6, 0.01) == (1.0, 1.0, 1.0)

"""Statistics: exact, ordered, honest about their uncertainty."""

from __future__ import annotations

import json
import math
import statistics
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_llamaburn.stats import samples as stats

sizes = st.floats(1e-6, 1e12)
numbers = st.just(0.0) | sizes | sizes.map(lambda size: -size)
samples = st.lists(numbers, min_size=1, max_size=60)
several = st.lists(numbers, min_size=2, max_size=60)
ORDER = ("min", "p50", "p90", "p95", "p99", "p99_9", "max")

# Student's t, two-sided 95 %, as printed in statistical tables.
T_TABLE = {
    1: 12.7062,
    2: 4.3027,
    3: 3.1824,
    4: 2.7764,
    5: 2.5706,
    9: 2.2622,
    10: 2.2281,
    20: 2.0860,
    29: 2.0452,
    30: 2.0423,
    40: 2.0211,
    60: 2.0003,
    100: 1.9840,
    120: 1.9799,
    1000: 1.9623,
}


def summary(values: list[float]) -> Any:
    return stats.distribution(values, "ms")


@given(samples)
def test_percentiles_rise_from_the_smallest_value_to_the_largest(values: list[float]) -> None:
    found = summary(values)
    points = [found[name] for name in ORDER]
    assert points == sorted(points)
    assert (points[0], points[-1]) == (min(values), max(values))


@given(samples, st.floats(0, 100))
def test_a_percentile_alone_is_numpys(values: list[float], percent: float) -> None:
    assert stats.percentile(values, percent) == float(np.percentile(values, percent))


def test_a_percentile_of_nothing_or_of_a_failure_is_unknown() -> None:
    assert stats.percentile([], 50) is None
    assert stats.percentile([1.0, 2.0, math.inf], 50) == 2
    assert stats.percentile([1.0, 2.0, math.inf], 51) is None


@given(samples)
@example([0.1, 0.1, 0.1])
def test_the_mean_lies_within_the_values(values: list[float]) -> None:
    slack = 1e-12 * max(map(abs, values))
    assert min(values) - slack <= summary(values)["mean"] <= max(values) + slack


@given(samples)
def test_percentiles_are_those_of_numpy(values: list[float]) -> None:
    found = summary(values)
    for name, percent in stats.PERCENTILES.items():
        assert found[name] == float(np.percentile(values, percent))


@given(several)
def test_the_deviation_is_the_samples_own(values: list[float]) -> None:
    scale = max(map(abs, values))
    found = summary(values)
    assert found["std"] == pytest.approx(statistics.stdev(values), rel=1e-9, abs=1e-12 * scale)
    assert found["mean"] == pytest.approx(statistics.fmean(values), rel=1e-9, abs=1e-12 * scale)


@given(several)
def test_the_interval_is_symmetric_around_the_mean(values: list[float]) -> None:
    found = summary(values)
    low, high = found["ci95"]
    slack = 1e-9 * (abs(low) + abs(high)) + 1e-300
    assert low <= found["mean"] <= high
    assert (low + high) / 2 == pytest.approx(found["mean"], abs=slack)
    half = stats.t_quantile(len(values) - 1) * found["std"] / len(values) ** 0.5
    assert (high - low) / 2 == pytest.approx(half, abs=slack)


@given(samples)
def test_a_summary_is_plain_json_without_nan(values: list[float]) -> None:
    found = summary(values)
    ends = found["ci95"] and list(found["ci95"])
    assert json.loads(json.dumps(found, allow_nan=False)) == {**found, "ci95": ends}


@given(st.lists(st.floats(1, 1e6), min_size=2, max_size=30), st.floats(1, 1000))
def test_the_variation_does_not_depend_on_the_unit(values: list[float], factor: float) -> None:
    scaled = summary([value * factor for value in values])
    assert scaled["cv"] == pytest.approx(summary(values)["cv"], rel=1e-6, abs=1e-9)


def test_a_known_sample_has_its_textbook_summary() -> None:
    found = summary([2, 4, 4, 4, 5, 5, 7, 9])
    assert (found["unit"], found["n"], found["mean"], found["p50"]) == ("ms", 8, 5, 4.5)
    assert found["std"] == pytest.approx(2.138090, abs=1e-6)
    assert found["cv"] == pytest.approx(2.138090 / 5, abs=1e-6)
    assert found["p90"] == pytest.approx(7.6)
    assert found["ci95"] == pytest.approx([5 - 1.787486, 5 + 1.787486], abs=1e-5)
    assert (found["ci95_method"], found["certified"]) == ("student_t_mean_95", ["p50"])


def test_no_values_have_a_reason_and_no_numbers() -> None:
    found: dict[str, Any] = {**stats.distribution([], "W", "no_provider")}
    assert found.pop("reason") == "no_provider"
    assert (found.pop("unit"), found.pop("n"), found.pop("certified")) == ("W", 0, [])
    assert set(found.values()) == {None}
    assert {*ORDER, "mean", "std", "cv", "ci95"} == set(found)


def test_no_values_and_no_reason_say_that_there_were_no_samples() -> None:
    assert stats.distribution([], "ms")["reason"] == "no_samples"


def test_one_value_has_no_deviation() -> None:
    found = summary([3.5])
    assert (found["std"], found["cv"], found["ci95"]) == (None, None, None)
    assert {found[name] for name in ORDER} == {3.5}
    assert "reason" not in found


def test_a_mean_of_zero_has_no_relative_deviation() -> None:
    found = summary([-1.0, 1.0])
    assert found["cv"] is None
    assert found["std"] == pytest.approx(2**0.5)


@pytest.mark.parametrize(("df", "quantile"), T_TABLE.items())
def test_t_quantiles_are_the_tables(df: int, quantile: float) -> None:
    assert stats.t_quantile(df) == pytest.approx(quantile, abs=6e-5)


def test_t_quantiles_fall_towards_the_normal_one_without_a_step() -> None:
    found = [stats.t_quantile(df) for df in range(1, 400)]
    assert found == sorted(found, reverse=True)
    assert found[-1] > 1.959963
    steps = [before - after for before, after in pairwise(found)]
    assert steps[199] == pytest.approx(steps[198], rel=0.02)  # where the expansion takes over


@pytest.mark.parametrize(
    ("name", "least"), [("p50", 5), ("p90", 29), ("p95", 59), ("p99", 299), ("p99_9", 2995)]
)
def test_a_percentile_is_certified_from_its_floor_on(name: str, least: int) -> None:
    assert stats.floor(stats.PERCENTILES[name] / 100) == least
    assert name in stats.certified(least)
    assert name not in stats.certified(least - 1)


@given(st.floats(0.01, 0.999))
def test_a_floor_is_the_fewest_samples_whose_largest_passes_the_quantile(quantile: float) -> None:
    least = stats.floor(quantile)
    assert 1 - quantile**least >= 0.95 - 1e-12
    assert least == 1 or 1 - quantile ** (least - 1) < 0.95 + 1e-12


@given(st.floats(0.001, 3), st.floats(0.01, 0.5))
def test_the_needed_samples_are_the_fewest_that_do(cv: float, half_width: float) -> None:
    def half(n: int) -> float:
        return stats.t_quantile(n - 1) * cv / math.sqrt(n)

    n = stats.needed(cv, half_width)
    assert half(n) <= half_width
    assert n == 2 or half(n - 1) > half_width


@pytest.mark.parametrize(
    ("n", "quantile", "ranks"),
    [
        (5, 0.5, None),
        (6, 0.5, (1, 6)),
        (10, 0.5, (2, 9)),
        (20, 0.5, (6, 15)),
        (100, 0.5, (40, 61)),
        (29, 0.9, None),
    ],
)
def test_a_quantile_lies_between_known_ranks(
    n: int, quantile: float, ranks: tuple[int, int] | None
) -> None:
    found = stats.quantile_interval(list(range(n, 0, -1)), quantile)
    assert found == ranks


@given(st.integers(0, 300), st.floats(0.05, 0.999))
def test_a_quantile_s_interval_covers_it_often_enough(n: int, quantile: float) -> None:
    found = stats.quantile_interval(range(n), quantile)
    chances = [math.comb(n, k) * quantile**k * (1 - quantile) ** (n - k) for k in range(n + 1)]
    if found is None:  # too few values to have one below and one above often enough
        assert max(chances[0], chances[-1]) > 0.025 - 1e-9
    else:
        low, high = map(int, found)
        assert sum(chances[low + 1 : high + 1]) >= 0.95 - 1e-9


def test_outliers_lie_far_outside_the_middle_half() -> None:
    values = [1.0, 2, 3, 4, 5, 6, 7, 8, 9]  # the middle half is 3 to 7
    assert stats.outliers([*values, 100.0, -100.0], 3) == [100.0, -100.0]
    assert stats.outliers(values, 0.25) == [1.0, 9.0]
    assert stats.outliers(values, 0.5) == []


@pytest.mark.parametrize(
    ("hits", "n", "interval"),
    [
        (5, 10, (0.2366, 0.7634)),
        (0, 10, (0.0, 0.2775)),
        (10, 10, (0.7225, 1.0)),
        (1, 100, (0.0018, 0.0545)),
    ],
)
def test_a_share_has_wilson_s_interval(hits: int, n: int, interval: tuple[float, float]) -> None:
    assert stats.wilson(hits, n) == pytest.approx(interval, abs=1e-4)


def test_a_share_of_nothing_has_no_interval() -> None:
    assert stats.wilson(0, 0) is None


def test_a_share_of_none_or_of_all_has_an_exact_end() -> None:
    assert (stats.wilson(0, 6) or [1])[0] == 0
    assert (stats.wilson(6, 6) or [0])[-1] == 1


@given(st.integers(1, 10_000), st.data())
def test_wilson_s_interval_holds_the_share_and_stays_between_0_and_1(
    n: int, data: st.DataObject
) -> None:
    hits = data.draw(st.integers(0, n))
    found = stats.wilson(hits, n)
    assert found is not None
    assert 0 <= found[0] <= hits / n + 1e-12
    assert hits / n - 1e-12 <= found[1] <= 1


@pytest.mark.parametrize(("n", "low", "high"), [(5, 11.143, 0.4844), (10, 19.023, 2.7004)])
def test_a_variation_has_the_interval_of_the_chi_square_tables(
    n: int, low: float, high: float
) -> None:
    values = [100.0 + k for k in range(n)]
    cv, found = stats.distribution(values, "")["cv"], stats.cv_interval(values)
    expected = [cv * ((n - 1) / quantile) ** 0.5 for quantile in (low, high)]
    assert found == pytest.approx(expected, rel=0.05)


def test_values_that_do_not_vary_are_known_not_to_and_one_value_is_not() -> None:
    assert stats.cv_interval([5.0, 5.0]) == (0.0, 0.0)
    assert stats.cv_interval([5.0]) is None
    assert stats.cv_interval([-1.0, 1.0]) is None


@given(several)
def test_the_relative_width_is_half_the_interval_over_the_mean(values: list[float]) -> None:
    found, width = summary(values), stats.relative_half_width(values)
    if width is None:
        assert found["mean"] == 0
    else:
        half = (found["ci95"][1] - found["ci95"][0]) / 2
        assert width * abs(found["mean"]) == pytest.approx(half)


def test_one_value_has_no_relative_width() -> None:
    assert stats.relative_half_width([1.0]) is None
    assert stats.relative_half_width([]) is None

"""Drift, level shifts and plateaus are told from noise, also from noise that remembers."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_llamaburn.stats import drift


def noise(seed: int, n: int = 30, memory: float = 0.0, share: float = 0.02) -> list[float]:
    """Return a series around 100 whose noise follows itself by `memory`."""
    rng, state, made = np.random.default_rng(seed), 0.0, []
    for step in rng.normal(0, 1, n):
        state = memory * state + float(step)
        made.append(100 * (1 + share * state))
    return made


def ramp(values: list[float], share: float) -> list[float]:
    """Return a series that rises by this share from end to end."""
    return [v + 100 * share * i / (len(values) - 1) for i, v in enumerate(values)]


@pytest.mark.parametrize("memory", [0.0, 0.6])
def test_noise_is_no_trend(memory: float) -> None:
    found = [drift.trend(noise(seed, memory=memory)) for seed in range(200)]
    assert sum(t is not None and t.drifts for t in found) <= 20


def test_a_drift_of_a_fifth_is_found_with_its_size() -> None:
    found = [drift.trend(ramp(noise(seed), 0.2)) for seed in range(50)]
    assert all(t is not None and t.drifts for t in found)
    sizes = [t.share for t in found if t]
    assert np.median(sizes) == pytest.approx(0.18, abs=0.02)  # of the median, a tenth higher
    assert np.median([t.slope for t in found if t]) == pytest.approx(20 / 29, abs=0.05)


def test_a_sure_drift_of_a_hundredth_is_too_small_to_be_one() -> None:
    found = drift.trend(ramp(noise(1, share=1e-4), 0.01))
    assert found is not None
    assert found.p < 0.001
    assert not found.drifts


def test_a_constant_series_neither_drifts_nor_shifts() -> None:
    same = [5.0] * 20
    trend, shift = drift.trend(same), drift.shift(same)
    assert trend is not None
    assert (trend.slope, trend.share, trend.drifts) == (0.0, 0.0, False)
    assert shift is not None
    assert not shift.shifts
    assert drift.trend([0.0] * 10) == drift.Trend(0.0, 0.0, 1.0, drifts=False)


def test_a_level_shift_is_found_where_it_is() -> None:
    found = [drift.shift(noise(s)[:12] + [v * 1.2 for v in noise(s)[12:]]) for s in range(50)]
    assert all(f is not None and f.shifts for f in found)
    assert np.median([f.at for f in found if f]) == 12
    assert np.median([f.share for f in found if f]) == pytest.approx(0.17, abs=0.03)


def test_noise_is_no_level_shift() -> None:
    found = [drift.shift(noise(seed, share=0.05)) for seed in range(200)]
    assert sum(f is not None and f.shifts for f in found) <= 14


def test_a_steady_state_begins_after_the_ramp() -> None:
    warm = [130.0, 120.0, 112.0, *noise(3)]
    found = drift.steady(warm)
    assert found is not None
    assert (found.start, found.end) == (3, 33)
    assert found.mean == pytest.approx(100, abs=2)
    assert found.ci95 is not None
    assert found.ci95[0] < found.mean < found.ci95[1]


def test_the_first_plateau_counts_not_the_better_second() -> None:
    found = drift.steady(noise(1, 20) + [v * 0.7 for v in noise(2, 20)])
    assert found is not None
    assert (found.start, found.end) == (0, 20)
    assert found.mean == pytest.approx(100, abs=2)


def test_a_drift_is_no_steady_state() -> None:
    assert drift.steady(ramp(noise(1, share=0.005), 0.5)) is None


def test_too_few_batches_say_nothing() -> None:
    few = noise(1, 7)
    assert drift.trend(few) is None
    assert drift.shift(few) is None
    assert drift.steady(few) is None


def test_noise_has_a_steady_state() -> None:
    found = [drift.steady(noise(seed)) for seed in range(50)]
    assert sum(f is not None for f in found) >= 45

"""One schedule, drawn once, with the statistics that its pattern promises."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.load import arrivals

RATE = 20.0
N = 4000


def shares(workers: int, seed: int = 1) -> list[arrivals.Times]:
    times = arrivals.schedule("poisson", RATE, count=N, seed=seed)
    return [arrivals.share(times, worker, workers) for worker in range(workers)]


def kolmogorov(values: arrivals.Times, mean: float) -> float:
    """Return √n times the greatest distance to the exponential distribution."""
    n = len(values)
    below = 1 - np.exp(-np.sort(values) / mean)
    gap = max((np.arange(1, n + 1) / n - below).max(), (below - np.arange(n) / n).max())
    return float(math.sqrt(n) * gap)


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("seed", range(5))
def test_poisson_gaps_are_exponential_however_many_workers_send_them(
    workers: int, seed: int
) -> None:
    merged = np.sort(np.concatenate(shares(workers, seed)))
    gaps = np.diff(merged)
    assert kolmogorov(gaps, 1 / RATE) < 1.95  # 99.9 % of samples lie below
    assert np.corrcoef(gaps[1:], gaps[:-1])[0, 1] == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize("workers", [1, 4])
def test_counts_of_a_poisson_schedule_are_as_dispersed_as_they_should_be(workers: int) -> None:
    merged = np.concatenate(shares(workers))
    counts = np.histogram(merged, bins=np.arange(0, merged.max(), 1.0))[0]
    spread = 4 * math.sqrt(2 / (len(counts) - 1))
    assert counts.var(ddof=1) / counts.mean() == pytest.approx(1, abs=spread)


@pytest.mark.parametrize("workers", [1, 4])
def test_no_gap_repeats_and_the_rate_is_kept(workers: int) -> None:
    merged = np.sort(np.concatenate(shares(workers)))
    assert len(np.unique(np.diff(merged))) == N - 1
    assert N / merged[-1] == pytest.approx(RATE, rel=3 / math.sqrt(N))


def test_a_worker_s_gaps_are_sums_of_the_schedule_s() -> None:
    parts = shares(4)
    assert [len(part) for part in parts] == [N // 4] * 4
    gaps = np.diff(parts[2])
    assert gaps.std() / gaps.mean() == pytest.approx(0.5, abs=0.05)  # of four exponentials


def test_a_static_schedule_does_not_drift() -> None:
    times = arrivals.schedule("static", 3.0, count=1_000_000)
    assert times[-1] == 999_999 / 3.0
    assert arrivals.schedule("static", 4.0, seconds=2.0).tolist() == [i / 4 for i in range(8)]


def test_seconds_bound_a_schedule_and_the_seed_fixes_it() -> None:
    one, same = (arrivals.schedule("poisson", RATE, seconds=100, seed=7) for _ in range(2))
    other = arrivals.schedule("poisson", RATE, seconds=100, seed=8)
    assert np.array_equal(one, same)
    assert not np.array_equal(one[:10], other[:10])
    assert one[-1] < 100
    assert len(one) == pytest.approx(RATE * 100, abs=3 * math.sqrt(RATE * 100))


def test_a_count_is_kept_exactly() -> None:
    assert len(arrivals.schedule("poisson", 0.1, count=3)) == 3


@pytest.mark.parametrize(
    ("name", "rate", "count", "words"),
    [
        ("posson", 1.0, 3, "did you mean 'poisson'"),
        ("static", 0.0, 3, "both must be above 0"),
        ("static", 1.0, 0, "both must be above 0"),
        ("poisson", math.inf, 3, "both must be above 0"),
        ("poisson", 1.0, None, "both must be above 0"),
    ],
)
def test_what_is_no_schedule_is_refused(
    name: str, rate: float, count: int | None, words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        arrivals.schedule(name, rate, count=count)


def test_a_pattern_is_one_function() -> None:
    @arrivals.pattern
    def pairs(rate: float, count: int, _: object) -> arrivals.Times:
        return np.arange(count) // 2 * 2 / rate

    try:
        assert arrivals.schedule("pairs", 1.0, count=4).tolist() == [0, 0, 2, 2]
    finally:
        del arrivals.PATTERNS["pairs"]

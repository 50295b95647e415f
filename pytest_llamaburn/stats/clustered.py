"""Failure rates of autocorrelated requests: their effective number of independent requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

Z = 3.0  # for a 95 % interval that is checked about twenty times (Bonferroni: 0.05 / 20)
_NOISE = 0.02  # end the sum at an autocorrelation below this


def design_effect(runs: Sequence[Flags], most: int | None = None) -> float:
    """Return how many successive requests count as one independent request, at least 1.

    It is 1 + 2 Σ r(lag). The autocorrelations r of failures are pooled over runs and summed until
    they become negligible (the initial positive sequence of Geyer, Statistical Science 7, 1992), at
    most up to lag `most`.
    """
    n = sum(map(len, runs))
    share = sum(int(run.sum()) for run in runs) / max(n, 1)
    if not 0 < share < 1:
        return 1.0
    total, centred = 1.0, [run - share for run in runs]
    for lag in range(1, min(max(map(len, runs)) // 3, most or n) + 1):
        long = [run for run in centred if len(run) > lag]
        pairs = sum(len(run) - lag for run in long)
        rho = sum(float(run[lag:] @ run[:-lag]) for run in long) / pairs / (share * (1 - share))
        if rho <= _NOISE:
            break
        total += 2 * rho
    return total


def interval(share: float, n: float, z: float = Z) -> tuple[float, float]:
    """Return Wilson's interval of a share over an effective number of requests."""
    return samples.wilson_interval(share, n, z)

"""The schedule of an open loop, made before the run.

A schedule is the ascending send times of its requests, in seconds after the start. It does not
depend on the answers, so a slow server cannot reduce its own load (coordinated omission). Several
workers split one schedule (`share`); with a generator per worker, all would repeat the same gaps.

A new arrival pattern is one decorated function.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import registry
from pytest_llamaburn.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Times = NDArray[np.float64]
    Pattern = Callable[[float, int, Any], Times]

PATTERNS: dict[str, Pattern] = {}
_SPARE = 6.0  # draw this many standard deviations more than the expected Poisson count


def pattern(draw: Pattern) -> Pattern:
    """Register a function (rate per second, count, generator) → `count` times by its name."""
    PATTERNS[draw.__name__] = draw
    return draw


@pattern
def static(rate: float, count: int, _: object) -> Times:
    """Return times at a constant interval from 0, without accumulated rounding errors."""
    import numpy as np

    return np.arange(count, dtype=float) / rate


@pattern
def poisson(rate: float, count: int, rng: Any) -> Times:
    """Return the times of a Poisson process, with independent exponential gaps."""
    import numpy as np

    return np.cumsum(rng.exponential(1 / rate, count), dtype=float)


def schedule(
    name: str,
    rate: float,
    *,
    seconds: float | None = None,
    count: int | None = None,
    seed: int = 0,
) -> Times:
    """Return the times, in seconds from 0, of `count` requests or of all within `seconds`.

    Raises SettingsError if the pattern is unknown, or the rate, count or length is not above 0.
    """
    if name not in PATTERNS:
        raise SettingsError(registry.unknown("arrival pattern", name, list(PATTERNS)))
    limit = seconds if count is None else count
    if limit is None or not (0 < rate < math.inf and 0 < limit < math.inf):
        raise SettingsError(
            f"a schedule at {rate} requests/s for {limit} is refused: both must be above 0"
        )
    import numpy as np

    expected = rate * limit
    enough = count or math.ceil(expected + _SPARE * math.sqrt(expected) + 10)
    times = PATTERNS[name](rate, enough, np.random.default_rng(seed))
    return times if count else times[times < limit]


def share(times: Times, worker: int, workers: int) -> Times:
    """Return one worker's part of a schedule: every `workers`-th request, starting at `worker`."""
    return times[worker::workers]

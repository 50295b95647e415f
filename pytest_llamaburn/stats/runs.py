"""The uncertainty of a difference between two sets of runs.

The unit of evidence is the run. Requests of one run share its conditions (memory layout, clocks,
heat); with pooled requests, most pairs of equal runs would look different. Each run gives one
number. The change is the ratio of the two sides' geometric means over runs. Its interval is
symmetric on the log scale: Student's t with the variances of both sides and Welch's degrees of
freedom (Welch, Biometrika 34, 1947; Satterthwaite, Biometrics 2, 1946). For small spreads, the
standard deviation of a log equals the coefficient of variation.
"""

from __future__ import annotations

import math
from collections import Counter
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pytest_llamaburn.stats import samples as stats

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Samples = dict[str, list[float]]  # the values of one run, by prompt
Sides: TypeAlias = "Sequence[Sequence[Samples]]"

ALARM_RATE = 0.01  # most reports of equal runs that may show any difference (false alarms)
MARGIN = 0.03  # a change within this share counts as no change
STATISTICS = ("mean", "min", *stats.PERCENTILES, "max")  # statistics that can be compared
ASSUMED = 0.03  # noise between runs if it cannot be estimated
LEAST_RUNS = 3
_CERTAIN = 10**9  # degrees of freedom of a known variance
_RESAMPLES = 400


class Part(NamedTuple):
    """One independent part of the variance of a log ratio, and its degrees of freedom."""

    variance: float
    df: int


class Noise(NamedTuple):
    """The relative standard deviation between runs; `seen` is that of `runs` earlier runs."""

    share: float
    df: int
    source: str
    runs: int
    seen: float | None


class Interval(NamedTuple):
    """A log ratio and its ends."""

    middle: float
    low: float
    high: float


def variance(values: Sequence[float]) -> float:
    """Return the variance of a sample, 50 times as fast as `statistics.variance`.

    It takes two passes, so that close numbers lose no digits.
    """
    middle = fmean(values)
    return math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1)


def number(samples: Samples, statistic: str) -> float:
    """Return a run's number: the mean of the prompts' means, or a quantile of all values.

    In the mean every prompt has the same weight, for any number of repetitions.
    """
    if statistic == "mean":
        return fmean(fmean(values) for values in samples.values())
    import numpy as np

    return float(np.percentile(_pooled(samples), quantile(statistic)))


def quantile(statistic: str) -> float:
    """Return the percentile of a statistic other than the mean."""
    return {"min": 0.0, "max": 100.0, **stats.PERCENTILES}[statistic]


def aligned(sides: Sides) -> tuple[list[list[Samples]], bool]:
    """Return the sides' runs with only the prompts that every run has, and True.

    Differences between prompts then cancel in a ratio. Without a common prompt, return all prompts
    and False.
    """
    runs = [[run for run in side if run] for side in sides]
    shared = set.intersection(*(set(run) for side in runs for run in side))
    if not shared:
        return runs, False
    order = [prompt for prompt in runs[0][0] if prompt in shared]
    return [[{p: run[p] for p in order} for run in side] for side in runs], True


def ratio(
    logs: tuple[Sequence[float], Sequence[float]],
    noises: Sequence[Noise],
    requests: Sequence[Part],
    confidence: float,
) -> Interval:
    """Return the log ratio of the second side's runs to the first's, with its interval.

    A side with a single run has no spread; its variance is the machine's noise plus the variance of
    its requests. The degrees of freedom are then at most those of the noise.
    """
    middle = fmean(logs[1]) - fmean(logs[0])
    parts = [*_between(logs), *_noise_parts(noises), *requests]
    half = half_width(parts, confidence, min((noise.df for noise in noises), default=_CERTAIN))
    return Interval(middle, middle - half, middle + half)


def _between(logs: Iterable[Sequence[float]]) -> list[Part]:
    """Return the variance of each side's mean, from the spread of its runs.

    A side's variance is at least the pooled variance: two or three runs are close together by
    chance so often that Welch's degrees of freedom do not account for it.
    """
    several = [side for side in logs if len(side) > 1]
    df = sum(len(side) - 1 for side in several)
    pooled = sum((len(side) - 1) * variance(side) for side in several) / max(df, 1)
    return [Part(max(variance(side), pooled) / len(side), len(side) - 1) for side in several]


def half_width(parts: Sequence[Part], confidence: float, most_df: int = _CERTAIN) -> float:
    """Return the half width of the interval for these parts of the variance."""
    total = sum(part.variance for part in parts)
    if not total:
        return 0.0
    df = total**2 / sum(part.variance**2 / part.df for part in parts)
    return _t_quantile(min(df, most_df), confidence) * math.sqrt(total)


def _t_quantile(df: float, confidence: float) -> float:
    """Return Student's quantile; between whole degrees of freedom linear in their reciprocal."""
    whole = math.floor(df * (1 + 1e-12))
    low, high = (stats.t_quantile(whole + i, confidence) for i in (0, 1))
    return low + (high - low) * (1 / whole - 1 / df) * whole * (whole + 1)


def _noise_parts(noises: Iterable[Noise]) -> list[Part]:
    """Return the variance between runs, for sides with a single run.

    Two sides with the same noise share its degrees of freedom.
    """
    return [Part(count * noise.share**2, noise.df) for noise, count in Counter(noises).items()]


def request_parts(sides: Sides, statistic: str, *, paired: bool) -> list[Part]:
    """Return the variance of the log ratio due to requests, for the sides with a single run.

    It is estimated from the repetitions of each prompt if all prompts have some, else from the
    spread of the prompts' changes or, without common prompts, from the spread of the prompts. Means
    use a formula, quantiles use resampling.
    """
    singles = [side[0] for side in sides if len(side) == 1]
    means = statistic == "mean"
    if all(len(values) > 1 for run in singles for values in run.values()):
        return [_repeated(run) if means else _redrawn(run, statistic) for run in singles]
    groups = [sides] if paired else [(side,) for side in sides if len(side) == 1]
    groups = [group for group in groups if len(group[0][0]) > 1]
    return [_spread(group) if means else _redealt(group, statistic) for group in groups]


def learnt(groups: Iterable[Sequence[Samples]], statistic: str) -> Part | None:
    """Return the variance between equal runs, pooled over groups of them.

    Returns None if no group has two runs.
    """
    return within(_logs(group, statistic) for group in groups)


def within(groups: Iterable[Sequence[float]]) -> Part | None:
    """Return the pooled variance in groups of numbers, or None if no group has two numbers."""
    parts = [Part(variance(group), len(group) - 1) for group in groups if len(group) > 1]
    df = sum(part.df for part in parts)
    return Part(sum(part.variance * part.df for part in parts) / df, df) if df else None


def noise(observed: Part | None, runs: int, confidence: float) -> Noise:
    """Return the noise between runs: that of `runs` earlier runs, or the assumed noise.

    The noise is assumed if there are fewer than three earlier runs, or if the earlier runs do not
    show more noise and are so few that their interval would be wider than the assumed one.
    """
    assumed = Noise(ASSUMED, _CERTAIN, "assumed", runs, observed and math.sqrt(observed.variance))
    if observed is None or runs < LEAST_RUNS:
        return assumed
    known = half_width([Part(ASSUMED**2, _CERTAIN)], confidence)
    if observed.variance <= ASSUMED**2 and half_width([observed], confidence) >= known:
        return assumed
    return assumed._replace(share=math.sqrt(observed.variance), df=observed.df, source="learnt")


def _logs(group: Sequence[Samples], statistic: str) -> list[float]:
    if not any(group):
        return []
    (runs,), _ = aligned([group])
    numbers = [number(run, statistic) for run in runs]
    return [math.log(value) for value in numbers if value > 0]


def _pooled(samples: Samples) -> list[float]:
    return [value for values in samples.values() for value in values]


def _repeated(run: Samples) -> Part:
    """Return the variance of the log of a run's mean, for fixed prompts."""
    whole = number(run, "mean")
    of_means = sum(variance(values) / len(values) for values in run.values())
    return Part(of_means / (len(run) * whole) ** 2, _repetitions(run))


def _spread(group: Sides) -> Part:
    """Return the variance due to prompts of a side's log mean, or of the log ratio of two sides.

    By linearisation: the variance over prompts of b_p / B − a_p / A, divided by their number.
    """
    changes = [last - first for first, last in zip(*_ends(group), strict=True)]
    return Part(variance(changes) / len(changes), len(changes) - 1)


def _ends(group: Sides) -> tuple[list[float], list[float]]:
    relative = [_relative(side) for side in group]
    return (relative[0], relative[1]) if len(group) > 1 else ([0.0] * len(relative[0]), relative[0])


def _relative(side: Sequence[Samples]) -> list[float]:
    """Return each prompt's mean over a side's runs, divided by the mean of the side."""
    means = [fmean(fmean(run[prompt]) for run in side) for prompt in side[0]]
    whole = fmean(means)
    return [mean / whole for mean in means]


def _redrawn(run: Samples, statistic: str) -> Part:
    """Return the variance of the log of a run's quantile, by resampling each prompt's requests."""
    import numpy as np

    rng = np.random.default_rng(0)
    drawn = [rng.choice(values, (_RESAMPLES, len(values))) for values in run.values()]
    numbers = np.percentile(np.concatenate(drawn, axis=1), quantile(statistic), axis=1)
    count, df = len(_pooled(run)), _repetitions(run)
    return Part(float(_log(numbers).var()) * count / df, df)


def _redealt(group: Sides, statistic: str) -> Part:
    """Return the variance of a quantile's log, or log ratio, by resampling the prompts."""
    import numpy as np

    prompts = list(group[0][0])
    deals = np.random.default_rng(0).choice(len(prompts), (_RESAMPLES, len(prompts)))
    logs = np.zeros(_RESAMPLES)
    for sign, side in zip((-1, 1), group, strict=False):
        pooled = [np.concatenate([run[prompt] for run in side]) for prompt in prompts]
        hands = (np.concatenate([pooled[i] for i in deal]) for deal in deals)
        logs += sign * _log([np.percentile(hand, quantile(statistic)) for hand in hands])
    df = len(prompts) - 1
    return Part(float(logs.var()) * len(prompts) / df, df)


def _log(numbers: Any) -> Any:
    """Return the logs of numbers; a number of 0 becomes a very low log, so a huge spread."""
    import numpy as np

    return np.log(np.maximum(numbers, 1e-300))


def _repetitions(run: Samples) -> int:
    return sum(len(values) - 1 for values in run.values())

"""Measure how often the 95 % intervals of an eval hold the truth, by distribution and sample size.

Means of scores, shares of right answers and win rates: every possible sample of 6 answers with its
probability, and random samples of 10, 20 and 50. Agreement of a judge with people: random
samples. Student's interval is shown beside ours. It ends with the time that a calibration takes.
With the defaults it takes two minutes.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from _report import Line, report

from pytest_llamaburn.judges import _calibration
from pytest_llamaburn.stats import agreement, figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Interval = tuple[float, float] | None
SIZES = (6, 10, 20, 50)
EXACT = 6  # the largest sample size for which every sample is looked at
SCORES: dict[str, tuple[float, ...]] = {  # the chances of the scores 1 to 5
    "skewed": (0.60, 0.20, 0.10, 0.07, 0.03),
    "bimodal": (0.35, 0.10, 0.05, 0.10, 0.40),
    "near the ceiling": (0.01, 0.01, 0.03, 0.15, 0.80),
    "5, rarely 1": (0.05, 0, 0, 0, 0.95),
    "nearly all equal": (0, 0.02, 0.08, 0.88, 0.02),
    "all equal": (0, 0, 0, 1, 0),
}
SHARES: dict[str, tuple[float, ...]] = {  # of wrong and right answers
    f"{share:.0%} right": (1 - share, share) for share in (0.05, 0.3, 0.5, 0.9, 0.99)
}
WINS: dict[str, tuple[float, ...]] = {  # of losses, ties and wins
    "even": (0.4, 0.2, 0.4),
    "mostly ties": (0.05, 0.9, 0.05),
    "few ties": (0.28, 0.02, 0.7),
    "nearly always wins": (0.02, 0.03, 0.95),
}
CASES: dict[str, tuple[Sequence[float], dict[str, tuple[float, ...]]]] = {
    "mean of scores": ((1, 2, 3, 4, 5), SCORES),
    "share of right answers": ((0, 1), SHARES),
    "win rate": ((0, 0.5, 1), WINS),
}
JUDGES = {  # how often people give the row's score and the judge the column's
    "strong": "10 1 0 0 0  1 10 1 0 0  0 1 15 1 0  0 0 2 15 1  0 0 0 1 12",
    "good": "6 3 1 0 0  3 10 5 1 0  1 5 16 6 1  0 1 7 16 5  0 0 1 5 9",
    "weak": "3 4 4 2 1  3 6 6 4 2  2 6 10 8 4  1 4 8 10 8  1 2 4 8 9",
}
COEFFICIENTS = ("qwk", "spearman", "kendall", "alpha")


class Held(NamedTuple):
    """How often an interval holds the truth, how often it is above it, and its mean width."""

    share: float
    above: float
    width: float


def main() -> int:
    """Print the tables; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=500, help="random samples of each kind")
    chosen = parser.parse_args()
    lines = [_means(what, *case, chosen.samples) for what, case in CASES.items()]
    lines += [_agreements(chosen.samples), _calibration_time()]
    return report("intervals that hold the truth", lines)


def _means(
    what: str, scale: Sequence[float], cases: dict[str, tuple[float, ...]], samples: int
) -> Line:
    """Print how often the interval of a mean holds it; return the lowest share."""
    print(f"{what}: held (mean width), ours | Student's")
    shares = []
    for name, chances in cases.items():
        cells = []
        for n in SIZES:
            every = list(_samples(scale, chances, n, samples))
            truth = float(np.dot(scale, chances))
            ours = _held(every, truth, lambda v: figures.mean(v, scale=(scale[0], scale[-1])).ci95)
            students = _held(every, truth, lambda v: figures.mean(v).ci95)
            shares.append(ours.share)
            cells.append(f"{_cell(ours)} | {_cell(students)}")
        _row(name, cells)
    print()
    return Line(f"{what}: lowest share held", min(shares), "", 0.94, within=False)


def _samples(
    scale: Sequence[float], chances: Sequence[float], n: int, count: int
) -> Iterator[tuple[tuple[float, ...], float]]:
    """Yield samples in ascending order, each with its chance; random ones if n is large."""
    if n > EXACT:
        drawn = np.random.default_rng(0).choice(scale, (count, n), p=chances)
        yield from ((tuple(map(float, sorted(row))), 1 / count) for row in drawn)
        return
    for places in combinations_with_replacement(range(len(scale)), n):
        counts = [places.count(i) for i in range(len(scale))]
        ways = math.factorial(n) // math.prod(map(math.factorial, counts))
        chance = ways * math.prod(p**k for p, k in zip(chances, counts, strict=True))
        if chance:
            yield tuple(float(scale[i]) for i in places), chance


def _held(
    samples: Sequence[tuple[Any, float]], truth: float, interval: Callable[[Any], Interval]
) -> Held:
    """Return how often an interval holds the truth; a sample without an interval does not."""
    known: dict[Any, Interval] = {}
    share = above = width = 0.0
    for values, chance in samples:
        if values not in known:
            known[values] = interval(values)
        low, high = known[values] or (math.inf, -math.inf)
        share += chance * (low - 1e-9 <= truth <= high + 1e-9)
        above += chance * (truth < low < math.inf)
        width += chance * max(0.0, high - low)
    return Held(share, above, width)


def _agreements(samples: int) -> Line:
    """Print how often intervals of agreement hold it; return how often one is above it."""
    print("agreement with people: held (mean width)")
    above = []
    for judge, table in JUDGES.items():
        chances = np.array(table.split(), dtype=float)
        chances /= chances.sum()
        for name in COEFFICIENTS:
            cells = []
            for n in SIZES:
                found = _agreement(_calibration.FIGURES[name], chances, n, samples)
                above.append(found.above)
                cells.append(_cell(found))
            _row(f"{judge} judge, {name}", cells)
    print()
    return Line("agreement: highest share of lower ends above the truth", max(above), "", 0.05)


def _agreement(statistic: agreement.Statistic, chances: Any, n: int, samples: int) -> Held:
    people, judge = np.divmod(np.arange(25.0), 5)
    whole = agreement.Pairs(people, judge, chances[None] * 1e7)
    truth = float(statistic.of_samples(whole)[0])
    drawn = np.sort(np.random.default_rng(0).choice(25, (samples, n), p=chances), axis=1)

    def interval(cells: tuple[int, ...]) -> Interval:
        some = list(cells)
        found = agreement.with_interval(statistic, people[some], judge[some])
        return found.ci95 or (-1.0, 1.0)

    return _held([(tuple(row), 1 / samples) for row in drawn.tolist()], truth, interval)


def _calibration_time() -> Line:
    """Return the CPU time for 6,336 labels: fractional ratings that all differ, of 96 questions."""
    rng = np.random.default_rng(0)
    people = rng.uniform(1, 5, 6336)
    judge = np.clip(people + rng.normal(0, 0.5, 6336), 1, 5)
    labels = [
        _calibration.Label(
            f"q{i % 96}", (f"a{i}",), None, "accuracy", (float(one),), True, None, f"line {i}"
        )
        for i, one in enumerate(people)
    ]
    began = time.process_time()
    _calibration.report(labels, judge.tolist(), {})
    return Line("calibration with 6336 labels, CPU", time.process_time() - began, "s", 30)


def _cell(held: Held) -> str:
    return f"{held.share:.3f} ({held.width:.2f})"


def _row(name: str, cells: Sequence[str]) -> None:
    shown = "   ".join(f"n={n} {cell}" for n, cell in zip(SIZES, cells, strict=True))
    print(f"  {name:<22} {shown}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

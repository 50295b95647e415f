"""Measure how well a short sweep predicts what users will see, on servers with known rules.

The servers exist in numbers only, on a clock of their own: 1, 2 and 4 slots, either step by step as
llama.cpp works, or with slots that do not wait for each other. The real sender loads them. Each row
is a load of users: the truth over many requests, and predicted / true for the median and the p95 of
TTFT and ITL.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.virtual_llama import Llama, loaded, swept

from pytest_llamaburn.capacity import observations, service, users
from pytest_llamaburn.capacity.users import Users
from pytest_llamaburn.load.step import CLIENTS, Step
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

THINK, THINK_S = "1s-3s", (1.0, 3.0)
MEASURES = {"ttft_ms": "time_to_first_token_ms", "itl_ms": "inter_token_latency_ms"}
USERS_PER_SLOT = (1, 3, 6, 10)
GOAL = 0.10  # the largest error of the p95 of TTFT


class Row(NamedTuple):
    """A load of users: the true p95 of TTFT in ms, and predicted / true by number."""

    what: str
    truth_ms: float
    ratios: dict[str, float]

    @property
    def met(self) -> bool:
        """Whether the p95 of TTFT is predicted within the goal."""
        return abs(self.ratios["ttft_ms.p95"] - 1) <= GOAL


def main() -> int:
    """Print the table; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=4000, help="requests of each true load")
    parser.add_argument("--noise", type=float, default=0.05, help="variation of each step")
    asked = parser.parse_args()
    names = [f"{short}.{label}" for short in MEASURES for label in users.QUANTILES]
    heads = "".join(f"{name:>13}" for name in names)
    print(f"{'server and load':40} {'TTFT p95':>9}{heads}")
    missed = 0
    for row in _rows(asked.requests, asked.noise):
        missed += not row.met
        ratios = "".join(f"{row.ratios[name]:13.3f}" for name in names)
        line = f"{row.what:40} {row.truth_ms:9.1f}{ratios}{'' if row.met else '  MISSED'}"
        print(line, flush=True)
    print(f"{missed} rows miss the goal: p95 of TTFT within {GOAL:.0%}")
    return int(missed > 0)


def _rows(requests: int, noise: float) -> Iterator[Row]:
    for shared, slots in product((True, False), (1, 2, 4)):
        rules = Llama(slots=slots, shared=shared, noise=noise)
        with tempfile.TemporaryDirectory() as folder:
            runs = swept(Path(folder), rules)
        model = service.fit([[observations.answer_of(row) for row in run] for run in runs])
        if isinstance(model, str):
            raise SystemExit(model)
        kind = "step by step" if shared else "each by itself"
        for each in USERS_PER_SLOT:
            number = each * slots
            truth = _truth(rules, number, requests)
            found = users.predicted(model, Users(number, THINK_S, requests), 20)
            ratios = {name: (found[name].value or 0.0) / value for name, value in truth.items()}
            what = f"{counted(slots, 'slot')}, {kind}, {counted(number, 'user')}"
            yield Row(what, truth["ttft_ms.p95"], ratios)


def _truth(rules: Llama, number: int, requests: int) -> dict[str, float]:
    """Return the true quantiles of a load of users."""
    with tempfile.TemporaryDirectory() as folder:
        step = Step(number, CLIENTS, requests)
        (rows,) = loaded(Path(folder), rules, [step], 7919, think_time=THINK)
    return {
        f"{short}.{label}": float(np.quantile([row.values[name] or 0.0 for row in rows], quantile))
        for short, name in MEASURES.items()
        for label, quantile in users.QUANTILES.items()
    }


if __name__ == "__main__":
    sys.exit(main())

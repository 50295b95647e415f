"""The gates of an audit: bounds of what the judge must notice, and of what may sway it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.gates import Gate, Selector, decide
from pytest_llamaburn.kinds.audit import material
from pytest_llamaburn.measures import Measure, Observed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.documents import Document, GateVerdict


class Bound(NamedTuple):
    """A bound that a flag sets, and the highest value that has a meaning."""

    flag: str
    help: str
    highest: float


NOTICED = Bound(
    "min-noticed",
    "audit: exit 1 unless the judge surely notices at least this share of the texts with each kind "
    "of error",
    1.0,
)
SHIFT = Bound(
    "max-shift", "audit: exit 1 unless no manipulation shifts the score by more than this", 4.0
)
ORDER = Bound(
    "max-order",
    "audit: exit 1 unless the order of two answers surely decides at most this share of verdicts",
    1.0,
)
BOUNDS = (NOTICED, SHIFT, ORDER)
Minima = dict[Bound, float]


def parse(bound: Bound, text: str) -> float:
    """Return the value of a bound; raises SettingsError for a value without a meaning."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= bound.highest:
        raise SettingsError(
            f"--{bound.flag}: '{text}' is refused: write a number from 0 to {bound.highest:g}"
        )
    return value


def verdicts(results: Document, asked: Minima) -> Iterator[GateVerdict]:
    """Yield the verdict on each bound and each kind of error or manipulation that it is about."""
    if NOTICED in asked:
        for one in results["errors"]:
            name = f"noticed {one['kind']}"
            yield _worst(name, one["noticed"], [(">=", asked[NOTICED])])
    for one in results["manipulations"]:
        bound = ORDER if one["kind"] == material.ORDER else SHIFT
        if bound in asked:
            within = [("<=", asked[bound]), (">=", -asked[bound])]
            yield _worst(f"shift {one['kind']}", one["shift"], within)


def _worst(name: str, figure: Document, bounds: Sequence[tuple[str, float]]) -> GateVerdict:
    """Return the verdict on the bound that is nearest to the value, or broken most."""
    ends = figure["ci95"]
    observed = Observed(figure["value"], ends and tuple(ends), figure["reason"] or "")
    of = Selector(Measure(name, "", "none", "a figure of an audit"))
    found = [
        decide(Gate(f"{name} {sign} {value:g}", of, sign, value), observed, "certain")
        for sign, value in bounds
    ]
    return min(found, key=lambda one: (_RANK[one["verdict"]], one["margin"] or 0.0))


_RANK = {"fail": 0, "undecided": 1, "pass": 2}

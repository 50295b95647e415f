"""The output of the benchmarks: one line per figure, with its goal and whether it is met."""

from __future__ import annotations

import sys
from typing import NamedTuple


class Line(NamedTuple):
    """One figure; without a goal it is only shown."""

    what: str
    value: float
    unit: str
    goal: float | None = None
    within: bool = True  # True: the goal is an upper limit; False: a lower limit
    both: bool = False  # the goal limits the value to both sides of 0

    @property
    def met(self) -> bool:
        """Whether the goal is met, if there is one."""
        if self.goal is None:
            return True
        value = abs(self.value) if self.both else self.value
        return value <= self.goal if self.within else value >= self.goal


def report(title: str, lines: list[Line]) -> int:
    """Print the figures; return the exit code, 1 if a goal is missed."""
    width = max(len(line.what) for line in lines)
    print(title)
    for line in lines:
        print(
            f"  {line.what:<{width}}  {line.value:9.3f} {line.unit:<4}  {_verdict(line)}".rstrip()
        )
    sys.stdout.flush()
    return 0 if all(line.met for line in lines) else 1


def _verdict(line: Line) -> str:
    if line.goal is None:
        return ""
    sign = "within ±" if line.both else "<=" if line.within else ">="
    return f"goal {sign} {line.goal:g} {line.unit:<4} {'met' if line.met else 'MISSED'}"

"""What ends a run before its last request: its budget, and failures that repeat."""

from __future__ import annotations

import math
from time import perf_counter
from typing import TYPE_CHECKING

from pytest_llamaburn.errors import StoppedError
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from pytest_llamaburn.documents import Failure


class Limits:
    """The limits of a run, and how close the requests since `begin` came to them.

    `budget` is in seconds. `most_failures` is the number of failures of one kind in a row that end
    the run; `advice` is what a user can do about them.
    """

    def __init__(self, budget: float | None, most_failures: int, advice: str = "") -> None:
        """Take the limits; the time is counted from now on."""
        self._budget, self._most, self._advice = budget, most_failures, advice
        self._kind: str | None = None
        self._streak = 0
        self.begin()

    def begin(self) -> None:
        """Count the time and the requests from now on."""
        self._began, self._sent = perf_counter(), 0

    def spend(self, seconds: float) -> None:
        """Take the time of what came before the requests from the budget."""
        if self._budget is not None:
            self._budget -= seconds

    def count(self, error: Failure | None) -> None:
        """Count a request that ended with this error, or with None."""
        kind = error and error["kind"]
        self._streak = self._streak + 1 if kind == self._kind else 1
        self._kind = kind
        self._sent += 1

    def pause(self, seconds: float) -> None:
        """Take the time of what came between the requests, such as a load, from the budget."""
        self.spend(seconds)
        self._began += seconds

    def left_s(self) -> float:
        """Return the seconds left after another request of the usual length; inf if no budget."""
        if self._budget is None:
            return math.inf
        spent = perf_counter() - self._began
        typical = spent / self._sent if self._sent else 0.0
        return self._budget - spent - typical

    def over_budget(self) -> bool:
        """Return whether another request of the usual length would end after the budget."""
        return self.left_s() < 0

    def check_failures(self) -> None:
        """Raise StoppedError if the last requests failed for the same reason."""
        if self._kind is not None and self._streak >= self._most:
            raise StoppedError(
                f"stopped after {counted(self._streak, 'request')} in a row failed with "
                f"{self._kind}: see the server's message in the table{self._advice}"
            )

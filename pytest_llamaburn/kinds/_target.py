"""Which run a test opens."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """A run to make; the parameter of a fixture that opens a run.

    `kind` is the name of the kind, `repeat` the number of the independent run, and `variant` its
    mode or set.
    """

    kind: str
    model: str | None
    repeat: int = 0
    variant: str = ""

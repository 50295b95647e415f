"""How rates by depth are compared: at each depth that both files have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.kinds import _comparable
from pytest_llamaburn.kinds._comparable import Column, Subject
from pytest_llamaburn.kinds.depth.measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Sequence


class Rates(Subject):
    """A file with rates by depth."""

    alike = ("isl", "osl", "num_ctx", "temperature")

    @property
    def depths(self) -> list[float]:
        """The depths that have a value."""
        found = self.document["results"]["depths"]
        return [float(one["depth"]) for one in found if one["reason"] is None]


class Comparison(_comparable.Comparison):
    """A comparison of rates by depth."""

    kind = "depth"
    noun = "depth run"
    measures = {name: m for name, m in MEASURES.items() if m.of_level}  # noqa: RUF012
    default = ("prefill_tokens_per_sec", "decode_tokens_per_sec")
    subject = Rates

    def columns(self, other: Rates) -> Sequence[Column]:
        """Return the columns, lowest depth first; only depths that both files have."""
        common = sorted({*self.baseline.depths} & {*other.depths})
        every = [self.gated(column) for column in self.choice.every]
        given = [column for column in every if column.level is not None]
        at_each = [c._replace(level=d) for d in common for c in every if c.level is None]
        return [*dict.fromkeys((*at_each, *(c for c in given if c.level in common)))]

    def absent(self, column: Column) -> str:
        """Return why no change has a gate's column."""
        if column.level is None:
            return "name a depth, as in decode_tokens_per_sec@4096:-5%"
        return f"the files have no depth {column.level:g} in common"

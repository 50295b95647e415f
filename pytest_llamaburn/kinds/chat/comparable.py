"""How conversations are compared: in each turn that both files have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.kinds import _comparable
from pytest_llamaburn.kinds._comparable import Column, Subject
from pytest_llamaburn.kinds.chat.measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Sequence


class Conversation(Subject):
    """A file of conversations."""

    alike = ("isl", "osl", "num_ctx", "temperature")

    @property
    def turns(self) -> list[float]:
        """The turns that were measured."""
        return [float(one["turn"]) for one in self.document["results"]["turns"]]


class Comparison(_comparable.Comparison):
    """A comparison of conversations."""

    kind = "chat"
    noun = "chat run"
    measures = {name: m for name, m in MEASURES.items() if m.of_level}  # noqa: RUF012
    default = ("turn_ttft_ms", "miss_cost_ms")
    subject = Conversation

    def columns(self, other: Conversation) -> Sequence[Column]:
        """Return the columns, first turn first; only turns that both files have."""
        common = sorted({*self.baseline.turns} & {*other.turns})
        every = [column for column in self.choice.every if column.level is None]
        gated = [c for c in self.choice.every if c.level is not None and c.level in common]
        return [*dict.fromkeys((*(c._replace(level=t) for t in common for c in every), *gated))]

    def absent(self, column: Column) -> str:
        """Return why no change has a gate's column."""
        if column.level is None:
            return "name a turn, as in turn_ttft_ms@8:+10%"
        return f"the files have no turn {column.level:g} in common"

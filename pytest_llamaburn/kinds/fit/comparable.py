"""How runs that find the largest context are compared: as a whole, and at common contexts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.kinds import _comparable
from pytest_llamaburn.kinds._comparable import Column, Subject
from pytest_llamaburn.kinds.fit.measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Sequence


class Fitted(Subject):
    """A file with the memory by context."""

    alike = ("kv_type", "slots", "edge", "max_ctx")

    @property
    def contexts(self) -> list[float]:
        """The contexts of the first type of the KV cache."""
        steps = self.document["results"]["steps"]
        return [float(s["num_ctx"]) for s in steps if s["kv_type"] == steps[0]["kv_type"]]


class Comparison(_comparable.Comparison):
    """A comparison of runs that find the largest context."""

    kind = "fit"
    noun = "fit run"
    measures = {n: m for n, m in MEASURES.items() if m.of_level or n == "largest_context"}  # noqa: RUF012
    default = ("largest_context", "memory_mb", "step_tokens_per_sec")
    subject = Fitted

    def columns(self, other: Fitted) -> Sequence[Column]:
        """Return the columns of the whole run, then those of each context that both files have."""
        common = sorted({*self.baseline.contexts} & {*other.contexts})
        every = [self.gated(column) for column in self.choice.every]
        whole = [c for c in every if not self.measures[c.metric].of_level]
        of_step = [c for c in every if self.measures[c.metric].of_level]
        at_each = [c._replace(level=n) for n in common for c in of_step if c.level is None]
        return [*dict.fromkeys((*whole, *at_each, *(c for c in of_step if c.level in common)))]

    def absent(self, column: Column) -> str:
        """Return why no change has a gate's column."""
        if column.level is None:
            return f"name a context, as in {column.name}@8192:-5%"
        return f"the files have no context of {column.level:g} in common"

"""How embeddings and rankings are compared: for each batch size that both files have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.kinds import _comparable
from pytest_llamaburn.kinds._comparable import Column, Subject
from pytest_llamaburn.kinds.embed.measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Embedded(Subject):
    """A file of embeddings or rankings."""

    alike = ("isl", "rerank", "num_ctx")

    @property
    def batches(self) -> set[float]:
        """The batch sizes that were measured."""
        return {float(cell["batch"]) for cell in self.document["results"]["cells"]}

    def setting(self, name: str) -> object:
        """Return a setting of the run; `rerank` is what it did."""
        if name == "rerank":
            return self.document["results"]["task"] == "rerank"
        return super().setting(name)


class Comparison(_comparable.Comparison):
    """A comparison of embeddings or rankings."""

    kind = "embed"
    noun = "embed run"
    measures = MEASURES
    default = ("texts_per_sec", "embed_latency_ms")
    like = ("isl", "rerank")
    subject = Embedded

    def columns(self, other: Embedded) -> Sequence[Column]:
        """Return the columns, smallest batch first; only batches that both files have."""
        common = sorted(self.baseline.batches & other.batches)
        return [*dict.fromkeys(self._columns(common))]

    def _columns(self, common: Sequence[float]) -> Iterator[Column]:
        for batch in common:
            for column in self.choice.every:
                if MEASURES[column.metric].of_level and column.level in (None, batch):
                    yield column._replace(level=batch)
        yield from (c for c in self.choice.every if not MEASURES[c.metric].of_level)

    def absent(self, column: Column) -> str:
        """Return why no change has a gate's column."""
        if column.level is None:
            return "name a batch size, as in texts_per_sec@32:-5%"
        return f"the files have no batch of {column.level:g} in common"

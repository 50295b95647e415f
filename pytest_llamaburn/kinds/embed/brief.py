"""What lists read of the results of a run that embeds or reranks."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_llamaburn.kinds import _brief


@dataclass
class Summary(_brief.Summary):
    """The speed that a list shows."""

    texts_per_sec: _brief.Median = field(default_factory=_brief.Median)


@dataclass
class Results(_brief.Results):
    """What all kinds have, and the speed with the largest batch."""

    summary: Summary = field(default_factory=Summary)

    @property
    def headlines(self) -> dict[str, float]:
        """The speed, if it was measured."""
        speed = self.summary.texts_per_sec.p50
        return {} if speed is None else {"texts_per_sec.p50": speed}

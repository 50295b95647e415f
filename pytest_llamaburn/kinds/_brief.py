"""The part of a result file's `results` that lists read; they do not parse the rest."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Model:
    """A model."""

    id: str


@dataclass
class Compared:
    """A file that was compared."""

    model: Model


@dataclass
class Series:
    """A series of a trend."""

    model: str


@dataclass
class Median:
    """A distribution's median."""

    p50: float | None = None


@dataclass
class Summary:
    """The speeds that a list shows."""

    tokens_per_sec: Median = field(default_factory=Median)
    time_to_first_token_ms: Median = field(default_factory=Median)


@dataclass
class Totals:
    """How many requests were sent, and how many of them succeeded."""

    requests: int
    succeeded: int
    planned: int | None = None


@dataclass
class Results:
    """The fields of all kinds; a kind that lists more fields inherits from it."""

    summary: Summary = field(default_factory=Summary)
    totals: Totals | None = None
    files: list[Compared] = field(default_factory=list)

    @property
    def models(self) -> list[str]:
        """The models that were compared."""
        return [file.model.id for file in self.files]

    @property
    def requests(self) -> tuple[int, int] | None:
        """The number of requests that succeeded, and the number planned or, if larger, sent."""
        if self.totals is None:
            return None
        return self.totals.succeeded, max(self.totals.requests, self.totals.planned or 0)

    @property
    def scores(self) -> dict[str, float]:
        """The mean of each score by name; scores without a mean are left out."""
        return {}

    @property
    def headlines(self) -> dict[str, float]:
        """The few numbers that say most, by measure and statistic; without those not measured."""
        speeds = {
            "tokens_per_sec.p50": self.summary.tokens_per_sec.p50,
            "time_to_first_token_ms.p50": self.summary.time_to_first_token_ms.p50,
        }
        return {**{n: v for n, v in speeds.items() if v is not None}, **self.scores}

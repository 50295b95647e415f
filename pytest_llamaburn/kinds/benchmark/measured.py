"""The result of `measure` in a test: statistics by metric, as attributes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from pytest_llamaburn import measures, metrics
from pytest_llamaburn.errors import NothingMeasuredError
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.documents import BenchmarkRow, Distribution


class Measured:
    """The results of one `measure` call.

    Each metric is an attribute, by its name or alias, and has statistics: `measured.ttft_ms.p50`,
    `measured.tokens_per_sec.mean`. With --start both, they are over the warm requests, as in the
    result file's summary. `runs` and `errors` cover all requests.
    """

    def __init__(self, rows: Sequence[BenchmarkRow]) -> None:
        """Keep the rows, one per request, as in the result file."""
        self.runs = list(rows)

    @property
    def counted(self) -> list[BenchmarkRow]:
        """The rows over which statistics and thresholds are computed."""
        warm = [row for row in self.runs if row["start"] == "warm"]
        return warm or self.runs

    @property
    def errors(self) -> dict[str, int]:
        """The number of failed requests by kind of failure."""
        return dict(Counter(row["error"]["kind"] for row in self.runs if row["error"]))

    def __getattr__(self, name: str) -> Stat:
        """Return the statistics of a metric over the successful requests."""
        measure = measures.find(metrics.MEASURES, name)
        if measure is None:
            raise AttributeError(f"no metric '{name}'; known: {', '.join(metrics.MEASURES)}")
        good = [row for row in self.counted if row["error"] is None]
        values = metrics.summary(good, self.counted)[measure.name]
        return Stat(measure.name, values, self.errors)


class Stat:
    """The distribution of one metric, its fields as attributes."""

    def __init__(self, name: str, values: Distribution, errors: dict[str, int]) -> None:
        """Keep a distribution, in the format of result files."""
        self.name, self.values, self._errors = name, values, errors

    def __getattr__(self, field: str) -> Any:
        """Return a field; raises NothingMeasuredError if there is no sample."""
        if field not in (*samples.PERCENTILES, *self.values):
            raise AttributeError(f"{self.name} has no '{field}'; known: {', '.join(self.values)}")
        if self.values["n"] == 0 and field != "n":
            why = self._errors or self.values.get("reason")
            raise NothingMeasuredError(f"{self.name}.{field}: nothing was measured: {why}")
        return cast("dict[str, Any]", self.values)[field]

    def __repr__(self) -> str:
        """Return the field values, for the message of a failed assertion."""
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in self.values.items())})"

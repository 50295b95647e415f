"""A line chart in text: throughput and latency over the levels of a load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.tables import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HEIGHT = 8
_GAP = 6
_SERIES = (
    ("output_tokens_per_sec", None, "●", "tokens/s"),
    ("total_generation_ms", "p50", "○", "total p50, ms"),
)


def lines(levels: Sequence[Mapping[str, Any]], places: Sequence[float]) -> list[str]:
    """Return the chart, each series on its own scale from 0; empty below two levels."""
    if len(levels) < 2:
        return []
    drawn = [[" "] * (_GAP * len(levels)) for _ in range(_HEIGHT)]
    legend = []
    for name, statistic, mark, label in _SERIES:
        values = [level[name][statistic] if statistic else level[name] for level in levels]
        most = max((value for value in values if value is not None), default=None)
        legend.append(f"{mark} {label}, top {number(most)}")
        for column, value in enumerate(values):
            if value is not None and most:
                row = _HEIGHT - 1 - round(value / most * (_HEIGHT - 1))
                place = column * _GAP + _GAP // 2
                drawn[row][place + (drawn[row][place] != " ")] = mark
    axis = "".join(f"{place:^{_GAP}.3g}" for place in places)
    plot = ["│" + "".join(row).rstrip() for row in drawn]
    return [*plot, "└" + "─" * len(axis), f" {axis}".rstrip(), f"  {'   '.join(legend)}"]

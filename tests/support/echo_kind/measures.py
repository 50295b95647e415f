from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import measures, metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.measures import Measure, Observed

TITLE = "Of an echo"
ABOUT = "These names are used in gates of echoes.\n"


def _distribution(
    measure: Measure, document: Mapping[str, Any], statistic: str | None, _: float | None
) -> Observed:
    found = document["results"]
    values = [row[measure.name] for row in found["runs"] if row[measure.name] is not None]
    return measures.of_distribution(found["summary"][measure.name], statistic, values)


MEASURES = measures.readable(_distribution, metrics.REQUEST.values())

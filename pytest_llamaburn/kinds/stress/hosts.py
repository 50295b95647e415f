"""The numbers of each server, if a load went to several.

They are computed from the same requests, and over the same time, as those of the whole level.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds.stress import levels
from pytest_llamaburn.load.rows import unsent
from pytest_llamaburn.load.servers import NO_SERVER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_llamaburn.capacity.measuring_window import Stretch
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.stress.levels import Piece, Visit
    from pytest_llamaburn.load.rows import Row

_GONE = 3  # requests in a row
_SHOWN = ("total_generation_ms", "time_to_first_token_ms", "inter_token_latency_ms")


def of_level(
    names: Sequence[str], pieces: Sequence[Piece], whole: Sequence[tuple[Visit, Stretch]]
) -> Document:
    """Return the fields that several servers add to a level; empty if there is only one."""
    if len(names) < 2:
        return {}
    hosts = [_of_host(place, name, pieces, whole) for place, name in enumerate(names)]
    rates = [host["error_rate"] for host in hosts if host["error_rate"] is not None]
    medians = [host["total_generation_ms"]["p50"] for host in hosts]
    ratio = None if None in medians else max(medians) / min(medians)
    return {
        "hosts": hosts,
        "worst_host_error_rate": max(rates, default=None),
        "host_latency_ratio": ratio,
    }


def of_run(hosts: Sequence[Document], rows: Iterable[Row]) -> list[Document] | None:
    """Return the entry of each server in the file, with its requests of the whole run.

    `not_reached` is the number of requests at its end that all found no server; `gone` says that
    these are too many for an accident. None if there is only one server.
    """
    if len(hosts) < 2:
        return None
    mine: list[list[Row]] = [[] for _ in hosts]
    for row in rows:
        if not unsent(row):
            mine[row.server].append(row)
    return [{**host, **_totals(own)} for host, own in zip(hosts, mine, strict=True)]


def _totals(rows: Sequence[Row]) -> Document:
    errors = Counter(row.error["kind"] for row in rows if row.error)
    not_reached = _not_reached(rows)
    return {
        "requests": len(rows),
        "failed": errors.total(),
        "errors": dict(errors),
        "not_reached": not_reached,
        "gone": not_reached >= _GONE,
    }


def _not_reached(rows: Sequence[Row]) -> int:
    """Return how many requests to a server, the last of all, found that there is none."""
    latest = sorted(rows, key=lambda row: row.end_ns, reverse=True)
    found = (row.error is not None and row.error["kind"] in NO_SERVER for row in latest)
    return sum(1 for _ in itertools.takewhile(bool, found))


def _of_host(
    place: int, name: str, pieces: Sequence[Piece], whole: Sequence[tuple[Visit, Stretch]]
) -> dict[str, Any]:
    counted = [row for piece in pieces for row in piece.kept if row.server == place]
    good = [row for row in counted if row.error is None]
    failed = len(counted) - len(good)
    seconds = sum(stretch.end_ns - stretch.start_ns for _, stretch in whole) / 1e9
    own = [(_only(visit, place), stretch) for visit, stretch in whole]
    found = levels.distributions(good, failed)
    return {
        "host": name,
        "requests": len(counted),
        "failed": failed,
        "error_rate": failed / len(counted) if counted else None,
        "errors": dict(Counter(row.error["kind"] for row in counted if row.error)),
        "requests_per_sec": levels.requests_per_sec(own, seconds),
        **{measure: found[measure] for measure in _SHOWN},
    }


def _only(visit: Visit, place: int) -> Visit:
    return visit._replace(rows=[row for row in visit.rows if row.server == place])

"""About how long a run will take, told before it starts: from the newest run of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import LlamaBurnError
from pytest_llamaburn.kinds._kind import Expected, RunKind, every
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_llamaburn.web.index import Row
    from pytest_llamaburn.web.library import Library
    from pytest_llamaburn.web.service import Service

_MOST_READ = 5  # files, of which none may tell


def of(kind: RunKind, settings: Any, service: Service) -> Expected:
    """Return how long a run with these settings is expected to take."""
    model = (kind.models(settings) or (None,))[-1]
    if model is None:
        return Expected(None, "no model is named, so it is not known how long this takes")
    request_s = _request_s(str(model), kind, service)
    if request_s is None:
        return Expected(None, f"no earlier run of {model} tells how long this takes")
    return kind.expected(settings, request_s)


def _request_s(model: str, kind: RunKind, service: Service) -> float | None:
    """Return how long a request of a model took in its newest run, of this kind if there is one."""
    of_runs = {one.name for one in every()}
    known = {name: one.kind for name, one in results.lists().items() if one.kind in of_runs}
    for name in sorted(known, key=lambda name: known[name] != kind.name):
        rows, _ = service.index.rows(name)
        times = (_lone_request_s(service.library, row) for row in _newest(rows, model))
        found = next((seconds for seconds in times if seconds is not None), None)
        if found is not None:
            return found
    return None


def _newest(rows: Sequence[Row], model: str) -> Iterator[Row]:
    of_model = [row for row in rows if model in row.models]
    yield from sorted(of_model, key=lambda row: row.time or "", reverse=True)[:_MOST_READ]


def _lone_request_s(library: Library, row: Row) -> float | None:
    """Return the mean time of a request that nothing disturbed, from a result file."""
    try:
        found: Mapping[str, Any] = results.load(library.path(row.type, row.id))["results"]
    except LlamaBurnError:
        return None
    means = found.get("summary") or found.get("baseline") or {}
    mean_ms = means.get("total_generation_ms", {}).get("mean")
    return mean_ms / 1000 if mean_ms else None

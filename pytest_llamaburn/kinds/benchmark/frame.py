"""Benchmarks as a data frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.errors import MissingExtraError
from pytest_llamaburn.kinds.benchmark import KIND
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pandas as pd

    from pytest_llamaburn.documents import Document


def to_frame(paths: Iterable[Path]) -> pd.DataFrame:
    """Return a data frame with one row per timed request of benchmarks, failed ones included.

    Its columns are `file`, `session_id`, `run_id`, `model`, `server` and `fingerprint`, then the
    fields of the request in the file. `error` is the kind of failure.
    Raises MissingExtraError without the extra [pandas], ResultsError for other files.
    """
    try:
        import pandas as pd
    except ImportError as err:
        raise MissingExtraError("pandas", "to_frame") from err
    return pd.DataFrame([row for path in paths for row in _rows(path)])


def _rows(path: Path) -> Iterator[Document]:
    document = results.load_of(path, KIND.name)
    about = {
        "file": str(path),
        "session_id": document["session_id"],
        "run_id": document["run_id"],
        "model": document["model"]["id"],
        "server": document["server"]["kind"],
        "fingerprint": document["environment"].get("fingerprint"),
    }
    for run in document["results"]["runs"]:
        fields = {k: v for k, v in run.items() if k != "null_reasons"}
        yield {**about, **fields, "error": run["error"] and run["error"]["kind"]}

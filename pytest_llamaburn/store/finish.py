"""From a run's journal to its result file, whatever ended the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.store import journal, results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def write_result(
    results_dir: Path,
    run_id: str,
    skipped: Iterable[str] = (),
    tell: Callable[[str], object] = str,
) -> Path | None:
    """Make a run's result file from its journal; None when it measured nothing nor was to.

    `skipped` are the keys, in the journal's plan, of items that were skipped. The journal goes once
    the file says complete and nothing is to be tried again; otherwise it stays, for the run to
    be resumed. Where the results directory cannot be written the file goes elsewhere, and `tell` is
    told why and where. Raises ResultsError where it can be written nowhere.
    """
    folder = journal.directory(results_dir, run_id)
    record = journal.read(folder, skipped)
    journal.release(folder)
    if folder.exists() and (record.header is None or record.idle):
        journal.discard(folder)
        return None
    document = results.build(record)
    try:
        path = results.write(results_dir, document)
    except ResultsError as err:
        words = f"{err}; its journal is kept in {folder.parent}"
        path = _elsewhere(document, words)
        tell(f"{words}; the file is {path}")
    kind = results.kind_of(document)
    kind.write_companions(record, path)
    if document["status"] == "complete" and not kind.resumable(document["results"]):
        journal.discard(folder)
    return path


def _elsewhere(document: dict[str, Any], why_not_here: str) -> Path:
    """Return where a result file was written that its own directory did not take."""

    def write(place: Path) -> Path:
        return results.write(place, document)

    try:
        return journal.first_that_works(write, journal.refuges())
    except ResultsError as err:
        raise ResultsError(f"{why_not_here}; {err}") from err

"""Writes the result file of a run from its journal, however the run ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.store import journal, results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pytest_llamaburn.documents import Document


def write_result(
    results_dir: Path,
    run_id: str,
    skipped: Iterable[str] = (),
    tell: Callable[[str], object] = str,
) -> Path | None:
    """Write a run's result file from its journal; return None for a run without a plan and rows.

    `skipped` are the keys of skipped items in the journal's plan. The journal is removed if the
    run is complete and cannot be continued; otherwise it is kept for --resume. If the results
    directory cannot be written, the file is written elsewhere, and `tell` gets a sentence about it.
    Raises ResultsError if no place can be written.
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
    kind = results.run_kind_of(document)
    kind.write_companions(record, path)
    if document["status"] == "complete" and not kind.resumable(document["results"]):
        journal.discard(folder)
    return path


def _elsewhere(document: Document, why_not_here: str) -> Path:
    """Write a result file to another place and return its path."""

    def write(place: Path) -> Path:
        return results.write(place, document)

    try:
        return journal.first_that_works(write, journal.refuges())
    except ResultsError as err:
        raise ResultsError(f"{why_not_here}; {err}") from err

"""The table of the times of an eval's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.tables import Sheet, measured, starred, under

if TYPE_CHECKING:
    from pytest_llamaburn.documents import Document

_TIMED = (
    *("time_to_first_token_ms", "inter_token_latency_ms", "tokens_per_sec"),
    *("total_generation_ms", "input_sequence_length", "output_sequence_length"),
)


def sheet(found: Document) -> Sheet:
    """Return the table of times; it is empty for answers of an earlier run."""
    known = [name for name in _TIMED if found["summary"][name]["n"]]
    names = known if found.get("measured") or not known else _TIMED
    timed = [measured(name, found["summary"][name]) for name in names]
    notes = [*under("precision", starred(found["summary"][name] for name in _TIMED))]
    cached = found["totals"].get("cached")
    why = "the answers are those of an earlier run" if cached else "no answer came"
    return Sheet("timing of the answers", [], timed, notes, empty=f"nothing was timed: {why}")

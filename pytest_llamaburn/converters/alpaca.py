"""Alpaca and AlpacaEval: instructions, some with an input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.converters._row import optional, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_llamaburn.converters._row import Question

HELP = "instruction, input, output; an output with a generator is not used as reference"


def convert(rows: Iterable[Any]) -> Iterator[Question]:
    """Yield the instructions, for a judge; the output of another model is not used as reference."""
    for count, row in enumerate(rows, 1):
        parts = (text(row, "instruction"), optional(row, "input"))
        yield {
            "id": f"alpaca-{count}",
            "prompt": "\n\n".join(part for part in parts if part),
            "reference": None if row.get("generator") else optional(row, "output"),
            "category": optional(row, "dataset") or "instructions",
        }

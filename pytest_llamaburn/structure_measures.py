"""The measures of structured answers: of calls of tools, and of JSON that must keep a schema."""

from __future__ import annotations

from pytest_llamaburn.measures import rate

_STRUCTURE = {
    "right_tools": "answers that call the right tools and no others / all answers",
    "right_arguments": "answers with right arguments / answers with the right tools, of calls due",
    "schema_valid": "answers with JSON that keeps its schema / all answers",
}
STRUCTURE = tuple(rate(*each) for each in _STRUCTURE.items())

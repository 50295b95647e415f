"""One JSON line a timed request: readable even where it was cut."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_llamaburn.tables import request_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUFFIX = ".jsonl"
BETWEEN = ""


def render(paths: Sequence[Path]) -> str:
    """Return the requests of all files."""
    lines = (json.dumps(row, ensure_ascii=False) for row in request_rows(paths))
    return "".join(f"{line}\n" for line in lines)

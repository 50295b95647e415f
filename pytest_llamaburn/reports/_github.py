"""What a GitHub workflow shows of a run: a summary table, and an error line per broken gate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llamaburn import gates, results
from pytest_llamaburn.reports import markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
_LIMIT_BYTES = 900_000  # a summary above 1 MiB is dropped whole


def annotate(paths: Sequence[Path]) -> list[str]:
    """Append the tables to the step summary, if there is one; return the error lines to print."""
    if SUMMARY_VARIABLE not in os.environ or not paths:
        return []
    summary = Path(os.environ[SUMMARY_VARIABLE])
    text = markdown.render(paths).encode()
    room = _LIMIT_BYTES - (summary.stat().st_size if summary.exists() else 0)
    if len(text) <= room:
        with summary.open("ab") as file:
            file.write(text)
    return [_error(path, gate) for path in paths for gate in _broken(path)]


def _broken(path: Path) -> list[dict[str, object]]:
    return [g for g in results.load(path)["results"]["gates"] if g["verdict"] != "pass"]


def _error(path: Path, gate: dict[str, object]) -> str:
    words = gates.sentence(gate).replace("%", "%25").replace("\n", "%0A")
    return f"::error file={path}::{words}"

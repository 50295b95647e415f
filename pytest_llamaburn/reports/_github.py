"""What a GitHub workflow shows of a run: a summary table, and an error line per broken gate."""

from __future__ import annotations

import os
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llamaburn import gates
from pytest_llamaburn.reports import markdown
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Sequence

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
_LIMIT_BYTES = 900_000  # a summary above 1 MiB is dropped whole
_CUT = "\n(cut: {} more lines; the result files have all)\n"
_DIGITS = 9


def annotate(paths: Sequence[Path]) -> list[str]:
    """Append the tables to the step summary, if there is one; return the error lines to print."""
    if SUMMARY_VARIABLE not in os.environ or not paths:
        return []
    summary = Path(os.environ[SUMMARY_VARIABLE])
    errors = [_error(path, gate) for path in paths for gate in _broken(path)]
    try:
        taken = summary.stat().st_size if summary.exists() else 0
        with summary.open("ab") as file:
            file.write(_cut(markdown.render(paths), _LIMIT_BYTES - taken))
    except OSError as err:
        errors.append(f"::warning::{SUMMARY_VARIABLE} cannot be written: {err.strerror or err}")
    return errors


def _cut(text: str, room: int) -> bytes:
    """Return the text as bytes; where there is not room for all, its first lines and how many."""
    lines = text.encode().splitlines(keepends=True)
    if sum(map(len, lines)) <= room:
        return b"".join(lines)
    sizes = [0, *accumulate(map(len, lines))]
    fitting = bisect_right(sizes, room - len(_CUT.encode()) - _DIGITS) - 1
    said = _CUT.format(len(lines) - fitting).encode() if fitting >= 0 else b""
    return b"".join(lines[: max(0, fitting)]) + said


def _broken(path: Path) -> list[str]:
    document = results.load(path)
    compared = document["schema"].endswith("comparison")
    sentence = gates.change_sentence if compared else gates.sentence
    return gates.not_passed(document["results"]["gates"], sentence)


def _error(path: Path, words: str) -> str:
    return f"::error file={path}::{words.replace('%', '%25').replace(chr(10), '%0A')}"

"""The content of the result file itself; an array of them when there are several."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUFFIX = ".json"


def render(paths: Sequence[Path]) -> str:
    """Return the files' own text."""
    texts = [path.read_text(encoding="utf-8") for path in paths]
    return texts[0] if len(texts) == 1 else "[\n" + ",\n".join(t.rstrip() for t in texts) + "\n]\n"

"""Scenes of three.js: the model writes code, which a browser renders (the scorer `render`)."""

from __future__ import annotations

from typing import Final

NOUN: Final = "prompts for scenes"
SUFFIXES: Final[dict[str, str]] = {}  # no media are sent


def ready() -> None:
    """Need nothing to ask for code; its scorer checks the browser."""

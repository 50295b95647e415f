"""Programs: the model writes code, which the sandbox runs (the scorer `code`)."""

from __future__ import annotations

from typing import Final

NOUN: Final = "prompts for programs"
SUFFIXES: Final[dict[str, str]] = {}  # no media are sent


def ready() -> None:
    """Need nothing to ask for code; its scorer checks the sandbox."""

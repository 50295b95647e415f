"""Programs: the model writes them, and the sandbox runs them (the scorer `code`)."""

from __future__ import annotations

from typing import Final

NOUN: Final = "prompts for programs"
SUFFIXES: Final[dict[str, str]] = {}  # no media are sent


def ready() -> None:
    """Need nothing to ask for programs; their scorer checks the sandbox."""

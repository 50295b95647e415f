"""Questions as far as scorers look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Asked(NamedTuple):
    """A question, as far as scorers look."""

    reference: str | None = None
    options: Mapping[str, Any] = {}

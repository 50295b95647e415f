"""Damage: one item asks two models, the reference first, for the next tokens of fixed texts.

The item fails only if nothing could be measured. The requests are in the result file, and
thresholds judge it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.llm_damage
def test_damage(llm_damage: Callable[[], dict[str, Any]]) -> None:
    """Compare the models at all places; the result file is made from the requests."""
    llm_damage()

"""Rates by depth: one item measures each depth of every model that was named.

An item fails only where nothing could be measured; what requests did is in the result file, and
thresholds judge it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.llm_depth
def test_depths(llm_depth: Callable[[], dict[str, Any]]) -> None:
    """Measure all depths; the result file is made from what the requests did."""
    llm_depth()

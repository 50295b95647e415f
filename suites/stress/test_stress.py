"""The stress run: one item sends all the loads of a mode to each model that was named.

An item fails only where nothing could be measured; what requests did is in the result file, and
thresholds judge it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.llm_stress
def test_mode(llm_stress: Callable[[], dict[str, Any]]) -> None:
    """Send the mode's loads; the result file is made from what they did."""
    llm_stress()

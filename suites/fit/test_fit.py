"""Memory by context: one item finds the largest context of every model that was named.

An item fails only where nothing could be measured; what was found is in the result file, and
thresholds judge it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.llm_fit
def test_contexts(llm_fit: Callable[[], dict[str, Any]]) -> None:
    """Find the largest context; the result file is made from what the server said."""
    llm_fit()

"""Settings of the server: one item tries all of them with every model that was named.

An item fails only where nothing could be measured; what was found is in the result file, and
thresholds judge it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.llm_tune
def test_settings(llm_tune: Callable[[], dict[str, Any]]) -> None:
    """Try all settings; the result file is made from what the requests did."""
    llm_tune()

"""A bake-off: one item measures the models that were named in turn, until their order is known.

The item fails only if nothing could be measured. The requests are in the result file, and
thresholds judge it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.llm_bakeoff
def test_bakeoff(llm_bakeoff: Callable[[], dict[str, Any]]) -> None:
    """Hold all rounds; the result file is made from the requests."""
    llm_bakeoff()

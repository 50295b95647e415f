"""Embeddings: one item embeds or reranks texts with every model that was named.

An item fails only where nothing could be measured; what was found is in the result file, and
thresholds judge it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.llm_embed
def test_texts(llm_embed: Callable[[], dict[str, Any]]) -> None:
    """Embed texts of all lengths in all batches; the result file is made from what requests did."""
    llm_embed()

"""The benchmark: one item a prompt, measured on each model that was named.

An item fails only where measuring is impossible; what a request did is in the result file, and
thresholds judge it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn import Measured, Planned


@pytest.mark.llm_benchmark
def test_prompt(measure: Callable[..., Measured], llm_prompt: Planned) -> None:
    """Send the prompt's timed requests; the result file is made from what they did."""
    measure(llm_prompt)


@pytest.mark.llm_benchmark
def test_more(measure_more: Callable[[], Measured]) -> None:
    """Go on until --precision is met or --budget is spent; left out when neither is given."""
    measure_more()

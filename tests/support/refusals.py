"""The sentence with which something is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


def refusal(error: type[Exception], called: Callable[..., Any], *args: Any, **named: Any) -> str:
    """Return the message of the error that a call raises, once it is known to be one line."""
    with pytest.raises(error) as caught:
        called(*args, **named)
    message = str(caught.value)
    assert "\n" not in message
    return message

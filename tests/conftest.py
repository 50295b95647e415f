"""What all tests share."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

# Two engines with a thread for every core each wait for each other most of the time.
os.environ.setdefault("OMP_THREAD_LIMIT", "1")

# Every process that a test starts would compile all modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# An assertion in a helper that fails tells its values, as one in a test does.
pytest.register_assert_rewrite("support")

# nohup and shells in the background have signals ignored, and our commands go on to ignore them.
_HANDLERS: dict[str, Any] = {
    "SIGHUP": signal.SIG_DFL,
    "SIGINT": signal.default_int_handler,
    "SIGQUIT": signal.SIG_DFL,
}
for _name, _handler in _HANDLERS.items():
    if hasattr(signal, _name) and signal.getsignal(getattr(signal, _name)) is signal.SIG_IGN:
        signal.signal(getattr(signal, _name), _handler)

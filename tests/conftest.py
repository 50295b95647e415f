"""What all tests share."""

from __future__ import annotations

import os

# Two engines with a thread for every core each wait for each other most of the time.
os.environ.setdefault("OMP_THREAD_LIMIT", "1")

# Every process that a test starts would compile all modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

"""Where the sandbox must hold: asked of the kernel, not of the code under test."""

from __future__ import annotations

import ctypes
import platform
import sys
from pathlib import Path

import pytest

from pytest_llamaburn.sandbox import _filter


def _kernel_contains() -> bool:
    if sys.platform != "linux" or platform.machine() not in _filter.MACHINES:
        return False
    landlock: int = ctypes.CDLL(None).syscall(444, None, 0, 1)
    return landlock > 0 and Path("/proc/sys/kernel/seccomp").exists()


contained = pytest.mark.skipif(not _kernel_contains(), reason="no Landlock and seccomp: it refuses")

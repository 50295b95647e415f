"""Where the sandbox must hold: asked of the kernel, not of the code under test."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
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


def needs(language: str) -> pytest.MarkDecorator:
    """Skip a test where nothing runs or compiles a language."""
    names = {"javascript": ("node", "nodejs"), "c": ("cc", "gcc", "clang")}[language]
    found = any(map(shutil.which, names))
    return pytest.mark.skipif(not found, reason=f"none of {', '.join(names)} is on PATH")


_REFUSING = """
import ctypes, struct, sys
from pytest_llamaburn import errors, sandbox
libc = ctypes.CDLL(None)
steps = b"".join(struct.pack("=HBBI", *step) for step in (
    (0x20, 0, 0, 0), (0x15, 0, 1, {number}), (0x06, 0, 0, 0x00050026), (0x06, 0, 0, 0x7FFF0000)))
code = ctypes.create_string_buffer(steps)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(code)))
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(program)), 0, 0) == 0
"""


def where_a_filter_refuses(numbers: dict[str, int], program: str) -> str:
    """Return what a program in Python prints where the kernel lacks a call."""
    text = _REFUSING.format(number=numbers[platform.machine()]) + program
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout

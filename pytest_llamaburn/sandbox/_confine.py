"""How a process drops its rights irrevocably, by its plan.

The scripts of the confined processes import this file from their folder. What it imports is small:
it is loaded anew for each run of a program.
"""
# ruff: noqa: PTH110, PTH112 - pathlib takes long to import

from __future__ import annotations

import _socket
import ctypes
import os
import resource
import signal
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SET_PDEATHSIG, _SET_SECCOMP, _SET_NO_NEW_PRIVS = 1, 22, 38  # prctl
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = (
    444,
    445,
    446,
)  # Landlock; the same numbers on every architecture
_RIGHTS = {  # of Landlock, by the words of the plan
    "read": (1 << 2) | (1 << 3),
    "execute": (1 << 0) | (1 << 2) | (1 << 3),
    "write": (1 << 1) | (1 << 2) | (1 << 3) | (1 << 5) | (1 << 8) | (1 << 14),
}
_OF_FILES = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 14)
_CAPSET = {"x86_64": 126, "aarch64": 91}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_NEW_LISTENER = 1 << 3

_libc = ctypes.CDLL(None, use_errno=True)


def confined(plan: dict[str, Any]) -> bool:
    """Confine this process and report it; if that fails, report why and return False."""
    _take_input(plan)
    try:
        version = _drop(plan)
    except OSError as err:
        report(plan["report"], refused=str(err.args[0]))
        return False
    began = f'{{"ready": {version}, "began_s": {time.monotonic()}}}'
    os.write(plan["report"], f"{began}\n".encode())
    return True


def report(descriptor: int, **facts: object) -> None:
    """Write facts to the report."""
    import json  # which takes long

    os.write(descriptor, json.dumps(facts).encode() + b"\n")


def _take_input(plan: dict[str, Any]) -> None:
    """Let the standard input be the file of the plan, if it names one."""
    if plan["input"]:
        given = os.open(plan["input"], os.O_RDONLY)
        os.dup2(given, 0)
        os.close(given)
        sys.stdin = open(0, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115


def _drop(plan: dict[str, Any]) -> int:
    """Confine this process; return Landlock's version. Raises OSError if a mechanism is missing."""
    for name, (soft, hard) in plan["limits"].items():
        kind = getattr(resource, name)
        top = resource.getrlimit(kind)[1]
        pair = (soft, hard) if top == resource.RLIM_INFINITY else (min(soft, top), min(hard, top))
        resource.setrlimit(kind, pair)
    _prctl("no_new_privs", _SET_NO_NEW_PRIVS, 1)
    version = _close_files(plan["files"])
    _drop_capabilities()
    _prctl("a signal when the parent ends", _SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != plan["parent"]:
        raise OSError("the parent process has already ended")
    if plan["watch"]:
        _hand_over_end(plan["watch"], bytes.fromhex(plan["end_watch"]))
    _filter_calls(bytes.fromhex(plan["filter"]))
    return version


def _close_files(files: list[list[str]]) -> int:
    version = _call("Landlock", _CREATE_RULESET, None, 0, 1)
    count = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)  # of rights that each version knows
    known = (1 << count) - 1
    attributes = struct.pack("QQQ", known, 0, 0)
    ruleset = _call("Landlock", _CREATE_RULESET, attributes, len(attributes), 0)
    for right, path in files:
        if os.path.exists(path):
            _allow(ruleset, path, _RIGHTS[right] & known)
    _call("Landlock", _RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return version


def _allow(ruleset: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH)
    rights &= -1 if os.path.isdir(path) else _OF_FILES
    _call("Landlock", _ADD_RULE, ruleset, 1, struct.pack("=Qi", rights, place), 0)
    os.close(place)


def _hand_over_end(line: int, steps: bytes) -> None:
    """Let the parent be asked when this process ends itself, so that it can look at it before.

    Where the kernel has no such listener, or has one already, the parent receives none.
    """
    sender = _socket.socket(fileno=line)
    code, program = _packed(steps)
    try:
        number = _SECCOMP[os.uname().machine]
        listener = _call("seccomp", number, 1, _NEW_LISTENER, ctypes.addressof(program))
    except OSError as err:
        sender.sendmsg([str(err).encode()])
    else:
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", listener))
        sender.sendmsg([b"-"], [rights])
        os.close(listener)
    sender.close()
    del code  # until now it had to stay


def _filter_calls(steps: bytes) -> None:
    code, program = _packed(steps)
    _prctl("seccomp", _SET_SECCOMP, 2, ctypes.addressof(program))
    del code  # until now it had to stay


def _packed(steps: bytes) -> tuple[Any, Any]:
    """Return a filter, and what points to it: struct sock_fprog."""
    code = ctypes.create_string_buffer(steps)
    packed = struct.pack("HxxxxxxP", len(steps) // 8, ctypes.addressof(code))
    return code, ctypes.create_string_buffer(packed)


def _drop_capabilities() -> None:
    """Drop all capabilities; the user stays the same, so that Python's files stay readable."""
    none = struct.pack("IIIIII", 0, 0, 0, 0, 0, 0)
    header = struct.pack("Ii", 0x20080522, 0)
    _call("dropping capabilities", _CAPSET[os.uname().machine], header, none)


def _prctl(what: str, option: int, *arguments: int) -> None:
    values = [ctypes.c_ulong(v) for v in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *values) != 0:
        raise OSError(f"{what}: {os.strerror(ctypes.get_errno())}")


def _call(what: str, number: int, *arguments: object) -> int:
    values = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    done: int = _libc.syscall(ctypes.c_long(number), *values)
    if done < 0:
        raise OSError(f"{what}: {os.strerror(ctypes.get_errno())}")
    return done

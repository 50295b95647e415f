"""Forks real processes that have imported already what the command imports.

`processes.py` starts it and asks it for one over a socket, each time. It does nothing but import
and has one thread, so its fork behaves like a new interpreter.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

OWN = "pytest_llamaburn"
APART = {"__main__", "_child", "_remote", "_embedded_server", "_metronome"}  # of other processes
# What the command imports once it is asked to do something.
LAZY = """
    _strptime anthropic anyio._backends._asyncio anyio.to_thread cProfile encodings.idna
    filelock html.parser httpcore httpx importlib.metadata jsonschema msgspec num2words
    numpy.ma numpy.random openai packaging.version pdb platformdirs.unix psutil pytest
    rich.live rich.progress rich.table uvloop zoneinfo
"""
# How long the command looks at a machine before it measures. A figure of a few moments is enough
# here: what is tested is that it is taken and told.
MOMENTS_S = {
    "commands._checks": ("_WINDOW_S", 0.1),
    "commands.status": ("WINDOW_S", 0.1),
    "kinds._run": ("_IDLE_S", 0.3),
    "load.clock_error": ("SECONDS", 0.2),
}


def load() -> None:
    """Import all that a run imports sooner or later, and shorten its looks at the machine."""
    from _pytest.config import default_plugins

    home = importlib.import_module(OWN).__path__
    own = [found.name for found in pkgutil.walk_packages(home, f"{OWN}.")]
    plugins = [f"_pytest.{name}" for name in default_plugins]
    for name in (*LAZY.split(), *plugins, *own):
        if name.rpartition(".")[2] not in APART:
            importlib.import_module(name)
    for name, (constant, seconds) in MOMENTS_S.items():
        module = sys.modules[f"{OWN}.{name}"]
        assert seconds < getattr(module, constant)
        setattr(module, constant, seconds)
    gc.collect()
    gc.freeze()


def fork() -> int:
    """Return the pid of a new grandchild, whose own parent has ended; 0 in itself."""
    reading, writing = os.pipe()
    middle = os.fork()
    if middle:
        os.close(writing)
        os.waitpid(middle, 0)
        pid = int(os.read(reading, 32))
        os.close(reading)
        return pid
    middle, pid = os.getpid(), os.fork()
    if pid:
        os.write(writing, b"%d" % pid)
        os._exit(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    while os.getppid() == middle:
        time.sleep(0.0002)
    return 0


def become(asked: dict[str, Any], descriptors: list[int]) -> None:
    """Make this process what it would be if it had just been started."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, 64)
    if asked["session"]:
        os.setsid()
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    os.chdir(asked["cwd"])
    sys.path[0] = str(Path.cwd())
    sys.argv[:] = ["-m", *asked["words"]]
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = _stream(number)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _stream(number: int) -> io.TextIOWrapper:
    """Return a standard stream as Python opens it."""
    at_once = bool(number and os.environ.get("PYTHONUNBUFFERED"))
    buffer = open(number, "wb" if number else "rb", 0 if at_once else -1, closefd=False)  # noqa: SIM115
    return io.TextIOWrapper(
        buffer,
        io.text_encoding(None),
        "backslashreplace" if number == 2 else "strict",
        "\n",
        line_buffering=number == 2 or os.isatty(number),
        write_through=at_once,
    )


def serve(line: socket.socket) -> bool:
    """Answer with a pid each time a process is asked for; return whether this is one of them."""
    while True:
        words, descriptors, _, _ = socket.recv_fds(line, 1 << 18, 3)
        if not words:
            return False
        pid = fork()
        if not pid:
            become(json.loads(words), descriptors)
            return True
        line.send(b"%d" % pid)
        for descriptor in descriptors:
            os.close(descriptor)


def run() -> None:
    """Run the command and end, like an interpreter, but without taking its memory apart.

    To free all that was imported would copy all of it first, which costs 0.1 s.
    """
    try:
        runpy.run_module(OWN, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if not isinstance(ended.code, int):
            raise
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code & 0xFF)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the tests, and they end this
    load()
    if serve(socket.socket(fileno=int(sys.argv[1]))):
        run()

"""The script of the confined process: it drops its rights irrevocably, then runs one program.

`sandbox` starts it as a script; nothing imports it. It reads the plan and the program from stdin,
and writes `{"ready": …}` or `{"refused": …}`, then how the program ended, to its report.

A program and its tests each have such a process. Only the tests' process reports how they ended;
the program's process loads the program and then serves the calls of the tests (`_remote`).
"""

from __future__ import annotations

import builtins
import json  # noqa: F401 - for the report; memory may be short then
import linecache
import marshal
import os
import sys
import time
import traceback
from contextlib import suppress
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import _confine  # type: ignore[import-not-found]

del sys.path[0]

_GIVEN = frozenset(
    {*vars(ModuleType("")), "__builtins__", "__annotations__"}
)  # names that every module has, and names that exec adds
_NAME = "answer"  # the name of the program's module, and of its file in tracebacks


def main() -> None:
    """Run the program, then end at once, so that no exit handler of the program runs."""
    plan = marshal.load(sys.stdin.buffer)  # noqa: S302 - of our parent; json takes longer
    program = sys.stdin.buffer.read().decode("utf-8", "replace")
    link = _link(plan)
    if not _confine.confined(plan):
        return
    if plan["part"] == "program":
        _serve(program, plan["common"], link)
    else:
        _confine.report(plan["report"], **_run(program, plan, link))
    os._exit(0)


def _link(plan: dict[str, Any]) -> Any:
    """Return the link to the other process, or None for a program that runs alone."""
    if plan["part"] == "alone":
        return None
    remote = _loaded("_remote")
    link = remote.Link(*plan["line"], guarded=plan["part"] == "tests")
    if link.guarded:
        derived = _loaded("_derived")
        link.stand_in, link.parent = derived.stand_in(link), derived.parent(link, remote.Proxy)
    else:
        link.streams = _loaded("_streams").Streams(link)
    return link


def _loaded(name: str) -> ModuleType:
    """Return a module beside this script."""
    place = spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = sys.modules[name] = module_from_spec(place)  # type: ignore[arg-type]
    place.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def _serve(program: str, common: list[str], link: Any) -> None:
    """Load the program, report its names or why it failed, and serve the calls of its tests."""
    module = _module(program)
    link.send(started=True)
    try:
        _execute(program, vars(module))
    except BaseException as err:  # noqa: BLE001 - a program may raise anything
        link.streams.flush()
        link.send(state=_state(err), message=_message(err))
        return
    link.streams.flush()
    link.streams.connected = True
    link.describe, link.settle = _message, link.streams.flush
    own = {name: value for name, value in vars(module).items() if name not in _GIVEN}
    link.common = {n: own[n] for n in common if isinstance(own.get(n), type)}
    link.send(names=[n for n in own if n not in common], errors=_error_classes(own))
    link.lend(vars(module))
    link.serve()


def _error_classes(own: dict[str, Any]) -> dict[str, list[str]]:
    """Return the names of the base classes of each error class that a program defines."""
    kinds = {name: value for name, value in own.items() if isinstance(value, type)}
    return {
        name: [base.__name__ for base in kind.__mro__[1:]]
        for name, kind in kinds.items()
        if issubclass(kind, BaseException) and kind.__module__ == _NAME
    }


class _Live(dict[str, Any]):
    """The names of tests, where names of the program have the values that they have there now."""

    def __init__(self, names: dict[str, Any], own: Any, live: list[str]) -> None:
        super().__init__(names)
        self._own, self._live = own, live

    def __getitem__(self, name: str) -> Any:
        return self._own[name] if name in self._live else super().__getitem__(name)


def _execute(text: str, names: dict[str, Any]) -> None:
    exec(compile(text, _NAME, "exec", dont_inherit=True), names)  # noqa: S102 - this is the sandbox's purpose


def _module(program: str) -> ModuleType:
    linecache.cache[_NAME] = (len(program), None, program.splitlines(keepends=True), _NAME)
    module = sys.modules[_NAME] = ModuleType(_NAME)
    return module


def _main_module(program: str) -> ModuleType:
    """Return the module of a program that is whole, in which `__name__` is `__main__`."""
    sys.modules["_child"] = sys.modules["__main__"]  # which must not go
    module = sys.modules["__main__"] = _module(program)
    module.__name__ = "__main__"
    return module


def _run(program: str, plan: dict[str, Any], link: Any) -> dict[str, Any]:
    """Run a program or tests; return state, message and run time. Tests first import the names."""
    names = vars(_main_module(program) if plan["input"] else _module(program))
    started = time.perf_counter()
    try:
        if link is not None:
            _execute(plan["preamble"], names)
            link.common = {n: names[n] for n in plan["common"]}
            link.receive()
            started = time.perf_counter()
            report = link.receive()
            if "names" not in report:
                return {**_unloaded(report), "runtime_ms": (time.perf_counter() - started) * 1000}
            names = _taken_over(names, report, plan, link)
        _execute(program, names)
    except BaseException as err:  # noqa: BLE001 - a program may raise anything
        state, message = _state(err), _message(err)
        if plan["input"] and isinstance(err, SystemExit) and err.code in (None, 0):
            state, message = "finished", ""  # so may whole programs end
    else:
        state, message = "finished", ""
    runtime_ms = (time.perf_counter() - started) * 1000
    _flush()
    if link is not None and link.fault:
        state, message = link.fault, "the connection between the program and its tests is broken"
    return {"state": state, "message": message, "runtime_ms": runtime_ms}


def _unloaded(report: dict[str, Any]) -> dict[str, str]:
    """Return how a program ended that failed to load."""
    state = report.get("state")
    known = state in ("assertion", "exception", "memory", "exit")
    return {"state": str(state) if known else "broken", "message": str(report.get("message"))[:600]}


def _taken_over(
    names: dict[str, Any], report: dict[str, Any], plan: dict[str, Any], link: Any
) -> dict[str, Any]:
    """Return the names of tests, with those of the program that they use."""
    link.errors = _mirrored(report["errors"])
    own, link.loading = link.borrowed(0), True
    names["super"] = link.parent
    sys.setrecursionlimit = _both(sys.setrecursionlimit, link)
    for name in plan["wanted"]:
        if name in report["names"]:
            operation = "hold" if name in plan["held"] else "getitem"
            mirror = link.errors.get(name)
            names[name] = link.ask(operation, own, name) if mirror is None else mirror
    link.loading = False
    live = [n for n in plan["live"] if n in report["names"] and link.is_copied(names[n])]
    return _Live(names, own, live) if live else names


def _both(function: Any, link: Any) -> Any:
    """Return a function of `sys` that takes effect in the process of the program too."""

    def call(value: int) -> None:
        function(value)
        link.ask(function.__name__, value)

    return call


def _mirrored(ancestors: dict[str, list[str]]) -> dict[str, type[BaseException]]:
    """Return local copies of a program's error classes, so that tests can catch them."""
    known = {n: k for n, k in vars(builtins).items() if isinstance(k, type)}
    mirrors: dict[str, type[BaseException]] = {}
    for name in sorted(ancestors, key=lambda name: len(ancestors[name])):
        bases = [base for base in ancestors[name] if base in mirrors or base in known]
        base = {**known, **mirrors}[bases[0]]
        mirrors[name] = type(name, (base,), {}) if issubclass(base, BaseException) else Exception
    return mirrors


def _state(err: BaseException) -> str:
    kinds = {AssertionError: "assertion", MemoryError: "memory", SystemExit: "exit"}
    return next((state for kind, state in kinds.items() if isinstance(err, kind)), "exception")


def _message(err: BaseException) -> str:
    """Return the error's last line and the line of the program that raised it."""
    try:
        if message := getattr(err, "remote_message", ""):  # written by the program's process
            return str(message)[:600]
        text = traceback.format_exception_only(err)[-1].strip()
        lines = [f for f in traceback.extract_tb(err.__traceback__) if f.filename == _NAME]
        place = f" (line {lines[-1].lineno}: {lines[-1].line})" if lines else ""
    except BaseException as second:  # noqa: BLE001 - the message runs the program's own code
        return type(second).__name__[:100]
    return f"{text[:300]}{place[:300]}"


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):  # the program may have replaced or closed it
            stream.flush()


if __name__ == "__main__":
    main()

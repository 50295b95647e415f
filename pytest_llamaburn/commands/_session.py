"""The commands of kinds of run: their arguments, one pytest session, and its results."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import grids, options
from pytest_llamaburn.errors import LlamaBurnError, SettingsError
from pytest_llamaburn.option import changed
from pytest_llamaburn.session import ENDING, PREFIX
from pytest_llamaburn.settings import Display

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_llamaburn.kinds._kind import RunKind


INTERNAL = LlamaBurnError.exit_code


def add(parser: argparse.ArgumentParser, kind: RunKind) -> None:
    """Declare the arguments of a kind of run."""
    parser.add_argument("models", nargs="*", metavar="MODEL", help="the same as --model")
    options.declare(parser.add_argument, kind.settings_class, Display)
    parser.add_argument(
        "--print-pytest", action="store_true", help="print the equivalent pytest command and exit"
    )


def run(arguments: argparse.Namespace, kind: RunKind) -> int:
    """Run a kind's suite once and show its result files; return the exit code."""
    from pytest_llamaburn import reports
    from pytest_llamaburn.store.resume import settled

    given = options.given(arguments, kind.settings_class)
    models = [*arguments.models, *given.get("model", ())]
    flags = {**given, **({"model": models} if models else {})}
    settings: Any
    settings, origins = options.resolve(kind.settings_class, flags)
    preview = kind.preview(settings)
    if preview is not None:
        print(*preview, sep="\n")
        return 0
    settings, note = settled(kind, settings, origins)
    _refuse_tests(settings)
    display, _ = options.resolve(Display, options.given(arguments, Display))
    settings, display = _with_own_outputs(kind, settings, display)
    reports.check(display.output)
    suite = options.to_argv(settings, kind.settings_class, PREFIX)
    if arguments.print_pytest:
        return _print_pytest(kind, suite)
    _refuse_nowhere()
    _offer_recovery(Path(settings.results_dir), settings.resume)
    if note:
        print(note, file=sys.stderr)
    with _signals_given_back():
        outcome, code = _pytest(kind, [*suite, f"--{PREFIX}progress={display.progress}"])
        if outcome.paths:
            _show(outcome, display)
        if display.output and "table" not in display.output:
            _tell_gates(outcome)
    return code


def _with_own_outputs(kind: RunKind, settings: Any, display: Any) -> tuple[Any, Any]:
    """Return the settings with the files of --output that a kind of run writes itself."""
    own = {o: kind.own_outputs.get(Path(o).suffix.lower()) for o in display.output}
    update = {name: output for output, name in own.items() if name}
    rest = tuple(output for output, name in own.items() if not name)
    return changed(settings, update), changed(display, {"output": rest})


def _show(outcome: Outcome, display: Display) -> None:
    from pytest_llamaburn import reports

    try:
        width = grids.columns_of(sys.stdout, wide=display.wide)
        reports.show(outcome.paths, display.output, sys.stdout.write, width)
        tables = sys.stderr if display.output else sys.stdout
        tables.write("\n" if outcome.comparisons else "")
        width = grids.columns_of(tables, wide=display.wide)
        reports.show(outcome.comparisons, (), tables.write, width)
        sys.stdout.flush()
    finally:  # print the paths even if the tables cannot be written
        for path in (*outcome.paths, *outcome.comparisons):
            print(f"wrote {path}", file=sys.stderr)


def _tell_gates(outcome: Outcome) -> None:
    """Print the gates that did not pass: no table on the screen shows them."""
    for line in outcome.broken_gates:
        print(f"llamaburn: {line}", file=sys.stderr)


def _refuse_nowhere() -> None:
    """Raise SettingsError if the current directory was deleted: pytest cannot start in it."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise SettingsError("the current directory was deleted: change to another one") from None


def _refuse_tests(settings: Any) -> None:
    """Raise SettingsError if the run to continue belongs to the user's tests."""
    from pytest_llamaburn.store.resume import continuing, header_of, of_tests

    if settings.resume is None:
        return
    header = header_of(Path(settings.results_dir), settings.resume)
    if of_tests(header):
        words = f"tests made that run: run pytest again with {continuing(header).split()[-1]}"
        raise SettingsError(f"--resume: {words}")


def _offer_recovery(results_dir: Path, resumed: str | None) -> None:
    from pytest_llamaburn.store.resume import continuing, header_of, left_alone, unfiled

    for remark in left_alone(results_dir):
        print(f"llamaburn: {remark}", file=sys.stderr)
    for left in set(unfiled(results_dir)) - {resumed}:
        print(
            f"run {left} was killed before it wrote its file: llamaburn results recover writes "
            f"the file, {continuing(header_of(results_dir, left))} continues the run",
            file=sys.stderr,
        )


def _suite(kind: RunKind) -> Path:
    """Return the directory of a kind's tests: in `suites`, or in `suite` of its own package."""
    from pytest_llamaburn.datasets import data_dir

    shared = data_dir("suites") / kind.name
    own = sys.modules[kind.package].__file__
    return shared if shared.is_dir() or own is None else Path(own).with_name("suite")


def _print_pytest(kind: RunKind, suite: list[str]) -> int:
    home = _suite(kind).parent
    shipped = home.parent.name == "pytest_llamaburn"
    where = ["--pyargs", "pytest_llamaburn.suites"] if shipped else [str(home)]
    print(shlex.join(["pytest", *where, "-m", kind.marker, *suite]))
    return 0


def _pytest(kind: RunKind, suite: list[str]) -> tuple[Outcome, int]:
    """Run pytest once, in this process, without the user's configuration and plugins."""
    import pytest

    from pytest_llamaburn.datasets import data_dir

    path = _suite(kind)
    config = data_dir("suites") / "pytest.ini"
    argv = [str(path), f"--rootdir={path.parent}", f"--config-file={config}"]
    argv += ["--disable-plugin-autoload", "-ppytest_llamaburn.plugin", f"-p{kind.package}"]
    argv += ["-pno:cacheprovider", "--tb=native"]  # another style parses all source files
    outcome = Outcome()
    output = io.StringIO()
    with _clean_environment(), contextlib.redirect_stdout(output):
        code = int(pytest.main([*argv, *suite], plugins=[outcome]))
    for line in (*(f"llamaburn: {failure}" for failure in outcome.failures), *outcome.annotations):
        print(line, file=sys.stderr)
    silent = code and not (outcome.paths or outcome.failures or outcome.interrupted)
    if outcome.bugs or code == INTERNAL or silent:
        sys.stderr.write("\n".join(outcome.bugs) or output.getvalue())
        return outcome, INTERNAL
    return outcome, code


class Outcome:
    """A pytest plugin that collects what the command shows of a session."""

    def __init__(self) -> None:
        """Start empty."""
        self.paths: list[Path] = []
        self.comparisons: list[Path] = []
        self.failures: list[str] = []
        self.annotations: list[str] = []
        self.broken_gates: list[str] = []
        self.bugs: list[str] = []
        self.interrupted = False

    def pytest_keyboard_interrupt(self) -> None:
        """Record the interrupt."""
        self.interrupted = True

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep the text of a failure without a message of ours, which is a bug."""
        if report.failed and not getattr(report, "llamaburn", {}).get("message"):
            self.bugs.append(report.longreprtext)

    def pytest_sessionstart(self, session: Any) -> None:
        """Take the lists of the session's harness; the command shows the tables."""
        from pytest_llamaburn.fixtures import HARNESS

        harness = session.config.stash[HARNESS]
        harness.shows_tables = False
        self.paths, self.failures = harness.paths, harness.failures
        self.comparisons = harness.comparisons
        self.annotations = harness.annotations
        self.broken_gates = harness.broken_gates


@contextlib.contextmanager
def _signals_given_back() -> Iterator[None]:
    """Restore the signal handlers, which a finished session leaves ignored."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _clean_environment() -> Iterator[None]:
    """Remove the variables with the user's pytest settings during this session."""
    hidden = {k: os.environ.pop(k) for k in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS") if k in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)

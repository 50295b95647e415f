"""Measure how fast a model answers: one pytest session, then the table of its result file."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import options
from pytest_llamaburn.settings import Benchmark, Display

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

HELP = "measure how fast a model answers"
EXAMPLE = "llamaburn benchmark llama3.1:8b --iterations 20 --prompts coding -o report.md"
_PREFIX = "llamaburn-"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("models", nargs="*", metavar="MODEL", help="the same as --model")
    options.declare(parser.add_argument, Benchmark)
    options.declare(parser.add_argument, Display)
    parser.add_argument(
        "--print-pytest", action="store_true", help="print the equal pytest command and exit"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the benchmark and show it; return the exit code."""
    from pytest_llamaburn import reports
    from pytest_llamaburn.load.filing import settled, unfiled

    given = options.given(arguments, Benchmark)
    models = [*arguments.models, *given.get("model", ())]
    flags = {**given, **({"model": models} if models else {})}
    settings, note = settled(*options.resolve(Benchmark, flags))
    display, _ = options.resolve(Display, options.given(arguments, Display))
    reports.check(display.output)
    suite = options.to_argv(settings, Benchmark, _PREFIX)
    if arguments.print_pytest:
        return _print_pytest(suite)
    for left in set(unfiled(Path(settings.results_dir))) - {settings.resume}:
        print(
            f"run {left} was killed before it wrote its file: llamaburn results recover makes it, "
            f"--resume {left} continues it",
            file=sys.stderr,
        )
    if note:
        print(note, file=sys.stderr)
    with _signals_given_back():
        outcome, code = _session([*suite, f"--{_PREFIX}progress={display.progress}"])
        if outcome.paths:
            _show(outcome, display)
    return code


def _show(outcome: Outcome, display: Display) -> None:
    from pytest_llamaburn import reports

    reports.show(outcome.paths, display.output, sys.stdout.write)
    tables = sys.stderr if display.output else sys.stdout
    tables.write("\n" if outcome.comparisons else "")
    reports.show(outcome.comparisons, (), tables.write)
    _name_files([*outcome.paths, *outcome.comparisons])


def _print_pytest(suite: list[str]) -> int:
    import shlex

    from pytest_llamaburn import datasets

    home = datasets.data_dir("suites")
    shipped = home.parent.name == "pytest_llamaburn"
    where = ["--pyargs", "pytest_llamaburn.suites"] if shipped else [str(home)]
    print(shlex.join(["pytest", *where, "-m", "llm_benchmark", *suite]))
    return 0


def _session(suite: list[str]) -> tuple[Any, int]:
    """Run pytest once, in this process, away from the user's own configuration and plugins."""
    import pytest

    from pytest_llamaburn.datasets import data_dir

    home = data_dir("suites")
    argv = [str(home / "benchmark"), f"--rootdir={home}", f"--config-file={home / 'pytest.ini'}"]
    argv += ["--disable-plugin-autoload", "-ppytest_llamaburn.plugin", "-pno:cacheprovider"]
    outcome = Outcome()
    said = io.StringIO()
    with _clean_environment(), contextlib.redirect_stdout(said):
        code = int(pytest.main([*argv, *suite], plugins=[outcome]))
    for line in (*(f"llamaburn: {failure}" for failure in outcome.failures), *outcome.annotations):
        print(line, file=sys.stderr)
    if code == 3 or (code == 1 and not outcome.paths):
        sys.stderr.write(said.getvalue())
    return outcome, code


class Outcome:
    """Takes from a pytest session what the command shows."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.paths: list[Path] = []
        self.comparisons: list[Path] = []
        self.failures: list[str] = []
        self.annotations: list[str] = []

    def pytest_sessionstart(self, session: Any) -> None:
        """Follow the session's harness; its tables are ours to show."""
        from pytest_llamaburn.fixtures import HARNESS

        harness = session.config.stash[HARNESS]
        harness.shows_tables = False
        self.paths, self.failures = harness.paths, harness.failures
        self.comparisons = harness.comparisons
        self.annotations = harness.annotations


@contextlib.contextmanager
def _signals_given_back() -> Iterator[None]:
    """Give back the handlers of signals, which an ended session leaves ignored."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _clean_environment() -> Iterator[None]:
    """Hide the variables by which a user's own pytest settings would reach this session."""
    hidden = {k: os.environ.pop(k) for k in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS") if k in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _name_files(paths: list[Path]) -> None:
    for path in paths:
        print(f"wrote {path}", file=sys.stderr)

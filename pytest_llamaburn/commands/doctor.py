"""Check server, model, machine and settings for problems that would distort a measurement.

The result of a check is ok, warn or fail. It is also ok if the check does not apply or its data
cannot be read; the finding then says so. The exit code is 4 if any check fails.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import options, registry
from pytest_llamaburn.commands import (
    _media_checks,  # noqa: F401 - they register themselves
    _node_checks,
    _printing,
)
from pytest_llamaburn.commands._checks import CHECKS, CheckResult, Context, sensor_of
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.grids import Table
from pytest_llamaburn.option import model_of
from pytest_llamaburn.settings import Connection, Run, Storage

if TYPE_CHECKING:
    import argparse


HELP = "check for problems that would distort a measurement"
EXAMPLE = "llamaburn doctor llama3.1:8b"


class Check(NamedTuple):
    """A row of the output: the stable id of a check, and its result."""

    id: str
    level: str
    finding: str
    fix: str


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="models that you want to measure"
    )
    options.declare(parser.add_argument, Connection, Storage)
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="also check the machines of this Ray cluster: its HOST:PORT, auto or local",
    )
    _printing.declare(parser)
    parser.add_argument("--output", "-o", choices=("table", "json"), default="table")


def run(arguments: argparse.Namespace) -> int:
    """Run all checks and show them; return 4 if one fails."""
    context = _context(arguments)
    names = [name for name in CHECKS if context.ray or not name.startswith(_node_checks.PREFIX)]
    checks = [finding_of(name, context) for name in names]
    print(_render(checks, arguments))
    failed = [check.id for check in checks if check.level == "fail"]
    if failed:
        print(f"llamaburn: failed: {', '.join(failed)}", file=sys.stderr)
    return 4 if failed else 0


def _context(arguments: argparse.Namespace) -> Context:
    import asyncio

    from pytest_llamaburn.commands._look import look

    given = {**options.given(arguments, Connection), **options.given(arguments, Storage)}
    if arguments.models:
        given["model"] = arguments.models
    try:
        settings, origins = options.resolve(Run, given)
    except SettingsError:
        settings, origins = _by_flags_alone(given)  # the check config.origins reports the error
    return Context(settings, origins, asyncio.run(look(settings, origins)), arguments.ray)


def _by_flags_alone(given: options.Values) -> tuple[Any, dict[str, str]]:
    """Return the settings from flags and defaults; raises SettingsError for a wrong flag."""
    try:
        return model_of(Run)(**given), {n: options.flag_name(Run, n) for n in given}
    except ValueError:
        return options.resolve(Run, given)  # raises the error with its origin


def finding_of(name: str, context: Context) -> Check:
    """Run a check; an unexpected error in it becomes a warning."""
    try:
        verdict = CHECKS[name](context)
    except Exception as err:  # noqa: BLE001 - the other checks must run
        finding = f"could not be checked: {type(err).__name__}: {err}"
        verdict = CheckResult("warn", finding, "Please report this as a bug.")
    return Check(name, *verdict)


def _render(checks: list[Check], arguments: argparse.Namespace) -> str:
    if arguments.output == "json":
        return json.dumps([check._asdict() for check in checks], indent=2)
    return _printing.fitted(Table(Check._fields, checks, wrapped=("finding", "fix")), arguments)


for _name in registry.own("telemetry"):
    CHECKS[f"sensor.{_name}"] = sensor_of(_name)

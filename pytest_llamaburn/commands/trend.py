"""Show how stored results changed over time, and what changed with them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llamaburn import options
from pytest_llamaburn.commands import _made
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.settings import Display, Storage

if TYPE_CHECKING:
    import argparse

HELP = "show how stored results of a model changed over time, and what changed with them"
EXAMPLE = "llamaburn trend llama3.1:8b --fail-if 'tokens_per_sec:-5%'"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("models", nargs="*", metavar="MODEL", help="models (default: all)")
    parser.add_argument(
        "--kind", action="append", default=[], help="kind of run; repeatable (default: all)"
    )
    parser.add_argument("--since", metavar="DATE", help="leave out earlier runs (YYYY-MM-DD)")
    _made.declare(
        parser,
        columns="measures to show, such as ttft_ms,tps.p50",
        margin="leave out steps within ± this margin (default: 3%%; of evals 1%%)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Find the steps, write and show them; return the exit code, 1 if a gate did not pass."""
    from pytest_llamaburn import gates, reports
    from pytest_llamaburn.kinds.trend import engine
    from pytest_llamaburn.kinds.trend.history import Wanted

    storage, _ = options.resolve(Storage, options.given(arguments, Storage))
    display, _ = options.resolve(Display, options.given(arguments, Display))
    reports.check(display.output)
    columns = arguments.columns.split(",") if arguments.columns else []
    wanted = Wanted(arguments.models, arguments.kind, columns, _day(arguments.since))
    margin = gates.margin_of(arguments.margin) if arguments.margin else None
    directory = Path(storage.results_dir)
    document = engine.trend(directory, engine.Asked(wanted, arguments.fail_if, margin))
    return _made.finish(directory, document, display)


def _day(text: str | None) -> str:
    """Return the day of --since; empty without it."""
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise SettingsError(f"--since: '{text}' is refused: write a date, as 2026-11-30") from None

"""Show how stored results changed over time, and what changed with them."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llamaburn import grids, options
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
    parser.add_argument(
        "--columns", metavar="METRIC,…", help="measures to show, such as ttft_ms,tps.p50"
    )
    parser.add_argument("--since", metavar="DATE", help="leave out earlier runs (YYYY-MM-DD)")
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="METRIC.STAT[@LEVEL]:±x%",
        help="exit with 1 unless the 95 %% interval of the change is within this bound; repeatable",
    )
    parser.add_argument(
        "--margin",
        metavar="x%",
        help="leave out steps within ± this margin (default: 3%%; of evals 1%%)",
    )
    options.declare(parser.add_argument, Storage, Display)


def run(arguments: argparse.Namespace) -> int:
    """Find the steps, write and show them; return the exit code, 1 if a gate did not pass."""
    from pytest_llamaburn import gates, reports
    from pytest_llamaburn.kinds.trend import engine
    from pytest_llamaburn.kinds.trend.history import Wanted
    from pytest_llamaburn.store import results

    storage, _ = options.resolve(Storage, options.given(arguments, Storage))
    display, _ = options.resolve(Display, options.given(arguments, Display))
    reports.check(display.output)
    columns = arguments.columns.split(",") if arguments.columns else []
    wanted = Wanted(arguments.models, arguments.kind, columns, _day(arguments.since))
    margin = gates.margin_of(arguments.margin) if arguments.margin else None
    directory = Path(storage.results_dir)
    document = engine.trend(directory, engine.Asked(wanted, arguments.fail_if, margin))
    path = results.write(directory, document)
    width = grids.columns_of(sys.stdout, wide=display.wide)
    reports.show([path], display.output, sys.stdout.write, width)
    print(f"wrote {path}", file=sys.stderr)
    broken = engine.broken(document)
    for sentence in broken:
        print(f"llamaburn: {sentence}", file=sys.stderr)
    return 1 if broken else 0


def _day(text: str | None) -> str:
    """Return the day of --since; empty without it."""
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise SettingsError(f"--since: '{text}' is refused: write a date, as 2026-11-30") from None

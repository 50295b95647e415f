"""Compare result files: each change with its 95 % interval, and differences in the settings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llamaburn import grids, options
from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.settings import Display, Storage

if TYPE_CHECKING:
    import argparse

HELP = "compare result files, with the interval of each change"
EXAMPLE = "llamaburn compare before.json after.json --fail-if 'tokens_per_sec.mean:-5%'"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("names", nargs="+", metavar="FILE", help="result files or their ids")
    parser.add_argument("--baseline", metavar="FILE", help="compare with this file, not the first")
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="METRIC.STAT[@LEVEL]:±x%",
        help="exit with 1 unless the 95 %% interval of the change is within this bound; repeatable",
    )
    parser.add_argument(
        "--sort",
        help="order of the files after the baseline: time, model or METRIC (default: time)",
    )
    parser.add_argument(
        "--columns", metavar="METRIC,…", help="metrics to compare, such as ttft_ms,tps.p50"
    )
    parser.add_argument(
        "--margin",
        metavar="x%",
        help="a change within ± this margin is called 'same' (default: 3%%; of evals 1%%)",
    )
    options.declare(parser.add_argument, Storage, Display)


def run(arguments: argparse.Namespace) -> int:
    """Compare, write and show the result; return the exit code, 1 if a gate did not pass."""
    from pytest_llamaburn import reports
    from pytest_llamaburn.kinds.comparison import engine
    from pytest_llamaburn.store import results

    storage, _ = options.resolve(Storage, options.given(arguments, Storage))
    display, _ = options.resolve(Display, options.given(arguments, Display))
    reports.check(display.output)
    directory = Path(storage.results_dir)
    paths, baseline = _paths(directory, arguments)
    columns = arguments.columns.split(",") if arguments.columns else []
    asked = engine.Asked(columns, arguments.fail_if, arguments.sort, arguments.margin)
    document = engine.compare(directory, paths, baseline, asked)
    path = results.write(directory, document)
    width = grids.columns_of(sys.stdout, wide=display.wide)
    reports.show([path], display.output, sys.stdout.write, width)
    print(f"wrote {path}", file=sys.stderr)
    broken = engine.broken(document)
    for sentence in broken:
        print(f"llamaburn: {sentence}", file=sys.stderr)
    return 1 if broken else 0


def _paths(directory: Path, arguments: argparse.Namespace) -> tuple[list[Path], Path]:
    """Return the named files, and the baseline among them."""
    from pytest_llamaburn.store import results

    known = results.Finder(directory)
    paths = [known.find(name) for name in arguments.names]
    baseline = paths[0]
    if arguments.baseline is not None:
        named = known.find(arguments.baseline)
        baseline = next((path for path in paths if path.samefile(named)), named)
        paths += [] if baseline in paths else [baseline]
    if len(paths) < 2:
        raise ResultsError("compare: name at least two files; llamaburn results list shows them")
    return paths, baseline

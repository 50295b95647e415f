"""Compare result files: each change with its 95 % interval, and differences in the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llamaburn import options
from pytest_llamaburn.commands import _made
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
        "--sort",
        help="order of the files after the baseline: time, model or METRIC (default: time)",
    )
    _made.declare(
        parser,
        columns="metrics to compare, such as ttft_ms,tps.p50",
        margin="a change within ± this margin is called 'same' (default: 3%%; of evals 1%%)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare, write and show the result; return the exit code, 1 if a gate did not pass."""
    from pytest_llamaburn import reports
    from pytest_llamaburn.kinds.comparison import engine

    storage, _ = options.resolve(Storage, options.given(arguments, Storage))
    display, _ = options.resolve(Display, options.given(arguments, Display))
    reports.check(display.output)
    directory = Path(storage.results_dir)
    paths, baseline = _paths(directory, arguments)
    columns = arguments.columns.split(",") if arguments.columns else []
    asked = engine.Asked(columns, arguments.fail_if, arguments.sort, arguments.margin)
    document = engine.compare(directory, paths, baseline, asked)
    return _made.finish(directory, document, display)


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

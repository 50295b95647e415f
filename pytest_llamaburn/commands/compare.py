"""Compare benchmarks, evals or stress runs: what changed, how sure that is, what else differs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import options
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.settings import Display, Storage

if TYPE_CHECKING:
    import argparse

HELP = "compare benchmarks, evals or stress runs, with the certainty of each change"
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
        help="exit 1 unless the change is surely no worse than this; repeatable",
    )
    parser.add_argument("--sort", help="time, model or METRIC (default: time)")
    parser.add_argument("--columns", metavar="METRIC,…", help="what to compare, as ttft_ms,tps.p50")
    parser.add_argument(
        "--margin", metavar="x%", help="changes within it are 'same' (default: 3%%)"
    )
    options.declare(parser.add_argument, Storage, Display)


def run(arguments: argparse.Namespace) -> int:
    """Compare, file and show; return the exit code."""
    from pytest_llamaburn import reports
    from pytest_llamaburn.kinds.comparison import engine
    from pytest_llamaburn.store import results

    storage, _ = options.resolve(Storage, options.given(arguments, Storage))
    display, _ = options.resolve(Display, options.given(arguments, Display))
    reports.check(display.output)
    directory = Path(storage.results_dir)
    paths, baseline = _paths(directory, arguments)
    how = {"eval": _evals, "stress": _loads}.get(engine.kind_of(paths[0]), _benchmarks)
    document = how(arguments, directory, paths, baseline)
    path = results.write(directory, document)
    reports.show([path], display.output, sys.stdout.write)
    print(f"wrote {path}", file=sys.stderr)
    return _judged(document)


def _benchmarks(
    arguments: argparse.Namespace, directory: Path, paths: list[Path], baseline: int
) -> dict[str, Any]:
    from pytest_llamaburn.kinds.benchmark import comparable as compare
    from pytest_llamaburn.kinds.comparison import engine

    columns = dict.fromkeys(compare.column(name, "--columns") for name in _columns(arguments))
    choice = compare.Choice(
        tuple(columns) or compare.DEFAULT,
        tuple(compare.gate(text) for text in arguments.fail_if),
        compare.sort_key(arguments.sort or "time"),
        _margin(arguments.margin or "3%"),
    )
    return engine.compared(directory, paths, baseline, choice)


def _loads(
    arguments: argparse.Namespace, directory: Path, paths: list[Path], baseline: int
) -> dict[str, Any]:
    from pytest_llamaburn.kinds.comparison import engine
    from pytest_llamaburn.kinds.stress import comparable as compare_stress

    _refuse(arguments, "stress runs", "sort")
    columns = (compare_stress.column(name, "--columns") for name in _columns(arguments))
    choice = compare_stress.Choice(
        tuple(dict.fromkeys(columns)) or compare_stress.DEFAULT,
        tuple(compare_stress.gate(text) for text in arguments.fail_if),
        _margin(arguments.margin or "3%"),
    )
    return engine.compared_loads(directory, paths, baseline, choice)


def _evals(
    arguments: argparse.Namespace, _: Path, paths: list[Path], baseline: int
) -> dict[str, Any]:
    from pytest_llamaburn.kinds.comparison import engine

    _refuse(arguments, "evals", "fail_if", "columns", "sort", "margin")
    return engine.compared_evals(paths, baseline)


def _refuse(arguments: argparse.Namespace, kind: str, *names: str) -> None:
    """Raise SettingsError where an option was given that this kind of file does not read."""
    for name in names:
        if getattr(arguments, name):
            raise SettingsError(f"compare: --{name.replace('_', '-')} is not for {kind}")


def _columns(arguments: argparse.Namespace) -> list[str]:
    return arguments.columns.split(",") if arguments.columns else []


def _margin(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise SettingsError(f"--margin: '{text}' is refused: write a percentage, as 3%")
    return share


def _paths(directory: Path, arguments: argparse.Namespace) -> tuple[list[Path], int]:
    """Return the files that are meant, the baseline among them, and its place."""
    from pytest_llamaburn.store import results

    known = results.Finder(directory)
    paths = [known.find(name) for name in arguments.names]
    place = 0
    if arguments.baseline is not None:
        baseline = known.find(arguments.baseline)
        same = [index for index, path in enumerate(paths) if path.samefile(baseline)]
        paths += [] if same else [baseline]
        place = same[0] if same else len(paths) - 1
    if len(paths) < 2:
        raise ResultsError("compare: name at least two files; llamaburn results list shows them")
    return paths, place


def _judged(document: dict[str, Any]) -> int:
    """Tell the gates that did not pass; return the exit code."""
    from pytest_llamaburn.kinds.comparison import engine

    broken = engine.broken(document)
    for sentence in broken:
        print(f"llamaburn: {sentence}", file=sys.stderr)
    return 1 if broken else 0

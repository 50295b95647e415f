"""What the commands that make a document of stored results share: flags, and what they end with."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_llamaburn import grids, options
from pytest_llamaburn.settings import Display, Storage

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from pytest_llamaburn.documents import Document


def declare(parser: argparse.ArgumentParser, columns: str, margin: str) -> None:
    """Declare gates, columns and margin, with the help of the last two, and where results are."""
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="METRIC.STAT[@LEVEL]:±x%",
        help="exit with 1 unless the 95 %% interval of the change is within this bound; repeatable",
    )
    parser.add_argument("--columns", metavar="METRIC,…", help=columns)
    parser.add_argument("--margin", metavar="x%", help=margin)
    options.declare(parser.add_argument, Storage, Display)


def finish(directory: Path, document: Document, display: Display) -> int:
    """Write and show a document; return the exit code, 1 if a gate on a change did not pass."""
    from pytest_llamaburn import gates, reports
    from pytest_llamaburn.store import results

    path = results.write(directory, document)
    width = grids.columns_of(sys.stdout, wide=display.wide)
    reports.show([path], display.output, sys.stdout.write, width)
    print(f"wrote {path}", file=sys.stderr)
    broken = gates.changes_not_passed(document)
    for sentence in broken:
        print(f"llamaburn: {sentence}", file=sys.stderr)
    return 1 if broken else 0

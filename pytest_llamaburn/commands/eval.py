"""Ask a model the questions of an eval set and mark its answers, by scorers and by judges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import options
from pytest_llamaburn.commands import _session
from pytest_llamaburn.session import KINDS
from pytest_llamaburn.settings import Eval

if TYPE_CHECKING:
    import argparse

HELP = "ask a model questions and mark its answers"
EXAMPLE = "llamaburn eval llama3.1:8b --set factual --judge claude --threshold 'accuracy.mean>=4'"
_KIND = KINDS["exam"]


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    _session.add(parser, _KIND)


def run(arguments: argparse.Namespace) -> int:
    """Run the eval and show it; return the exit code."""
    given = options.given(arguments, Eval)
    settings, _ = options.resolve(Eval, given)
    return _estimate(settings) if settings.dry_run else _session.run(arguments, _KIND)


def _estimate(settings: Eval) -> int:
    """Print what judging would take, before anything is sent."""
    from pytest_llamaburn.kinds.eval import cost_estimate

    for line in cost_estimate.lines(settings):
        print(line)
    return 0

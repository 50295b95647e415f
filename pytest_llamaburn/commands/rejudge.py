"""Score the answers in the result file of an eval again, without asking the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llamaburn import options
from pytest_llamaburn.commands import _session
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.eval import KIND
from pytest_llamaburn.kinds.eval.settings import Eval
from pytest_llamaburn.settings import Display

if TYPE_CHECKING:
    import argparse

HELP = "score the answers of an eval again"
EXAMPLE = "llamaburn rejudge llama3.1_8b_factual_2026-01-13T10-30-00 --judge openai"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", metavar="FILE", help="an eval's result file or its id")
    options.declare(parser.add_argument, Eval, Display)
    parser.add_argument(
        "--print-pytest", action="store_true", help="print the equivalent pytest command and exit"
    )


def run(arguments: argparse.Namespace) -> int:
    """Score the stored answers in a new run; return the exit code."""
    from pytest_llamaburn.kinds.eval import task
    from pytest_llamaburn.store import results

    given = options.given(arguments, Eval)
    if "set" in given:
        raise SettingsError("rejudge: --set is refused: the questions come from the file")
    settings, _ = options.resolve(Eval, given)
    path = results.find(Path(settings.results_dir), arguments.file)
    document = task.stored(str(path))
    arguments.models, arguments.rescore = [document["model"]["id"]], str(path)
    arguments.set = [document["results"]["eval_set"]["name"]]
    for name in ("samples", "temperature"):
        setattr(arguments, name, document["config"][name])
    return _session.run(arguments, KIND)

"""Predict from a stored stress run what users will see; nothing is sent."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import options
from pytest_llamaburn.commands import _printing
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.option import options_of
from pytest_llamaburn.settings import Storage

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.stress.settings import Stress

HELP = "predict from a stored stress run what users will see, and how many it serves"
EXAMPLE = "llamaburn capacity results/stress/FILE.json --users 20 --think-time 30s"
_OF_USERS = ("users", "think_time", "slo")
_ROUNDS, _FIRST = 12, 2  # requests of each user, and those of them that do not count
_FEWEST = 400  # requests of a simulation


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from pytest_llamaburn.kinds.stress.settings import Stress

    parser.add_argument("name", metavar="FILE", help="a result file of a stress run, or its id")
    for option in options_of(Stress):
        if option.name in _OF_USERS:
            options.declare_one(parser.add_argument, option)
    parser.add_argument("--output", "-o", choices=("table", "json"), default="table")
    options.declare(parser.add_argument, Storage)
    _printing.declare(parser)


def run(arguments: argparse.Namespace) -> int:
    """Predict and print; return the exit code."""
    from pytest_llamaburn.kinds.stress.settings import Stress

    storage, _ = options.resolve(Storage, options.given(arguments, Storage))
    given = {name: getattr(arguments, name) for name in _OF_USERS}
    asked, origins = options.resolve(Stress, {k: v for k, v in given.items() if v is not None})
    with options.blaming(origins):
        found = _answer(Path(storage.results_dir), arguments.name, asked)
    if arguments.output == "json":
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(found, arguments)))
    return 0


def _answer(directory: Path, name: str, asked: Stress) -> Document:
    """Return the prediction from a file; raises ResultsError and SettingsError."""
    from pytest_llamaburn.capacity.users import Users
    from pytest_llamaburn.kinds.stress import most_users, twin
    from pytest_llamaburn.load.think import think_seconds
    from pytest_llamaburn.store import results

    think_s = think_seconds(asked.think_time) if asked.think_time else (0.0, 0.0)
    path = results.find(directory, name)
    document = results.load_of(path, "stress")
    model = _model(document, path)
    slo = asked.slo or document["config"]["slo"]
    if asked.users is None and slo is None:
        raise SettingsError("capacity: nothing is asked: add --users 20, or --slo 'ttft_ms<1000'")
    number = asked.users or 1
    deadline_ms = 1e3 * (document["results"]["deadline_s"] or math.inf)
    requests = max(_FEWEST, _ROUNDS * number)
    users = Users(number, think_s, requests, None, deadline_ms, _FIRST * number)
    return {
        "file": str(path),
        "model": document["model"]["id"],
        "users": asked.users,
        "think_time": asked.think_time,
        "predicted": twin.predicted(model, users) if asked.users else None,
        "most_users": most_users.most_users(twin.restored(model), slo, users) if slo else None,
        "service": {k: v for k, v in model.items() if k not in _UNSHOWN},
    }


_UNSHOWN = ("prompt_tokens", "output_tokens", "read_spread", "write_spread", "draws")


def _model(document: Document, path: Path) -> Any:
    """Return the model of the server of a file; raises ResultsError if it has none."""
    found = document["results"]
    if found.get("service") is None:
        reason = found.get("service_reason") or "an earlier version wrote it: measure again"
        raise ResultsError(f"{path} has no model of the server: {reason}")
    return found["service"]


def _lines(found: Document, arguments: argparse.Namespace) -> Iterator[str]:
    from pytest_llamaburn.grids import Table
    from pytest_llamaburn.kinds.stress import users_table

    yield f"{found['model']}, by the model of {found['file']}"
    if found["predicted"]:
        rows = [*users_table.foreseen_rows(found["predicted"])]
        columns = (users_table.title(found), *users_table.FORESEEN[1:])
        yield f"\n{_printing.fitted(Table(columns, rows, 1), arguments)}\n"
    if found["most_users"]:
        yield _most(found["most_users"])
    yield from users_table.model(found["service"])
    yield from (line for _, line in users_table.broken(found["service"]))


def _most(found: Document) -> str:
    """Return the largest number of users in a sentence."""
    low, high = found["interval"]
    why = f" ({found['reason']})" if found["reason"] else ""
    return (
        f"{found['share']:.0%} of the requests keep {found['slo']} with up to {found['users']} "
        f"users [{low}, {high}]{why}"
    )

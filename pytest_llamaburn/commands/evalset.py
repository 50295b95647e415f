"""List the eval sets, check files of your own, and import the formats of others."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import registry
from pytest_llamaburn.errors import DatasetError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_llamaburn.datasets import EvalSet

HELP = "list, check and import eval sets"
EXAMPLE = "llamaburn evalset import test.jsonl --format gsm8k -o gsm8k.json"
_COLUMNS = ("name", "version", "questions", "categories", "scorers")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    formats = registry.names("converters")
    fields = (f"{name} ({registry.load('converters', name).HELP})" for name in formats)
    parser.add_argument("action", choices=tuple(_ACTIONS))
    parser.add_argument("files", nargs="*", metavar="FILE", help="what to validate or import")
    parser.add_argument("--format", choices=formats, help=f"of an import: {'; '.join(fields)}")
    parser.add_argument("--name", help="of an imported set (the file's)")
    parser.add_argument(
        "--output", "-o", help="where to write an import (standard output); json for a list"
    )


def run(arguments: argparse.Namespace) -> int:
    """Do what the action says; return the exit code."""
    action = _ACTIONS[arguments.action]
    return action(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from pytest_llamaburn import datasets

    if arguments.output not in (None, "json"):
        raise DatasetError(f"evalset list: -o {arguments.output} is not json")
    found = [_about(datasets.load_eval_set(name)) for name in datasets.builtin_eval_sets()]
    if arguments.output:
        print(json.dumps(found, indent=2))
        return 0
    from pytest_llamaburn.reports._rows import grid

    print(grid(_COLUMNS, list(map(_row, found))))
    return 0


def _about(found: EvalSet) -> dict[str, Any]:
    asked = found.questions
    categories = Counter(question.category for question in asked)
    scorers = Counter(question.scorer or "judge" for question in asked)
    facts = (found.name, found.version, len(asked), dict(categories), dict(scorers))
    return dict(zip(_COLUMNS, facts, strict=True))


def _row(about: dict[str, Any]) -> tuple[str, ...]:
    scorers = ", ".join(f"{name} {count}" for name, count in about["scorers"].items())
    categories = ", ".join(about["categories"])
    return (about["name"], about["version"], str(about["questions"]), categories, scorers)


def _validate(arguments: argparse.Namespace) -> int:
    from pytest_llamaburn import datasets

    if not arguments.files:
        raise DatasetError("evalset validate: name the files to check")
    bad = 0
    for name in arguments.files:
        try:
            found = datasets.load_eval_set(name)
            print(f"{name}: valid, {len(found.questions)} questions")
        except DatasetError as err:
            bad += 1
            print(f"llamaburn: {err}", file=sys.stderr)
    return 4 if bad else 0


def _import(arguments: argparse.Namespace) -> int:
    """Write the set only if it is sound as a whole."""
    from pytest_llamaburn import datasets

    if len(arguments.files) != 1 or not arguments.format:
        raise DatasetError("evalset import: name one file and its --format")
    source = Path(arguments.files[0]).expanduser()
    found = list(_converted(source, arguments.format))
    questions = [question for _, question in found]
    name = arguments.name or source.stem
    content = {"name": name, "version": "1.0", "questions": questions}
    datasets.eval_set(content, source, [place for place, _ in found])
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if arguments.output is None:
        print(text, end="")
        return 0
    _write(Path(arguments.output), text)
    print(f"wrote {arguments.output}: {len(questions)} questions", file=sys.stderr)
    return 0


def _converted(source: Path, name: str) -> Iterator[tuple[str, Any]]:
    """Yield place and question of each row; raises DatasetError for one that does not fit."""
    from pytest_llamaburn import datasets

    module = registry.load("converters", name)
    place = "the whole file"

    def noted() -> Iterator[Any]:
        nonlocal place
        for place, row in datasets.rows(source, getattr(module, "COLUMNS", ())):  # noqa: B007
            yield row

    try:
        for question in module.convert(noted()):
            yield place, {key: value for key, value in question.items() if value is not None}
    except KeyError as err:
        raise DatasetError(f"{source}: {place}: {err.args[0]}: {name} needs it") from None
    except (AttributeError, LookupError, TypeError, ValueError) as err:
        raise DatasetError(f"{source}: {place}: is no row of {name}: {err}") from None


def _write(path: Path, text: str) -> None:
    if path.suffix.lower() != ".json":
        raise DatasetError(f"evalset import: -o {path} does not end in .json")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as err:
        raise DatasetError(f"{path} cannot be written: {err.strerror or err}") from None


_ACTIONS = {"list": _list, "validate": _validate, "import": _import}

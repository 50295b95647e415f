"""List the built-in eval sets, check your own files, and import other formats."""

from __future__ import annotations

import glob
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import files, registry
from pytest_llamaburn.commands import _printing
from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.grids import Table
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from pytest_llamaburn.converters._row import Row
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.evalsets import EvalSet

HELP = "list, check and import eval sets"
EXAMPLE = "llamaburn evalset import test.jsonl --format gsm8k -o gsm8k.json"
_SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")  # the files of a directory that an import reads
_COLUMNS = ("name", "version", "questions", "categories", "scorers")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    formats = registry.names("converters")
    fields = (f"{name} ({registry.load('converters', name).HELP})" for name in formats)
    parser.add_argument("action", choices=tuple(_ACTIONS))
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="files to validate or import; mmlu also takes directories and patterns",
    )
    parser.add_argument(
        "--format", choices=formats, help=f"format of the imported file: {'; '.join(fields)}"
    )
    parser.add_argument(
        "--answers",
        metavar="HOW",
        help="how mmlu gives the right answer: letter, index (from 0), number (from 1) or text",
    )
    parser.add_argument("--name", help="name of the imported set (default: the name of the file)")
    parser.add_argument(
        "--output", "-o", help="import: the file to write (default: standard output); list: json"
    )
    _printing.declare(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the action; return the exit code."""
    action = _ACTIONS[arguments.action]
    return action(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from pytest_llamaburn import evalsets

    if arguments.output not in (None, "json"):
        raise DatasetError(
            f"evalset list: -o {arguments.output} is refused: the only other format is json"
        )
    names = (*evalsets.builtin_eval_sets(), *evalsets.builtin_media_sets())
    found = [_about(evalsets.load_eval_set(name)) for name in names]
    if arguments.output:
        print(json.dumps(found, indent=2))
        return 0
    table = Table(_COLUMNS, [*map(_row, found)], wrapped=("categories", "scorers"))
    print(_printing.fitted(table, arguments))
    return 0


def _about(found: EvalSet) -> Document:
    asked = found.questions
    categories = Counter(question.category for question in asked)
    scorers = Counter(question.scorer or "judge" for question in asked)
    facts = (found.name, found.version, len(asked), dict(categories), dict(scorers))
    return dict(zip(_COLUMNS, facts, strict=True))


def _row(about: Document) -> tuple[str, ...]:
    scorers = ", ".join(f"{name} {count}" for name, count in about["scorers"].items())
    categories = ", ".join(about["categories"])
    return (about["name"], about["version"], str(about["questions"]), categories, scorers)


def _validate(arguments: argparse.Namespace) -> int:
    from pytest_llamaburn import evalsets

    if not arguments.files:
        raise DatasetError("evalset validate: name the files to check")
    bad = 0
    for name in arguments.files:
        try:
            found = evalsets.load_eval_set(name)
            print(f"{name}: valid, {counted(len(found.questions), 'question')}")
        except DatasetError as err:
            bad += 1
            print(f"llamaburn: {err}", file=sys.stderr)
    return 4 if bad else 0


def _import(arguments: argparse.Namespace) -> int:
    """Write the imported set, if the whole set is valid."""
    from pytest_llamaburn import evalsets

    sources, examples = _sources(arguments)
    found = _converted(sources, arguments.format, arguments.answers)
    whole = _whole(sources, arguments.format)
    name = arguments.name or whole.stem
    content: Document = {"name": name, "version": "1.0"}
    if examples:
        solved = _converted(examples, arguments.format, arguments.answers)
        content["examples"] = [_example(question) for _, question in solved]
    content["questions"] = [question for _, question in found]
    evalsets.eval_set(content, whole, [place for place, _ in found])
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if arguments.output is None:
        print(text, end="")
        return 0
    _write(files.home(arguments.output), text)
    count = f"{counted(len(content['examples']), 'example')} and " if examples else ""
    print(f"wrote {arguments.output}: {count}{counted(len(found), 'question')}", file=sys.stderr)
    return 0


def _sources(arguments: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    """Return the files with questions and the files with examples; few formats have examples."""
    paths = [files.home(name) for name in arguments.files]
    if not (paths and arguments.format):
        raise DatasetError("evalset import: name a file and its --format")
    module = registry.load("converters", arguments.format)
    if not hasattr(module, "parts"):
        if len(paths) > 1:
            raise DatasetError(f"evalset import: {arguments.format} takes one file at a time")
        return paths, []
    named = (one for path in paths for one in _matches(path))
    found = module.parts([*dict.fromkeys(file for path in named for file in _files_in(path))])
    if found.left_out:
        count = len(found.left_out)
        print(f"llamaburn: {counted(count, 'file')} left out: {module.LEFT_OUT}", file=sys.stderr)
    return found.questions, found.examples


def _matches(path: Path) -> list[Path]:
    """Return the matches of a pattern such as data/*_test.csv; any other path unchanged."""
    pattern = str(path)
    if path.exists() or not glob.has_magic(pattern):
        return [path]
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - it may be absolute
    if not found:
        raise DatasetError(f"evalset import: {pattern} matches no file")
    return [*map(Path, found)]


def _files_in(path: Path) -> list[Path]:
    """Return the files with rows in a directory and its subdirectories; a file unchanged."""
    if not path.is_dir():
        return [path]
    found = [one for one in files.found(path, "**/*") if one.suffix.lower() in _SUFFIXES]
    if not found:
        raise DatasetError(f"evalset import: {path} has no {', '.join(_SUFFIXES)} file")
    return found


def _whole(sources: list[Path], form: str) -> Path:
    """Return the path for errors and for the name of the set: the only file, else the format."""
    return sources[0] if len(sources) == 1 else Path(form)


def _example(question: Document) -> Document:
    kept = {name: question[name] for name in ("prompt", "category")}
    return {**kept, "answer": question["reference"]}


def _converted(sources: list[Path], name: str, answers: str | None) -> list[tuple[str, Any]]:
    """Return place and question of each row; raises DatasetError for an invalid row."""
    module = registry.load("converters", name)
    known = getattr(module, "ANSWERS", ())
    if answers is not None and answers not in known:
        raise DatasetError(
            f"--answers: {registry.unknown(f'form of answers of {name}', answers, [*known])}"
        )
    whole = _whole(sources, name)
    places: list[str] = []

    def noted() -> Iterator[Row]:
        for row in _rows(sources, name):
            places.append(row.place)
            yield row

    try:
        found = module.convert(noted(), answers) if known else module.convert(noted())
        questions = [{k: v for k, v in one.items() if v is not None} for one in found]
    except DatasetError as err:
        raise DatasetError(_placed(whole, err)) from None
    except (AttributeError, LookupError, TypeError, ValueError):
        where = f"{whole}: {places[-1] if places else 'the whole file'}"
        raise DatasetError(f"{where}: is not a row of {name}, which has {module.HELP}") from None
    return [*zip(places, questions, strict=True)]


def _rows(sources: list[Path], name: str) -> Iterator[Row]:
    """Yield the rows of some files; some formats have the subject in the name of the file."""
    from pytest_llamaburn import datasets
    from pytest_llamaburn.converters._row import Row

    module = registry.load("converters", name)
    subject_of = getattr(module, "subject_of", lambda _: None)
    for path in sources:
        within = "" if len(sources) == 1 else f"{path}: "
        for place, fields in datasets.rows(path, getattr(module, "COLUMNS", ())):
            row = Row(fields, within + place, name)
            if subject := subject_of(path):
                row.setdefault("subject", subject)
            yield row


def _placed(source: Path, err: DatasetError) -> str:
    """Return the text of an error, with its file in front unless the text begins with it."""
    text = str(err)
    return text if text.startswith(str(source)) else f"{source}: {text}"


def _write(path: Path, text: str) -> None:
    if path.suffix.lower() != ".json":
        raise DatasetError(f"evalset import: -o {path} does not end in .json")
    try:
        path.write_text(text, encoding="utf-8")
    except (OSError, ValueError) as err:
        raise DatasetError(f"{path} cannot be written: {files.reason(err)}") from None


_ACTIONS = {"list": _list, "validate": _validate, "import": _import}

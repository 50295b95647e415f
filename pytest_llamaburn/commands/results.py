"""List, show, check, export, share, remove and recover result files."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llamaburn import grids, options
from pytest_llamaburn.errors import LlamaBurnError, ResultsError, sentence
from pytest_llamaburn.settings import Display, Storage

if TYPE_CHECKING:
    import argparse

HELP = "list, show, check, export, share, remove and recover result files"
EXAMPLE = "llamaburn results show llama3.1_8b_2026-01-13T10-30-00 -o markdown"
_COLUMNS = ("id", "kind", "status", "model", "tokens/s", "TTFT ms", "requests", "scores")
_LEAST = ("requests", "model", "kind", "TTFT ms")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", choices=tuple(_ACTIONS))
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="for list: kinds of results; else: files or ids"
    )
    options.declare(parser.add_argument, Storage, Display)


def run(arguments: argparse.Namespace) -> int:
    """Run the action; return the exit code."""
    storage, _ = options.resolve(Storage, options.given(arguments, Storage))
    display, _ = options.resolve(Display, options.given(arguments, Display))
    action = _ACTIONS[arguments.action]
    return action(Path(storage.results_dir), arguments.names, display)


def _list(results_dir: Path, names: list[str], display: Display) -> int:
    from pytest_llamaburn.store import results

    known = [*results.lists()]
    for name in names:
        if name not in known:
            raise ResultsError(f"results list: unknown kind '{name}'; known: {', '.join(known)}")
    for form in display.output:
        if form not in ("table", "json"):
            raise ResultsError(f"results list: -o {form} is refused: use table or json")
    rows = [_row(f, path) for f in names or known for path in results.paths(results_dir, f)]
    if "json" in display.output:
        print(json.dumps([dict(zip(_COLUMNS, row, strict=True)) for row in rows], indent=2))
    else:
        table = grids.Table(_COLUMNS, rows, least=_LEAST, wrapped=("scores", "status"))
        width = grids.columns_of(sys.stdout, wide=display.wide)
        print(grids.text(table, width) if rows else f"no results in {results_dir}")
    return 0


def _row(folder: str, path: Path) -> tuple[str, ...]:
    from pytest_llamaburn.store.results import brief
    from pytest_llamaburn.tables import number

    try:
        about = brief(path)
    except ResultsError as err:
        return (path.stem, folder, "unreadable", str(err), "", "", "", "")
    found, summary = about.results, about.results.summary
    medians = (summary.tokens_per_sec.p50, summary.time_to_first_token_ms.p50)
    requests = "/".join(map(str, found.requests or ()))
    models = ", ".join(about.models)
    scores = ", ".join(f"{name} {number(mean)}" for name, mean in found.scores.items())
    return (path.stem, folder, about.status, models, *map(number, medians), requests, scores)


def _show(results_dir: Path, names: list[str], display: Display) -> int:
    from pytest_llamaburn import reports
    from pytest_llamaburn.store import results

    if not names:
        raise ResultsError("results show: no file or id given; llamaburn results list shows them")
    reports.check(display.output)
    paths = [*map(results.Finder(results_dir).find, names)]
    width = grids.columns_of(sys.stdout, wide=display.wide)
    reports.show(paths, display.output, sys.stdout.write, width)
    if not display.output or "table" in display.output:
        _print_transcripts(paths)
    return 0


def _print_transcripts(paths: list[Path]) -> None:
    """Print the transcript of each result that has one, such as the answers of an eval."""
    from pytest_llamaburn.store import results

    for path in paths:
        document = results.load(path)
        transcript = getattr(results.room(document, "table"), "transcript", None)
        if transcript is not None:
            print("", *transcript(document), sep="\n")


def _validate(results_dir: Path, names: list[str], display: Display) -> int:  # noqa: ARG001
    from pytest_llamaburn.store import results

    if not names:
        raise ResultsError("results validate: no file given")
    bad, known = 0, results.Finder(results_dir)
    for name in names:
        try:
            results.load(known.find(name))
            print(f"{name}: valid")
        except ResultsError as err:
            bad += 1
            print(f"llamaburn: {err}", file=sys.stderr)
    return 4 if bad else 0


def _export(results_dir: Path, names: list[str], display: Display) -> int:
    """Write results to files; the suffix of each sets its format."""
    from pytest_llamaburn import registry

    formats = registry.names("reports")
    if not display.output or not set(display.output).isdisjoint(formats):
        raise ResultsError("results export: no output file given: write -o report.md")
    _show(results_dir, names, display)
    return 0


def _card(results_dir: Path, names: list[str], display: Display) -> int:
    """Print the card of one result as Markdown, or write it to files by their suffix."""
    from pytest_llamaburn import reports
    from pytest_llamaburn.reports import _card as card
    from pytest_llamaburn.store import results

    if len(names) != 1:
        raise ResultsError("results card: name one file or id; llamaburn results list shows them")
    document = results.load(results.Finder(results_dir).find(names[0]))
    targets = [Path(output) for output in display.output]
    made = [(target, card.rendered(document, target.suffix.lower())) for target in targets]
    if not made:
        print(card.markdown(card.facts(document)), end="")
    for target, content in made:
        reports.save(target, content)
        print(f"wrote {target}", file=sys.stderr)
    return 0


def _remove(results_dir: Path, names: list[str], display: Display) -> int:  # noqa: ARG001
    """Remove result files: all named files, or none if one does not exist."""
    if not names:
        raise ResultsError("results rm: no file or id given")
    for path in _own(results_dir, names):
        try:
            path.unlink()
        except OSError as err:
            raise ResultsError(f"{path} cannot be removed: {err.strerror or err}") from err
        print(f"removed {path}")
    return 0


def _own(results_dir: Path, names: list[str]) -> list[Path]:
    """Return the named result files, each once; raises ResultsError for other files."""
    from pytest_llamaburn.store import results

    known = results.Finder(results_dir)
    own = {os.path.realpath(path): path for path in results.paths(results_dir)}
    chosen = {name: os.path.realpath(known.find(name)) for name in names}
    for name, path in chosen.items():
        if path not in own:
            words = f"is not a result file in {results_dir} and is not removed"
            raise ResultsError(f"results rm: {name} {words}")
    return [own[path] for path in dict.fromkeys(chosen.values())]


def _recover(results_dir: Path, names: list[str], display: Display) -> int:  # noqa: ARG001
    from pytest_llamaburn.store import finish, resume

    bad = 0
    for remark in () if names else resume.left_alone(results_dir):
        print(f"llamaburn: {remark}", file=sys.stderr)
    unfiled = names or resume.unfiled(results_dir)
    if not unfiled:
        print("no run was left unfinished", file=sys.stderr)
    for name in unfiled:
        try:
            run_id = resume.header_of(results_dir, name)["run_id"]
            _check_journal(results_dir, run_id)
            path = finish.write_result(results_dir, run_id, tell=_complain)
            print(path or f"{name}: there was nothing to measure, so there is no result")
        except Exception as err:  # noqa: BLE001 - a bad journal must not stop the others
            bad += 1
            ours = isinstance(err, LlamaBurnError)
            reason = err if ours else f"its journal is damaged ({type(err).__name__}: {err})"
            message = sentence(f"run {name} cannot be recovered: {reason}")
            print(f"llamaburn: {message}", file=sys.stderr)
    return 4 if bad else 0


def _check_journal(results_dir: Path, run_id: str) -> None:
    """Raise ResultsError if the result file from a run's journal would be invalid."""
    from pytest_llamaburn.store import journal, results

    record = journal.read(journal.directory(results_dir, run_id))
    idle = record.header is None or record.idle
    if not idle and (problem := results.check(results.build(record))):
        raise ResultsError(f"its journal is damaged: {problem}")


def _complain(sentence: str) -> None:
    print(f"llamaburn: {sentence}", file=sys.stderr)


_ACTIONS = {
    "recover": _recover,
    "list": _list,
    "show": _show,
    "validate": _validate,
    "export": _export,
    "card": _card,
    "rm": _remove,
}

"""Compare result files of one kind: read the files, decide the gates, build the document.

The kind's own `comparable.py` says what is compared, and how certain a difference is.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import gates
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.kinds._comparable import LAST, Choice, Estimate
from pytest_llamaburn.kinds._file import made_now
from pytest_llamaburn.store import file_kinds, results

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.documents import Document
from pytest_llamaburn.kinds._comparable import Change, Comparison, Gate, Subject


class Asked(NamedTuple):
    """The options of a comparison, as the user wrote them."""

    columns: Sequence[str] = ()
    fail_if: Sequence[str] = ()
    sort: str | None = None
    margin: str | None = None


def kind_of(path: Path) -> str:
    """Return the kind of a result file."""
    return results.brief(path).schema.removeprefix(results.PREFIX)


def comparison_of(kind: str) -> type[Comparison]:
    """Return the comparison class of a kind; raises ResultsError if it has none."""
    about = file_kinds.named(kind)
    if about.comparison is None:
        raise ResultsError(f"compare: files of kind {kind} are not compared")
    found: type[Comparison] = about.load("comparable.Comparison")
    return found


def compare(results_dir: Path, paths: Sequence[Path], baseline: Path, asked: Asked) -> Document:
    """Return the comparison of result files with one of them, the `baseline`.

    The kind is that of the first file. A file that is named twice counts once. The noise is
    estimated from earlier runs in the results directory. Raises ResultsError for files of different
    kinds or without common values, and SettingsError for an option that the kind does not have.
    """
    kind, names = kind_of(paths[0]), [*dict.fromkeys(paths)]
    how = comparison_of(kind)
    choice = chosen(how, asked)
    if len(names) < 2:
        raise ResultsError(f"compare: {paths[0]} is named twice: name another file")
    earlier = partial(results.earlier, results_dir, kind=kind)
    compared = how(_sources(names, kind), choice, names.index(baseline), earlier)
    return document(compared, str(file_kinds.named(kind).comparison))


def chosen(how: type[Comparison], asked: Asked) -> Choice:
    """Return the parsed options; raises SettingsError for one that this kind does not have."""
    for name, value in asked._asdict().items():
        if value and name not in how.options:
            option = name.replace("_", "-")
            raise SettingsError(f"compare: --{option} is not for {how.noun}s")
    columns = (how.column(text, "--columns") for text in asked.columns or how.default)
    sort = asked.sort or "time"
    return Choice(
        tuple(dict.fromkeys(columns)),
        tuple(how.gate(text) for text in asked.fail_if),
        sort if sort in ("time", "model") else how.column(sort, "--sort").name,
        gates.margin_of(asked.margin) if asked.margin else how.margin,
    )


def _sources(paths: Sequence[Path], kind: str) -> Iterator[tuple[str, Document]]:
    """Yield the files one by one; each is read only when it is needed."""
    for path in paths:
        found = results.load(path)
        if found["schema"] != results.PREFIX + kind:
            raise ResultsError(
                f"compare: {path} has the schema {found['schema']}, {paths[0]} has "
                f"{results.PREFIX}{kind}: name files of one kind"
            )
        yield str(path), found


def document(compared: Comparison, name: str) -> Document:
    """Return the content of the result file of a comparison; `name` is its kind."""
    changes: list[Document] = []
    verdicts: list[list[Document]] = []  # by file, then by gate
    for other in compared.others:
        found = [compared.change(other, column) for column in compared.planned[other.label]]
        changes += map(compared.written, found)
        verdicts.append([_weighed(compared, gate, other, found) for gate in compared.choice.gates])
    by_gate = {"gates": [verdict for weighed in zip(*verdicts, strict=True) for verdict in weighed]}
    return {
        **made_now(name),
        "config": compared.config(),
        "results": {
            "files": [compared.file(subject) for subject in compared.subjects],
            "warnings": compared.warnings(),
            compared.changes_key: changes,
            **(by_gate if "fail_if" in compared.options else {}),
            "method": compared.method(),
        },
    }


def _weighed(
    compared: Comparison, gate: Gate, other: Subject, changes: Sequence[Change]
) -> Document:
    """Return the verdict of a gate on a file."""
    column = compared.gated(gate.column)
    change = next((change for change in changes if change.column == column), None)
    found = change.estimate if change else Estimate(reason=compared.absent(column))
    word, reason = gates.weigh_change(found._asdict(), gate.bound, column.better, found.advice)
    return {
        "expression": gate.expression,
        "file": other.label,
        **({"unit": column.unit} if compared.gates_have_units else {}),
        "change": found.change,
        "interval": found.interval,
        "verdict": word,
        "reason": reason,
    }


def contrast(results_dir: Path, before: Path, after: Path) -> Path:
    """Compare two new result files, and write the comparison; return its path."""
    return results.write(results_dir, compare(results_dir, [before, after], before, Asked()))


# A new result file and the baseline that its settings name


def with_baseline(path: Path, settings: Any) -> tuple[Path | None, list[str]]:
    """Compare a new result file with the baseline of the settings, and write the comparison.

    Return its path and a sentence for each gate that did not pass. The path is None if the settings
    name no baseline, or if there is no earlier file.
    """
    if getattr(settings, "compare", None) is None:
        return None, []
    directory, now = Path(settings.results_dir), results.load(path)
    how = comparison_of(kind_of(path))
    before = _baseline(now, how, settings)
    if before is None:
        mode = f" in mode {settings.mode}" if "mode" in how.like else ""
        missing = f"no earlier {how.noun} of {now['model']['id']}{mode} in {directory}"
        return None, [f"{gate}: undecided: {missing}" for gate in settings.fail_if]
    found = compare(directory, [before, path], before, Asked(fail_if=settings.fail_if))
    return results.write(directory, found), gates.changes_not_passed(found)


def _baseline(now: Document, how: type[Comparison], settings: Any) -> Path | None:
    """Return the file that --compare names, or the newest one with the same model and settings."""
    directory = Path(settings.results_dir)
    if settings.compare != LAST:
        return results.find(directory, str(settings.compare))
    kind = now["schema"].removeprefix(results.PREFIX)
    for earlier in results.of_model(directory, kind, now["model"]["id"]):
        then = results.load(earlier)
        alike = all(then["config"].get(n) == now["config"].get(n) for n in how.like)
        if then["run_id"] != now["run_id"] and alike and then["status"] == "complete":
            return earlier
    return None

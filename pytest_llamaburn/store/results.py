"""Result files: how they are checked, kept and found, whatever their kind.

The models in `kinds/` are the published contract: `llamaburn schema` prints their JSON Schema,
`results validate` checks files against it, and every table is rendered from such a file alone.
"""

from __future__ import annotations

import codecs
import glob
import json
import os
import re
import sys
import unicodedata
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pytest_llamaburn import files, registry
from pytest_llamaburn.errors import MissingExtraError, ResultsError
from pytest_llamaburn.metrics import NO_VERDICT
from pytest_llamaburn.texts import dumps, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import pandas as pd

    from pytest_llamaburn.store.journal import Record

SCHEMA_VERSION = 1
PREFIX = "llamaburn/"
_NAME_BYTES = 120
_LISTED = ("graded_correct", "f_score")  # of the shares of grades
_EARLIER_FILES = 50  # enough to learn a machine's noise from


@cache
def kinds() -> tuple[str, ...]:
    """Return the kinds of result files: those of runs, and the comparisons of each."""
    compared = registry.load("kinds.comparison", "result").names()
    return tuple(sorted({*registry.names("kinds"), *compared}))


def folder_of(kind: str) -> str:
    """Return the folder in `kinds/` that a kind of file has; comparisons share one."""
    return "comparison" if kind.endswith("comparison") else kind.replace("-", "_")


def module_of(kind: str) -> Any:
    """Return what builds and checks the files of a kind: a module, or a form of comparison."""
    found = registry.load(f"kinds.{folder_of(kind)}", "result")
    return found.form(kind) if folder_of(kind) == "comparison" else found


def kind_of(document: Mapping[str, Any]) -> Any:
    """Return the module of a document's or a journal header's kind."""
    return module_of(document["schema"].removeprefix(PREFIX))


def build(record: Record) -> dict[str, Any]:
    """Return the content of a run's result file, made from its journal.

    Raises ResultsError where the journal is gone.
    """
    if record.header is None:
        raise ResultsError(f"the journal {record.folder} is gone: was it removed, or moved away?")
    document: dict[str, Any] = kind_of(record.header).build(record)
    return document


@cache
def folders() -> dict[str, str]:
    """Return the folder of each kind."""
    return {kind: module_of(kind).FOLDER for kind in kinds()}


def write(results_dir: Path, document: dict[str, Any]) -> Path:
    """Write a result file atomically and return its path.

    Nothing is ever overwritten but an earlier file of the same run, which this one continues.
    Raises ResultsError when it cannot be written.
    """
    folder, stem = _home(results_dir, document)
    text = _indented(document)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = _written(folder / f".{document['run_id']}.tmp", text)
        earlier = of_run(results_dir, document)
        if earlier is not None:
            return temporary.replace(earlier)
        return _link(temporary, folder, stem)
    except OSError as err:
        raise ResultsError(f"{folder} cannot be written: {err.strerror or err}") from err


def _indented(document: dict[str, Any]) -> str:
    """Return a document's JSON; `json` itself indents in Python, ten times as slowly."""
    import msgspec

    return msgspec.json.format(dumps(document), indent=2) + "\n"


def of_run(results_dir: Path, header: Mapping[str, Any]) -> Path | None:
    """Return the result file that a run already has; `header` is its journal's, or a document."""
    folder, stem = _home(results_dir, header)
    found = (path for path in folder.glob(f"{glob.escape(stem)}*.json"))
    return next((path for path in found if _run_id(path) == header["run_id"]), None)


def _home(results_dir: Path, header: Mapping[str, Any]) -> tuple[Path, str]:
    """Return the folder and the file name, without suffix, of a run's result."""
    kind = kind_of(header)
    stamp = header["timestamp"][:19].replace(":", "-")
    return results_dir / kind.FOLDER, f"{safe_name(kind.stem(header))}_{stamp}"


def safe_name(subject: str) -> str:
    """Return what a file is about as its name: `llama3.1:q4` gives `llama3.1_q4`.

    Letters of any script stay where file names can have them; a name that is too long is cut and
    marked with its checksum.
    """
    encoding, subject = sys.getfilesystemencoding(), whole(subject)
    text = unicodedata.normalize("NFC", subject).encode(encoding, "replace").decode(encoding)
    name = re.sub(r"[^\w.-]+", "_", text).strip("._-") or "model"
    if len(name.encode()) <= _NAME_BYTES:
        return name
    mark = f"_{zlib.crc32(subject.encode(errors='replace')):08x}"
    return name.encode()[: _NAME_BYTES - len(mark)].decode(errors="ignore") + mark


def load(path: Path) -> dict[str, Any]:
    """Return a result file's content, counted as this version counts.

    Raises ResultsError saying why it is not one.
    """
    import msgspec

    raw = _read(path)
    try:
        document = msgspec.json.decode(raw)
    except (ValueError, RecursionError) as err:  # msgspec's errors are ValueErrors
        raise ResultsError(f"{path} is not JSON: {err}") from err
    problem = _problem(document, raw)
    if problem:
        raise ResultsError(f"{path} is not a result file: {problem}")
    modern = getattr(kind_of(document), "modern", None)
    found: dict[str, Any] = modern(document) if modern else document
    return found


def load_benchmark(path: Path) -> dict[str, Any]:
    """Return the content of a benchmark's file; raises ResultsError for any other kind."""
    document = load(path)
    if document["schema"] != "llamaburn/benchmark":
        raise ResultsError(f"{path} is no benchmark: its schema is {document['schema']}")
    return document


def check(document: Any) -> str | None:
    """Return what is wrong with a document as a result file, None if nothing is."""
    return _problem(document, json.dumps(document))


def _problem(document: Any, text: str | bytes) -> str | None:
    """Return what is wrong with a document whose JSON is `text`."""
    if not isinstance(document, dict) or "schema" not in document:
        return "it has no 'schema'"
    if str(document["schema"]).removeprefix(PREFIX) not in kinds():
        return _unknown(document["schema"])
    try:
        kind_of(document).File.model_validate_json(text, strict=True)
    except ValidationError as err:
        first = err.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}"
    return None


def _unknown(schema: Any) -> str:
    return f"schema '{schema}' is unknown (known: {', '.join(kinds())})"


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a kind of result file."""
    found = module_of(kind).File.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def paths(results_dir: Path, folder: str | None = None) -> Iterator[Path]:
    """Yield the result files of one folder or all, newest first."""
    for name in [folder] if folder else sorted(folders().values()):
        found = files.found(results_dir / name, "*.json")
        yield from sorted(found, key=_changed_s, reverse=True)


def _changed_s(path: Path) -> float:
    """Return when a file was changed last; 0 for a link that leads nowhere."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def find(results_dir: Path, name: str) -> Path:
    """Return the file a path, a path below the results directory, or a run id means."""
    return Finder(results_dir).find(name)


class Finder:
    """Finds the result files that names mean; the directory is read once for all names."""

    def __init__(self, results_dir: Path) -> None:
        """Take the directory."""
        self._directory = results_dir

    def find(self, name: str) -> Path:
        """Return the file a path, a path below the results directory, or a run id means.

        Raises ResultsError where there is none.
        """
        for candidate in (files.home(name), self._directory / name):
            if files.exists(candidate):
                return candidate
        found = self._stems.get(name) or self._run_ids.get(name)
        if found is None:
            where = f"in {self._directory}: llamaburn results list shows them"
            raise ResultsError(f"no result '{name}' {where}")
        return found

    @cached_property
    def _stems(self) -> dict[str, Path]:
        return {path.stem: path for path in self._oldest_first}

    @cached_property
    def _run_ids(self) -> dict[str | None, Path]:
        return {_run_id(path): path for path in self._oldest_first}

    @cached_property
    def _oldest_first(self) -> list[Path]:
        return [*paths(self._directory)][::-1]


@dataclass
class _Run:
    run_id: str


@dataclass
class _Named:
    id: str


@dataclass
class _Compared:
    model: _Named


@dataclass
class _Machine:
    fingerprint: str | None = None


@dataclass
class _Median:
    p50: float | None = None


@dataclass
class _Summary:
    tokens_per_sec: _Median = field(default_factory=_Median)
    time_to_first_token_ms: _Median = field(default_factory=_Median)


@dataclass
class _Totals:
    requests: int
    succeeded: int
    planned: int | None = None  # of an eval, answers and markings
    planned_answers: int | None = None


@dataclass
class _Mark:
    mean: float | None = None
    value: float | None = None


@dataclass
class _Right:
    right: int = 0
    by_state: dict[str, int] = field(default_factory=dict)

    @property
    def mean(self) -> float | None:
        """The share of right answers; what an earlier version left out is wrong."""
        states = self.by_state.items()
        answers = sum(count for state, count in states if state not in NO_VERDICT)
        return self.right / answers if answers else None


@dataclass
class _Pairs:
    win_rate: _Mark


@dataclass
class _Found:
    summary: _Summary = field(default_factory=_Summary)
    criteria: dict[str, _Mark] = field(default_factory=dict)
    grades: dict[str, _Mark] = field(default_factory=dict)
    correct: _Right = field(default_factory=_Right)
    pairwise: _Pairs | None = None
    totals: _Totals | None = None
    files: list[_Compared] = field(default_factory=list)


@dataclass
class Brief:
    """What lists and look-ups need of a result file, named and placed as in it."""

    schema: str
    run_id: str
    status: str
    results: _Found
    model: _Named | None = None
    environment: _Machine = field(default_factory=_Machine)

    @property
    def models(self) -> list[str]:
        """The model's id, or those that were compared."""
        parts: list[Any] = [self, *self.results.files]
        return list(dict.fromkeys(part.model.id for part in parts if part.model))

    @property
    def requests(self) -> tuple[int, int] | None:
        """How many requests succeeded, and how many were planned, or else sent."""
        totals = self.results.totals
        if totals is None:
            return None
        of_eval = self.schema == f"{PREFIX}eval"
        planned = totals.planned_answers if of_eval else totals.planned
        return totals.succeeded, max(totals.requests, planned or 0)

    @property
    def marks(self) -> dict[str, float]:
        """An eval's means: of criteria, grades, right answers, wins; without what has none."""
        found = self.results
        rate = found.pairwise.win_rate.value if found.pairwise else None
        means = {name: one.mean for name, one in found.criteria.items()}
        means |= {name: found.grades[name].mean for name in _LISTED if name in found.grades}
        every = {**means, "correct": found.correct.mean, "win rate": rate}
        return {name: mean for name, mean in every.items() if mean is not None}


def brief(path: Path) -> Brief:
    """Return the few facts of a result file that lists and look-ups need.

    Only these are decoded and checked, so that a list of ten thousand files takes a second or two;
    `load` checks everything. Raises ResultsError saying why the file is not a result.
    """
    found: Brief = _decode(path, Brief)
    if found.schema.removeprefix(PREFIX) not in kinds():
        raise ResultsError(f"{path} is not a result file: {_unknown(found.schema)}")
    return found


def _decode(path: Path, kind: type) -> Any:
    """Return the fields of a JSON file that a dataclass has; raises ResultsError."""
    import msgspec

    try:
        return _decoder(kind).decode(_read(path))
    except msgspec.ValidationError as err:
        raise ResultsError(f"{path} is not a result file: {err}") from err
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise ResultsError(f"{path} is not JSON: {err}") from err


def _read(path: Path) -> bytes:
    """Return a result file's JSON; raises ResultsError."""
    try:
        return files.plain_bytes(path).removeprefix(codecs.BOM_UTF8)
    except (OSError, ValueError) as err:
        raise ResultsError(f"{path} cannot be read: {files.reason(err)}") from err


@cache
def _decoder(kind: type) -> Any:
    import msgspec

    return msgspec.json.Decoder(kind)


def earlier(
    results_dir: Path, wanted: set[tuple[str, str]], kind: str = "benchmark"
) -> Iterator[dict[str, Any]]:
    """Yield a kind's newest files, up to a limit, of wanted (machine fingerprint, model) pairs.

    Damaged files are passed over: they are evidence of nothing.
    """
    left = _EARLIER_FILES
    for path in paths(results_dir, folders()[kind]) if wanted else ():
        if not left:
            return
        with suppress(ResultsError):
            about = brief(path)
            if (about.environment.fingerprint, *about.models) in wanted:
                yield load(path)
                left -= 1


def of_model(results_dir: Path, kind: str, model_id: str) -> Iterator[Path]:
    """Yield the files of a kind and a model, newest first; damaged ones are passed over."""
    for path in paths(results_dir, folders()[kind]):
        with suppress(ResultsError):
            if brief(path).models == [model_id]:
                yield path


def to_frame(paths: Iterable[Path]) -> pd.DataFrame:
    """Return a data frame with one row per timed request of some benchmarks, failed ones too.

    Its columns are `file`, `session_id`, `run_id`, `model`, `server` and `fingerprint`, then the
    request's fields as in the file, `error` being the kind of failure.
    Raises MissingExtraError without the extra [pandas], ResultsError for other files.
    """
    try:
        import pandas as pd
    except ImportError as err:
        raise MissingExtraError("pandas", "results.to_frame") from err
    return pd.DataFrame([row for path in paths for row in _frame_rows(path)])


def _frame_rows(path: Path) -> Iterator[dict[str, Any]]:
    document = load_benchmark(path)
    about = {
        "file": str(path),
        "session_id": document["session_id"],
        "run_id": document["run_id"],
        "model": document["model"]["id"],
        "server": document["server"]["kind"],
        "fingerprint": document["environment"].get("fingerprint"),
    }
    for run in document["results"]["runs"]:
        fields = {k: v for k, v in run.items() if k != "null_reasons"}
        yield {**about, **fields, "error": run["error"] and run["error"]["kind"]}


def _run_id(path: Path) -> str | None:
    try:
        return str(_decode(path, _Run).run_id)
    except ResultsError:
        return None  # not a result file: `results list` says so


def _written(temporary: Path, text: str) -> Path:
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _link(temporary: Path, folder: Path, stem: str) -> Path:
    """Give the finished file the first free name; a link fails where a rename would overwrite."""
    number = 0
    while True:
        number += 1
        target = folder / (f"{stem}.json" if number == 1 else f"{stem}_{number}.json")
        try:
            os.link(temporary, target)
        except FileExistsError:
            continue
        except OSError:  # a file system without links
            if target.exists():
                continue
            return temporary.replace(target)
        temporary.unlink()
        return target

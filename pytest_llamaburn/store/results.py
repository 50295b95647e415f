"""Result files of all kinds: checking, writing, finding and loading them.

The pydantic models in `kinds/` define the format: `llamaburn schema` prints their JSON Schema, and
`results validate` checks files against them. Every table is made from a result file alone.
"""

from __future__ import annotations

import codecs
import glob
import json
import re
import sys
import unicodedata
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from pydantic import ValidationError

from pytest_llamaburn import files, registry
from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.store.file_kinds import named
from pytest_llamaburn.texts import dumps, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.store.file_kinds import FileKind, RunFileKind
    from pytest_llamaburn.store.journal import Record

SCHEMA_VERSION = 1
PREFIX = "llamaburn/"
_NAME_BYTES = 120
EARLIER_FILES = 50  # enough to estimate the noise of a machine


@cache
def kinds() -> tuple[str, ...]:
    """Return the kinds of result files: those of runs, and the comparisons of each."""
    return with_comparisons(registry.names("kinds"))


def with_comparisons(names: Iterable[str]) -> tuple[str, ...]:
    """Return these kinds of files and the kinds of their comparisons."""
    every = {name: named(name).comparison or name for name in names}
    return tuple(sorted({*every, *every.values()}))


def room(document: Mapping[str, object], name: str) -> Any:
    """Return a module of the package of a document's kind; also for a journal's header."""
    return import_module(f"{kind_of(document).package}.{name}")


def kind_of(document: Mapping[str, object]) -> FileKind:
    """Return the KIND of a document or of a journal's header."""
    return named(_kind_name(document))


def run_kind_of(document: Mapping[str, object]) -> RunFileKind:
    """Return the KIND of the document or the journal's header of a run."""
    run: RunFileKind = registry.load("kinds", _kind_name(document)).KIND
    return run


def _kind_name(document: Mapping[str, object]) -> str:
    return str(document["schema"]).removeprefix(PREFIX)


def build(record: Record) -> Document:
    """Return the content of a run's result file, made from its journal.

    Raises ResultsError if the journal is gone.
    """
    document: Document = room(record.opened, "result").build(record)
    return document


@cache
def folders() -> dict[str, str]:
    """Return the folder of each kind."""
    return {name: named(name).folder for name in kinds()}


class Listing(NamedTuple):
    """A list of result files: the kind of its files, and the pattern of its folders."""

    kind: str
    pattern: str


@cache
def lists() -> dict[str, Listing]:
    """Return the lists of result files by name."""
    found = {pattern: name for name in kinds() for pattern in (named(name).folder, *_more(name))}
    return {
        pattern.partition("/")[0]: Listing(found[pattern], pattern) for pattern in sorted(found)
    }


def _more(name: str) -> tuple[str, ...]:
    more: tuple[str, ...] = named(name).more_folders
    return more


def write(results_dir: Path, document: Document) -> Path:
    """Write a result file atomically and return its path.

    Only an earlier file of the same run, which this one continues, is overwritten. Raises
    ResultsError if the file cannot be written.
    """
    folder, stem = _home(results_dir, document)
    text = _indented(document)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = files.written(folder / f".{document['run_id']}.tmp", text.encode())
        earlier = of_run(results_dir, document)
        if earlier is not None:
            return temporary.replace(earlier)
        return files.named(temporary, folder, stem)
    except OSError as err:
        raise ResultsError(f"{folder} cannot be written: {err.strerror or err}") from err


def _indented(document: Document) -> str:
    """Return a document as indented JSON; msgspec is ten times as fast as `json` here."""
    return msgspec.json.format(dumps(document), indent=2) + "\n"


def of_run(results_dir: Path, header: Mapping[str, object]) -> Path | None:
    """Return a run's existing result file, or None; `header` is its journal's or a document."""
    folder, stem = _home(results_dir, header)
    found = files.found(folder, f"{glob.escape(stem)}*.json")
    return next((path for path in found if _run_id(path) == header["run_id"]), None)


def _home(results_dir: Path, header: Mapping[str, Any]) -> tuple[Path, str]:
    """Return the folder and the file name, without suffix, of a run's result."""
    kind = kind_of(header)
    stamp = header["timestamp"][:19].replace(":", "-")
    return results_dir / kind.place(header), f"{safe_name(kind.file_stem(header))}_{stamp}"


def safe_name(subject: str) -> str:
    """Return a valid file name for a subject: `llama3.1:q4` gives `llama3.1_q4`.

    Letters of any script are kept if the file system allows them. A name that is too long is cut
    and gets a checksum.
    """
    encoding, subject = sys.getfilesystemencoding(), whole(subject)
    text = unicodedata.normalize("NFC", subject).encode(encoding, "replace").decode(encoding)
    name = re.sub(r"[^\w.-]+", "_", text).strip("._-") or "model"
    if len(name.encode()) <= _NAME_BYTES:
        return name
    mark = f"_{zlib.crc32(subject.encode(errors='replace')):08x}"
    return name.encode()[: _NAME_BYTES - len(mark)].decode(errors="ignore") + mark


def load(path: Path) -> Document:
    """Return a result file's content; files of older versions are converted.

    Raises ResultsError with the reason if it is not a result file.
    """
    return parsed(_read(path), str(path))


def parsed(raw: bytes, name: str) -> Document:
    """Return the content of a result file of that name; raises ResultsError as `load` does."""
    try:
        document = msgspec.json.decode(raw)
    except (ValueError, RecursionError) as err:  # msgspec's errors are ValueErrors
        raise ResultsError(f"{name} is not JSON: {err}") from err
    problem = _problem(document, raw)
    if problem:
        raise ResultsError(f"{name} is not a result file: {problem}")
    modern = getattr(room(document, "result"), "modern", None)
    converted: Document = modern(document) if modern else document
    return converted


def load_of(path: Path, kind: str) -> Document:
    """Return the content of a file of a kind; raises ResultsError for any other."""
    document = load(path)
    if document["schema"] != PREFIX + kind:
        raise ResultsError(f"{path} is not of kind {kind}: its schema is {document['schema']}")
    return document


def check(document: object) -> str | None:
    """Return why a document is not a valid result file, or None."""
    return _problem(document, json.dumps(document))


def _problem(document: object, text: str | bytes) -> str | None:
    """Return why a document, whose JSON is `text`, is not a valid result file, or None."""
    if not isinstance(document, dict) or "schema" not in document:
        return "it has no 'schema'"
    if str(document["schema"]).removeprefix(PREFIX) not in kinds():
        return _unknown(document["schema"])
    try:
        kind_of(document).file_model().model_validate_json(text, strict=True)
    except ValidationError as err:
        first = err.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}"
    return None


def _unknown(schema: object) -> str:
    return f"schema '{schema}' is unknown (known: {', '.join(kinds())})"


def schema(name: str) -> Document:
    """Return the JSON Schema (2020-12) of a kind of result file."""
    found = named(name).file_model().model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def paths(results_dir: Path, folder: str | None = None) -> Iterator[Path]:
    """Yield the result files of one list or all, newest first."""
    for name in [folder] if folder else lists():
        found = files.found(results_dir, f"{lists()[name].pattern}/*.json")
        yield from sorted(found, key=_changed_s, reverse=True)


def _of_kind(results_dir: Path, name: str) -> Iterator[Path]:
    """Yield the files of a kind, newest first in each of its folders."""
    for pattern in (folders()[name], *_more(name)):
        yield from paths(results_dir, pattern.partition("/")[0])


def _changed_s(path: Path) -> float:
    """Return the time of a file's last change; 0 for a broken link."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def find(results_dir: Path, name: str) -> Path:
    """Return the file of a path, a path below the results directory, or a run id."""
    return Finder(results_dir).find(name)


class Finder:
    """Finds result files by name; it reads the directory once for all names."""

    def __init__(self, results_dir: Path) -> None:
        """Take the directory."""
        self._directory = results_dir

    def find(self, name: str) -> Path:
        """Return the file of a path, a path below the results directory, or a run id.

        Raises ResultsError if there is none.
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
class _Machine:
    fingerprint: str | None = None


@dataclass
class _Outline:
    schema: str
    run_id: str
    status: str
    results: msgspec.Raw
    timestamp: str | None = None
    model: _Named | None = None
    environment: _Machine = field(default_factory=_Machine)


@dataclass
class Brief:
    """The fields of a result file that lists need; the kind defines those of `results`."""

    schema: str
    status: str
    models: list[str]  # the model's id, or those that were compared
    fingerprint: str | None
    results: Any
    run_id: str
    timestamp: str | None  # of its begin, UTC


def brief(path: Path) -> Brief:
    """Return the fields of a result file that lists need.

    Only these are decoded and checked, so that a list of 10,000 files takes one or two seconds;
    `load` checks everything. Raises ResultsError with the reason if it is not a result file.
    """
    outline = _decode(path, _read(path), _Outline)
    if outline.schema.removeprefix(PREFIX) not in kinds():
        raise ResultsError(f"{path} is not a result file: {_unknown(outline.schema)}")
    results = _decode(path, outline.results, named(outline.schema.removeprefix(PREFIX)).brief())
    models = [*([outline.model.id] if outline.model else []), *results.models]
    machine = outline.environment.fingerprint
    return Brief(
        outline.schema,
        outline.status,
        [*dict.fromkeys(models)],
        machine,
        results,
        outline.run_id,
        outline.timestamp,
    )


def _decode(path: Path, raw: bytes | msgspec.Raw, fields: type) -> Any:
    """Decode a file's JSON into a dataclass; raises ResultsError."""
    try:
        return _decoder(fields).decode(raw)
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
def _decoder(fields: type) -> Any:
    return msgspec.json.Decoder(fields)


def earlier(results_dir: Path, wanted: set[tuple[str, str]], kind: str) -> Iterator[Document]:
    """Yield the newest files of a kind, up to a limit, of these (fingerprint, model) pairs.

    Damaged files are skipped.
    """
    left = EARLIER_FILES
    for path in _of_kind(results_dir, kind) if wanted else ():
        if not left:
            return
        with suppress(ResultsError):
            facts = brief(path)
            if (facts.fingerprint, *facts.models) in wanted:
                yield load(path)
                left -= 1


def of_model(results_dir: Path, kind: str, model_id: str) -> Iterator[Path]:
    """Yield the files of a kind and a model, newest first; damaged files are skipped."""
    for path in _of_kind(results_dir, kind):
        with suppress(ResultsError):
            if brief(path).models == [model_id]:
                yield path


def _run_id(path: Path) -> str | None:
    try:
        return str(_decode(path, _read(path), _Run).run_id)
    except ResultsError:
        return None  # it is not a result file

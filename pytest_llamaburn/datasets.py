"""Data files: where built-in ones are, how files are read as rows; and prompt sets."""

from __future__ import annotations

import hashlib
import json
import random
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

from pytest_llamaburn import files
from pytest_llamaburn.errors import DatasetError, MissingExtraError
from pytest_llamaburn.registry import unknown
from pytest_llamaburn.texts import whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

_PROMPT_SUFFIXES = (".json", ".jsonl", ".csv", ".txt")
_DELIMITERS = ",;\t"  # of a CSV file, likeliest first: in some countries spreadsheets write ;
TEXT_OR_NUMBER: Final = {"anyOf": [{"type": "string", "minLength": 1}, {"type": "integer"}]}
_TEXTS: Final = {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}
TEXT_OR_TEXTS: Final = {"anyOf": [{"type": "string", "minLength": 1}, _TEXTS]}


class Prompt(NamedTuple):
    """One prompt of a set."""

    id: str
    category: str
    text: str

    @property
    def sha256(self) -> str:
        """Return a short digest of the text: the same prompt in another run has the same."""
        return hashlib.sha256(whole(self.text).encode()).hexdigest()[:16]


class Planned(NamedTuple):
    """A prompt and how many timed requests it gets."""

    prompt: Prompt
    iterations: int


class Entry(Protocol):
    """An entry of a set: a prompt or a question."""

    @property
    def category(self) -> str:
        """The category that the entry belongs to."""


AnyEntry = TypeVar("AnyEntry", bound=Entry)


def data_dir(folder: str) -> Path:
    """Return a folder of shipped data: inside the package in a wheel, beside it in a clone."""
    package = Path(__file__).parent
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


def load_prompts(names: Iterable[str]) -> list[Prompt]:
    """Return the prompts of several sets, each a built-in name or a file.

    A file is JSON (a set, or a list of prompts), JSONL, CSV with a column `prompt`, or text with a
    prompt on each line. A prompt without an id gets the file's name and its number. Raises
    DatasetError with the file, the entry and the field that is wrong.
    """
    found: dict[str, Prompt] = {}
    for name in names:
        path = find(name, "prompts", "prompt set", _PROMPT_SUFFIXES)
        for prompt in _read(path):
            if prompt.id in found and found[prompt.id] != prompt:
                raise DatasetError(f"{path}: id '{prompt.id}' is also in another prompt set")
            found[prompt.id] = prompt
    return list(found.values())


def plan(prompts: Sequence[Prompt], iterations: int, seed: int) -> list[Planned]:
    """Return the prompts to use, each with its share of `iterations`.

    With at least as many iterations as prompts, they are spread evenly. With fewer, prompts are
    chosen by `stratified`.
    """
    if iterations < len(prompts):
        return [Planned(p, 1) for p in stratified(prompts, iterations, seed)]
    each, extra = divmod(iterations, len(prompts))
    return [Planned(p, each + (i < extra)) for i, p in enumerate(prompts)]


def stratified(entries: Sequence[AnyEntry], count: int, seed: int) -> list[AnyEntry]:
    """Return `count` entries, one of each category in turn; a seed always gives the same choice."""
    rng = random.Random(seed)  # noqa: S311 - a reproducible choice, not a secret
    groups: dict[str, list[AnyEntry]] = {}
    for entry in entries:
        groups.setdefault(entry.category, []).append(entry)
    for group in groups.values():
        rng.shuffle(group)
    rounds = max(map(len, groups.values()), default=0)
    in_turn = [g[i] for i in range(rounds) for g in groups.values() if i < len(g)]
    return in_turn[:count]


def _read(path: Path) -> list[Prompt]:
    from pydantic import ValidationError

    content, places = content_of(path, "prompts")
    try:
        checked: Any = prompt_set_model().model_validate(content)
    except ValidationError as err:
        raise DatasetError(f"{path}: {located(err, content, places)}") from None
    entries = [Prompt(e.id, e.category, e.prompt) for e in checked.prompts]
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            raise DatasetError(f"{path}: id '{entry.id}' is given twice")
        seen.add(entry.id)
    return entries


def content_of(path: Path, key: str) -> tuple[Any, list[str]]:
    """Return the content of a set, with its entries under `key`, and the place of each entry.

    A JSON object is a set already. Any other file is a list of entries, which need no ids.
    """
    content = _json(path) if path.suffix.lower() == ".json" else None
    if isinstance(content, dict):
        return content, []
    found = list(rows(path))
    bare = key == "prompts"
    entries = [
        _named({"prompt": entry} if bare and isinstance(entry, str) else entry, f"{path.stem}-{n}")
        for n, (_, entry) in enumerate(found, 1)
    ]
    return {"name": path.stem, key: entries}, [place for place, _ in found]


def _named(entry: object, identifier: str) -> Any:
    """Return an entry with an id, without the empty cells of a table."""
    if not isinstance(entry, dict):
        return entry
    return {"id": identifier, **{name: value for name, value in entry.items() if value != ""}}


def as_text(value: object) -> Any:
    """Return a whole number as text, any other value as it is."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def rows(path: Path, columns: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a JSON array, a JSONL, CSV, Parquet or text file, each with its place.

    `columns` are the names of a CSV file without a header. Raises DatasetError, and
    MissingExtraError for a Parquet file without the extra [parquet].
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        yield from _csv_rows(path, columns)
    elif suffix == ".parquet":
        yield from ((f"row {n}", row) for n, row in enumerate(_parquet(path), 1))
    elif suffix == ".json":
        content = _json(path)
        if not isinstance(content, list):
            raise DatasetError(f"{path}: the whole file: should be a list")
        yield from ((f"[{index}]", row) for index, row in enumerate(content))
    else:
        plain = suffix == ".txt"
        lines = enumerate(_text(path).split("\n"), 1)
        for place, line in ((f"line {n}", line) for n, line in lines if line.strip()):
            yield place, line if plain else _parsed(f"{path}: {place}", line)


def _parquet(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as err:
        raise MissingExtraError("parquet", str(path)) from err
    try:
        raw = files.plain_bytes(path)
        found: list[dict[str, Any]] = parquet.read_table(pa.BufferReader(raw)).to_pylist()
    except (OSError, ValueError, pa.ArrowException) as err:
        raise DatasetError(f"{path}: is not Parquet: {files.reason(err)}") from None
    return found


def _csv_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    import csv
    import io

    text = _text(path)
    head = text.partition("\n")[0]
    delimiter = next((one for one in _DELIMITERS if one in head), _DELIMITERS[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        records = [(reader.line_num, row) for row in reader if row]
    except csv.Error as err:
        raise DatasetError(f"{path}: line {reader.line_num}: is not CSV: {err}") from None
    headless = columns and records and not set(columns) <= set(records[0][1])
    names = columns if headless or not records else records.pop(0)[1]
    for line, row in records:
        if len(row) != len(names):
            reason = f"has {len(row)} columns instead of {len(names)}"
            raise DatasetError(f"{path}: line {line}: {reason}")
        yield f"line {line}", dict(zip(names, row, strict=True))


def named_place(place: str, identifier: object) -> str:
    """Return the place of an entry, with its id if it has one."""
    return f"{place} (id '{identifier}')" if isinstance(identifier, str) else place


def located(err: ValidationError, content: Any, places: Sequence[str]) -> str:
    """Return the place and the reason of the first error, with the id of its entry."""
    first = err.errors()[0]
    match first["loc"]:
        case ("questions" | "prompts" as key, int(index), *fields):
            entry = content[key][index]
            identifier = entry.get("id") if isinstance(entry, dict) else None
            inside = f": {_dotted(fields)}" if fields else ""
            place = places[index] if places else f"{key}[{index}]"
            return f"{named_place(place, identifier)}{inside}: {_reason(first)}"
    return _located(err)


def shipped(folder: str) -> list[str]:
    """Return the names of the built-in sets in a folder."""
    return sorted(path.stem for path in data_dir(folder).glob("*.json"))


def find(
    name: str, folder: str, what: str, suffixes: tuple[str, ...], more: Sequence[str] = ()
) -> Path:
    """Return the path of a built-in set or of a file; `what` names a set of that kind.

    `more` are names of other built-in sets, for the message.

    Raises DatasetError for an unknown name and a file that does not exist.
    """
    built_in = shipped(folder)
    if name in built_in:
        return data_dir(folder) / f"{name}.json"
    path = files.home(name)
    if path.suffix.lower() not in suffixes:
        listed = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
        raise DatasetError(f"{unknown(what, name, [*built_in, *more])}, or a {listed} file")
    if not files.exists(path):
        raise DatasetError(f"{what}: {name} does not exist")
    return path


def digest_of(path: Path) -> str | None:
    """Return a digest of a file's content; None if the file cannot be read."""
    try:
        return hashlib.sha256(files.plain_bytes(path)).hexdigest()
    except (OSError, ValueError):
        return None


def _json(path: Path) -> Any:
    return _parsed(str(path), _text(path, "is not JSON"))


def _parsed(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as err:
        raise DatasetError(f"{where}: is not JSON: {err}") from None


def _text(path: Path, reason: str = "cannot be read") -> str:
    try:
        return files.text(files.plain_bytes(path))
    except (OSError, ValueError) as err:
        raise DatasetError(f"{path}: {reason}: {files.reason(err)}") from None


def _located(err: ValidationError) -> str:
    first = err.errors()[0]
    return f"{_dotted(first['loc']) or 'the whole file'}: {_reason(first)}"


def _reason(error: ErrorDetails) -> str:
    if error["type"] == "model_type":
        return f"{json.dumps(error['input'])} is not an object with fields"
    if error["type"] == "too_short" and not error["input"]:
        return "there is none: give at least one"
    return error["msg"].lower()


def _dotted(loc: Iterable[int | str]) -> str:
    return ".".join(f"[{p}]" if isinstance(p, int) else p for p in loc).replace(".[", "[")


@cache
def prompt_set_model() -> type[BaseModel]:
    """Return the model of a prompt set file, from which its JSON Schema is made."""
    from typing import Annotated, Literal

    from pydantic import (
        BaseModel,
        BeforeValidator,
        ConfigDict,
        Field,
        StringConstraints,
        WithJsonSchema,
    )

    text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    identifier = Annotated[text, BeforeValidator(as_text), WithJsonSchema(TEXT_OR_NUMBER)]

    class PromptEntry(BaseModel):
        """One prompt; `expected_length` says how long an answer it asks for."""

        model_config = ConfigDict(extra="forbid")
        id: identifier
        category: text = "custom"
        expected_length: Literal["short", "medium", "long"] | None = None
        prompt: text

    class PromptSet(BaseModel):
        """A set of prompts for `--prompts`."""

        model_config = ConfigDict(extra="forbid")
        name: text
        version: str = "1.0"
        description: str = ""
        prompts: Annotated[list[PromptEntry], Field(min_length=1)]

    return PromptSet

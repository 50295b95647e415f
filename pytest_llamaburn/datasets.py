"""Prompt sets and eval sets: where they are, whether they are sound, what a run uses of them."""

from __future__ import annotations

import hashlib
import json
import random
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from pytest_llamaburn import criteria, files, measures, metrics, registry
from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.registry import unknown
from pytest_llamaburn.texts import whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

    from pytest_llamaburn.criteria import Criterion

_PROMPT_SUFFIXES = (".json", ".jsonl", ".csv", ".txt")
_QUESTION_SUFFIXES = (".json", ".jsonl", ".csv")
_DELIMITERS = ",;\t"  # of a CSV file, likeliest first: some countries' spreadsheets write ;
_TEXT_OR_NUMBER = {"anyOf": [{"type": "string", "minLength": 1}, {"type": "integer"}]}
# Names that a row of a spreadsheet or a table has already.
_TAKEN: Final = (
    *("model", "run_id", "question_id", "questions", "category", "prompt", "reference"),
    *("answer", "scorer_state", "comparison", "preference", "flags", "error"),
)


class Prompt(NamedTuple):
    """One prompt of a set."""

    id: str
    category: str
    text: str

    @property
    def sha256(self) -> str:
        """Return a short digest of the text: the same prompt in another run has the same."""
        return hashlib.sha256(whole(self.text).encode()).hexdigest()[:16]


class Question(NamedTuple):
    """One question of an eval set; without a scorer, only a judge can tell whether it is answered.

    `options` holds the fields that only its scorer reads, as the file has them; `definitions` those
    of the criteria of the user's own; `context` the documents to answer with.
    """

    id: str
    prompt: str
    reference: str | None
    category: str
    allow_web_search: bool = False
    rubric: str | None = None
    scorer: str | None = None
    criteria: tuple[str, ...] = criteria.USUAL
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed
    definitions: tuple[dict[str, Any], ...] = ()
    context: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Return a short digest of what is asked and what counts as its answer."""
        context = [self.context] if self.context else []
        return _digest([self.prompt, self.reference, self.rubric, self.options, *context])

    @property
    def asked(self) -> tuple[Criterion, ...]:
        """What judges are asked about the answer."""
        known = criteria.defined(self.definitions)
        return tuple(known.get(name) or criteria.named(name) for name in self.criteria)

    @property
    def content(self) -> tuple[Any, ...]:
        """All that a set's digest is of; what earlier versions had not, only where it is given."""
        return tuple(value for n, value in enumerate(self) if n < _FIRST_FIELDS or value)


_FIRST_FIELDS: Final = 9
Entry = TypeVar("Entry", Prompt, Question)


class Example(NamedTuple):
    """A solved question to show before others: those of its category, or all where it has none."""

    prompt: str
    answer: str
    category: str | None = None


class EvalSet(NamedTuple):
    """The questions of one eval set; `sha256` is of all they say, however the file is laid out."""

    name: str
    version: str
    questions: tuple[Question, ...]
    sha256: str
    path: Path
    system: str | None = None
    examples: tuple[Example, ...] = ()


class Planned(NamedTuple):
    """A prompt and how many timed requests it gets."""

    prompt: Prompt
    iterations: int


def data_dir(folder: str) -> Path:
    """Return a folder of shipped data: inside the package in a wheel, beside it in a clone."""
    package = Path(__file__).parent
    inside = package / folder
    return inside if inside.is_dir() else package.parent / folder


def builtin_sets() -> list[str]:
    """Return the names of the built-in prompt sets."""
    return _shipped("prompts")


def load_prompts(names: Iterable[str]) -> list[Prompt]:
    """Return the prompts of several sets, each a built-in name or a file.

    A file is JSON (a set, or a list of prompts), JSONL, CSV with a column `prompt`, or text with a
    prompt a line. Prompts without an id get the file's name and their number.
    Raises DatasetError naming the file, the entry and the field that is wrong.
    """
    found: dict[str, Prompt] = {}
    for name in names:
        path = _find(name, "prompts", "prompt set", _PROMPT_SUFFIXES)
        for prompt in _read(path):
            if prompt.id in found and found[prompt.id] != prompt:
                raise DatasetError(f"{path}: id '{prompt.id}' is also in another prompt set")
            found[prompt.id] = prompt
    return list(found.values())


def plan(prompts: Sequence[Prompt], iterations: int, seed: int) -> list[Planned]:
    """Return the prompts to use with their share of `iterations`.

    With fewer iterations than prompts, a choice fixed by the seed takes one prompt of each
    category in turn; otherwise the iterations are spread evenly.
    """
    if iterations < len(prompts):
        return [Planned(p, 1) for p in stratified(prompts, iterations, seed)]
    each, extra = divmod(iterations, len(prompts))
    return [Planned(p, each + (i < extra)) for i, p in enumerate(prompts)]


def stratified(entries: Sequence[Entry], count: int, seed: int) -> list[Entry]:
    """Return a choice of `count` entries, the same for a seed: one of each category in turn."""
    rng = random.Random(seed)  # noqa: S311 - a reproducible choice, not a secret
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.category, []).append(entry)
    for group in groups.values():
        rng.shuffle(group)
    rounds = max(map(len, groups.values()), default=0)
    in_turn = [g[i] for i in range(rounds) for g in groups.values() if i < len(g)]
    return in_turn[:count]


def _read(path: Path) -> list[Prompt]:
    from pydantic import ValidationError

    content, places = _content(path, "prompts")
    try:
        checked: Any = prompt_set_model().model_validate(content)
    except ValidationError as err:
        raise DatasetError(f"{path}: {_entry_located(err, content, places)}") from None
    entries = [Prompt(e.id, e.category, e.prompt) for e in checked.prompts]
    seen: set[str] = set()
    for entry in entries:
        if entry.id in seen:
            raise DatasetError(f"{path}: id '{entry.id}' is given twice")
        seen.add(entry.id)
    return entries


def _content(path: Path, key: str) -> tuple[Any, list[str]]:
    """Return a set as its model has it, with its entries under `key`, and where each stands.

    What is no set of ours is a list of entries, which need no ids.
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


def _named(entry: Any, identifier: str) -> Any:
    """Return an entry with an id; an empty cell of a table is no value."""
    if not isinstance(entry, dict):
        return entry
    return {"id": identifier, **{name: value for name, value in entry.items() if value != ""}}


def _as_text(value: Any) -> Any:
    """Return a whole number as its text, anything else as it is."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def builtin_eval_sets() -> list[str]:
    """Return the names of the built-in eval sets."""
    return _shipped("eval_sets")


def load_eval_set(name_or_path: str | Path) -> EvalSet:
    """Return a built-in eval set, or that of a file: JSON, JSONL or CSV with a question a line.

    Raises DatasetError naming the file, the entry and the field that is wrong.
    """
    path = _find(str(name_or_path), "eval_sets", "eval set", _QUESTION_SUFFIXES)
    content, places = _content(path, "questions")
    return eval_set(content, path, places)


def eval_set(content: Any, path: Path, places: Sequence[str] = ()) -> EvalSet:
    """Return a checked eval set; `places` says where in the file at `path` each question stands.

    Raises DatasetError naming the file, the entry and the field that is wrong.
    """
    from pydantic import ValidationError

    try:
        checked: Any = eval_set_model().model_validate(content)
    except ValidationError as err:
        raise DatasetError(f"{path}: {_entry_located(err, content, places)}") from None
    own = _own_criteria(checked.criteria, path)
    questions = tuple(_question(entry, own) for entry in checked.questions)
    first: dict[str, str] = {}
    for index, question in enumerate(questions):
        where = _entry(places[index] if places else f"questions[{index}]", question.id)
        if question.id in first:
            raise DatasetError(f"{path}: {where}: id: {first[question.id]} has it already")
        first[question.id] = where
        for field, reason in _faults(question, own):
            raise DatasetError(f"{path}: {where}: {field}: {reason}")
    examples = tuple(Example(e.prompt, e.answer, e.category) for e in checked.examples)
    around = [checked.system, examples] if checked.system or examples else []
    contents = [question.content for question in questions]
    digest = _digest([contents, *around] if around else contents)
    return EvalSet(checked.name, checked.version, questions, digest, path, checked.system, examples)


def rows(path: Path, columns: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a JSON array, a JSONL, CSV or text file, each with its place in it.

    `columns` are the names for a CSV file whose first line has none of them. Raises DatasetError.
    """
    suffix = path.suffix.lower()
    if suffix == ".csv":
        yield from _csv_rows(path, columns)
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


def own_criterion(name: str, description: str, anchors: dict[str, str] | None = None) -> Criterion:
    """Return a criterion of the user's own; raises ValueError for a name that is taken."""
    found = criteria.own(name, description, anchors)
    taken = {m.name for m in measures.ANSWERS} | {*_TAKEN, *measures.names(metrics.MEASURES)}
    if name in taken:
        msg = f"'{name}' is refused: a measure has this name already; choose another one"
        raise ValueError(msg)
    return found


def _own_criteria(entries: Sequence[Any], path: Path) -> dict[str, Criterion]:
    found: dict[str, Criterion] = {}
    for index, one in enumerate(entries):
        where = f"{path}: criteria[{index}]"
        if one.name in found:
            raise DatasetError(f"{where}: name: '{one.name}' is given twice")
        try:
            found[one.name] = own_criterion(one.name, one.description, one.anchors)
        except ValueError as err:
            raise DatasetError(f"{where}: name: {err}") from None
    return found


def _faults(question: Question, own: dict[str, Criterion]) -> Iterator[tuple[str, str]]:
    """Yield field and reason of what would keep the question from being scored."""
    try:
        criteria.chosen(question.criteria, own)
    except ValueError as err:
        yield "criteria", str(err)
    known, scorer = registry.names("scorers"), question.scorer
    values = {**question.options, "reference": question.reference}
    if scorer and known and scorer not in known:
        yield "scorer", unknown("scorer", scorer, known)
    elif scorer in known:
        module = registry.load("scorers", scorer)
        lacking = [n for n in getattr(module, "NEEDS", ()) if values.get(n) in (None, [])]
        yield from ((name, f"the scorer {scorer} needs it") for name in lacking)
        if not lacking and hasattr(module, "faults"):
            yield from module.faults(question)


def _question(entry: Any, defined: dict[str, Criterion]) -> Question:
    """Return a checked entry as a Question; what Question has no field for is its scorer's."""
    given = {k: v for k, v in entry.model_dump(by_alias=True).items() if v is not None}
    own = {name: given.pop(name) for name in Question._fields if name in given}
    own["options"] = {**given, **own["options"]}
    own["criteria"] = tuple(dict.fromkeys(own["criteria"]))
    own["definitions"] = tuple(one.definition for one in defined.values())
    own["context"] = tuple(own.get("context", ()))
    if own.get("scorer") == "judge":
        own["scorer"] = None
    return Question(**{"reference": None, **own})


def _entry(place: str, identifier: Any) -> str:
    return f"{place} (id '{identifier}')" if isinstance(identifier, str) else place


def _entry_located(err: ValidationError, content: Any, places: Sequence[str]) -> str:
    """Return place and reason of the first error, with the id of the question it is in."""
    first = err.errors()[0]
    match first["loc"]:
        case ("questions" | "prompts" as key, int(index), *fields):
            entry = content[key][index]
            identifier = entry.get("id") if isinstance(entry, dict) else None
            inside = f": {_dotted(fields)}" if fields else ""
            place = places[index] if places else f"{key}[{index}]"
            return f"{_entry(place, identifier)}{inside}: {_reason(first)}"
    return _located(err)


def _shipped(folder: str) -> list[str]:
    return sorted(path.stem for path in data_dir(folder).glob("*.json"))


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _find(name: str, folder: str, what: str, suffixes: tuple[str, ...]) -> Path:
    shipped = _shipped(folder)
    if name in shipped:
        return data_dir(folder) / f"{name}.json"
    path = files.home(name)
    if path.suffix.lower() not in suffixes:
        listed = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
        raise DatasetError(f"{unknown(what, name, shipped)}, or a {listed} file")
    if not files.exists(path):
        raise DatasetError(f"{what}: {name} does not exist")
    return path


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
        return f"{json.dumps(error['input'])} is no object with fields"
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
    identifier = Annotated[text, BeforeValidator(_as_text), WithJsonSchema(_TEXT_OR_NUMBER)]

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


@cache
def eval_set_model() -> type[BaseModel]:
    """Return the model of an eval set file, from which its JSON Schema is made."""
    from typing import Annotated, Literal

    from pydantic import (
        BaseModel,
        BeforeValidator,
        ConfigDict,
        Field,
        FiniteFloat,
        StringConstraints,
        WithJsonSchema,
    )

    text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    identifier = Annotated[text, BeforeValidator(_as_text), WithJsonSchema(_TEXT_OR_NUMBER)]
    code = Annotated[str, StringConstraints(min_length=1)]

    class CriterionEntry(BaseModel):
        """A criterion of your own: its name, what a judge is told, and what each mark means."""

        model_config = ConfigDict(extra="forbid")
        name: text
        description: text
        anchors: (
            Annotated[dict[Literal["1", "2", "3", "4", "5"], text], Field(min_length=5)] | None
        ) = None

    class EvalQuestion(BaseModel):
        """One question; all from `accept` on is for its scorer.

        Without a scorer, or with `judge`, only a judge can tell. `accept` has further right answers
        beside the reference, `choices` the answers that A, B, C … stand for in the prompt, `tests`
        Python statements that call `entry_point`, `audio` the path of a recording, and `options`
        what else a scorer can be told. `context` has documents that the model is given to answer
        with.
        """

        model_config = ConfigDict(extra="forbid")
        id: identifier
        prompt: text
        reference: identifier | None = None
        category: text = "custom"
        allow_web_search: bool = False
        rubric: text | None = None
        scorer: text | None = None
        criteria: Annotated[tuple[text, ...], Field(min_length=1)] = criteria.USUAL
        context: Annotated[list[text], Field(min_length=1)] | None = None
        accept: list[text] | None = None
        choices: Annotated[list[text], Field(min_length=2, max_length=10)] | None = None
        tolerance: Annotated[FiniteFloat, Field(ge=0)] | None = None
        pattern: code | None = None
        schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
        entry_point: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")] | None = None
        tests: list[code] | None = None
        audio: text | None = None
        options: dict[str, Any] = {}

    class SolvedExample(BaseModel):
        """A solved question for `--few-shot`, for the questions of its category or for all."""

        model_config = ConfigDict(extra="forbid")
        prompt: text
        answer: text
        category: text | None = None

    class EvalSetFile(BaseModel):
        """A set of questions for `llamaburn eval --set`.

        `system` is the system message before each question; `examples` are what `--few-shot` shows.
        """

        model_config = ConfigDict(extra="forbid")
        name: text
        version: str = "1.0"
        description: str = ""
        system: text | None = None
        examples: list[SolvedExample] = []
        criteria: list[CriterionEntry] = []
        questions: Annotated[list[EvalQuestion], Field(min_length=1)]

    return EvalSetFile

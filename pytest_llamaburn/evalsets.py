"""Eval sets: their questions, how a file is read and checked, and their digests."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pytest_llamaburn import criteria, datasets, files, measures, media, metrics, registry
from pytest_llamaburn.errors import DatasetError, SettingsError
from pytest_llamaburn.evalset_file import eval_set_model
from pytest_llamaburn.program_measures import PROGRAMS
from pytest_llamaburn.registry import unknown
from pytest_llamaburn.sound_measures import SOUND, WRITTEN
from pytest_llamaburn.structure_measures import STRUCTURE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pytest_llamaburn.criteria import Criterion

_SUFFIXES = (".json", ".jsonl", ".csv")
# Names that are already columns of spreadsheets and tables.
_TAKEN: Final = (
    *("model", "run_id", "question_id", "questions", "category", "prompt", "reference"),
    *("answer", "scorer_state", "comparison", "preference", "flags", "error"),
)


class Question(NamedTuple):
    """One question of an eval set; without a scorer, only judges can score its answer.

    `media` has the images, recordings or videos: `kind`, `path` or `make` (a description from which
    it is made), and `sha256`. `options` has the fields that only the scorer reads, as they are in
    the file. `definitions` has the user's own criteria, `context` the documents to answer with.
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
    definitions: tuple[criteria.Definition, ...] = ()
    context: tuple[str, ...] = ()
    media: tuple[dict[str, Any], ...] = ()

    @property
    def sha256(self) -> str:
        """A short digest of the question and of all that decides whether an answer is right."""
        more = [part for part in (self.context, self._media_sha256) if part]
        return digest([self.prompt, self.reference, self.rubric, self.options, *more])

    @property
    def _media_sha256(self) -> tuple[str, ...]:
        return tuple(one["sha256"] for one in self.media)

    @property
    def asked(self) -> tuple[Criterion, ...]:
        """The criteria that judges are asked about."""
        known = criteria.defined(self.definitions)
        return tuple(known.get(name) or criteria.named(name) for name in self.criteria)

    @property
    def content(self) -> tuple[Any, ...]:
        """The fields for the digest of a set; fields of later versions only if they are given."""
        fields = self._replace(media=self._media_sha256)  # type: ignore[arg-type]  # for the digest
        return tuple(value for n, value in enumerate(fields) if n < _FIRST_FIELDS or value)


_FIRST_FIELDS: Final = 9


class Example(NamedTuple):
    """A solved question to show before the questions of its category, or before all questions."""

    prompt: str
    answer: str
    category: str | None = None


class EvalSet(NamedTuple):
    """The questions of one eval set.

    `sha256` is the digest of the questions and the system prompt. The layout of the file and the
    examples, which are shown only on demand, do not change it.
    """

    name: str
    version: str
    questions: tuple[Question, ...]
    sha256: str
    path: Path
    system_prompt: str | None = None
    examples: tuple[Example, ...] = ()
    modality: str | None = None  # of its media
    input: dict[str, Any] = {}  # noqa: RUF012 - the fields of questions about media of --input


def builtin_eval_sets() -> list[str]:
    """Return the names of the built-in eval sets."""
    return datasets.shipped("eval_sets")


def builtin_media_sets() -> list[str]:
    """Return the names of the built-in sets with media."""
    return datasets.shipped("media_sets")


def load_eval_set(name_or_path: str | Path) -> EvalSet:
    """Return a built-in eval set, or the set in a JSON, JSONL or CSV file.

    Raises DatasetError, which names the file, the entry and the invalid field.
    """
    name = str(name_or_path)
    if name in builtin_media_sets():
        path = datasets.data_dir("media_sets") / f"{name}.json"
    else:
        path = datasets.find(name, "eval_sets", "eval set", _SUFFIXES, builtin_media_sets())
    return _read(path, datasets.digest_of(path))


@lru_cache(maxsize=8)  # a run asks for its set often, and a large one takes a second
def _read(path: Path, content_sha256: str | None) -> EvalSet:  # noqa: ARG001 - part of the key
    content, places = datasets.content_of(path, "questions")
    return eval_set(content, path, places)


def eval_set(
    content: object, path: Path, places: Sequence[str] = (), folder: Path | None = None
) -> EvalSet:
    """Return a checked eval set; `places` has the place of each question in the file at `path`.

    `folder` is the directory of its media, by default that of the file. Raises DatasetError, which
    names the file, the entry and the invalid field.
    """
    from pydantic import ValidationError

    try:
        checked: Any = eval_set_model().model_validate(content)
    except ValidationError as err:
        raise DatasetError(f"{path}: {datasets.located(err, content, places)}") from None
    own = _own_criteria(checked.criteria, path)
    if any(entry.media for entry in checked.questions):
        _check_modality(checked.modality, path)
    tools = {tool.name: tool.model_dump() for tool in checked.tools}
    with_media = folder or path.parent
    questions = tuple(
        _question(entry, own, tools)._replace(media=_media(entry, checked.modality, with_media))
        for entry in checked.questions
    )
    first: dict[str, str] = {}
    for index, question in enumerate(questions):
        where = datasets.named_place(
            places[index] if places else f"questions[{index}]", question.id
        )
        if question.id in first:
            raise DatasetError(f"{path}: {where}: id: {first[question.id]} has it already")
        first[question.id] = where
        for field, reason in _faults(question, own):
            raise DatasetError(f"{path}: {where}: {field}: {reason}")
    examples = tuple(Example(e.prompt, e.answer, e.category) for e in checked.examples)
    contents = [question.content for question in questions]
    system = checked.system_prompt
    sha256 = digest([contents, system] if system else contents)
    about = (checked.name, checked.version, questions, sha256, path)
    return EvalSet(*about, system, examples, checked.modality, checked.input)


def _check_modality(name: str | None, path: Path) -> None:
    known = registry.names("modalities")
    if name not in known:
        why = unknown("modality", name, known) if name else f"is missing: {' or '.join(known)}"
        raise DatasetError(f"{path}: modality: {why}")


def _media(entry: Any, modality: str, folder: Path) -> tuple[dict[str, Any], ...]:
    """Return the media of a question with their digests; that of a missing file is None."""
    found: list[dict[str, Any]] = []
    for one in entry.media:
        if isinstance(one, str):
            path = folder / files.home(one)
            sha256 = media.sha256_of(path) if files.exists(path) else None
            found.append({"kind": modality, "path": str(path), "sha256": sha256})
        else:
            found.append({"kind": modality, "make": one.make, "sha256": one.sha256})
    return tuple(found)


def checked_criterion(found: Criterion) -> Criterion:
    """Return a user's criterion unchanged; raises ValueError if its name is already in use."""
    taken = {m.name for m in (*measures.ANSWERS, *PROGRAMS, *SOUND, *WRITTEN, *STRUCTURE)} | {
        *_TAKEN,
        *measures.names(metrics.MEASURES),
    }
    if found.name in taken:
        msg = f"'{found.name}' is refused: a measure already has this name; choose another one"
        raise ValueError(msg)
    return found


def own_criteria(texts: Iterable[str]) -> dict[str, Criterion]:
    """Return the criteria that --criterion defines, by name; raises SettingsError."""
    try:
        found = [checked_criterion(criteria.parse(text)) for text in texts]
    except ValueError as err:
        raise SettingsError(f"--criterion: {err}") from None
    return {one.name: one for one in found}


def _own_criteria(entries: Sequence[Any], path: Path) -> dict[str, Criterion]:
    found: dict[str, Criterion] = {}
    for index, one in enumerate(entries):
        where = f"{path}: criteria[{index}]"
        if one.name in found:
            raise DatasetError(f"{where}: name: '{one.name}' is given twice")
        try:
            own = criteria.own(one.name, one.description, one.anchors, one.scale)
            found[one.name] = checked_criterion(own)
        except ValueError as err:
            raise DatasetError(f"{where}: name: {err}") from None
    return found


def _faults(question: Question, own: dict[str, Criterion]) -> Iterator[tuple[str, str]]:
    """Yield a field and a reason for each fault because of which the question cannot be scored."""
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


def _question(
    entry: Any, defined: dict[str, Criterion], tools: dict[str, dict[str, Any]]
) -> Question:
    """Return a checked entry as a Question; all other fields become its options.

    A tool that the set defines stands for its name; an unknown name stays, as a fault.
    """
    given = {k: v for k, v in entry.model_dump(by_alias=True).items() if v is not None}
    if "tools" in given:
        given["tools"] = [t if isinstance(t, dict) else tools.get(t, t) for t in given["tools"]]
    own = {name: given.pop(name) for name in Question._fields if name in given}
    own["options"] = {**given, **own["options"]}
    own["criteria"] = tuple(dict.fromkeys(own["criteria"]))
    own["definitions"] = tuple(one.definition for one in defined.values())
    own["context"] = tuple(own.get("context", ()))
    own["media"] = ()  # its paths depend on the directory of the file
    if own.get("scorer") == "judge":
        own["scorer"] = None
    return Question(**{"reference": None, **own})


def digest(content: object) -> str:
    """Return a short digest of JSON types."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

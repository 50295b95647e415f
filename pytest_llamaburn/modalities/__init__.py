"""What a model is shown or heard besides text: one module per modality.

A modality's module has
- `KIND`, the kind of its media (image, audio or video), and `CAPABILITY`, what servers call the
  ability to take them; a modality that sends no media has neither;
- `SUFFIXES`, the file suffixes of its media, each with its MIME type;
- `check(path)`, which raises DatasetError for a file that cannot be used;
- `encode(path, settings)`, which returns the `media.Medium` that a request carries;
- `make(spec, path)`, which makes a medium of a shipped set from its description;
- `probe(settings)`, which returns a small medium, to find out whether a server takes any;
- `size_of(facts)`, which returns the group of a medium in the table by size, and a number by which
  groups are sorted; `GROUPED_BY` names what they are grouped by, if it is not the size;
- `fingerprint(path)`, a digest of the content of a made medium; `MADE_SUFFIX`, its file suffix;
- `SETTINGS`, the settings of an eval that a form shows first, if there are any;
- `OWN`, the setting that asks one question of the user's own instead of a set, if there is one;
- `ready()`, which raises MissingExtraError if a library is missing.

It may also have `settled(settings, model, server)`, which returns the settings that it decides by
what the server says that the model takes; it raises ServerError.

It may also have `ask(backend, model, question, media, settings)`, a coroutine for models that are
not asked by a chat request. It returns a Trace and a dict of what it measured besides, which is
recorded as the answer's `measured`; `MEASURED` has the unit of each number of it.
`asks(question, settings)` returns whether a question is asked so; without it, all are. A modality
whose answers are media may leave out what media in a request need.

Answers to chat requests may be media in text. Such a modality has
- `way(backend, server, questions, settings)`, a coroutine called before the first question,
  which returns a change of the settings, and a sentence about it for the user;
- `prompt(question, text)`, which returns the text that is sent;
- `constrained(body, question, server, settings)`, which returns a request that holds the answer to
  a form;
- `of_answer(question, facts, server, settings)`, which returns what is measured of an answer.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import media, registry
from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.readers import listed
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_llamaburn.media import Medium

Entry = dict[str, Any]  # of a question's `media`: kind, and path or make


def named(name: str) -> Any:
    """Return the module of a modality; raises SettingsError if it is unknown."""
    return registry.load("modalities", name)


def asks(modality: object, question: object, settings: object) -> bool:
    """Return whether a modality asks a question by a request of its own, not in a chat."""
    if not hasattr(modality, "ask"):
        return False
    return modality.asks(question, settings) if hasattr(modality, "asks") else True


def given(settings: object) -> list[Any]:
    """Return the modalities whose option, such as --image, names files."""
    return [named(name) for name in registry.names("modalities") if getattr(settings, name, ())]


def of_settings(modality: Any, settings: Any) -> list[Medium]:
    """Return the media that an option such as --image names; raises DatasetError."""
    paths = [Path(path) for path in getattr(settings, modality.KIND)]
    for path in paths:
        modality.check(path)
    return [modality.encode(path, settings) for path in paths]


def encoded(entries: Sequence[Entry], settings: object) -> list[Medium]:
    """Return the media of a question as a request carries them."""
    return [named(entry["kind"]).encode(located(entry), settings) for entry in entries]


def check(entries: Sequence[Entry]) -> list[str]:
    """Make what is missing and check every medium; return a sentence for each that differs.

    Raises DatasetError for a medium that cannot be used.
    """
    differing = []
    for entry in entries:
        path = located(entry)
        if "make" in entry:
            if named(entry["kind"]).fingerprint(path) != entry.get("sha256"):
                differing.append(f"{path} is drawn differently by this version of its library")
        else:
            named(entry["kind"]).check(path)
    return differing


def check_all(media: Iterable[Sequence[Entry]]) -> list[str]:
    """Check the media of all questions, each once; return a sentence for each that differs.

    Raises DatasetError with the reason of the first that cannot be used, and a list of the others.
    """
    every = {json.dumps(one, sort_keys=True): one for entries in media for one in entries}
    differing: list[str] = []
    refused: dict[str, DatasetError] = {}
    for entry in every.values():
        try:
            differing += check([entry])
        except DatasetError as err:
            refused[str(entry.get("path", "a medium of the set"))] = err
    if refused:
        first, *others = refused
        more = f"; {counted(len(others), 'more file')}: {listed(others)}" if others else ""
        raise DatasetError(f"{refused[first]}{more}")
    return differing


def located(entry: Entry) -> Path:
    """Return the path of a medium; one that is described is made, unless it was made before."""
    if "make" not in entry:
        return Path(entry["path"])
    path = place_of(entry["make"], entry["kind"])
    if not path.exists():
        _made(entry, path)
    return path


def place_of(spec: Mapping[str, object], kind: str) -> Path:
    """Return where a medium that is made from a description is kept."""
    digest = sha256(json.dumps([kind, spec], sort_keys=True).encode()).hexdigest()[:32]
    return media.cache_dir() / f"{digest}{named(kind).MADE_SUFFIX}"


def _made(entry: Entry, path: Path) -> None:
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        named(entry["kind"]).make(entry["make"], temporary)
        temporary.replace(path)
    except OSError as err:
        with suppress(OSError):
            temporary.unlink()
        raise DatasetError(
            f"{path} cannot be written: {err.strerror or err}: set LLAMABURN_CACHE_DIR to a "
            "directory with room"
        ) from None

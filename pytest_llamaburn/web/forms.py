"""The settings of a kind of run as a client gives them: their schema, and their checks."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import options
from pytest_llamaburn.errors import LlamaBurnError
from pytest_llamaburn.option import model_of, options_of
from pytest_llamaburn.registry import unknown
from pytest_llamaburn.settings import Storage
from pytest_llamaburn.store import resume
from pytest_llamaburn.web import child, uploads
from pytest_llamaburn.web.jobs import Order
from pytest_llamaburn.web.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_llamaburn.kinds._kind import RunKind
    from pytest_llamaburn.option import Option

# A client must name neither directories nor commands of the server's machine, nor a cluster: what
# Ray's machines send each other runs as code.
_SERVERS_OWN = {*(option.name for option in options_of(Storage)), "server_command", "ray", "nodes"}
_OF_PATHS = re.compile(r"(?:^|[:=])(?!//)[/~.@]|\\")  # @ is before a file with a text
_DURATION = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[0-9.]+(ms|s|m|h)$"}]}


def allowed(kind: RunKind) -> dict[str, Option]:
    """Return the settings of a kind that a client may give, by name."""
    found = options_of(kind.settings_class)
    return {option.name: option for option in found if option.name not in _SERVERS_OWN}


def schema(kind: RunKind) -> dict[str, Any]:
    """Return the JSON Schema of a kind's settings, with what a form needs to know of each."""
    found = _fields(kind.settings_class)
    known = allowed(kind)
    properties = {
        name: _described(field, known[name])
        for name, field in found["properties"].items()
        if name in known
    }
    return {
        "title": found["title"],
        "description": found.get("description", ""),
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


@cache
def _fields(settings_class: type) -> dict[str, Any]:
    """Return the JSON Schema of a settings class, of which others make copies."""
    found: dict[str, Any] = model_of(settings_class).model_json_schema()
    return found


def _described(field: Mapping[str, Any], option: Option) -> dict[str, Any]:
    """Return a field's schema with its words, group, unit, flag and the modes that read it."""
    about = {"group": option.group, "unit": option.unit, "modes": [*option.modes] or None}
    more = {f"x-{name}": value for name, value in about.items() if value}
    found = {**field, **more, "x-flag": f"--{option.flag}"}
    if option.choices:
        words = [*option.choices()]
        found["anyOf" if "anyOf" in field else "enum"] = (
            [{"enum": words}, {"type": "null"}] if "anyOf" in field else words
        )
    if option.unit == "s":
        bounds = ("type", "exclusiveMinimum", "minimum", "maximum", "anyOf")
        found = {**{n: v for n, v in found.items() if n not in bounds}, **_DURATION}
    return found


def first(kind: RunKind) -> list[str]:
    """Return the settings that a form shows at once: the model, and what the kind names."""
    known = allowed(kind)
    own = [name for name, option in known.items() if option.group == kind.settings_class.__name__]
    return ["model", *(name for name in kind.first or own if name in known and name != "model")]


class Form(NamedTuple):
    """A client's settings: what it gave, all of them, and the command's words."""

    given: dict[str, Any]
    settings: Any
    words: list[str]
    there: str

    @property
    def command(self) -> str:
        """The command that does the same in a terminal."""
        return shlex.join(["llamaburn", *self.words, self.there])


def checked(kind: RunKind, body: Any, results_dir: str) -> Form:
    """Return the settings of a client; raises Refusal with the sentence that the command says."""
    given = uploads.placed(_given(kind, body), results_dir)
    settings: Any
    try:
        settings, origins = options.resolve(kind.settings_class, given)
        words = [kind.name, *options.to_argv(settings, kind.settings_class, only=given)]
        if settings.resume is None and kind.preview(settings) is None:
            settings, _ = resume.settled(kind, settings, origins)
    except LlamaBurnError as err:
        raise _refusal(str(err), kind) from None
    return Form(given, settings, words, f"--results-dir={results_dir}")


async def order(kind: RunKind, body: Any, results_dir: str) -> Order:
    """Return what to run for a client's settings.

    The settings class checks them first; then the command itself, which only prints what it would
    run. Raises Refusal with the sentence that the command says, and the field it is about.
    """
    form = await asyncio.to_thread(checked, kind, body, results_dir)
    words, there = form.words, [form.there]
    env = child.environment(keys_to_hide(kind, form.given))
    said = await child.run([*words, *there, "--print-pytest"], env)
    if said.code:
        raise _refusal(said.sentence, kind)
    printed = said.stdout.decode(errors="replace").splitlines()
    pytest = next((line for line in printed if line.startswith("pytest ")), None)
    return Order(
        kind.name,
        [*words, *there, "--progress=json"],
        form.command,
        pytest,
        env,
        () if pytest else printed,
    )


def _given(kind: RunKind, body: Any) -> dict[str, Any]:
    """Return the settings that a body gives; null means not given."""
    if not isinstance(body, dict):
        raise Refusal(422, "the body must be an object: settings by name")
    known = allowed(kind)
    found = {}
    for name, value in body.items():
        if name not in known:
            raise Refusal(422, _not_a_setting(name, known), name)
        if value is not None:
            one = known[name].repeats and isinstance(value, str)
            found[name] = [value] if one else value
            _refuse_paths(name, found[name])
    return found


def _not_a_setting(name: str, known: Mapping[str, Option]) -> str:
    if name in _SERVERS_OWN:
        return f"{name}: it is set where llamaburn serve is started, not by a client"
    return unknown("setting", name, [*known])


def _refuse_paths(name: str, value: Any) -> None:
    """Raise Refusal for a text that names a file or directory of the server's machine."""
    for text in _texts(value):
        if means_path(text):
            raise Refusal(
                422, f"{name}: {text!r} is refused: a client can name no file of the server", name
            )


def means_path(text: str) -> bool:
    """Return whether a text, or what follows its first colon, is a path by its shape or is there.

    A judge is named as provider:model, and the model of an embedded one may be a file.
    """
    names = filter(None, (text, text.partition(":")[2]))
    there = any(map(os.path.exists, names))  # Path.exists raises for odd names
    return there or bool(_OF_PATHS.search(text)) or ".." in text.split("/")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (one for one in value if isinstance(one, str))


def keys_to_hide(kind: RunKind, given: Mapping[str, Any]) -> list[str]:
    """Return patterns of the keys that a server which the client names would be sent."""
    naming = [option for option in allowed(kind).values() if option.keys and option.name in given]
    if not naming:
        return []
    ours: Any
    ours, _ = options.resolve(kind.settings_class, {})
    return [o.keys for o in naming if not _same(getattr(ours, o.name), given[o.name])]


def _same(ours: Any, given: Any) -> bool:
    """Return whether a given value names no address but ours."""
    if isinstance(given, list):
        return all("@" not in str(one) or one in ours for one in given)
    return bool(ours == given)


def _refusal(sentence: str, kind: RunKind) -> Refusal:
    """Return the refusal of a sentence of the command, and the field it is about."""
    flag = sentence.partition(" ")[0].rstrip(":")
    names = {f"--{option.flag}": name for name, option in allowed(kind).items()}
    return Refusal(422, sentence, names.get(flag))

"""The conversion between settings and their flags, environment variables and file keys.

`declare` declares flags for argparse or pytest. `given` returns the flags that were used. `resolve`
merges them with environment and files, and checks the values. `to_argv` turns checked settings into
flags again: `resolve(parse(to_argv(s))) == s`.
"""

from __future__ import annotations

import argparse
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pytest_llamaburn import files, registry, settings
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.option import changed, model_of, options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from pytest_llamaburn.option import Option

Values = dict[str, Any]  # of options, by name
Kind = TypeVar("Kind")

CONFIG_NAME = "llamaburn.toml"


class _Switch(argparse.Action):
    """Sets True for a flag, and False for its form with `--no-`."""

    def __init__(self, option_strings: Sequence[str], dest: str, **more: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **more)

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - argparse's signature
        namespace: argparse.Namespace,
        values: Any,  # noqa: ARG002
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, not str(option_string).startswith("--no-"))


class _Listing(argparse.Action):
    """Adds the value of a repeated flag to a list, separated by commas."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - argparse's signature
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        before = getattr(namespace, self.dest, None)
        setattr(namespace, self.dest, values if before is None else f"{before},{values}")


def declare(add: Callable[..., Any], *kinds: type, prefix: str = "") -> None:
    """Declare the flags of settings classes through `add`, argparse's or pytest's method.

    An absent flag is None, so that other sources can set the value. `resolve` converts the texts.
    """
    for option in distinct(*kinds):
        declare_one(add, option, prefix)


def declare_one(add: Callable[..., Any], option: Option, prefix: str = "") -> None:
    """Declare the flags of one option."""
    names = [f"--{_spelling(option, prefix, option.on)}"]
    if option.switch:
        names.append(f"--no-{_spelling(option, prefix)}")
    if option.short and not prefix:
        names.append(option.short)
    dest, text = _dest(option, prefix), _help(option)
    action = add(*names, dest=dest, default=None, help=text, **_action(option))
    if action is not None:  # argparse returns the action; `completion` reads its valid words
        action.words = option.choices


def distinct(*kinds: type) -> list[Option]:
    """Return the options of settings classes, each once; kinds of run share most options."""
    by_key: dict[str, Option] = {}
    for option in (o for kind in kinds for o in options_of(kind)):
        by_key.setdefault(option.key, option)
    return [*by_key.values()]


def given(namespace: argparse.Namespace, kind: type, prefix: str = "") -> Values:
    """Return the values of the flags that were used, by setting name."""
    values = {o.name: getattr(namespace, _dest(o, prefix), None) for o in options_of(kind)}
    return {name: value for name, value in values.items() if value is not None}


def to_argv(
    values: Any, kind: type, prefix: str = "", only: Container[str] | None = None
) -> list[str]:
    """Return the flags for exactly these settings, or for those in `only`.

    Defaults are included, because the reader's environment or file could set another value.
    """
    return [
        word
        for o in options_of(kind)
        if only is None or o.name in only
        for word in _words(o, getattr(values, o.name), prefix)
    ]


def resolve(
    kind: type[Kind],
    flags: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> tuple[Kind, dict[str, str]]:
    """Return the checked settings of a kind, and the origin of each value.

    The sources, weakest first: defaults, the user's configuration file, the one in `directory`,
    environment, flags. Raises SettingsError with one sentence that names the value and its source.
    """
    values: Values = {}
    origins: dict[str, str] = {}
    environ = os.environ if environ is None else environ
    paths = [_user_config(), (directory or _here()) / CONFIG_NAME]
    layers = [*(_from_file(kind, path) for path in paths), _from_environ(kind, environ)]
    for layer in [*layers, {k: (v, flag_name(kind, k)) for k, v in flags.items()}]:
        for name, (value, origin) in layer.items():
            values[name], origins[name] = value, origin
    return _check(kind, values, origins), origins


def of_mode(kind: type, values: Any, origins: Mapping[str, str]) -> Any:
    """Return settings without those that a file sets for other modes.

    A file is for all runs, but a flag is for this run. Raises SettingsError for a flag or variable
    that this mode does not use. A continued run was checked when it began.
    """
    given = {o.name: o for o in options_of(kind) if getattr(values, o.name) != o.default}
    if "resume" in given:
        return values
    for name, option in [*given.items()]:
        if option.modes and values.mode not in option.modes:
            reason = f"--mode {values.mode} does not use it, only {' and '.join(option.modes)}"
            _leave_out(given, (name,), values, origins, reason)
    for name, option in [*given.items()]:
        for other in option.unless:
            if {name, other} <= given.keys():
                reason = f"{origins[other]} replaces it: leave one out"
                _leave_out(given, (name, other), values, origins, reason)
    left_out = [o for o in options_of(kind) if o.name not in given]
    return changed(values, {o.name: o.default for o in left_out})


def record(values: Any, kind: type) -> Values:
    """Return the settings for `config` of a result file, as JSON types."""
    dumped: Values = values.model_dump(mode="json")
    return {o.name: dumped[o.name] for o in options_of(kind) if o.record}


def flag_name(kind: type, name: str) -> str:
    """Return the flag of a setting on the command line."""
    return next(f"--{o.flag}" for o in options_of(kind) if o.name == name)


def blamed(refusal: str, origins: Mapping[str, str]) -> str:
    """Return a sentence about a flag with the variable or file that set its value instead."""
    flag, colon, rest = refusal.partition(":")
    origin = origins.get(flag[2:].replace("-", "_")) if flag.startswith("--") else None
    return f"{origin or flag}{colon}{rest}"


@contextmanager
def blaming(origins: Mapping[str, str]) -> Iterator[None]:
    """In a SettingsError, replace the flag by the variable or file that set its value."""
    try:
        yield
    except SettingsError as err:
        raise type(err)(blamed(str(err), origins)) from None


def _spelling(option: Option, prefix: str, on: str = "") -> str:
    return f"{prefix}{on}{option.key if prefix else option.name}".replace("_", "-")


def _dest(option: Option, prefix: str) -> str:
    return _spelling(option, prefix).replace("-", "_")


def _help(option: Option) -> str:
    default = option.default
    if option.repeats:
        default = ", ".join(default)
    unit = f" {option.unit}" if option.unit else ""
    shown = "" if default in (None, "", False) else f" (default: {default}{unit})"
    return (option.help + shown).replace("%", "%%")


def _action(option: Option) -> dict[str, Any]:
    if option.switch:
        return {"action": _Switch}
    metavar = option.spelling.rpartition("-")[2].upper()
    if option.repeats:
        return {"action": "append", "metavar": metavar}
    if option.listed:
        return {"action": _Listing, "metavar": metavar}
    if option.bare:
        return {"nargs": "?", "const": option.bare, "metavar": metavar}
    return {"metavar": metavar}


def _words(option: Option, value: Any, prefix: str) -> Iterator[str]:
    if option.switch:
        on, off = f"--{_spelling(option, prefix, option.on)}", f"--no-{_spelling(option, prefix)}"
        yield on if value else off
        return
    for item in value if option.repeats else (value,):
        if item is not None:
            yield f"--{_spelling(option, prefix)}={item}"


def _user_config() -> Path:
    from platformdirs import user_config_path

    return user_config_path("llamaburn") / CONFIG_NAME


def _here() -> Path:
    """Return the current directory; an empty path if it was deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path()


def _from_file(kind: type, path: Path) -> dict[str, tuple[Any, str]]:
    if not files.exists(path):
        return {}
    import tomllib

    try:
        tables = tomllib.loads(files.text(files.plain_bytes(path)))
    except (OSError, ValueError, RecursionError) as err:
        msg = f"{path}: not readable as TOML: {files.reason(err)}"
        raise SettingsError(msg) from err
    mine = {o.toml_key: o for o in options_of(kind)}
    entries = [*_flatten(tables)]
    known = _known_keys([key for key, _ in entries])
    values: dict[str, tuple[Any, str]] = {}
    for key, value in entries:
        table = _table(key, known)
        option = mine.get(table or key)
        if option is not None and table:
            _refuse_no_operator(option, f"{path}: {key}", value)
            entry = f"{key.removeprefix(table[:-1])}{option.join}{value}"
            before = values[option.name][0] if option.name in values else []
            values[option.name] = ([*before, entry], f"{path}: {table[:-2]}")
        elif option is not None:
            values[option.name] = (_entry(option, value), f"{path}: {key}")
        elif not _is_known(key, known):
            raise SettingsError(_unknown_key(path, key, known))
    return values


def _entry(option: Option, value: Any) -> Any:
    """Return the value of a key: text for a listed option, a list for one that repeats."""
    if option.repeats and isinstance(value, str):
        return [value]
    if option.listed and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ",".join(value)
    return value


def _known_keys(keys: Sequence[str]) -> set[str]:
    """Return the keys that a file may have.

    Kinds of other distributions are looked up, which takes 20 ms, only if a key is unknown.
    """
    known: set[str] = set()
    for kinds in (registry.own, registry.names):
        classes = settings.classes(kinds("kinds"))
        known = {o.toml_key for group in classes for o in options_of(group)}
        if all(_is_known(key, known) for key in keys):
            break
    return known


def _is_known(key: str, known: set[str]) -> bool:
    return bool(key in known or _table(key, known))


def _table(key: str, known: set[str]) -> str:
    """Return the key of the table that contains a key, such as `thresholds.*`, or ""."""
    return next((k for k in known if k.endswith(".*") and key.startswith(k[:-1])), "")


def _refuse_no_operator(option: Option, origin: str, value: Any) -> None:
    """Raise SettingsError for the bound of a gate without an operator."""
    if not option.join and not str(value).lstrip().startswith(("<", ">")):
        words = f'write an operator before the bound, as in "<{value}"'
        raise SettingsError(f"{origin}: {value!r} is refused: {words}")


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _unknown_key(path: Path, key: str, known: set[str]) -> str:
    import difflib  # not for every pytest session

    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(sorted(known))}"
    return f"{path}: unknown key '{key}': {hint}"


def _from_environ(kind: type, environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    values: dict[str, tuple[Any, str]] = {}
    for option in options_of(kind):
        for variable in option.variables:
            text = environ.get(variable)
            if text:
                value = text.split(",") if option.repeats else text
                values[option.name] = (value, variable)
                break
    return values


def _check(kind: type[Kind], values: Values, origins: dict[str, str]) -> Kind:
    from pydantic import ValidationError

    try:
        checked: Any = model_of(kind)(**values)  # type: ignore[arg-type]
    except ValidationError as err:
        raise SettingsError(_sentence(err, kind, origins)) from None
    return cast("Kind", checked)


def _leave_out(
    given: dict[str, Option],
    names: tuple[str, ...],
    values: Any,
    origins: Mapping[str, str],
    reason: str,
) -> None:
    """Remove the first of these settings that a file set; raises SettingsError if there is none."""
    for name in names:
        if ": " in origins[name]:  # a path and its key
            del given[name]
            return
    first = names[0]
    raise SettingsError(f"{origins[first]}: {getattr(values, first)!r} is refused: {reason}")


def _sentence(err: ValidationError, kind: type, origins: dict[str, str]) -> str:
    first: ErrorDetails = err.errors()[0]
    name = str(first["loc"][0])
    origin = origins.get(name, flag_name(kind, name))
    reason = first["msg"].removeprefix("Value error, ")
    return f"{origin}: {first['input']!r} is refused: {reason[:1].lower()}{reason[1:]}"

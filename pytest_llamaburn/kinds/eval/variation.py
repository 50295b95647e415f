"""Evals that differ in one setting only, such as --vary think=off,on: which runs, and which pairs.

Each value is a run of its own. Its name as a variant is the set with the setting, `math?think=on`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pytest_llamaburn import registry
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.option import changed, options_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.kinds._target import Target
    from pytest_llamaburn.kinds.eval.settings import Eval

_VARIED: Final = ("think", "structured")
_SUFFIX = re.compile(rf"\?((?:{'|'.join(_VARIED)})=\w+)$")


class Variation(NamedTuple):
    """A setting and the values that are tried, the baseline first."""

    name: str
    values: tuple[str, ...]


def parse(text: str) -> Variation:
    """Return the setting and its values; raises SettingsError for any other text."""
    name, equals, listed = text.partition("=")
    values = tuple(dict.fromkeys(value.strip() for value in listed.split(",") if value.strip()))
    if name not in _VARIED:
        raise SettingsError(f"--vary: {registry.unknown('setting', name, [*_VARIED])}")
    if not equals or len(values) < 2:
        raise SettingsError(
            f"--vary: {text} is refused: give at least two values, such as {name}={_example(name)}"
        )
    known = _words(name)
    for value in values:
        if value not in known:
            raise SettingsError(f"--vary: {registry.unknown(f'value of {name}', value, known)}")
    return Variation(name, values)


def check(settings: Eval) -> None:
    """Raise SettingsError for a variation that cannot be run with the other settings."""
    if settings.vary is None:
        return
    from pytest_llamaburn.kinds.eval import asking

    name, values = parse(settings.vary)
    usual = next(option.default for option in options_of(_settings()) if option.name == name)
    if getattr(settings, name) != usual and not settings.resume:  # of a resumed run it is known
        raise SettingsError(f"--{name} and --vary {settings.vary} exclude each other: give one")
    for other in ("rescore", "compare_to"):
        if getattr(settings, other):
            flag = other.replace("_", "-")
            raise SettingsError(f"--vary is refused with --{flag}: leave out one of the two")
    for value in values:
        asking.check(changed(settings, {name: value}))


def variants(settings: Eval) -> list[str]:
    """Return the variants of an eval: each set, with each value of --vary."""
    sets: Sequence[str] = settings.set
    if settings.vary is None:
        return [*sets]
    name, values = parse(settings.vary)
    return [f"{one}?{name}={value}" for one in sets for value in values]


def split(variant: str) -> tuple[str, dict[str, str]]:
    """Return the set of a variant, and the setting that it changes."""
    match = _SUFFIX.search(variant)
    if match is None:
        return variant, {}
    name, _, value = match[1].partition("=")
    return variant[: match.start()], {name: value}


def suffix(config: Any) -> str:
    """Return the end of a file's name: the value of the setting that varies; or nothing."""
    if not config.get("vary"):
        return ""
    name = config["vary"].partition("=")[0]
    return f"_{name}-{config[name]}"


def pairs(targets: Sequence[Target]) -> list[tuple[Target, Target]]:
    """Return the runs to compare: of each set and model, the first value with each other one."""
    groups: dict[tuple[Any, ...], list[Target]] = {}
    for target in targets:
        name, values = split(target.variant)
        if values:
            groups.setdefault((name, target.model, target.repeat), []).append(target)
    return [(first, other) for first, *others in groups.values() for other in others]


def _words(name: str) -> list[str]:
    choices = next(one.choices for one in options_of(_settings()) if one.name == name)
    return [*choices()] if choices else []


def _example(name: str) -> str:
    return ",".join(_words(name)[1::-1])


def _settings() -> type:
    from pytest_llamaburn.kinds.eval import KIND

    return KIND.settings_class

"""Which settings are tried, in which order, and how a setting is written."""

from __future__ import annotations

import itertools
import math
import random
import re
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Value = int | float | str
    Setting = dict[str, Value]

MOST = 64  # settings; more would take days and tell little
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*$")
_VALUE = re.compile(r"[A-Za-z0-9_.:/-]+$")


def options(texts: Sequence[str]) -> dict[str, list[Value]]:
    """Return the values to try of each option; raises SettingsError for any other text."""
    found: dict[str, list[Value]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name, words = name.strip(), [value.strip() for value in values.split(",")]
        if not equals or not _NAME.match(name) or not all(map(_VALUE.match, words)):
            raise SettingsError(
                f"--option: '{text}' is refused: write an option and its values, as "
                "num_batch=128,512"
            )
        if name in found:
            raise SettingsError(f"--option: '{name}' is given twice: give all its values at once")
        found[name] = list(dict.fromkeys(map(_value, words)))
    return found


def settings(texts: Sequence[str]) -> list[Setting]:
    """Return all combinations; raises SettingsError for none, one or too many."""
    known = options(texts)
    count = math.prod(len(values) for values in known.values())
    if not known or count < 2 or count > MOST:
        words = "nothing to compare" if count < 2 or not known else f"at most {MOST} can be tried"
        raise SettingsError(
            f"--option: the number of combinations is {count if known else 0}: {words}; give "
            "options with several values, as --option num_thread=1,2,4"
        )
    return [dict(zip(known, values, strict=True)) for values in itertools.product(*known.values())]


def name(setting: Mapping[str, Value]) -> str:
    """Return a setting as text."""
    return " ".join(f"{option}={value}" for option, value in setting.items())


def order(names: Sequence[str], number: int, seed: int) -> list[str]:
    """Return the settings of a round in an order of its own."""
    mixed = [*names]
    random.Random(f"{seed}/{number}").shuffle(mixed)  # noqa: S311 - not a secret
    return mixed


def requests(asked: Any) -> int:
    """Return the number of timed requests at most."""
    return len(settings(asked.option)) * int(asked.iterations) * int(asked.answers)


def arguments(setting: Mapping[str, Value]) -> list[str]:
    """Return a setting as arguments of a command: `--threads 4`, or `-t 4` for a single letter."""
    words = (("-" if len(option) == 1 else "--") + option for option in setting)
    pairs = zip(words, map(str, setting.values()), strict=True)
    return [word for pair in pairs for word in pair]


def keeping(kind: str, model: str, setting: Mapping[str, Value], command: str | None) -> list[str]:
    """Return the lines that keep a setting: a Modelfile, a command, or what to set."""
    if command is not None:
        return [command.replace("{args}", " ".join(arguments(setting)))]
    if kind == "ollama":
        return [f"FROM {model}", *(f"PARAMETER {option} {v}" for option, v in setting.items())]
    return [f"{option} = {value}" for option, value in setting.items()]


def _value(word: str) -> Value:
    if word in ("true", "false"):
        return word == "true"
    for kind in (int, float):
        try:
            number: Value = kind(word)
        except ValueError:
            continue
        return number if math.isfinite(float(number)) else word
    return word

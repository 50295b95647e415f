"""Settings as lines of TOML."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.option import options_of

if TYPE_CHECKING:
    from pytest_llamaburn.option import Option


def by_key(*kinds: type) -> dict[str, Option]:
    """Return the options of settings classes by their keys in `llamaburn.toml`."""
    return {o.toml_key: o for kind in kinds for o in options_of(kind)}


def lines(key: str, value: Any) -> list[str]:
    """Return the lines that set a key; no line for None.

    A key such as `thresholds.*` has one line per entry: `a.p95<5` gives `thresholds.a.p95 = "<5"`,
    and `a.input=3` under `judge.prices.*` gives `judge.prices.a.input = "3"`.
    """
    if value is None:
        return []
    if not key.endswith("*"):
        return [_line(key, value)]
    pairs = [re.split(r"(?![\w.:/-])", entry, maxsplit=1) for entry in value]
    return [
        _line(f"{key[:-1]}{_bare(pair[0])}", "".join(pair[1:]).removeprefix("=")) for pair in pairs
    ]


def _bare(key: str) -> str:
    """Return a key in TOML's syntax, quoted if necessary."""
    return key if re.fullmatch(r"[\w.-]+", key, re.ASCII) else json.dumps(key)


def _line(key: str, value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"{key} = {text}".replace("\x7f", "\\u007f")

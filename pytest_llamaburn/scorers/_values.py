"""Compare JSON values: what a model gave with what is right."""

from __future__ import annotations

import math
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_llamaburn.documents import Document

_NEAR = 1e-9  # share by which numbers may differ: rounding in the last digits
_SHOWN = 60  # characters of a value in a reason


def difference(right: object, given: object, schema: object = None) -> str:
    """Return the first difference of a value from the right one; empty if they are the same.

    Numbers are equal by value, but a number is not a text. Texts are equal apart from case, white
    space and compatible characters; a choice of the schema's `enum` must be exact. A field that is
    left out is the same as null, an empty text or list, and the schema's default. Lists must have
    the same order.
    """
    return next(_differences(right, given, schema if isinstance(schema, dict) else {}, "$"), "")


def _differences(right: object, given: object, schema: Document, place: str) -> Iterator[str]:
    if isinstance(right, dict) and isinstance(given, dict):
        yield from _of_fields(right, given, schema, place)
    elif isinstance(right, list) and isinstance(given, list):
        inner = schema.get("items")
        kind = inner if isinstance(inner, dict) else {}
        if len(right) != len(given):
            yield f"{place} has {len(given)} entries, not {len(right)}"
        for at, (wanted, found) in enumerate(zip(right, given, strict=False)):
            yield from _differences(wanted, found, kind, f"{place}[{at}]")
    elif not _same(right, given, exact="enum" in schema):
        yield f"{place} is {_shown(given)}, not {_shown(right)}"


def _of_fields(
    right: Mapping[str, object], given: Mapping[str, object], schema: Document, place: str
) -> Iterator[str]:
    properties = schema.get("properties")
    kinds: Mapping[str, Any] = properties if isinstance(properties, dict) else {}
    for name in dict.fromkeys((*right, *given)):
        kind = kinds.get(name)
        inner: Document = kind if isinstance(kind, dict) else {}
        wanted, found = (_given(side.get(name), inner.get("default")) for side in (right, given))
        if wanted is None and found is not None:
            yield f"{place}.{name} is {_shown(found)}, and nobody asked for it"
        elif found is None and wanted is not None:
            yield f"{place}.{name} is missing"
        elif wanted is not None:
            yield from _differences(wanted, found, inner, f"{place}.{name}")


def _given(value: object, usual: object) -> Any:
    """Return a field's value; None for one that says nothing: null, empty, or the default."""
    says_nothing = value is None or value in ("", [])
    return None if says_nothing or _same(usual, value, exact=True) else value


def _same(right: object, given: object, *, exact: bool) -> bool:
    if isinstance(right, bool) or isinstance(given, bool):
        return right is given
    if isinstance(right, int | float) and isinstance(given, int | float):
        return right == given or math.isclose(right, given, rel_tol=_NEAR)
    if isinstance(right, str) and isinstance(given, str) and not exact:
        return _plain(right) == _plain(given)
    return type(right) is type(given) and bool(right == given)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

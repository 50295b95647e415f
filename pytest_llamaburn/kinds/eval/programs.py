"""Measurements of the programs in answers, over the right answers: frame rates and run times."""

from __future__ import annotations

import base64
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import registry
from pytest_llamaburn.kinds.eval import measured, scores
from pytest_llamaburn.program_measures import PROGRAMS
from pytest_llamaburn.tables import Sheet
from pytest_llamaburn.tables import measured as row_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.eval.documents import Item

SCREENSHOTS = "screenshots"


def of(items: Sequence[Item]) -> Document:
    """Return the field `programs` of the results; nothing if no scorer measures programs."""
    names = {name for item in items for name in _measured(item["question"]["scorer"]).values()}
    if not names:
        return {}
    right = [details for item in items for details in _right(item)]
    units = {one.name: one.unit for one in PROGRAMS if one.name in names}
    renderers = Counter(one["renderer"] for one in right if one.get("renderer"))
    found = measured.distributions(_numbers(items), units, "no answer is right")
    return {"programs": {"measured": found, "renderers": dict(renderers)}}


def values(document: Mapping[str, Any], name: str) -> list[float]:
    """Return the values of a measure of programs, one for each right answer that has it."""
    return [one for item in document["results"]["items"] for one in values_of(item, name)]


def values_of(item: Item, name: str) -> list[float]:
    """Return the values of a measure of programs in one item, of its right answers."""
    return [one[name] for one in _numbers([item]) if one.get(name) is not None]


def renderers(document: Mapping[str, Any]) -> list[str]:
    """Return the names of the renderers that drew, sorted; none without drawings."""
    return sorted((document["results"].get("programs") or {}).get("renderers", ()))


def sheets(found: Document | None) -> Iterator[Sheet]:
    """Yield the table of programs, if there are any."""
    if found is not None:
        facts = [f"renderer: {name} ({n} answers)" for name, n in found["renderers"].items()]
        rows = [row_of(name, one) for name, one in found["measured"].items() if one["n"]]
        yield Sheet("programs that are right", facts, rows, [], empty="no answer is right")


def keep_picture(score: Any, folder: Path, name: str) -> str | None:
    """Write the picture of a rendering into a folder and return it; the score then has its path.

    The path counts from the folder of the result file. Without a picture, or where it cannot be
    written, the path is None.
    """
    if score is None or "picture" not in score["details"]:
        return None
    picture: str | None
    picture, details = score["details"].pop("picture"), score["details"]
    details["screenshot"] = None
    if picture is None:
        return None
    path = folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)[:80]}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(picture))
        details["screenshot"] = f"{SCREENSHOTS}/{folder.name}/{path.name}"
    except OSError as err:
        details["screenshot_error"] = err.strerror or str(err)
    return picture


def _measured(scorer: str | None) -> dict[str, str]:
    """Return the details that a scorer measures, each with the name of its measure."""
    known = scorer is not None and scorer in registry.names("scorers")
    return getattr(registry.load("scorers", scorer), "MEASURED", {}) if known and scorer else {}


def _right(item: Item) -> Iterator[Document]:
    """Yield the details of each right answer."""
    for one in scores.samples(item):
        if one["verdict"] and one["verdict"]["correct"]:
            yield one["verdict"]["details"]


def _numbers(items: Iterable[Item]) -> list[Document]:
    """Return what was measured of each right answer, by the names of the measures."""
    return [
        {name: details.get(key) for key, name in names.items()}
        for item in items
        if (names := _measured(item["question"]["scorer"]))
        for details in _right(item)
    ]

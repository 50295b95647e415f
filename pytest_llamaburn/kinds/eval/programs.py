"""Measurements of the programs in answers, over the right answers: frame rates and run times."""

from __future__ import annotations

import base64
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import kept_media, registry
from pytest_llamaburn.kinds.eval import measured, scores
from pytest_llamaburn.program_measures import PROGRAMS
from pytest_llamaburn.tables import Sheet, number
from pytest_llamaburn.tables import measured as row_of
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.eval.documents import Item

SCREENSHOTS = "screenshots"


def of(items: Sequence[Item]) -> Document:
    """Return the field `programs` of the results; nothing if no scorer measures programs."""
    asked = [item for item in items if _measured(item["question"]["scorer"])]
    if not asked:
        return {}
    groups: dict[str, list[Item]] = {}
    for item in asked:
        groups.setdefault(item["question"]["category"], []).append(item)
    renderers = Counter(d["renderer"] for i in asked for d in _right(i) if d.get("renderer"))
    return {
        "programs": {
            "measured": _distributions(asked),
            "by_category": {name: _distributions(group) for name, group in groups.items()},
            "renderers": dict(renderers),
        }
    }


def _distributions(items: Sequence[Item]) -> Document:
    """Return what was measured of programs that are right, by the names of the measures."""
    names = {name for item in items for name in _measured(item["question"]["scorer"]).values()}
    units = {one.name: one.unit for one in PROGRAMS if one.name in names}
    return measured.distributions(_numbers(items), units, "no answer is known to be right")


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
    """Yield the tables of what programs did, in all and by category, if there is any."""
    if found is None:
        return
    facts = [f"renderer: {name} ({counted(n, 'answer')})" for name, n in found["renderers"].items()]
    known = {name: one for name, one in found["measured"].items() if one["n"]}
    if known:
        facts += [
            f"{n}: not measured: {one['reason']}"
            for n, one in found["measured"].items()
            if n not in known
        ]
    rows = [row_of(name, one) for name, one in known.items()]
    yield Sheet("programs that are right", facts, rows, [], empty="no answer is known to be right")
    groups = found.get("by_category", {})  # not in files of earlier versions
    if known and len(groups) > 1:
        yield _by_category(groups, [*known])


def _by_category(groups: Document, names: Sequence[str]) -> Sheet:
    """Return the table of medians by category."""
    rows = [
        (category, str(max(one[name]["n"] for name in names)), *(_median(one[n]) for n in names))
        for category, one in groups.items()
    ]
    columns = ("category", "right", *(f"{n.replace('_', ' ')} p50" for n in names))
    title = "programs that are right, by category"
    return Sheet(title, [], rows, [], columns, 1, least=(), wrapped=("category",))


def _median(found: Document) -> str:
    return number(found["p50"])


def keep_picture(score: Any, folder: Path, name: str, results_dir: Path) -> str | None:
    """Write the picture of a rendering into a folder and return it; the score then has its path.

    The path counts from the folder of the result file; the score also has the id of a copy, for
    pages. Without a picture, or where it cannot be written, the path is None.
    """
    if score is None or "picture" not in score["details"]:
        return None
    picture: str | None
    picture, details = score["details"].pop("picture"), score["details"]
    details["screenshot"] = None
    if picture is None:
        return None
    raw = base64.b64decode(picture)
    path = folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)[:80]}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        details["screenshot"] = f"{SCREENSHOTS}/{folder.name}/{path.name}"
        details["screenshot_id"] = kept_media.keep(results_dir, raw, ".png")
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
        {
            **{name: details.get(key) for key, name in names.items()},
            "null_reasons": details.get("null_reasons", {}),
        }
        for item in items
        if (names := _measured(item["question"]["scorer"]))
        for details in _right(item)
    ]

"""What programs of answers did: how fast they drew or ran, over the answers that are right."""

from __future__ import annotations

import base64
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import registry
from pytest_llamaburn.kinds.eval import scores
from pytest_llamaburn.program_measures import PROGRAMS
from pytest_llamaburn.stats import samples
from pytest_llamaburn.tables import Sheet, measured

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    Row = dict[str, Any]

SCREENSHOTS = "screenshots"


def of(items: Iterable[Any]) -> dict[str, Any]:
    """Return the field `programs` of the results; nothing if no scorer measures programs."""
    values: dict[str, list[float]] = {}
    renderers: Counter[str] = Counter()
    for item in items:
        names = _measured(item["question"]["scorer"])
        for name in names.values():
            values.setdefault(name, [])
        for details in _right(item):
            for key, name in names.items():
                if details.get(key) is not None:
                    values[name].append(details[key])
            renderers.update([details["renderer"]] if details.get("renderer") else [])
    if not values:
        return {}
    why = "no answer is right"
    units = {one.name: one.unit for one in PROGRAMS}
    found = {name: samples.distribution(v, units[name], why) for name, v in values.items()}
    return {"programs": {"measured": found, "renderers": dict(renderers)}}


def values(document: Mapping[str, Any], name: str) -> list[float]:
    """Return the values of a measure of programs, one for each right answer that has it."""
    return [one for item in document["results"]["items"] for one in values_of(item, name)]


def values_of(item: Any, name: str) -> list[float]:
    """Return the values of a measure of programs in one item, of its right answers."""
    return [
        details[key]
        for key, one in _measured(item["question"]["scorer"]).items()
        for details in _right(item)
        if one == name and details.get(key) is not None
    ]


def renderers(document: Mapping[str, Any]) -> list[str]:
    """Return the names of the renderers that drew, sorted; none without drawings."""
    return sorted((document["results"].get("programs") or {}).get("renderers", ()))


def sheets(found: Row | None) -> Iterator[Sheet]:
    """Yield the table of what programs did, if there is any."""
    if found is not None:
        facts = [f"renderer: {name} ({n} answers)" for name, n in found["renderers"].items()]
        rows = [measured(name, one) for name, one in found["measured"].items()]
        known = [row for row, one in zip(rows, found["measured"].values(), strict=True) if one["n"]]
        yield Sheet("programs that are right", facts, known, [], empty="no answer is right")


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


def _right(item: Any) -> Iterator[Row]:
    for one in scores.samples(item):
        if one["verdict"] and one["verdict"]["correct"]:
            yield one["verdict"]["details"]

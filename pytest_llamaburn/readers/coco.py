"""COCO captions: `captions*.json` with `images` and `annotations`, in the directory or below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import datasets, files
from pytest_llamaburn.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

RANK: Final = 2
HELP: Final = "COCO captions: captions*.json"


def finds(folder: Path) -> bool:
    """Return whether there is a file of captions."""
    return bool(_captions(folder))


def read(folder: Path, suffixes: Collection[str]) -> list[dict[str, Any]]:  # noqa: ARG001
    """Return an entry for each image with captions; the rubric has all of them."""
    path = _captions(folder)[0]
    content, _ = datasets.content_of(path, "annotations")
    captions: dict[Any, list[str]] = {}
    try:
        for one in content["annotations"]:
            captions.setdefault(one["image_id"], []).append(str(one["caption"]).strip())
        names = {one["id"]: str(one["file_name"]) for one in content["images"]}
    except (KeyError, TypeError) as err:
        raise DatasetError(
            f"{path}: is no file of COCO captions: {err} is missing in images or annotations"
        ) from None
    known = by_name(folder)
    return [_entry(known.get(names[n], names[n]), captions[n]) for n in names if n in captions]


def by_name(folder: Path) -> dict[str, str]:
    """Return the path of each file below a directory, by its name alone."""
    return {one.name: str(one.relative_to(folder)) for one in files.found(folder, "**/*")}


def _captions(folder: Path) -> list[Path]:
    return files.found(folder, "captions*.json") or files.found(folder, "*/captions*.json")


def _entry(image: str, captions: list[str]) -> dict[str, Any]:
    return {
        "id": image,
        "media": [image],
        "reference": captions[0],
        "accept": captions[1:],
        "rubric": "People described the image so: " + " / ".join(captions),
        "scorer": "judge",
    }

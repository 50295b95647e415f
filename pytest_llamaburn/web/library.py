"""Result files by type and id: found, rendered, moved to the trash and back."""

from __future__ import annotations

import mimetypes
import time
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn import files, registry, reports
from pytest_llamaburn.store import results
from pytest_llamaburn.web import index, lists
from pytest_llamaburn.web.lists import Reference
from pytest_llamaburn.web.refusals import Refusal

if TYPE_CHECKING:
    from pathlib import Path

TRASH = ".trash"


class Rendered(NamedTuple):
    """A result in some format."""

    text: str
    media_type: str
    name: str


class Library:
    """The result files of a results directory, those in the folders of their lists only.

    A type is the name of a list.
    """

    def __init__(self, results_dir: Path) -> None:
        """Take the directory."""
        self._results_dir = results_dir
        self.types = [*results.lists()]

    def check_type(self, name: str) -> None:
        """Raise Refusal for a type that there is not."""
        if name not in self.types:
            raise Refusal(404, registry.unknown("type", name, self.types), "type")

    def path(self, name: str, result_id: str) -> Path:
        """Return the path of a result file; raises Refusal where there is none."""
        path = self._place(name, result_id)
        if not path.is_file():
            raise _absent(name, result_id)
        return path

    def tag(self, name: str, result_id: str, form: str) -> str:
        """Return the ETag of a result in a format: another one for any other content."""
        about = index.stamp(self.path(name, result_id))
        if about is None:
            raise _absent(name, result_id)
        return f'"{about.tag}-{form}"'

    def render(self, name: str, result_id: str, form: str) -> Rendered:
        """Return a result in a format; raises LlamaBurnError where the file is no result."""
        path = self.path(name, result_id)
        results.load(path)  # which says what is wrong with it
        pieces: list[str] = []
        reports.show([path], [form], pieces.append)
        suffix = registry.load("reports", form).SUFFIX
        media_type = mimetypes.types_map.get(suffix, "text/plain")
        return Rendered("".join(pieces), media_type, f"{result_id}{suffix}")

    def remove(self, name: str, result_id: str) -> None:
        """Move a result to the trash."""
        path = self.path(name, result_id)
        trash = self._trash(path)
        try:
            trash.mkdir(parents=True, exist_ok=True)
            path.replace(trash / f"{path.stem}~{time.time_ns()}.json")
        except OSError as err:
            raise Refusal(503, f"{path} cannot be moved: {err.strerror or err}") from err

    def restore(self, name: str, result_id: str) -> None:
        """Move what was removed last under an id back to its place."""
        path = self._place(name, result_id)
        if path.exists():
            raise Refusal(409, f"there is a result '{result_id}' in {name} already", "id")
        held = [
            one
            for one in files.found(self._trash(path), "*.json")
            if one.stem.rpartition("~")[0] == path.stem
        ]
        if not held:
            raise Refusal(404, f"there is no removed result '{result_id}' in {name}", "id")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            max(held, key=lambda one: one.stem).replace(path)
        except OSError as err:
            raise Refusal(503, f"{path} cannot be written: {err.strerror or err}") from err

    def _trash(self, path: Path) -> Path:
        """Return the folder that holds what was removed from the folder of a result."""
        return self._results_dir / TRASH / path.parent.relative_to(self._results_dir)

    def _place(self, name: str, result_id: str) -> Path:
        """Return where a result's file is; raises Refusal for what leads anywhere else."""
        self.check_type(name)
        root = self._results_dir
        path = lists.place(root, Reference(type=name, id=result_id))
        if path is None:
            raise Refusal(422, f"id: {result_id[:200]!r} is refused: it is no id of a result", "id")
        if root.resolve() not in path.resolve().parents:
            raise _absent(name, result_id)
        return path


def _absent(name: str, result_id: str) -> Refusal:
    return Refusal(404, f"there is no result '{result_id}' in {name}", "id")

"""Result files by type and id: found, rendered, moved to the trash and back."""

from __future__ import annotations

import mimetypes
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn import registry, reports
from pytest_llamaburn.store import results
from pytest_llamaburn.web import index
from pytest_llamaburn.web.refusals import Refusal

if TYPE_CHECKING:
    from pathlib import Path

TRASH = ".trash"
ID = r"^[\w][\w.+-]{0,199}$"


class Rendered(NamedTuple):
    """A result in some format."""

    text: str
    media_type: str
    name: str


class Library:
    """The result files of a results directory, below the folders of their types only."""

    def __init__(self, results_dir: Path) -> None:
        """Take the directory."""
        self._results_dir = results_dir
        self.types = sorted(results.folders().values())

    def check_type(self, folder: str) -> None:
        """Raise Refusal for a type that there is not."""
        if folder not in self.types:
            raise Refusal(404, registry.unknown("type", folder, self.types), "type")

    def path(self, folder: str, result_id: str) -> Path:
        """Return the path of a result file; raises Refusal where there is none."""
        path = self._place(self._results_dir, folder, result_id)
        if not path.is_file():
            raise Refusal(404, f"there is no result '{result_id}' in {folder}", "id")
        return path

    def tag(self, folder: str, result_id: str, form: str) -> str:
        """Return the ETag of a result in a format: another one for any other content."""
        about = index.stamp(self.path(folder, result_id))
        if about is None:
            raise Refusal(404, f"there is no result '{result_id}' in {folder}", "id")
        return f'"{about.tag}-{form}"'

    def render(self, folder: str, result_id: str, form: str) -> Rendered:
        """Return a result in a format; raises LlamaBurnError where the file is no result."""
        path = self.path(folder, result_id)
        results.load(path)  # which says what is wrong with it
        pieces: list[str] = []
        reports.show([path], [form], pieces.append)
        suffix = registry.load("reports", form).SUFFIX
        media_type = mimetypes.types_map.get(suffix, "text/plain")
        return Rendered("".join(pieces), media_type, f"{result_id}{suffix}")

    def remove(self, folder: str, result_id: str) -> None:
        """Move a result to the trash."""
        path = self.path(folder, result_id)
        trash = self._results_dir / TRASH / folder
        try:
            trash.mkdir(parents=True, exist_ok=True)
            path.replace(trash / f"{path.stem}~{time.time_ns()}.json")
        except OSError as err:
            raise Refusal(503, f"{path} cannot be moved: {err.strerror or err}") from err

    def restore(self, folder: str, result_id: str) -> None:
        """Move what was removed last under an id back to its place."""
        path = self._place(self._results_dir, folder, result_id)
        if path.exists():
            raise Refusal(409, f"there is a result '{result_id}' in {folder} already", "id")
        trash = self._results_dir / TRASH / folder
        held = [one for one in _files(trash) if one.stem.rpartition("~")[0] == result_id]
        if not held:
            raise Refusal(404, f"there is no removed result '{result_id}' in {folder}", "id")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            max(held, key=lambda one: one.stem).replace(path)
        except OSError as err:
            raise Refusal(503, f"{path} cannot be written: {err.strerror or err}") from err

    def _place(self, root: Path, folder: str, result_id: str) -> Path:
        """Return where a result's file is; raises Refusal for what leads anywhere else."""
        self.check_type(folder)
        if not re.fullmatch(ID, result_id):
            raise Refusal(422, f"id: {result_id[:200]!r} is refused: it is no id of a result", "id")
        path = root / folder / f"{result_id}.json"
        if root.resolve() not in path.resolve().parents:
            raise Refusal(404, f"there is no result '{result_id}' in {folder}", "id")
        return path


def _files(folder: Path) -> list[Path]:
    return [*folder.glob("*.json")] if folder.is_dir() else []

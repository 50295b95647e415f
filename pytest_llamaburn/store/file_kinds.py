"""What the store knows of a kind of result file, and what it needs of its `KIND`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from pytest_llamaburn import registry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import BaseModel


class FileKind(Protocol):
    """A kind of result file: that of a run or of a comparison; `kinds/_kind.py` says more."""

    name: str
    folder: str
    more_folders: tuple[str, ...]

    @property
    def comparison(self) -> str | None:
        """The kind of comparisons of its files, or None if they cannot be compared."""

    @property
    def schema(self) -> str:
        """The `schema` of a result file."""

    @property
    def package(self) -> str:
        """The full name of the kind's package."""

    def place(self, header: Mapping[str, Any]) -> str:
        """Return the folder of a file."""

    def file_stem(self, header: Mapping[str, Any]) -> str:
        """Return the start of a file's name."""

    def brief(self) -> type:
        """Return the class with which lists read a file's `results`."""

    def file_model(self) -> type[BaseModel]:
        """Return the model of the result file."""

    def load(self, path: str) -> Any:
        """Return the object at a path such as `module.name` in the kind's package."""


class RunFileKind(FileKind, Protocol):
    """A kind of run, as the store uses it."""

    variant_setting: str | None
    several_servers: bool

    @property
    def settings_class(self) -> type:
        """The class of the settings."""

    def check(self, settings: Any) -> None:
        """Raise SettingsError for settings that contradict each other or have no meaning."""

    def write_companions(self, record: Any, path: Path) -> None:
        """Write the files that belong beside a result file."""

    def resumable(self, results: Mapping[str, Any]) -> bool:
        """Return whether a complete run can be continued; then its journal is kept."""

    def warning(self, results: Mapping[str, Any]) -> str | None:
        """Return a sentence about a run of which many requests failed, or None."""

    def failure(self, results: Mapping[str, Any]) -> str | None:
        """Return why a whole run failed, or None."""

    def of_tests(self, header: Mapping[str, Any]) -> bool:
        """Return whether a run's prompts come from tests."""


def named(name: str) -> FileKind:
    """Return a kind of files by its name; all comparisons share one package."""
    if name.endswith("-comparison"):
        comparisons: FileKind = registry.load("kinds", "comparison").Comparisons(name)
        return comparisons
    kind: FileKind = registry.load("kinds", name).KIND
    return kind

"""Comparisons of files of every kind: the engine, and what its files and tables are like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds._kind import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping


class Comparisons(Kind):
    """Comparisons of the files of one kind."""

    def __init__(self, name: str) -> None:
        """Take what they are called, such as `stress-comparison`."""
        self.name, self.folder = name, f"{name.replace('-', '_')}s"

    def file_stem(self, header: Mapping[str, Any]) -> str:  # noqa: ARG002 - of all alike
        """Return what a file's name begins with."""
        return "comparison"

    def file_model(self) -> Any:
        """Return the model that a result file is checked against."""
        return self.load("result.file")(self.name)


KIND = Comparisons("comparison")

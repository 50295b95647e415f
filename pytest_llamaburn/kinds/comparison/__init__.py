"""Comparisons of result files of every kind: engine, result files and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds._kind import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping


class Comparisons(Kind):
    """Comparisons of the files of one kind."""

    def __init__(self, name: str) -> None:
        """Take the name of the kind, such as `stress-comparison`."""
        self.name, self.folder = name, f"{name.replace('-', '_')}s"

    def file_stem(self, header: Mapping[str, object]) -> str:  # noqa: ARG002 - of all alike
        """Return the first part of a file's name."""
        return "comparison"

    def file_model(self) -> Any:
        """Return the pydantic model of the result files."""
        return self.load("result.file")(self.name)


KIND = Comparisons("comparison")

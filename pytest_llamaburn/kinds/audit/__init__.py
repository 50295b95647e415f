"""Audit of a judge: which planted errors it sees, and what sways it, without human labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds._kind import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Audit(Kind):
    name = "audit"
    folder = "audits"

    def file_stem(self, header: Mapping[str, Any]) -> str:
        """Return the judges and the set."""
        found = header["results"]
        return "_".join([*found["judges"], found["set"]["name"]])

    @property
    def comparison(self) -> str:
        """The kind of comparisons of its files."""
        return "audit-comparison"

    def brief(self) -> type:
        """Return the class with which lists read a file's `results`."""
        found: type = self.load("result.Brief")
        return found


KIND = _Audit()

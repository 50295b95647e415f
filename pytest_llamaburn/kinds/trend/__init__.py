"""Trend: the stored results of a model on a machine over time, and what changed their level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds._kind import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Trend(Kind):
    name = "trend"
    folder = "trends"

    def file_stem(self, header: Mapping[str, Any]) -> str:
        """Return the model, or `trend` for several models."""
        models = {series["model"] for series in header["results"]["series"]}
        return models.pop() if len(models) == 1 else "trend"

    def brief(self) -> type:
        """Return the class with which lists read a file's `results`."""
        found: type = self.load("result.Brief")
        return found


KIND = _Trend()

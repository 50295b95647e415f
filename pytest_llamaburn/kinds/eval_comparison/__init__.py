"""Comparisons of evals, paired by question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds._kind import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Comparison(Kind):
    name = "eval-comparison"
    folder = "eval_comparisons"

    def file_stem(self, header: Mapping[str, Any]) -> str:  # noqa: ARG002 - of all alike
        """Return what a file's name begins with."""
        return "comparison"


KIND = _Comparison()

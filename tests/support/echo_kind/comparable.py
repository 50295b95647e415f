from __future__ import annotations

from pytest_llamaburn.kinds import _comparable

from .measures import MEASURES


class Comparison(_comparable.Comparison):
    kind = noun = "echo"
    measures = MEASURES
    default = ("total_generation_ms",)

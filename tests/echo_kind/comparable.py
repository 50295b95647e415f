from __future__ import annotations

from echo_kind.measures import MEASURES
from pytest_llamaburn.kinds import _comparable


class Comparison(_comparable.Comparison):
    kind = noun = "echo"
    measures = MEASURES
    default = ("total_generation_ms",)

"""How runs that try settings are compared: by the time with the best setting of each."""

from __future__ import annotations

from pytest_llamaburn.kinds import _comparable
from pytest_llamaburn.kinds._comparable import Subject
from pytest_llamaburn.kinds.tune.measures import MEASURES


class Tuned(Subject):
    """A file with settings of the server."""

    alike = ("objective", "option", "isl", "osl", "num_ctx", "temperature")


class Comparison(_comparable.Comparison):
    """A comparison of runs that try settings."""

    kind = "tune"
    noun = "tune run"
    measures = MEASURES
    default = ("tuned_time_ms", "tuning_gain")
    subject = Tuned

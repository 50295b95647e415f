"""LlamaBurn: benchmark, stress-test, profile and evaluate local language models from pytest.

PYTEST_DONT_REWRITE: the command imports the package before pytest starts.

The names here are the public ones. Each is imported when it is first used: pytest loads the package
in every session of an environment.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_llamaburn.datasets import Planned
    from pytest_llamaburn.energy.profiler import Profiler
    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.fixtures import OllamaClient
    from pytest_llamaburn.judges import JudgeResult
    from pytest_llamaburn.kinds.benchmark.frame import to_frame
    from pytest_llamaburn.kinds.benchmark.measured import Measured
    from pytest_llamaburn.store.results import load as load_result

__version__ = "0.1.0"
__all__ = [
    "JudgeResult",
    "Measured",
    "OllamaClient",
    "Planned",
    "Profiler",
    "Question",
    "load_result",
    "to_frame",
]
_PLACES = {
    "JudgeResult": "judges.JudgeResult",
    "Measured": "kinds.benchmark.measured.Measured",
    "OllamaClient": "fixtures.OllamaClient",
    "Planned": "datasets.Planned",
    "Profiler": "energy.profiler.Profiler",
    "Question": "evalsets.Question",
    "load_result": "store.results.load",
    "to_frame": "kinds.benchmark.frame.to_frame",
}


def __getattr__(name: str) -> Any:
    """Return a public name; raises AttributeError for any other."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, member = _PLACES[name].rpartition(".")
    return getattr(import_module(f"{__name__}.{module}"), member)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

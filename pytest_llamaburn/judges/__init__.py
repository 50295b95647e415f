"""Judging answers with language models: one module for each provider, named as in `--judge`.

`Panel.of(settings)` returns the judges of a run; `panel.judge(Case(…), criterion)` returns a
JudgeResult, `panel.compare(Pair(…))` the verdicts on two answers. `JudgeQueue(panel)` does both in
the background. A judge's failure never becomes a score.
"""

from pytest_llamaburn.judges._base import Spec, parse
from pytest_llamaburn.judges._estimate import Estimate
from pytest_llamaburn.judges._judging import STATES, Judgment, by_rule, restored
from pytest_llamaburn.judges._panel import Panel, bare
from pytest_llamaburn.judges._prompt import Case, Pair
from pytest_llamaburn.judges._queue import JudgeQueue
from pytest_llamaburn.judges._result import Comparison, JudgeResult, combined, comparison
from pytest_llamaburn.judges._shown import Shown

__all__ = [
    "STATES",
    "Case",
    "Comparison",
    "Estimate",
    "JudgeQueue",
    "JudgeResult",
    "Judgment",
    "Pair",
    "Panel",
    "Shown",
    "Spec",
    "bare",
    "by_rule",
    "combined",
    "comparison",
    "parse",
    "restored",
]

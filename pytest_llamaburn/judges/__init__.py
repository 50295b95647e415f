"""Judging answers with language models: one module a provider, named as in `--judge`.

`Panel.of(settings)` gives the judges of a run; `panel.judge(Case(…), criterion)` a Score,
`panel.compare(Pair(…))` the verdicts on two answers. Nothing a judge does wrong becomes a score.
"""

from pytest_llamaburn.judges._base import Spec, parse
from pytest_llamaburn.judges._judging import STATES, Judgment, by_rule, compare, judge
from pytest_llamaburn.judges._panel import (
    Comparison,
    Estimate,
    Panel,
    Score,
    alpha,
    bare,
    by_rule_of_pair,
    comparison,
    score,
    total,
)
from pytest_llamaburn.judges._prompt import VERSION, Case, Pair

__all__ = [
    "STATES",
    "VERSION",
    "Case",
    "Comparison",
    "Estimate",
    "Judgment",
    "Pair",
    "Panel",
    "Score",
    "Spec",
    "alpha",
    "bare",
    "by_rule",
    "by_rule_of_pair",
    "compare",
    "comparison",
    "judge",
    "parse",
    "score",
    "total",
]

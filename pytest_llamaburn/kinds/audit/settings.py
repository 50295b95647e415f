"""Settings of an audit of a judge."""

from __future__ import annotations

from pytest_llamaburn.option import budgeted, opt
from pytest_llamaburn.settings import Judging


class Audit(Judging):
    """Settings of `llamaburn judge audit`."""

    set: str = opt(
        "summarization",
        "eval set whose references are the right answers; each needs at least 8 words",
        scope="audit",
        path=True,
    )
    items: int = opt(
        30, "most questions of the set to use", scope="audit", bounds={"ge": 1, "le": 10_000}
    )
    without_reference: bool = opt(
        False, "do not show the reference to the judge, which makes errors harder to see"
    )
    seed: int = opt(0, "seed of all random choices", bounds={"ge": 0})
    budget: float | None = budgeted("audit", "20m")

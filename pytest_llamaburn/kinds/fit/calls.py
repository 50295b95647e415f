"""The function that tests call to find the largest context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.gates import judged, not_passed
from pytest_llamaburn.kinds.fit.measures import MEASURES
from pytest_llamaburn.kinds.fit.result import found

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds._kind import Item, Session
    from pytest_llamaburn.kinds.fit.run import FitRun


def measure(run: FitRun, item: Item, session: Session) -> Callable[[], Document]:
    """Return the function of the fixture `llm_fit`."""

    def measured() -> Document:
        rows = session.run(run.measure(f"{item.node.nodeid}#1"))
        results = found(rows, run.steps, run.foreseen, run.ends)
        wanted = item.keywords.get("thresholds", ())
        document = {"results": {**results, "runs": rows}}
        broken = not_passed(judged(document, MEASURES, wanted, run.settings.gate_mode))
        if broken:
            raise AssertionError("; ".join(broken))
        return results

    return measured

"""The function that tests call to hold a bake-off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.gates import of_test
from pytest_llamaburn.kinds.bakeoff.measures import MEASURES
from pytest_llamaburn.kinds.bakeoff.result import found

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds._kind import Item, Session
    from pytest_llamaburn.kinds.bakeoff.run import BakeoffRun


def hold(run: BakeoffRun, item: Item, session: Session) -> Callable[[], Document]:
    """Return the function of the fixture `llm_bakeoff`."""

    def held() -> Document:
        rows = session.run(run.hold(f"{item.node.nodeid}#1"))
        results = found(rows, run.candidates, run.settings.model_dump(), {})
        wanted = item.keywords.get("thresholds", ())
        of_test({**results, "runs": rows}, MEASURES, wanted, run.settings.gate_mode)
        return results

    return held

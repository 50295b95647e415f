"""The function that tests call to try settings of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.gates import of_test
from pytest_llamaburn.kinds.tune.measures import MEASURES
from pytest_llamaburn.kinds.tune.result import found

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds._kind import Item, Session
    from pytest_llamaburn.kinds.tune.run import TuneRun


def measure(run: TuneRun, item: Item, session: Session) -> Callable[[], Document]:
    """Return the function of the fixture `llm_tune`."""

    def measured() -> Document:
        rows = session.run(run.measure(f"{item.node.nodeid}#1"))
        about = (run.server.kind, run.model.id)
        results = found(rows, run.settings.model_dump(), about, run.failed, run.left_out)
        wanted = item.keywords.get("thresholds", ())
        of_test({**results, "runs": rows}, MEASURES, wanted, run.settings.gate_mode)
        return results

    return measured

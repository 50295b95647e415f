"""The function that tests call to send a load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.gates import not_passed
from pytest_llamaburn.kinds.stress.measures import MEASURES
from pytest_llamaburn.kinds.stress.result import check_gates
from pytest_llamaburn.measures import properties

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds._kind import Item, Session
    from pytest_llamaburn.kinds.stress.run import StressRun


def send(run: StressRun, item: Item, session: Session) -> Callable[[], Document]:
    """Return the function of the fixture `llm_stress`."""

    def sent() -> Document:
        wanted = list(item.keywords.get("thresholds", ()))
        check_gates(wanted, run.settings)
        run.expect(wanted)
        session.run(run.drive())
        found = run.results()
        item.node.user_properties.extend(properties(MEASURES, {"results": found}))
        broken = not_passed(gate for gate in found["gates"] if gate["expression"] in wanted)
        if broken:
            raise AssertionError("; ".join(broken))
        return found

    return sent

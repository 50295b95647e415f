"""The function that tests call to embed or rerank texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.gates import of_test
from pytest_llamaburn.kinds.embed.measures import MEASURES
from pytest_llamaburn.kinds.embed.result import found

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds._kind import Item, Session
    from pytest_llamaburn.kinds.embed.run import EmbedRun


def measure(run: EmbedRun, item: Item, session: Session) -> Callable[[], Document]:
    """Return the function of the fixture `llm_embed`."""

    def measured() -> Document:
        rows = session.run(run.measure(f"{item.node.nodeid}#1"))
        results = found(rows, run.settings.model_dump(), run.facts)
        wanted = item.keywords.get("thresholds", ())
        of_test({**results, "runs": rows}, MEASURES, wanted, run.settings.gate_mode)
        return results

    return measured

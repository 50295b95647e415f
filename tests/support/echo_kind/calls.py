from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import gates
from pytest_llamaburn.metrics import summary

from .measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.kinds._kind import Item, Session

    from .run import EchoRun


def echo(run: EchoRun, item: Item, session: Session) -> Callable[[str], list[dict[str, Any]]]:
    def sent(text: str) -> list[dict[str, Any]]:
        rows: list[Any] = session.run(run.echo(text, f"{item.node.nodeid}#1"))
        document = {"results": {"runs": rows, "summary": summary(rows)}}
        wanted = item.keywords.get("thresholds", ())
        judged = gates.judged(document, MEASURES, wanted, run.settings.gate_mode)
        assert [gate["verdict"] for gate in judged] == ["pass"] * len(judged)
        return rows

    return sent

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from echo_kind.measures import MEASURES
from pytest_llamaburn import gates
from pytest_llamaburn.metrics import summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from echo_kind.run import EchoRun
    from pytest_llamaburn.kinds._kind import Item, Session


def echo(run: EchoRun, item: Item, session: Session) -> Callable[[str], list[dict[str, Any]]]:
    def sent(text: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = session.run(run.echo(text, f"{item.node.nodeid}#1"))
        document = {"results": {"runs": rows, "summary": summary(rows)}}
        wanted = item.keywords.get("thresholds", ())
        judged = gates.judged(document, MEASURES, wanted, run.settings.gate_mode)
        assert [gate["verdict"] for gate in judged] == ["pass"] * len(judged)
        return rows

    return sent

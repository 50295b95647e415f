"""What the file of an eval says of several servers and of several machines."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from pytest_llamaburn.kinds._file import by_kind
from pytest_llamaburn.kinds.eval.dispatch import ELSEWHERE, NODE
from pytest_llamaburn.metrics import summary
from pytest_llamaburn.tables import Sheet, number, under
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_llamaburn.documents import Document, RequestRow
    from pytest_llamaburn.kinds.eval.documents import AnswerRow
    from pytest_llamaburn.store.journal import Record

SHOWN = ("time_to_first_token_ms", "tokens_per_sec", "total_generation_ms")
_ENERGY = ("energy_wh", "power_draw_watts")
_COLUMNS = ("answers", "failed", "TTFT p50, ms", "tokens/s p50", "total p50, ms")
_LEAST = ("tokens/s p50", "TTFT p50, ms")


def of_run(record: Record, header: Mapping[str, Any]) -> Document:
    """Return `hosts` and `nodes` of the results: the answers and the speed of each.

    Both are None for one server, and for questions that this machine asked.
    """
    latest = {(row["prompt_id"], row["iteration"]): row for row in record.rows}
    rows = [*latest.values()]
    return {"hosts": _hosts(record, rows, header) or None, "nodes": _nodes(record, rows) or None}


def alone(row: AnswerRow) -> AnswerRow:
    """Return an answer's row without energy if other requests were in flight with it."""
    if row["error"] is not None or not {"host", "node"}.intersection(row):
        return row
    reasons = {**row["null_reasons"], **dict.fromkeys(_ENERGY, "not_alone")}
    found = {**row, **dict.fromkeys(_ENERGY), "null_reasons": reasons}
    return cast("AnswerRow", found)


def ordered(record: Record, ids: Sequence[str]) -> list[str]:
    """Return the ids of questions as they were planned; a run of one at a time has that order."""
    planned = dict.fromkeys(
        name for line in record.others.get("order", ()) for name in line["questions"]
    )
    return [*(name for name in planned if name in ids), *(n for n in ids if n not in planned)]


def sheets(found: Mapping[str, Any]) -> Iterator[Sheet]:
    """Yield a table of the servers and one of the machines, if there are several."""
    if hosts := found.get("hosts"):
        yield _sheet("by server", "server", "host", hosts, [*_passed_over(hosts)])
    if nodes := found.get("nodes"):
        yield _sheet("by machine", "machine", "node", nodes, [*_lost(nodes)])


def _hosts(record: Record, rows: Sequence[RequestRow], header: Mapping[str, Any]) -> list[Document]:
    return [
        {
            **host,
            **_totals(rows, "host", host["host"]),
            "asked_elsewhere": _missed(record, host["host"]),
        }
        for host in header.get("hosts", ())
    ]


def _missed(record: Record, host: str) -> dict[str, int]:
    """Return how many questions a server did not answer, which another one got, by failure."""
    lines = record.others.get(ELSEWHERE, ())
    return dict(Counter(line["failure"] for line in lines if line["host"] == host))


def _nodes(record: Record, rows: Sequence[RequestRow]) -> list[Document]:
    known: dict[str, Document] = {}
    for line in record.others.get(NODE, ()):
        about = {k: v for k, v in line.items() if k not in ("type", "asked_again")}
        before = known.setdefault(line["node"], {"lost": None, "asked_again": []})
        before |= about
        before["asked_again"] += [line["asked_again"]] if "asked_again" in line else []
    return [{**one, **_totals(rows, "node", name)} for name, one in known.items()]


def _totals(rows: Sequence[RequestRow], field: str, name: str) -> Document:
    """Return how many answers a server gave or a machine got, how many failed, and the speed."""
    own = [row for row in rows if row.get(field) == name]
    good = [row for row in own if row["error"] is None]
    distributions = summary(good, own)
    return {
        "answers": len(own),
        "failed": len(own) - len(good),
        "errors": by_kind([row["error"] for row in own]),
        **{measure: distributions[measure] for measure in SHOWN},
    }


def _sheet(
    title: str, column: str, field: str, entries: Sequence[Document], notes: Sequence[str]
) -> Sheet:
    rows = [
        (
            one[field],
            str(one["answers"]),
            str(one["failed"]),
            *(number(one[name]["p50"]) for name in SHOWN),
        )
        for one in entries
    ]
    told = [*under("failures", notes)]
    return Sheet(title, [], rows, told, (column, *_COLUMNS), 1, least=_LEAST, wrapped=(column,))


def _passed_over(hosts: Sequence[Document]) -> Iterator[str]:
    for host in hosts:
        if missed := host["asked_elsewhere"]:
            kinds = ", ".join(f"{kind} × {count}" for kind, count in missed.items())
            asked = counted(sum(missed.values()), "question")
            yield f"{host['host']} did not answer {asked} ({kinds}): another server got them"


def _lost(nodes: Sequence[Document]) -> Iterator[str]:
    for node in nodes:
        if node["lost"]:
            again = counted(len(node["asked_again"]), "question")
            yield f"{node['node']} was lost ({node['lost']}): {again} of it asked again"

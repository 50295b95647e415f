"""What tables of any format show of a comparison of evals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.tables import ABSENT, Sheet, number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Document = dict[str, Any]

_COLUMNS = (
    *("file", "mark", "unit", "verdict", "baseline", "value", "difference", "95 % interval"),
    "questions",
)


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the table: files and warnings above, a row per file and mark."""
    found = document["results"]
    facts = [
        f"{file['label']}{' (baseline)' if file['baseline'] else ''}: {file['model']['id']} on "
        f"{file['eval_set']['name']}, {file['timestamp']}, {file['path']}"
        for file in found["files"]
    ]
    facts += [f"warning: {warning['file']}: {warning['text']}" for warning in found["warnings"]]
    notes = [
        f"{d['file']}, {d['mark']}: {d['reason']}" for d in found["differences"] if d["reason"]
    ]
    notes += [f"intervals: {found['method']['interval']}", f"file {path}"]
    table = [_row(difference) for difference in found["differences"]]
    title = f"{len(found['files'])} evals, compared with {document['config']['baseline']}"
    yield Sheet(title, facts, table, notes, _COLUMNS, 4)


def rows(document: Document) -> Iterator[dict[str, Any]]:
    """Yield every difference as one flat row, for spreadsheets."""
    files = {file["label"]: file for file in document["results"]["files"]}
    for one in document["results"]["differences"]:
        file = files[one["file"]]
        low, high = one["ci95"] or (None, None)
        kept = {name: value for name, value in one.items() if name != "ci95"}
        yield {"model": file["model"]["id"], "path": file["path"], **kept, "low": low, "high": high}


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    interval = "[{}, {}]".format(*map(_signed, one["ci95"])) if one["ci95"] else ABSENT
    return (
        *(one[name] for name in ("file", "mark", "unit", "verdict")),
        number(one["baseline"]),
        number(one["value"]),
        _signed(one["difference"]),
        interval,
        f"{one['questions']} of {one['shared']}",
    )


def _signed(value: float | None) -> str:
    return ABSENT if value is None else f"{value:+.2f}".replace("-", "−")

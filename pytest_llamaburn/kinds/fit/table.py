"""The table of the memory by context, for all output formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.kinds.fit import foresight, plan
from pytest_llamaburn.measures import REASONS
from pytest_llamaburn.tables import (
    ABSENT,
    FILE,
    Sheet,
    failures,
    half,
    machine,
    number,
    server,
    title,
    under,
    verdicts,
)
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_llamaburn.documents import Document

_COLUMNS = (
    *("context", "KV cache", "where", "size MB", "predicted MB", "off", "on GPU", "tok/s"),
    *("± 95 %", "load s", "VRAM MB", "server RSS MB"),
)
_LEAST = ("server RSS MB", "VRAM MB", "± 95 %", "load s", "KV cache")
_WHERE = {
    plan.GPU: "GPU",
    plan.SPILLS: "GPU and RAM",
    plan.RAM: "RAM",
    plan.LOADED: "loaded",
    plan.FAILED: "failed",
    plan.REFUSED: "not tried",
}
_MEMORY = {"gpu": "wholly on the GPU", "ram": "in RAM", "unknown": "loaded", None: "loaded"}


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the table: one row for each context."""
    facts = [server(document), machine(document["environment"]), _requests(document)]
    rows = [_row(step) for step in document["results"]["steps"]]
    notes = [*_notes(document), (FILE, f"file {path}")]
    yield Sheet(title(document), facts, rows, notes, _COLUMNS, words=0, least=_LEAST)


def _row(step: Document) -> tuple[str, ...]:
    decode, load_ms, share = step["decode"], step["load_ms"], step["gpu_share"]
    wanted = step["foreseen"]["gpu" if step["place"] == plan.GPU else "total"]
    return (
        str(step["num_ctx"]),
        step["kv_type"],
        _WHERE[step["place"]],
        _mb(step["total_bytes"]),
        _mb(wanted),
        ABSENT if step["difference"] is None else f"{step['difference']:+.1%}",
        ABSENT if share is None else f"{share:.0%}",
        number(decode["mean"]),
        half(decode["ci95"]),
        number(None if load_ms is None else load_ms / 1e3),
        number(step["vram_mb"]),
        number(step["server_rss_mb"]),
    )


def _mb(size: float | None) -> str:
    return number(None if size is None else size / 1e6)


def _requests(document: Document) -> str:
    totals, config = document["results"]["totals"], document["config"]
    return (
        f"{document['status']}: {totals['succeeded']} of {counted(totals['planned'], 'answer')} of "
        f"{config['osl']} tokens, {counted(config['slots'], 'slot')}, "
        f"{config['reserve']:.0%} of the RAM stays free"
    )


def _notes(document: Document) -> Iterator[tuple[str, str]]:
    found = document["results"]
    yield from under("largest context", map(_largest, found["series"]))
    yield from under("prediction", _predicted(found["foreseen"]))
    yield from verdicts(document)
    yield from under("failures", failures(found["errors"], found["runs"]))
    yield from under("not measured", _absent(document))


def _largest(series: Document) -> str:
    largest, foreseen = series["largest_context"], series["foreseen_context"]
    told = f"no context is {_MEMORY['ram']}" if largest is None else f"{largest} tokens"
    place = "" if largest is None else f" {_MEMORY[series['memory']]}"
    predicted = f" (predicted: {foreseen})" if foreseen else ""
    lost = "" if series["spill_loss"] is None else _lost(series)
    return f"KV cache {series['kv_type']}: {told}{place}{predicted}; {series['reason']}{lost}"


def _lost(series: Document) -> str:
    loss, ends = series["spill_loss"], series["spill_loss_ci95"]
    between = f" ({ends[0]:.0%} to {ends[1]:.0%})" if ends else ""
    return f", and it writes {loss:.0%}{between} slower"


def _predicted(foreseen: Document) -> Iterator[str]:
    yield from foresight.said(foreseen)  # type: ignore[arg-type]


def _absent(document: Document) -> Iterator[str]:
    """Yield why a step has no size or no rate, and why no longer context was tried."""
    for step in document["results"]["steps"]:
        where = f"{ABSENT} context {step['num_ctx']}, KV cache {step['kv_type']}"
        if step["reason"]:
            yield f"{where}: {step['reason']}"
            continue
        why = step["decode"].get("reason")
        if why:
            yield f"{where}: {REASONS.get(why, why)}"
    limit = document["telemetry"].get("limit")
    if limit:
        yield f"{ABSENT} other contexts: {limit}"

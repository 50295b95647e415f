"""The table of rates by depth, for all output formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_llamaburn.documents import Document

_COLUMNS = (
    *("depth", "prefill tok/s", "95 %", "decode tok/s", "± 95 %", "ITL p50 ms", "ITL p95 ms"),
    *("server prefill", "server decode", "n"),
)
_LEAST = ("n", "ITL p95 ms", "± 95 %", "server prefill", "server decode", "95 %")


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the table: one row for each depth."""
    facts = [server(document), machine(document["environment"]), _requests(document)]
    rows = [_row(at) for at in document["results"]["depths"]]
    notes = [*_notes(document), (FILE, f"file {path}")]
    yield Sheet(title(document), facts, rows, notes, _COLUMNS, words=0, least=_LEAST)


def _row(at: Document) -> tuple[str, ...]:
    prefill, decode, gap = at["prefill"], at["decode"], at["inter_token_latency_ms"]
    return (
        str(at["depth"]),
        number(prefill["tokens_per_sec"]),
        _ends(prefill["ci95"]),
        number(decode["mean"]),
        half(decode["ci95"]),
        number(gap["p50"]),
        number(gap["p95"]),
        number(at["server_prefill_tokens_per_sec"]),
        number(at["server_decode_tokens_per_sec"]),
        str(prefill["n"] + decode["n"]),
    )


def _ends(interval: Sequence[float] | None) -> str:
    return "{} to {}".format(*map(number, interval)) if interval else ABSENT


def _requests(document: Document) -> str:
    totals, config = document["results"]["totals"], document["config"]
    context = document["telemetry"].get("context")
    loaded = f"context {context}" if context else "context unknown"
    return (
        f"{document['status']}: {totals['succeeded']} of {counted(totals['planned'], 'request')}, "
        f"prompts of {config['isl']} tokens, answers of {config['osl']}, {loaded}"
    )


def _notes(document: Document) -> Iterator[tuple[str, str]]:
    found = document["results"]
    yield from verdicts(document)
    yield from under("failures", failures(found["errors"], found["runs"]))
    yield from under("not measured", _absent(found["depths"]))


def _absent(depths: Sequence[Document]) -> Iterator[str]:
    """Yield why a depth has no value, or no interval."""
    for at in depths:
        if at["reason"]:
            yield f"{ABSENT} depth {at['depth']}: {at['reason']}"
            continue
        if at["prefill"]["reason"]:
            yield f"{ABSENT} prefill at depth {at['depth']}: {at['prefill']['reason']}"
        why = at["decode"].get("reason")
        if why:
            yield f"{ABSENT} decode at depth {at['depth']}: {REASONS.get(why, why)}"

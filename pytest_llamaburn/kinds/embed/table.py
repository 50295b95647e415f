"""The table of embeddings and rankings, for all output formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.kinds.embed import checks
from pytest_llamaburn.measures import REASONS
from pytest_llamaburn.tables import (
    ABSENT,
    FILE,
    Sheet,
    failures,
    half,
    machine,
    marked,
    number,
    server,
    starred,
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
    *("batch", "length", "texts/s", "± 95 %", "tokens/s"),
    *("latency p50 ms", "p95 ms", "tokens per text", "n"),
)
_LEAST = ("tokens per text", "n", "p95 ms", "± 95 %", "tokens/s")
_TASKS = {"embed": "embeddings", "rerank": "reranking", None: "nothing"}
_CHECKS = {
    checks.REPEAT: "the same text gives the same result",
    checks.BATCH: "a batch gives what single requests give",
    checks.ORDER: "the order of the documents does not matter",
    checks.SIMILARITY: "statements are nearer to what says the same than to what does not",
    checks.RELEVANCE: "the relevant document comes first",
}


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the table: one row for each batch size and length."""
    found = document["results"]
    facts = [server(document), machine(document["environment"]), *_facts(document)]
    rows = [_row(cell) for cell in found["cells"]]
    notes = [*_notes(document), (FILE, f"file {path}")]
    yield Sheet(
        title(document),
        facts,
        rows,
        notes,
        _COLUMNS,
        words=0,
        least=_LEAST,
        warnings=tuple(_warnings(document)),
    )


def _row(cell: Document) -> tuple[str, ...]:
    speed, latency = cell["texts_per_sec"], cell["latency_ms"]
    return (
        str(cell["batch"]),
        str(cell["length"]),
        number(speed["mean"]),
        half(speed["ci95"]),
        number(cell["tokens_per_sec"]["mean"]),
        number(latency["p50"]),
        marked(latency, "p95"),
        number(cell["tokens_per_text"]),
        str(latency["n"]),
    )


def _facts(document: Document) -> Iterator[str]:
    found = document["results"]
    totals = found["totals"]
    unit = found["length_unit"] or "tokens"
    lengths = ", ".join(map(str, dict.fromkeys(cell["length"] for cell in found["cells"])))
    yield (
        f"{document['status']}: {totals['succeeded']} of {counted(totals['planned'], 'request')}, "
        f"{_TASKS[found['task']]}, texts of {lengths} {unit}"
    )
    vectors = found["vectors"]
    if vectors is not None:
        long = f"{vectors['shortest']:.4g} to {vectors['longest']:.4g} long"
        kind = "normalised" if vectors["normalised"] else f"not normalised, {long}"
        yield f"vectors of {vectors['dimension']} numbers, {kind}"


def _warnings(document: Document) -> Iterator[str]:
    for check in document["results"]["checks"]:
        if check["passed"] is False:
            yield f"the check '{check['name']}' failed"


def _notes(document: Document) -> Iterator[tuple[str, str]]:
    found = document["results"]
    yield from under("checks", map(_checked, found["checks"]))
    yield from verdicts(document)
    yield from under("failures", failures(found["errors"], found["runs"]))
    yield from under("not measured", _absent(found["cells"]))
    latencies = (cell["latency_ms"] for cell in found["cells"])
    yield from under("not measured", starred(latencies, "requests"))


def _checked(check: Document) -> str:
    """Return a sentence about a check: what must hold, how often it did, and how far it was off."""
    word = {True: "ok", False: "failed", None: "not known"}[check["passed"]]
    off = []
    if check["difference"] is not None:
        off.append(f"largest difference {check['difference']:.2g}")
    if check["cosine"] is not None:
        off.append(f"smallest cosine {check['cosine']:.6f}")
    if check["name"] in (checks.SIMILARITY, checks.RELEVANCE) and check["ci95"]:
        off.append("{:.0%} to {:.0%}".format(*check["ci95"]))
    more = f" ({', '.join(off)})" if off else ""
    why = f": {check['reason']}" if check["reason"] else ""
    return f"{word}: {_CHECKS[check['name']]}: {check['right']} of {check['n']}{more}{why}"


def _absent(cells: list[Document]) -> Iterator[str]:
    """Yield why a batch has no speed, and why there are no tokens."""
    for cell in cells:
        if cell["reason"]:
            where = f"batch {cell['batch']}, length {cell['length']}"
            yield f"{ABSENT} {where}: {cell['reason']}"
    reasons = (c["tokens_per_sec"].get("reason") for c in cells if not c["reason"])
    for why in dict.fromkeys(filter(None, reasons)):
        yield f"{ABSENT} tokens/s: {REASONS.get(why, why)}"

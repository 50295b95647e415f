"""The table of conversations, for all output formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.kinds.chat import overflow
from pytest_llamaburn.kinds.chat.plan import TURNS
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
    *("turn", "context tokens", "cached", "TTFT p50 ms", "TTFT, miss p50 ms"),
    *("cost of a miss ms", "± 95 %", "ITL p50 ms", "n"),
)
_LEAST = ("n", "± 95 %", "cached", "ITL p50 ms", "context tokens")
_PROMPT = {
    overflow.REFUSES: "the server refuses it",
    overflow.TRUNCATES: "the server cuts it to {prompt:.0f} tokens and answers",
    overflow.ACCEPTS: "the server reads all {prompt:.0f} tokens of it",
}
_ANSWER = {
    overflow.REFUSES: "the server refuses the request",
    overflow.STOPS: "the server ends it after {answer:.0f} tokens, when the context is full",
    overflow.SHIFTS: "the server goes on to {answer:.0f} tokens and forgets the start of the text",
    overflow.BREAKS: "the server breaks it off with an error",
    overflow.TRUNCATES: "the server cuts the prompt to {prompt:.0f} tokens before it answers",
}


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the table: one row for each turn."""
    facts = [server(document), machine(document["environment"]), _requests(document)]
    rows = [_row(turn) for turn in document["results"]["turns"]]
    notes = [*_notes(document), (FILE, f"file {path}")]
    yield Sheet(title(document), facts, rows, notes, _COLUMNS, words=0, least=_LEAST)


def _row(turn: Document) -> tuple[str, ...]:
    cost = turn["miss_cost_ms"]
    return (
        str(turn["turn"]),
        _whole(turn["context_tokens"]),
        _whole(turn["cached_tokens"]),
        number(turn["ttft_ms"]["p50"]),
        number(turn["miss_ttft_ms"]["p50"]),
        number(cost["mean"]),
        half(cost["ci95"]),
        number(turn["inter_token_latency_ms"]["p50"]),
        str(turn["ttft_ms"]["n"]),
    )


def _whole(tokens: float | None) -> str:
    return ABSENT if tokens is None else f"{tokens:,.0f}"


def _requests(document: Document) -> str:
    totals, config = document["results"]["totals"], document["config"]
    return (
        f"{document['status']}: {totals['succeeded']} of {counted(totals['planned'], 'request')}, "
        f"{counted(config['conversations'], 'conversation')}, questions of {config['isl']} tokens, "
        f"answers of {config['osl']}"
    )


def _notes(document: Document) -> Iterator[tuple[str, str]]:
    found = document["results"]
    runs = [row for row in found["runs"] if row["part"] in TURNS]
    yield from under("end of the context", _end(found["overflow"]))
    yield from verdicts(document)
    yield from under("failures", failures(found["errors"], runs))
    yield from under("not measured", _absent(found["turns"]))


def _end(found: Document) -> Iterator[str]:
    """Yield where the context is full, and what the server does there."""
    if found["context"] is not None:
        yield f"context: {found['context']} tokens{_reached(found)}"
    for name, words in (("prompt", _PROMPT), ("answer", _ANSWER)):
        probe = found[name]
        facts = {"prompt": probe["prompt_tokens"], "answer": probe["answer_tokens"]}
        behaviour = probe["behaviour"]
        said = words[behaviour].format(**facts) if behaviour else "not known"
        why = f": {probe['reason']}" if probe["reason"] else ""
        yield f"{name} past the end of the context: {said}{why}"


def _reached(found: Document) -> str:
    if found["turn"] is None:
        return ""
    if found["turn_measured"]:
        return f"; turn {found['turn']} reached its end"
    return f"; at this growth, turn {found['turn']} would reach its end (computed)"


def _absent(turns: list[Document]) -> Iterator[str]:
    for turn in turns:
        why = turn["ttft_ms"].get("reason")
        if why:
            yield f"{ABSENT} turn {turn['turn']}: {REASONS.get(why, why)}"

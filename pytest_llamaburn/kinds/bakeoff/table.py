"""The table and rows of a bake-off, for all output formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import gates, metrics
from pytest_llamaburn.kinds.bakeoff.plan import ranked
from pytest_llamaburn.tables import (
    ABSENT,
    FILE,
    Sheet,
    failures,
    half,
    machine,
    number,
    requests,
    server,
    under,
    verdicts,
)
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_llamaburn.documents import Document

_LEAST = (
    *("n", "Wh/1k tokens", "load ms", "GPU %", "memory MB", "characters/s", "TTFT p50 ms"),
    "± 95 %",
)

_RANKS = (
    "models that share a rank cannot be told apart; the intervals hold for all pairs together and "
    "for all looks in between (at most 1 wrong order in 100 bake-offs of equal models)"
)


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the table: a row for each model, the first rank first."""
    found = document["results"]
    metric = metrics.MEASURES[ranked(document["config"]["rank"]).name]
    names = ", ".join(one["name"] for one in found["candidates"])
    facts = [server(document), machine(document["environment"]), _rounds(document)]
    named = f"{metric.label} {metric.unit}" if metric.name != "tokens_per_sec" else "tokens/s"
    columns = (
        *("rank", "model", "to the first", named, "± 95 %", "TTFT p50 ms", "characters/s"),
        *("memory MB", "GPU %", "load ms", "Wh/1k tokens", _quality_name(document), "n"),
    )
    rows = [_row(document, one, metric.name) for one in found["candidates"]]
    notes = [*_notes(document), (FILE, f"file {path}")]
    yield Sheet(
        f"bake-off of {names}",
        facts,
        rows,
        notes,
        columns,
        words=3,
        least=_LEAST,
        wrapped=("model", "to the first"),
    )


def rows(document: Document) -> Iterator[Document]:
    """Yield every timed request with its model and run."""
    return requests({**document, "model": {"id": None}})


def _row(document: Document, one: Document, metric: str) -> tuple[str, ...]:
    speed = one["summary"][metric]
    share = one["gpu_share"]
    return (
        rank(one),
        one["name"],
        _to_first(document, one["name"]),
        number(speed["mean"]),
        half(speed["ci95"]),
        number(one["summary"]["time_to_first_token_ms"]["p50"]),
        number(one["characters_per_sec"]["mean"]),
        number(one["size_mb"]),
        ABSENT if share is None else f"{100 * share:.0f}",
        number(one["load_ms"]["p50"]),
        number(one["energy_wh_per_1k_tokens"]),
        _quality(one),
        str(speed["n"]),
    )


def rank(one: Document) -> str:
    """Return a rank, or the ranks that a model may have; a model without one is out."""
    if one["rank"] is None:
        return "out"
    best, worst = one["rank"]
    return str(best) if best == worst else f"{best}–{worst}"


def _to_first(document: Document, name: str) -> str:
    """Return the change of the metric from the winner to a model, with the interval."""
    winner = document["results"]["winner"]
    rises = ranked(document["config"]["rank"]).better == "higher"
    for pair in document["results"]["pairs"]:
        names = (pair["first"], pair["second"])
        if {*names} == {name, winner} and name != winner:
            return _change(pair, reverse=rises == (names[0] == winner))
    return ABSENT


def _change(pair: Document, *, reverse: bool) -> str:
    if pair["change"] is None:
        return ABSENT
    ends = pair["interval"] or ()
    change, *interval = (
        (1 / (1 + value) - 1 if reverse else value) for value in (pair["change"], *ends)
    )
    if not interval:
        return f"{_percent(change)}, open"
    low, high = sorted(interval)
    word = {"same": ", same", "open": ", open"}.get(pair["verdict"], "")
    return f"{_percent(change)} [{_percent(low)}, {_percent(high)}]{word}"


def _percent(share: float) -> str:
    return f"{gates.percent(100 * share)} %".replace("-", "−")


def quality_of(document: Document) -> str | None:
    """Return the name of the set whose scores are the quality, or None."""
    config = document["config"]
    found: str | None = config.get("set") or config.get("quality")
    return found


def _quality_name(document: Document) -> str:
    wanted = quality_of(document)
    return f"quality ({wanted})" if wanted else "quality"


def _quality(one: Document) -> str:
    known = one["quality"]
    if known is None or known["value"] is None:
        return ABSENT
    spread = f" ± {half(known['ci95'])}" if known["ci95"] else ""
    return number(known["value"]) + spread


def _rounds(document: Document) -> str:
    found, config = document["results"], document["config"]
    totals = found["totals"]
    return (
        f"{document['status']}: {counted(found['rounds'], 'round')} of {config['rounds']}, "
        f"{totals['succeeded']} of {counted(totals['requests'], 'request')}, up to "
        f"{config['max_tokens']} tokens, cache {config['cache']}, seed {config['seed']}"
    )


def _notes(document: Document) -> Iterator[tuple[str, str]]:
    found = document["results"]
    yield from verdicts(document)
    yield from under("out", (f"{o['name']}: {o['out']}" for o in found["candidates"] if o["out"]))
    yield from under("requirements", _requirements(document))
    yield from under("failures", failures(found["errors"], found["runs"]))
    missing = [o for o in found["candidates"] if o["quality"] and o["quality"]["reason"]]
    yield from under("no quality", (f"{o['name']}: {o['quality']['reason']}" for o in missing))
    yield "ranks", _RANKS


def _requirements(document: Document) -> Iterator[str]:
    for one in document["results"]["candidates"]:
        for gate in one["requirements"]:
            if gate["verdict"] != "fail":
                yield f"{one['name']}: {gates.sentence(gate)}"

"""The table of settings of the server, for all output formats."""

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
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from pytest_llamaburn.documents import Document

_COLUMNS = ("setting", "time ms", "± 95 %", "more than the best", "95 %", "group", "rounds")
_LEAST = ("rounds", "± 95 %", "95 %")
_OBJECTIVES = {
    "total": "the time of a prompt and its answer",
    "prefill": "the time to the first token",
    "decode": "the time of each token after the first",
}


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the table: one row for each setting, fastest first."""
    facts = [server(document), machine(document["environment"]), *_requests(document)]
    rows = [_row(one) for one in document["results"]["settings"]]
    notes = [*_notes(document), (FILE, f"file {path}")]
    yield Sheet(
        title(document), facts, rows, notes, _COLUMNS, words=1, least=_LEAST, wrapped=_COLUMNS[:1]
    )


def _row(one: Document) -> tuple[str, ...]:
    return (
        one["name"],
        number(one["time_ms"]["mean"]),
        half(one["time_ms"]["ci95"]),
        ABSENT if one["more"] is None else f"{one['more']:+.1%}",
        _ends(one["more_ci95"]),
        ABSENT if one["group"] is None else str(one["group"]),
        f"{one['rounds']}, left out" if one["left_out"] else str(one["rounds"]),
    )


def _ends(interval: Sequence[float] | None) -> str:
    return "{:+.1%} to {:+.1%}".format(*interval) if interval else ABSENT


def _requests(document: Document) -> Iterator[str]:
    totals, config = document["results"]["totals"], document["config"]
    yield (
        f"{document['status']}: {totals['succeeded']} of {counted(totals['planned'], 'answer')}, "
        f"prompts of {config['isl']} tokens, answers of {config['osl']}, search {config['search']}"
    )
    yield f"objective: {_OBJECTIVES[config['objective']]}"


def _notes(document: Document) -> Iterator[tuple[str, str]]:
    found = document["results"]
    known = [one for one in found["settings"] if one["rounds"]]
    yield from under("best setting", _best(found, alone=len(known) == 1))
    yield from under("to keep it", found["best"]["keep"] if found["best"] else ())
    yield from under("what each option is worth", map(_worth, found["effects"]))
    yield from verdicts(document)
    yield from under("failures", failures(found["errors"], found["runs"]))
    yield from under("not measured", _absent(found["settings"]))


def _best(found: Mapping[str, Any], *, alone: bool) -> Iterator[str]:
    best = found["best"]
    if best is None:
        return
    together = best["together"]
    others = "; ".join(together)
    none = "no other was measured" if alone else "no other is as fast"
    told = f"it cannot be told apart from {others}" if together else none
    yield f"{best['name']}: {told}"


def _worth(effect: Document) -> str:
    if effect["reason"]:
        return f"{effect['option']}: not known, {effect['reason']}"
    best, *rest = effect["levels"]
    near = [str(one["value"]) for one in (best, *rest) if not one["apart"]]
    if not effect["apart"]:
        told = f"the values cannot be told apart; {best['value']} looked best"
    elif len(near) > 1:
        told = f"{', '.join(near)} are best and cannot be told apart"
    else:
        told = f"{best['value']} is best"
    others = (f"{level['value']} {_more(level)}" for level in rest)
    return f"{effect['option']}: {told}; {', '.join(others)}"


def _more(level: Mapping[str, Any]) -> str:
    if level["more"] is None:
        return "not known"
    ends = f" ({_ends(level['more_ci95'])})" if level["more_ci95"] else ""
    return f"takes {level['more']:+.1%}{ends}"


def _absent(settings: Sequence[Document]) -> Iterator[str]:
    for one in settings:
        if one["reason"]:
            yield f"{ABSENT} {one['name']}: {REASONS.get(one['reason'], one['reason'])}"

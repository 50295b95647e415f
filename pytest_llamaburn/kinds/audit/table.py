"""The tables of an audit: the errors with the scores by dose, and the manipulations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import gates
from pytest_llamaburn.kinds.audit import material, words
from pytest_llamaburn.tables import ABSENT, FILE, Sheet, half, number, under
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_llamaburn.documents import Document

_DOSES = range(1, material.MOST_DOSE + 1)
_ERRORS = (
    *("error", "asked for", "verdict", "right", *(f"dose {dose}" for dose in _DOSES)),
    *("each costs", "95 %", "noticed", "never rises", "questions"),
)
_LEAST_ERRORS = ("never rises", "asked for", "dose 2", "dose 1", "questions", "dose 3")
_SWAYS = ("manipulation", "verdict", "shift", "95 %", "changed", "n")
_METHOD = (
    "scores are from 1 to 5, right is the answer without errors; noticed: texts that score lower "
    "than it; all intervals are 95 % intervals over questions"
)


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the table of errors and the table of manipulations."""
    found = document["results"]
    names = ", ".join(found["judges"])
    yield Sheet(
        f"audit of {names}: what it sees",
        [_facts(document), *_spent(found)],
        [*map(_error, found["errors"])],
        [*under("what it sees", (one["says"] for one in found["errors"]))],
        _ERRORS,
        3,
        least=_LEAST_ERRORS,
    )
    said = [*(one["says"] for one in found["manipulations"]), found["preference"]["says"]]
    yield Sheet(
        f"audit of {names}: what sways it",
        [],
        [*map(_manipulation, found["manipulations"])],
        [
            *under("what sways it", said),
            *under("gates", map(gates.sentence, found["gates"])),
            *under("notes", found["notes"]),
            ("method", _METHOD),
            (FILE, f"file {path}"),
        ],
        _SWAYS,
        2,
        least=("changed",),
    )


def rows(document: Document) -> Iterator[Document]:
    """Yield every text that the judge was shown, for spreadsheets."""
    for probe in document["results"]["probes"]:
        yield {name: value for name, value in probe.items() if name not in ("judgments", "base")}


def _facts(document: Document) -> str:
    found, config = document["results"], document["config"]
    asked = len({probe["question_id"] for probe in found["probes"]})
    states = ", ".join(f"{n} {state}" for state, n in found["by_state"].items())
    shown = "without" if config["without_reference"] else "with"
    return (
        f"{document['status']}: {counted(asked, 'question')} of {found['set']['name']}, "
        f"{shown} the reference, {counted(found['n_total'], 'verdict')} ({states}), "
        f"seed {config['seed']}"
    )


def _spent(found: Document) -> Iterator[str]:
    spent = found["spent"]
    cost = "unknown" if spent["cost_usd"] is None else f"{spent['cost_usd']:.4f} USD"
    yield f"{counted(spent['calls'], 'call')}, cost {cost}"


def _error(found: Document) -> tuple[str, ...]:
    means = {one["dose"]: f"{number(one['value'])} ± {half(one['ci95'])}" for one in found["doses"]}
    slope = found["slope"]
    return (
        words.ERRORS[found["kind"]],
        found["criterion"],
        found["verdict"],
        *(means.get(dose, ABSENT) for dose in (0, *_DOSES)),
        ABSENT if slope["value"] is None else words.signed(-slope["value"]),
        _ends([-end for end in reversed(slope["ci95"] or ())]),
        _percent(found["noticed"]["value"]),
        _percent(found["monotone"]["value"]),
        str(slope["n"]),
    )


def _manipulation(found: Document) -> tuple[str, ...]:
    shift = found["shift"]
    return (
        words.MANIPULATIONS[found["kind"]],
        found["verdict"],
        ABSENT if shift["value"] is None else words.signed(shift["value"]),
        _ends(shift["ci95"]),
        _percent(found["changed"]["value"]),
        str(shift["n"]),
    )


def _ends(interval: Sequence[float] | None) -> str:
    if not interval:
        return ABSENT
    return f"[{words.signed(interval[0])}, {words.signed(interval[1])}]"


def _percent(share: float | None) -> str:
    return ABSENT if share is None else f"{100 * share:.0f} %"

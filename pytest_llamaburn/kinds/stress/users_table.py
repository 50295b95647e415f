"""What users see, as a table: the prediction, and beside it the truth if it was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.tables import ABSENT, Sheet, number, under
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.documents import Document

COLUMNS = ("of the users", "predicted", "95 %", "measured", "95 % measured", "n", "difference")
FORESEEN = COLUMNS[:3]
LEAST = ("n", "95 % measured", "95 %")
_LABELS = {
    "ttft_ms.p50": "TTFT p50 ms",
    "ttft_ms.p95": "TTFT p95 ms",
    "itl_ms.p50": "ITL p50 ms",
    "itl_ms.p95": "ITL p95 ms",
    "requests_per_sec": "requests/s",
    "error_rate": "failed, share",
}


def sheet(document: Document) -> Sheet:
    """Return the table of a twin's users."""
    found = document["results"]["twin"]
    rows = [*_rows(found)]
    notes = [*under("model", model(document["results"]["service"])), *_verdict(found)]
    empty = found["reason"] or "nothing was predicted"
    return Sheet(title(found), [], rows, notes, COLUMNS, words=1, least=LEAST, empty=empty)


def title(found: Document) -> str:
    """Return who the users are."""
    think = found["think_time"]
    pauses = f"think time {think}" if think else "without pauses"
    return f"{counted(found['users'], 'user')}, {pauses}"


def foreseen_rows(predicted: Document) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a prediction."""
    for name, label in _LABELS.items():
        one = predicted[name]
        yield label, number(one["value"]), _between(one["ci95"])


def model(found: Document) -> Iterator[str]:
    """Yield the model of the server in sentences."""
    slots = counted(found["slots"], "slot")
    yield slots if found["slots_known"] else f"at least {slots}"
    yield from _prefill(found["prefill"])
    steps = found["decode"]
    each = ", ".join(
        f"{number(one['ms_per_token']['value'])}{'' if one['ms_per_token']['n'] else '~'}"
        for one in steps
    )
    unseen = " (~ is interpolated)" if "~" in each else ""
    yield f"decode: {each} ms per token with 1 to {len(steps)} answers at once{unseen}"
    if found["stall_share"] is None:
        yield "prompts were hardly read beside answers"
    else:
        waits = "share the processor" if found["shares_processor"] else "do not wait for each other"
        stall = f"{found['stall_share']:.0%}"
        yield f"prefill and decode {waits}: answers waited for {stall} of the time of reading"


def broken(found: Document) -> Iterator[tuple[str, str]]:
    """Yield the assumptions that did not hold, as notes."""
    lines = (f"{one['assumption']}: {one['sentence']}" for one in found["broken_assumptions"])
    yield from under("assumptions that did not hold", lines)


def _rows(found: Document) -> Iterator[tuple[str, ...]]:
    if not found["predicted"]:
        return
    for name, row in zip(_LABELS, foreseen_rows(found["predicted"]), strict=True):
        one, difference = found["measured"][name], found["differences"][name]
        yield (
            *row,
            number(one["value"]),
            _between(one["ci95"]),
            str(one["n"]),
            ABSENT if difference is None else f"{difference:+.1%}",
        )


def _verdict(found: Document) -> Iterator[tuple[str, str]]:
    if found["holds"] is not None:
        kept = "holds" if found["holds"] else "does not hold"
        difference = found["differences"]["ttft_ms.p95"]
        side = f"{abs(difference):.1%} {'below' if difference < 0 else 'above'}"
        yield "model", f"the model {kept}: the measured TTFT p95 is {side} the prediction"
    yield from broken(found)
    if found["reason"]:
        yield "model", found["reason"]


def _prefill(found: Document) -> Iterator[str]:
    rate, fixed = found["tokens_per_sec"], found["fixed_ms"]
    if rate is None:
        yield f"prefill: {number(fixed['value'])} ms per prompt, whatever its length"
        return
    low, high = found["ms_per_token"]["ci95"]
    ends = f" [{number(1000 / high)}, {number(1000 / low)}]" if low > 0 else ""
    yield f"prefill: {number(rate)} tokens/s{ends}, and {number(fixed['value'])} ms for each group"
    if found["reason"]:
        yield f"prefill: {found['reason']}"


def _between(ends: list[float] | None) -> str:
    return f"{number(ends[0])} to {number(ends[1])}" if ends else ABSENT

"""The sentences of an audit: one for each kind of error and manipulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_llamaburn.documents import Document

ERRORS: Final = {
    "wrong_number": "wrong numbers",
    "contradiction": "contradictions",
    "dropped_step": "dropped steps",
    "truncation": "truncations",
}
MANIPULATIONS: Final = {
    "padding": "padding",
    "flattery": "flattery",
    "self_praise": "praise of itself",
    "instruction": "an instruction to the judge",
    "again": "nothing (judged again)",
    "order": "order of A and B",
}
_UNITS: Final = {"truncation": "each quarter that is cut off"}
_NOISE: Final = "again"
_ORDER: Final = "order"


def of_error(found: Document) -> str:
    """Return what the judge does with an error, as a sentence."""
    name = ERRORS[found["kind"]]
    slope, noticed = found["slope"], found["noticed"]
    if slope["value"] is None:
        return f"Nothing is known of {name}: {slope['reason']}."
    one = _UNITS.get(found["kind"], "each one")
    size = f"{abs(slope['value']):.2f}"
    share = f"{100 * noticed['value']:.0f} % of the texts with them score lower"
    if found["verdict"] == "seen":
        return f"The judge sees {name}: {one} costs {size} points, and {share}."
    if found["verdict"] == "rewarded":
        return f"The judge rewards {name}: {one} gains {size} points, and {share}."
    low, high = map(signed, slope["ci95"])
    return (
        f"The judge does not surely see {name}: {one} changes the score by {low} to {high} points, "
        f"and {share}."
    )


def of_manipulation(found: Document) -> str:
    """Return whether a manipulation sways the judge, as a sentence."""
    shift, verdict = found["shift"], found["verdict"]
    if shift["value"] is None:
        what = "its noise" if found["kind"] == _NOISE else MANIPULATIONS[found["kind"]]
        return f"Nothing is known of {what}: {shift['reason']}."
    if found["kind"] == _ORDER:
        return _of_order(shift["value"], verdict, [*map(signed, shift["ci95"])])
    name = MANIPULATIONS[found["kind"]].capitalize()
    if found["kind"] == _NOISE:
        share = f"{100 * found['changed']['value']:.0f} %"
        return f"The same text, judged again, gets another score in {share} of the cases."
    size, (low, high) = f"{abs(shift['value']):.2f}", map(signed, shift["ci95"])
    full = f"; {found['at_top']} of {shift['n']} texts had the top score already"
    room = full if found["at_top"] and verdict != "up" else ""
    if verdict in ("up", "down"):
        way = "raises" if verdict == "up" else "lowers"
        return f"{name} sways the judge: it {way} the score by {size} points{room}."
    if verdict == "steady":
        return f"{name} does not sway the judge: the score changes by {low} to {high} points{room}."
    return (
        f"It is open whether {name[:1].lower()}{name[1:]} sways the judge: the score changes by "
        f"{low} to {high} points{room}."
    )


def _of_order(value: float, verdict: str, ends: list[str]) -> str:
    if verdict in ("up", "down"):
        which = "first" if value > 0 else "second"
        return (
            f"The order sways the judge: it takes the answer shown {which} "
            f"{100 * abs(value):.0f} percentage points more often than the other one."
        )
    if verdict == "steady":
        return "The order of two answers does not sway the judge."
    return (
        "It is open whether the order of two answers sways the judge: "
        f"{ends[0]} to {ends[1]}, where +1 is always the first one."
    )


def of_preference(found: Document) -> str:
    """Return how often the judge prefers the right answer, as a sentence."""
    if found["value"] is None:
        return f"Nothing is known of its choice between two answers: {found['reason']}."
    return (
        f"Of a right answer and one with errors, the judge prefers the right one in "
        f"{100 * found['value']:.0f} % of the pairs (ties count half)."
    )


def signed(value: float) -> str:
    """Return a number with its sign."""
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", "−")

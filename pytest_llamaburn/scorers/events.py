"""The sounds that were found in a recording: F1 of events and of segments.

The option `events` has the right ones: `event`, `start` and `end` in seconds. The answer is a JSON
list of such objects. An event is found if one of the same name begins at most 0.5 s earlier or
later, and ends at most 0.5 s, or a fifth of its length, earlier or later. A segment is a tenth of a
second with one sound. F1 = 2 × found / (2 × found + too many + missing). An answer is right if all
events are found and none is too many.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.scorers import _base, _text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.scorers._base import Question, Score

    Event = dict[str, Any]

NEEDS = ("events",)
RATES = ("event_f1", "segment_f1")
_NEAR_S, _NEAR_SHARE = 0.5, 0.2
_SEGMENT_S = 0.1
_LONGEST_S = 36_000
_MOST = 1000  # events that are read


def score(answer: str, question: Question) -> Score:
    """Return the score; its details are the counts of both F1."""
    right: list[Event] = _base.needed(question, "events")
    said = _text.spoken(answer)
    told = _read(said)
    found = _found(right, told or [])
    details = {**found, **_segments(right, told or [])}
    if not said:
        return _base.empty()._replace(details=details)
    if told is None:
        return _base.unparsable("the answer has no JSON list of events")._replace(details=details)
    wrong = found["events_double"] < found["events_both"]
    why = f"{found['events_double'] // 2} of {len(right)} events found, {len(told)} told"
    return _base.scored(not wrong, said, why, **details)


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason of events that have no name or no times."""
    events = question.options.get("events")
    if not (isinstance(events, list) and all(map(_is_event, events))):
        yield "events", "should be a list of objects with event, start and end"


def _found(right: Sequence[Event], told: Sequence[Event]) -> dict[str, int]:
    left, found = [*told], 0
    for one in right:
        same = next((other for other in left if _same(one, other)), None)
        if same is not None:
            left.remove(same)
            found += 1
    return {"events_double": 2 * found, "events_both": len(right) + len(told)}


def _same(right: Event, told: Event) -> bool:
    near = max(_NEAR_S, _NEAR_SHARE * (right["end"] - right["start"]))
    return (
        _text.normal(right["event"]) == _text.normal(told["event"])
        and abs(right["start"] - told["start"]) <= _NEAR_S
        and abs(right["end"] - told["end"]) <= near
    )


def _segments(right: Sequence[Event], told: Sequence[Event]) -> dict[str, int]:
    mine, theirs = _cut(right), _cut(told)
    return {
        "segments_double": 2 * len(mine & theirs),
        "segments_both": len(mine) + len(theirs),
    }


def _cut(events: Sequence[Event]) -> set[tuple[str, int]]:
    return {
        (_text.normal(one["event"]), step)
        for one in events
        for step in range(round(one["start"] / _SEGMENT_S), round(one["end"] / _SEGMENT_S))
    }


def _read(said: str) -> list[Event] | None:
    """Return the events of an answer; None if it has no list of them."""
    begin, end = said.find("["), said.rfind("]")
    try:
        told = json.loads(said[begin : end + 1])
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, list) or len(told) > _MOST or not all(map(_is_event, told)):
        return None
    return told


def _is_event(one: object) -> bool:
    return (
        isinstance(one, dict)
        and isinstance(one.get("event"), str)
        and all(_is_time(one.get(name)) for name in ("start", "end"))
    )


def _is_time(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value <= _LONGEST_S

"""The scorers of found sounds and of durations."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_llamaburn.evalsets import Question
from pytest_llamaburn.scorers import duration, events

BEEP: dict[str, Any] = {"event": "beep", "start": 1.0, "end": 2.0}
SIREN: dict[str, Any] = {"event": "siren", "start": 3.0, "end": 5.0}


def question(**options: Any) -> Question:
    return Question("q", "?", None, "c", options=options)


def of_events(told: Any, *right: dict[str, Any]) -> Any:
    answer = told if isinstance(told, str) else json.dumps(told)
    return events.score(answer, question(events=[*right]))


def test_all_events_found_are_right() -> None:
    found = of_events(f"Here: {json.dumps([SIREN, BEEP])}.", BEEP, SIREN)
    assert (found.correct, found.details) == (
        True,
        {"events_double": 4, "events_both": 4, "segments_double": 60, "segments_both": 60},
    )


@pytest.mark.parametrize(
    ("told", "double", "both"),
    [
        ([{**BEEP, "start": 1.4, "end": 2.4}], 2, 2),
        ([{**BEEP, "start": 1.6}], 0, 2),
        ([{**BEEP, "end": 2.6}], 0, 2),
        ([{**BEEP, "event": "siren"}], 0, 2),
        ([BEEP, BEEP], 2, 3),
        ([], 0, 1),
    ],
)
def test_wrong_times_names_and_extra_events_lower_the_f1(
    told: list[Any], double: int, both: int
) -> None:
    found = of_events(told, BEEP)
    assert (found.details["events_double"], found.details["events_both"]) == (double, both)
    assert found.correct is (double == both)


def test_segments_count_the_overlap() -> None:
    found = of_events([{**BEEP, "start": 1.5, "end": 2.5}], BEEP)
    assert (found.details["segments_double"], found.details["segments_both"]) == (10, 20)


@pytest.mark.parametrize("told", ["a beep", "[1, 2]", '[{"event": "beep", "start": -1, "end": 2}]'])
def test_an_answer_without_events_is_unparsable(told: str) -> None:
    found = of_events(told, BEEP)
    assert (found.correct, found.state) == (False, "unparsable")
    assert found.details["events_both"] == 1


def test_an_empty_answer_misses_all_events() -> None:
    assert of_events("", BEEP).details["events_double"] == 0


def test_events_without_times_are_faults() -> None:
    assert [*events.faults(question(events=[{"event": "x"}]))]
    assert not [*events.faults(question(events=[BEEP]))]


@pytest.mark.parametrize(
    ("answer", "state", "right"),
    [
        ("9.5 s", "scored", True),
        ("8.5 s", "scored", False),
        ("long", "unparsable", False),
        ("", "empty", False),
    ],
)
def test_a_duration_is_right_within_a_tenth(answer: str, state: str, right: bool) -> None:
    found = duration.score(answer, question(seconds=10))
    assert (found.state, found.correct) == (state, right)


def test_a_duration_may_have_its_own_bound() -> None:
    assert duration.score("8.5 s", question(seconds=10, within=0.2)).correct
    assert [*duration.faults(question(seconds="x"))] == [
        ("seconds", "'x' is not a number from 0 on")
    ]

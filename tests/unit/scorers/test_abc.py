"""The scorer of written music: what it holds against a question, and what its rates count."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_llamaburn.evalsets import Question
from pytest_llamaburn.kinds.eval import rates
from pytest_llamaburn.scorers import abc, duration

WALTZ = "X:1\nT:W\nM:3/4\nL:1/4\nQ:1/4=180\nK:Em\n" + "E G B | e d B | A F D | E3 |]"  # 4 s


def question(**options: Any) -> Question:
    return Question("q", "?", None, "c", scorer="abc", options=options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, ""),
        ({"key": "Em", "metre": "3/4", "bars": 4, "seconds": 4}, ""),
        ({"seconds": 4.4}, ""),
        ({"seconds": 4.5}, "it lasts 4 s instead of 4.5 s"),
        ({"seconds": 4.5, "within": 0.2}, ""),
        ({"bars": 5}, "it has 4 bars instead of 5"),
        ({"key": "G"}, "its key is E minor instead of G major"),
        ({"metre": "6/8"}, "its metre is 3/4 instead of 6/8"),
        ({"metre": "6/8", "bars": 3}, "4 bars instead of 3; its metre is 3/4"),
    ],
)
def test_a_tune_is_right_if_it_keeps_to_all_that_is_asked(
    options: dict[str, Any], reason: str
) -> None:
    found = abc.score(f"```abc\n{WALTZ}\n```", question(**options))
    assert found.correct is not bool(reason)
    assert reason in found.reason
    assert found.extracted == WALTZ


def test_a_key_that_only_stands_in_the_header_is_not_kept() -> None:
    found = abc.score(WALTZ.replace("A F D", "_A =F _D"), question(key="Em"))
    assert (found.correct, found.reason) == (False, "70% of its notes are in the scale of E minor")
    assert found.details["in_scale"] == 0.7


def test_a_metre_that_bars_do_not_have_is_not_kept() -> None:
    found = abc.score(WALTZ.replace("e d B", "e d"), question(metre="3/4"))
    assert (found.correct, found.reason) == (False, "3 of 4 bars have the length of 3/4")


def test_what_is_no_abc_is_wrong_and_counted() -> None:
    asked = question(key="Em", metre="3/4")
    answers = [WALTZ, "la la la", "", WALTZ.replace("K:Em", "K:C"), WALTZ.replace("M:3/4", "M:C")]
    found = [abc.score(answer, asked) for answer in answers]
    assert [one.state for one in found] == ["scored", "unparsable", "empty", "scored", "scored"]
    assert [one.correct for one in found] == [True, False, False, False, False]
    items: Any = [
        {"question": asked._asdict(), "verdict": one._asdict(), "more_samples": []} for one in found
    ]
    means = {name: one["mean"] for name, one in rates.of(items)["rates"].items()}
    assert means == {"parse_rate": 3 / 5, "key_obeyed": 2 / 5, "metre_obeyed": 2 / 5}


def test_rates_of_what_nobody_asked_for_have_no_value() -> None:
    asked = question(bars=4)
    items: Any = [
        {
            "question": asked._asdict(),
            "verdict": abc.score(WALTZ, asked)._asdict(),
            "more_samples": [],
        }
    ]
    found = rates.of(items)["rates"]
    assert (found["parse_rate"]["mean"], found["key_obeyed"]["mean"]) == (1, None)


@pytest.mark.parametrize(
    ("options", "field"),
    [({"key": "H"}, "key"), ({"key": 3}, "key"), ({"metre": 3}, "metre"), ({"bars": -1}, "bars")],
)
def test_a_wrong_option_is_a_fault(options: dict[str, Any], field: str) -> None:
    assert [name for name, _ in abc.faults(question(**options))] == [field]
    assert not [*abc.faults(question(key="Em", metre="3/4", bars=4))]


@pytest.mark.parametrize(
    ("answer", "correct", "state"),
    [
        (WALTZ, True, "scored"),
        (WALTZ.replace("E3 |]", "E3 | B3 |]"), False, "scored"),
        ("la la la", False, "unparsable"),
    ],
)
def test_a_duration_is_read_of_a_tune(answer: str, correct: bool, state: str) -> None:
    found = duration.score(answer, question(seconds=4))
    assert (found.correct, found.state) == (correct, state)

"""The scorers of images: short answers, transcripts, fields of documents, facts of descriptions."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.questions import Asked

from pytest_llamaburn.errors import MissingExtraError
from pytest_llamaburn.scorers import cer, facts, fields, vqa

TEN = {"answers": ["2"] * 7 + ["two", "3", "many"]}
RECEIPT = {"fields": {"shop": "Winter & River", "total": "79.90", "count": 2}}


@pytest.mark.parametrize(
    ("said", "accuracy"),
    [
        ("2", 1.0),
        ("Two.", 1.0),
        ("the two", 1.0),
        ("**2**", 1.0),
        ("3", 0.3),  # one of ten people: in nine of the ten choices of nine, a third
        ("4", 0.0),
        ("there are 2", 0.0),
    ],
)
def test_vqa_is_the_share_of_people_with_the_same_answer(said: str, accuracy: float) -> None:
    verdict = vqa.score(said, Asked("2", TEN))
    assert verdict.details["vqa_accuracy"] == pytest.approx(accuracy)
    assert verdict.correct is (accuracy >= 0.5)


def test_vqa_without_people_is_by_the_reference_and_what_is_accepted() -> None:
    asked = Asked("gray", {"accept": ["grey"]})
    assert vqa.score("Grey.", asked).correct
    assert vqa.score("None", Asked("zero")).correct
    assert not vqa.score("black", asked).correct
    assert [*vqa.faults(Asked("a", {"answers": [1]}))] == [("answers", "should be a list of texts")]
    assert [*vqa.faults(Asked("a", TEN))] == []


@pytest.mark.parametrize(
    ("said", "errors", "words"),
    [
        ("Total 12.50", 0, 0),
        ("```text\nTotal   12.50\n```", 0, 0),
        ("Total\n12.50 ", 0, 0),
        ("total 12.50", 1, 1),
        ("Total 12.5", 1, 1),
        ("Total: 12.50", 1, 1),
        ("Total", 6, 1),
    ],
)
def test_cer_counts_the_errors_of_characters_and_words(said: str, errors: int, words: int) -> None:
    details = cer.score(said, Asked("Total 12.50", {"max_cer": 0.1})).details
    assert (details["character_errors"], details["reference_characters"]) == (errors, 11)
    assert details["cer"] == pytest.approx(errors / 11)
    found = details["substitutions"] + details["deletions"] + details["insertions"]
    assert (found, details["reference_words"]) == (words, 2)


def test_cer_is_right_up_to_its_bound_and_else_only_measured() -> None:
    assert cer.score("Total 12.5", Asked("Total 12.50", {"max_cer": 0.1})).correct is True
    assert cer.score("Total", Asked("Total 12.50", {"max_cer": 0.1})).correct is False
    measured = cer.score("Total", Asked("Total 12.50"))
    assert (measured.correct, measured.reason) == (None, "measured only: no max_cer is set")
    assert cer.score("", Asked("Total 12.50")).details["cer"] == 1.0


def test_cer_names_its_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [*cer.faults(Asked(" ", {"max_cer": -1}))] == [
        ("max_cer", "-1 is not a number from 0 on"),
        ("reference", "has no characters"),
    ]
    cer.ready()
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pytest-llamaburn\[ocr\]'"):
        cer.ready()


@given(st.text("ab ", min_size=1).filter(str.strip), st.text("ab ", min_size=1).filter(str.strip))
@settings(max_examples=50, deadline=None)
def test_cer_is_the_edit_distance_over_the_length(reference: str, said: str) -> None:
    one, two = " ".join(reference.split()), " ".join(said.split())
    details = cer.score(said, Asked(reference)).details
    assert details["cer"] == pytest.approx(_distance(one, two) / len(one))


def _distance(one: str, two: str) -> int:
    row: list[int] = [*range(len(two) + 1)]
    for i, a in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(two, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


@pytest.mark.parametrize(
    "said",
    [
        '{"shop": "Winter & River", "total": "79.9", "count": "2"}',
        'Here:\n```json\n{"Shop": "winter & river", "Total": 79.90, "count": 2}\n```',
        "**Shop:** Winter & River\n- Total: $79.90\n- count: 2",
    ],
)
def test_fields_are_read_from_json_and_from_lines(said: str) -> None:
    verdict = fields.score(said, Asked(options=RECEIPT))
    assert (verdict.correct, verdict.details["fields_right"]) == (True, 3)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ('{"shop": "Winter & River", "total": 79.91, "count": 2}', ["total"]),
        ('{"shop": "Winter", "total": true}', ["shop", "total", "count"]),
        ('{"shop": "Winter & River", "total": "nan", "count": [2]}', ["total", "count"]),
    ],
)
def test_a_wrong_or_missing_field_is_named(said: str, wrong: list[str]) -> None:
    verdict = fields.score(said, Asked(options=RECEIPT))
    assert (verdict.correct, verdict.details["wrong"]) == (False, wrong)


def test_fields_of_an_answer_without_any_are_unparsable() -> None:
    verdict = fields.score("I cannot read it", Asked(options=RECEIPT))
    assert (verdict.state, verdict.details["fields_right"]) == ("unparsable", 0)
    assert fields.score("", Asked(options=RECEIPT)).state == "empty"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"fields": {}}, "should be an object with at least one field"),
        ({"fields": {"a": []}}, "should have texts and numbers only"),
        (RECEIPT, None),
    ],
)
def test_faults_of_fields(options: dict[str, Any], reason: str | None) -> None:
    assert [*fields.faults(Asked(options=options))] == ([("fields", reason)] if reason else [])


def test_facts_are_counted_with_their_alternatives() -> None:
    options = {"facts": ["red circle", ["gray star", "grey star"]]}
    whole = facts.score("A red circle beside a grey star.", Asked(options=options))
    assert (whole.correct, whole.details["facts_found"]) == (True, 2)
    part = facts.score("A red circle beside a star.", Asked(options=options))
    assert (part.correct, part.details["missing"]) == (False, ["gray star"])
    assert facts.score("red circle", Asked(options={**options, "min_share": 0.5})).correct
    assert facts.score("", Asked(options=options)).details["facts_found"] == 0


@pytest.mark.parametrize("bad", [[], "red", [[]], [3], [["red", 3]]])
def test_faults_of_facts(bad: Any) -> None:
    reason = "should be a list of texts, or of lists of texts"
    assert [*facts.faults(Asked(options={"facts": bad}))] == [("facts", reason)]
    fine = {"facts": ["a"], "min_share": "x"}
    assert next(facts.faults(Asked(options=fine)))[0] == "min_share"

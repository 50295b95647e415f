"""`choice` against the shapes that answers have, and their traps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.questions import Asked

from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.scorers import (
    choice,
)

CITIES = {"choices": ["London", "Paris", "York", "New York"]}


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("B.", "B"),
        ("(B)", "B"),
        ("[B]", "B"),
        ("'B'", "B"),
        ("**B**", "B"),
        ("\uff22", "B"),
        ("B) Paris", "B"),
        ("B - Paris", "B"),
        ("B: Paris", "B"),
        ("B. Paris is the capital.", "B"),
        ("Option B", "B"),
        ("Answer: B", "B"),
        ("Answer\nB", "B"),
        ("**Answer:** B", "B"),
        ("answer is b", "B"),
        ("The answer is B.", "B"),
        ("The answer is B because Paris", "B"),
        ("The answer is option B because it is so.", "B"),
        ("The answer is the letter B", "B"),
        ("The correct answer is (B) Paris.", "B"),
        ("The correct answer to the question is B", "B"),
        ("The best choice would be B", "B"),
        ("The answer is:\n\n**B**", "B"),
        ("#### B", "B"),
        (r"$\boxed{B}$", "B"),
        (r"\boxed{\text{B}}", "B"),
        ("So it must be (B).", "B"),
        ("B is the correct answer", "B"),
        ("My answer is B, since A is in England", "B"),
        ("I'd go with C", "C"),
        ("I choose option D.", "D"),
        ("A", "A"),
        ("A is correct", "A"),
        ("The answer is A because", "A"),
        ("Answer: A London", "A"),
        ("Paris", "B"),
        ("paris.", "B"),
        ("The answer is Paris.", "B"),
        ("The capital of France is Paris.", "B"),
        ("Answer: New York", "D"),
        ("Answer: York", "C"),
        ("It must be New York", "D"),
        ("The answer is B. Final answer: C", "C"),
        ("A. London\nB. Paris\nC. York\nD. New York\n\nB", "B"),
        ("Let's see: A is London, which is wrong. The correct option: B", "B"),
        ("<think>A</think>B", "B"),
    ],
)
def test_choice_is_found(answer: str, letter: str) -> None:
    verdict = choice.score(answer, Asked("B", CITIES))
    assert verdict[:2] == (letter == "B", "scored")
    assert verdict.extracted == letter


BLOOD = {"choices": ["O", "A", "B", "AB"]}


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(B)", "B"),
        ("A", "A"),
        ("A) O", "A"),
        ("B) A", "B"),
        ("B: A", "B"),
        ("C) B", "C"),
        ("The answer is B", "B"),
        ("The answer is B) A.", "B"),
        ("AB", "D"),
        ("O", "A"),
        ("The blood type is AB, a rare one.", "D"),
        ("The blood type is B.", "C"),
    ],
)
def test_letter_is_a_choice_before_it_is_a_text(answer: str, letter: str) -> None:
    verdict = choice.score(answer, Asked("B", BLOOD))
    assert (verdict.extracted, verdict.correct) == (letter, letter == "B")


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("It is vitamin C.", "B"),
        ("It is vitamin A.", "A"),
        ("Answer: Vitamin A", "A"),
        ("Hague", "C"),
        ("It must be the Hague", "C"),
        ("iron", "D"),
        ("The answer is the iron.", "D"),
    ],
)
def test_article_is_left_out_only_before_a_text(answer: str, letter: str) -> None:
    options = {"choices": ["Vitamin A", "Vitamin C", "The Hague", "an iron"]}
    assert choice.score(answer, Asked("B", options)).extracted == letter


@pytest.mark.parametrize(
    "answer",
    [
        "A good question. Let me think.",
        "The answer is A good question",
        "The answer is a good one",
        "I think so",
        "I",
        "A cat sat",
        "Not sure",
        "E",
        "The answer is E",
        "The answer is not B",
        "B is not correct",
        "B. London",
        "The answer is A or B",
        "Answer: A, B",
        "Answer: B and C",
        "The answer is B. Wait, the answer is C.",
        "A. London\nB. Paris\nC. York\nD. New York",
        "A) London is wrong.\nB) Paris is right.",
        "Between London and Paris",
        "Perhaps (A), perhaps (B)",
    ],
)
def test_no_single_choice_is_unparsable(answer: str) -> None:
    verdict = choice.score(answer, Asked("B", CITIES))
    assert (verdict.correct, verdict.state) == (False, "unparsable")


@given(st.sampled_from("ABCD"), st.sampled_from(["{}", "({})", "Answer: {}", "**{}.**", "{}\n"]))
def test_letter_alone_is_always_read(letter: str, form: str) -> None:
    assert choice.score(form.format(letter), Asked("B", CITIES)).extracted == letter


@pytest.mark.parametrize("reference", ["B", "b", "(B)", "Paris", "paris"])
def test_reference_is_a_letter_or_a_text(reference: str) -> None:
    assert choice.score("B", Asked(reference, CITIES)).correct
    assert choice.score("C", Asked(reference, CITIES)).reason == "it is C, not B"


def test_choices_may_have_their_letters() -> None:
    asked = Asked("C", {"choices": {"a": "1", "c": "3"}})
    assert choice.score("3", asked).correct
    assert choice.score("B", asked).state == "unparsable"


@pytest.mark.parametrize("choices", [["one"], ["x"] * 11, {"Z": "1", "A": "2"}])
def test_choices_are_two_to_ten(choices: Any) -> None:
    with pytest.raises(DatasetError, match="give 2 to 10 texts"):
        choice.score("A", Asked("A", {"choices": choices}))


def test_reference_beside_the_choices_is_the_sets_fault() -> None:
    with pytest.raises(DatasetError, match="the reference 'Rome' is not one of the choices"):
        choice.score("A", Asked("Rome", CITIES))

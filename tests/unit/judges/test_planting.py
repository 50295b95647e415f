"""Laws of planted errors and of words that may sway a judge."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llamaburn.judges._planting import (
    ERRORS,
    MANIPULATIONS,
    QUARTERS,
    Place,
    most,
    plant,
    steps,
    sway,
)

PIECES = st.sampled_from(
    [
        "12 apples",
        "Two men left.",
        "It rose by 3.50!",
        "- a line\n",
        "水は100度。",
        "; ",
        "07:45",
        "",
    ]
)
TEXTS = st.text() | st.lists(PIECES | st.text(max_size=20), max_size=12).map(" ".join)
SEEDS = st.integers(0, 99)
RICH = "First take 12 eggs. Then add 3.5 cups of milk; stir for four minutes. Bake until 14:05."
NUMBER = re.compile(r"[0-9]+(?:[.,:][0-9]+)*")


@given(TEXTS, st.sampled_from(ERRORS), SEEDS)
def test_dose_0_is_the_text_itself(text: str, error: str, seed: int) -> None:
    assert plant(error, text, 0, seed) == (text, ())


@given(TEXTS, st.sampled_from(ERRORS), SEEDS)
def test_each_dose_is_another_text_with_the_places_of_the_dose_before(
    text: str, error: str, seed: int
) -> None:
    doses = [plant(error, text, dose, seed) for dose in range(most(error, text) + 1)]
    assert len({one.text for one in doses}) == len(doses)
    assert doses == [plant(error, text, dose, seed) for dose in range(len(doses))]
    for dose, one in enumerate(doses[1:], 1):
        if error == "truncation":
            assert len(one.text) < len(doses[dose - 1].text)
            continue
        assert len(one.places) == dose
        assert one.places[:-1] == doses[dose - 1].places


@given(TEXTS, SEEDS)
def test_planted_text_is_the_original_outside_of_the_places(text: str, seed: int) -> None:
    for error in ERRORS:
        for dose in range(1, most(error, text) + 1):
            planted = plant(error, text, dose, seed)
            at, rest = 0, planted.text
            for start, end, new in sorted(planted.places, key=lambda place: place.start):
                assert rest.startswith(text[at:start] + new)
                rest, at = rest[len(text[at:start] + new) :], end
            assert rest == text[at:]


def value(number: str) -> Decimal:
    return Decimal(re.sub("[^0-9]", "", number))  # of the same length, so this tells them apart


@given(TEXTS, SEEDS)
def test_wrong_number_is_never_the_right_one(text: str, seed: int) -> None:
    dose = most("wrong_number", text)
    for start, end, new in plant("wrong_number", text, dose, seed).places:
        right = text[start:end]
        if NUMBER.fullmatch(right):
            assert len(new) == len(right)
            assert value(new) != value(right)
        else:
            assert new.lower() != right.lower()
            assert new.istitle() == right.istitle()


@given(TEXTS, SEEDS)
def test_dropped_step_never_is_the_result(text: str, seed: int) -> None:
    found = steps(text)
    assert most("dropped_step", text) == max(0, len(found) - 1)
    for start, end, new in plant("dropped_step", text, most("dropped_step", text), seed).places:
        assert new == ""
        assert end <= found[-1][0]
        assert (start, end) in {(a, b) for (a, _), (b, _) in pairwise(found)}


@given(TEXTS, SEEDS)
def test_contradiction_denies_a_step_at_the_end(text: str, seed: int) -> None:
    dose = most("contradiction", text)
    planted = plant("contradiction", text, dose, seed)
    assert planted.text.startswith(text)
    assert planted.text[len(text) :].count("But this is false: ") >= dose


@given(st.lists(st.text("ab", min_size=1), min_size=QUARTERS, max_size=40).map(" ".join))
def test_truncation_cuts_quarters_of_the_words(text: str) -> None:
    words = text.split()
    for dose in range(1, QUARTERS):
        kept = plant("truncation", text, dose).text.split()
        assert kept == words[: len(words) * (QUARTERS - dose) // QUARTERS]


@given(TEXTS, st.sampled_from(MANIPULATIONS), SEEDS)
def test_manipulation_keeps_every_word_of_the_text(text: str, kind: str, seed: int) -> None:
    swayed = sway(kind, text, seed)
    assert text in swayed
    assert (swayed == text) == (kind == "again")
    assert sway(kind, text, seed) == swayed


def test_rich_text_has_room_for_every_error() -> None:
    assert {error: most(error, RICH) for error in ERRORS} == {
        "wrong_number": 4,
        "contradiction": 4,
        "dropped_step": 3,
        "truncation": 3,
    }
    assert plant("truncation", RICH, 3).places == (Place(19, len(RICH), ""),)


def test_seeds_plant_different_errors() -> None:
    assert len({plant("wrong_number", RICH, 1, seed).text for seed in range(9)}) > 3


def test_dose_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="room for 4 of wrong_number, not for 5"):
        plant("wrong_number", RICH, 5)

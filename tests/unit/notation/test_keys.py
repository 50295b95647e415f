"""Keys: their signatures and scales."""

from __future__ import annotations

import pytest

from pytest_llamaburn.notation.keys import key_of


@pytest.mark.parametrize(
    ("text", "words", "sharps"),
    [
        ("C", "C major", 0),
        ("Am", "A minor", 0),
        ("F#m", "F# minor", 3),
        ("Bb", "Bb major", -2),
        ("Eb clef=bass", "Eb major", -3),
        ("Ddor", "D dorian", 0),
        ("G mix", "G mixolydian", 0),
        ("E phrygian", "E phrygian", 0),
        ("Flyd", "F lydian", 0),
        ("B loc", "B locrian", 0),
        ("G Minor", "G minor", -2),
        ("", "C major", 0),
        ("none", "C major", 0),
    ],
)
def test_a_key_has_the_sharps_of_its_mode(text: str, words: str, sharps: int) -> None:
    found = key_of(text)
    assert found is not None
    assert (str(found), found.sharps) == (words, sharps)


def test_the_scale_has_the_notes_of_the_signature() -> None:
    for text, scale in {
        "G": "0 2 4 6 7 9 11",
        "Fm": "0 1 3 5 7 8 10",
        "C#": "0 1 3 5 6 8 10",
    }.items():
        found = key_of(text)
        assert found is not None
        assert found.scale == {*map(int, scale.split())}


@pytest.mark.parametrize("text", ["H", "Cfoo", "G#", "Fbm", "4/4"])
def test_what_is_no_key_is_none(text: str) -> None:
    assert key_of(text) is None

"""ABC notation: what is read of it, and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llamaburn.notation.playing import AbcError
from pytest_llamaburn.notation.reading import text_in, tune_in

HEAD = "X:1\nT:a\nM:4/4\nL:1/4\nQ:1/4=60\nK:C\n"


def notes(music: str, head: str = HEAD) -> list[tuple[float, float, int]]:
    """Return begin, duration and pitch of each note: at this tempo, a quarter lasts a second."""
    found = tune_in(head + music).notes
    return [(round(n.start_s, 6), round(n.seconds, 6), n.pitch) for n in found]


def pitches(music: str, head: str = HEAD) -> list[int]:
    return [pitch for *_, pitch in notes(music, head)]


def starts(music: str, head: str = HEAD) -> list[float]:
    return [start for start, *_ in notes(music, head)]


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("C D", [(0, 1, 60), (1, 1, 62)]),
        ("C2 D/ E// F3/2", [(0, 2, 60), (2, 0.5, 62), (2.5, 0.25, 64), (2.75, 1.5, 65)]),
        ("z2 C x D", [(2, 1, 60), (4, 1, 62)]),
        ("Z2 C", [(8, 1, 60)]),
        ("[CE]2 G", [(0, 2, 60), (0, 2, 64), (2, 1, 67)]),
        ("[C2E2] G", [(0, 2, 60), (0, 2, 64), (2, 1, 67)]),
        ("C- C D", [(0, 2, 60), (2, 1, 62)]),
        ("C- | C D", [(0, 2, 60), (2, 1, 62)]),
        ("C- D", [(0, 1, 60), (1, 1, 62)]),
        ("C > D", [(0, 1.5, 60), (1.5, 0.5, 62)]),
        ("C << D", [(0, 0.25, 60), (0.25, 1.75, 62)]),
        ("(3CDE F", [(0, 2 / 3, 60), (2 / 3, 2 / 3, 62), (4 / 3, 2 / 3, 64), (2, 1, 65)]),
        ("(3:2:2CD F", [(0, 2 / 3, 60), (2 / 3, 2 / 3, 62), (4 / 3, 1, 65)]),
        ('"Am"C !trill!D {g}E ~F', [(0, 1, 60), (1, 1, 62), (2, 1, 64), (3, 1, 65)]),
        ("(C D) % a comment\nw: la la\n", [(0, 1, 60), (1, 1, 62)]),
        ("[L:1/8]C [Q:1/4=120]D", [(0, 0.5, 60), (0.5, 0.25, 62)]),
        ("V:1\nC D\nV:2\nE2", [(0, 1, 60), (0, 2, 64), (1, 1, 62)]),
        ("[V:1]C D\n[V:2]E2", [(0, 1, 60), (0, 2, 64), (1, 1, 62)]),
    ],
)
def test_notes_have_their_time_and_pitch(
    music: str, expected: list[tuple[float, float, int]]
) -> None:
    assert notes(music) == [(round(a, 6), round(b, 6), pitch) for a, b, pitch in expected]


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("C,, C, C c c' c''", [36, 48, 60, 72, 84, 96]),
        ("^C C | C _D =D ^^F __B", [61, 61, 60, 61, 62, 67, 69]),
        ("[K:G]F [K:F]B [K:Em]F [K:Ddor]B", [66, 70, 66, 71]),
    ],
)
def test_accidentals_hold_to_the_end_of_the_bar_and_keys_to_the_next(
    music: str, expected: list[int]
) -> None:
    assert pitches(music) == expected


@pytest.mark.parametrize(
    ("music", "expected"),
    [
        ("|: C D :| E", "CDCDE"),
        ("C D :| E", "CDCDE"),
        ("A |: C :: D :| E", "ACCDDE"),
        ("|: C |1 D :|2 E | F", "CDCEF"),
        ("|: C [1 D :| [2 E || F |: G :|", "CDCEFGG"),
    ],
)
def test_repeats_are_played(music: str, expected: str) -> None:
    assert pitches(music) == [
        {"C": 60, "D": 62, "E": 64, "F": 65, "G": 67, "A": 69}[n] for n in expected
    ]


@pytest.mark.parametrize(
    ("head", "seconds"),
    [
        ("X:1\nM:4/4\nK:C\n", 0.25),  # eighths at 120 quarters a minute
        ("X:1\nM:2/4\nK:C\n", 0.125),  # sixteenths, as the metre is short
        ("X:1\nM:C\nQ:1/2=60\nK:C\n", 0.25),
        ('X:1\nL:1/4\nQ:"Fast" 1/4=120\nK:C\n', 0.5),
        ("X:1\nL:1/4\nQ:90\nK:C\n", 60 / 90),
        ('X:1\nL:1/4\nQ:"Andante"\nK:none\n', 0.5),
    ],
)
def test_length_and_tempo_have_the_defaults_of_the_standard(head: str, seconds: float) -> None:
    assert tune_in(f"{head}C").notes[0].seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("music", "right", "bars"),
    [
        ("CDEF | GABc |]", 2, 2),
        ("CDEF | GAB | CDEF |", 2, 3),
        ("F | CDEF | GAB |]", 2, 2),  # the pickup and the last one are one
        ("F | CDEF | GA |]", 1, 2),
        ("CDEF | GAB |]", 1, 2),
        ("CDEF | GABcd | CDEF |", 2, 3),
        ("|: F | CDEF | GAB :| C4 |", 5, 5),
    ],
)
def test_bars_are_counted_and_held_against_the_metre(music: str, right: int, bars: int) -> None:
    found = tune_in(HEAD + music)
    assert (found.bars_right, found.bars) == (right, bars)


def test_a_tune_of_free_metre_has_no_bars() -> None:
    assert tune_in("X:1\nM:none\nK:C\nCDE | F |").bars == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A nice tune for you.", "there is no tune: a line X:1 begins one"),
        ("X:1\nK:C", "it has no notes"),
        ("X:1\nT:a", "it has no key"),
        ("X:1\nC D\nK:C", "line 2: notes stand before the key"),
        ("X:1\nK:H\nC", "'H' is no key"),
        ("X:1\nK:Cfoo\nC", "'Cfoo' is no key"),
        ("X:1\nM:4/0\nK:C\nC", "'4/0' is no length"),
        ("X:1\nL:x\nK:C\nC", "'x' is no length"),
        ("X:1\nQ:1/4=9999\nK:C\nC", "is no tempo"),
        ("X:1\nQ:1/4=0\nK:C\nC", "is no tempo"),
        ("X:1\nK:C\nC D what", "line 3: 'what' is not known in ABC"),
        ("X:1\nK:C\nC & D", "line 3: '& D' is not known in ABC"),
        ("X:1\nK:C\nC/0", "line 3: the length '/0' is none"),
        ("X:1\nM:none\nK:C\nZ4 C", "line 4: a rest of bars needs a metre"),
        ("X:1\nK:C\nc''''''''", "higher or lower than an instrument plays"),
        ("X:1\nK:C\nC9999\nC9999", "lasts an hour"),
        ("X:1\nK:C\n" + "C" * 100_001, "more than 100000 characters"),
    ],
)
def test_what_is_no_abc_is_refused_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(AbcError) as refused:
        tune_in(text)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "answer",
    [
        f"Here you are:\n\n```abc\n{HEAD}C D E F|\n```\nEnjoy!",
        f"{HEAD}C D E F|",
        f"Sure!\n{HEAD}C D E F|\n\nThis tune is short.",
        json.dumps(
            {"title": "a", "metre": "4/4", "unit": "1/4", "tempo": 60, "key": "C", "bars": ["CDEF"]}
        ).replace('"tempo": 60', '"tempo": "1/4=60"'),
    ],
)
def test_a_tune_is_found_in_what_stands_around_it(answer: str) -> None:
    found = tune_in(answer)
    assert [note.pitch for note in found.notes] == [60, 62, 64, 65]
    assert found.seconds == 4
    assert text_in(answer).startswith("X:1")


@given(st.text(alphabet="ABCDEFGabcdefg^_=,'123/|:[]()<>-zZ \n\"!{}KMLQV", max_size=80))
def test_any_text_is_a_tune_or_refused(music: str) -> None:
    try:
        found = tune_in(HEAD + music)
    except AbcError:
        return
    assert found.notes
    assert all(0 <= note.pitch <= 127 and note.seconds > 0 for note in found.notes)
    assert max(note.start_s + note.seconds for note in found.notes) <= found.seconds + 1e-6
    assert found.bars_right <= found.bars

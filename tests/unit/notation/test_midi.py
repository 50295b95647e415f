"""MIDI files of tunes, read back by another program's reader."""

from __future__ import annotations

import io

import mido
import pytest

from pytest_llamaburn.notation import midi
from pytest_llamaburn.notation.reading import tune_in


def test_the_file_has_the_notes_of_the_tune_at_their_times() -> None:
    tune = tune_in("X:1\nM:4/4\nL:1/4\nQ:1/4=97\nK:D\nF2 z A [DFA]3 A, A, | c8 |]")
    file = mido.MidiFile(file=io.BytesIO(midi.encode(tune)))
    now, sounding, found = 0.0, {}, []
    for message in file:
        now += message.time
        if message.type == "note_on":
            sounding[message.note] = now
        elif message.type == "note_off":
            found.append((sounding[message.note], now - sounding.pop(message.note), message.note))
    expected = sorted(tune.notes)
    assert sorted((pitch for *_, pitch in found)) == sorted(note.pitch for note in expected)
    for (start, seconds, pitch), note in zip(sorted(found), expected, strict=True):
        assert (start, seconds) == pytest.approx((note.start_s, note.seconds), abs=0.002)
        assert pitch == note.pitch
    assert file.length == pytest.approx(tune.seconds, abs=0.002)

"""Levels: known signals give known numbers, and broken ones are told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_llamaburn.audio import levels
from pytest_llamaburn.audio.clips import clip_of

RATE = 16_000


def noise(seconds: float = 1.0, amplitude: float = 0.3) -> np.ndarray:
    return np.random.default_rng(0).uniform(-amplitude, amplitude, round(seconds * RATE))


def test_a_tone_of_half_scale_has_a_peak_of_minus_6_dbfs_and_an_rms_3_below() -> None:
    found = levels.levels(levels.tone(440, 2, RATE, amplitude=0.5))
    assert found.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    assert found.rms_dbfs == pytest.approx(-9.03, abs=0.1)
    assert (found.clipped_share, found.silent_share) == (0, 0)


def test_silence_has_no_level() -> None:
    found = levels.levels(clip_of(np.zeros(RATE), RATE))
    assert found == levels.Levels(None, None, 0.0, 1.0)
    assert levels.levels(clip_of([], RATE)) == levels.Levels(None, None, 0.0, 1.0)


def test_clipping_is_the_share_of_samples_that_stay_at_full_scale() -> None:
    loud = np.clip(4 * levels.tone(440, 1, RATE, amplitude=0.5).mono, -1, 1)
    assert levels.levels(clip_of(loud, RATE)).clipped_share == pytest.approx(2 / 3, abs=0.1)


def test_crests_that_only_touch_full_scale_are_no_clipping() -> None:
    crests = np.zeros(RATE)
    crests[::100] = crests[1::100] = 1.0
    assert levels.levels(clip_of(crests, RATE)).clipped_share == 0


def test_silence_is_the_share_of_the_time_below_50_dbfs() -> None:
    half = np.concatenate([noise(), np.zeros(RATE)])
    assert levels.levels(clip_of(half, RATE)).silent_share == pytest.approx(0.5, abs=0.02)


@settings(max_examples=20, deadline=None)
@given(st.floats(60, 6000))
def test_the_frequency_of_a_tone_is_found(frequency: float) -> None:
    found = levels.frequency_hz(levels.tone(frequency, 1, RATE))
    assert found == pytest.approx(frequency, abs=0.5)


def test_silence_has_neither_frequency_nor_flatness() -> None:
    silence = clip_of(np.zeros(RATE), RATE)
    assert levels.frequency_hz(silence) is levels.flatness(silence) is None
    assert levels.flatness(clip_of(np.zeros(10), RATE)) is None


def test_flatness_tells_a_tone_from_noise() -> None:
    tone = levels.flatness(levels.tone(440, 1, RATE))
    hiss = levels.flatness(clip_of(noise(), RATE))
    assert tone is not None
    assert hiss is not None
    assert tone < 0.01
    assert hiss > 0.4


def test_the_waveform_is_drawn_to_its_own_peak() -> None:
    samples = np.concatenate([np.zeros(100), np.full(100, 0.1), np.full(100, -0.1)])
    drawn = levels.waveform(clip_of(samples, RATE), 3, height=3, blocks=False)
    assert drawn == [" # ", "#  ", "  #"]


def test_the_waveform_in_blocks_has_two_steps_a_line() -> None:
    samples = np.array([1.0, -1.0, 0.4])
    assert levels.waveform(clip_of(samples, RATE), 3, height=2) == ["▀ ▄", " ▄ "]


def test_an_empty_clip_is_drawn_empty() -> None:
    assert levels.waveform(clip_of([], RATE), 2, height=2) == ["  ", "  "]

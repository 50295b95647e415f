"""Write the eval sets with sound: `python scripts/audio_sets.py`.

The recordings of `audio_stt` are spoken by hibari-tts (pip install hibari-tts==0.2.1) and kept as
files, since other versions of its libraries would speak a little differently. The scenes of
`audio_events` are described in the set and composed at first use; a test composes them again.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pytest_llamaburn.audio import clips
from pytest_llamaburn.audio.clips import Clip, clip_of
from pytest_llamaburn.modalities import _scenes

FOLDER = Path(__file__).parent.parent / "media_sets"
RATE = 16_000
CLEAR = (
    "The library opens at nine in the morning.",
    "Please leave your wet boots beside the door.",
    "A small boat crossed the lake before sunrise.",
    "My sister painted the kitchen walls bright yellow.",
    "The train to the coast was late again today.",
    "Nobody expected snow in the middle of April.",
)
NUMBERS = (
    "The meeting starts at half past three on Tuesday.",
    "She bought twelve eggs and two bottles of milk.",
    "The bridge is four hundred meters long.",
    "Our office is on the seventh floor, room forty two.",
    "The bill came to nineteen dollars and fifty cents.",
    "In nineteen sixty nine two men walked on the moon.",
)
NOISY = (
    "Turn left at the second traffic light.",
    "The battery lasts about ten hours.",
    "We are looking for a quiet place to work.",
    "Could you send me the report before lunch?",
    "The dog slept under the table all afternoon.",
    "Fresh bread smells best early in the morning.",
)
LONG = (
    "The museum is closed on Mondays, but the garden behind it stays open all week.",
    "If the rain stops before noon, we can walk along the river to the old mill.",
    "He put the letter in his pocket, forgot about it, and found it a year later.",
    "The engineers checked every cable twice before they started the machine.",
    "Most people in the village knew each other, and visitors were always welcome.",
    "After the concert the musicians carried their instruments back to the bus.",
)
TTS = {
    "short": (
        "Good morning.",
        "Where is the station?",
        "Thank you very much.",
        "It is raining again.",
        "Close the window, please.",
    ),
    "sentence": CLEAR[:5],
    "numbers": NUMBERS[:5],
    "long": LONG[:5],
}
MUSIC = {
    "genre": ("upbeat jazz", "slow blues", "classical waltz", "funk groove", "ambient pads"),
    "mood": ("a happy tune", "a sad tune", "a tense chase", "a calm lullaby", "a proud march"),
    "instrument": (
        "solo piano",
        "acoustic guitar picking",
        "string quartet",
        "drum solo",
        "flute melody",
    ),
    "sound": ("rain on a roof", "ocean waves", "a steam train", "a busy cafe", "a ticking clock"),
}
LEVELS = ("easy", "medium", "hard")


def spoken(text: str, noise: float, seed: int, speed: float = 1.0) -> Clip:
    """Return a sentence at 16 kHz, with noise of this amplitude under it."""
    from hibari import Hibari

    voice = Hibari()
    heard = clip_of(np.asarray(voice(text)), round(24_000 * speed)).with_rate(RATE).mono
    heard = np.concatenate([np.zeros(RATE // 4), heard, np.zeros(RATE // 4)])
    rows = heard + noise * np.random.RandomState(seed).standard_normal(len(heard))
    return clip_of(np.clip(rows, -1, 1), RATE)


def audio_stt() -> dict[str, Any]:
    """Return the set of sentences to write down, and write their recordings."""
    kinds = {"clear": (CLEAR, 0.0, 1.0), "numbers": (NUMBERS, 0.0, 1.0)}
    kinds |= {"noisy": (NOISY, 0.01, 1.0), "fast": (LONG, 0.0, 1.25)}
    questions = []
    for place, (category, (texts, noise, speed)) in enumerate(kinds.items()):
        for number, text in enumerate(texts, 1):
            name = f"{category}-{number}"
            path = FOLDER / "audio_stt" / f"{name}.ogg"
            louder = noise * number
            clips.write(spoken(text, louder, number, speed), path)
            questions.append(
                {
                    "id": name,
                    "prompt": "Write down what is said. Answer with the text only.",
                    "category": category,
                    "reference": text,
                    "scorer": "wer",
                    "media": [f"audio_stt/{name}.ogg"],
                    "options": {"max_wer": 0.1, "level": LEVELS[min(place, 2)]},
                }
            )
    usual = {"prompt": questions[0]["prompt"], "scorer": "wer", "options": {"max_wer": 0.1}}
    about = "Sentences to write down: clear, with numbers, in noise, and fast."
    return whole("audio_stt", "audio", about, usual, questions)


def scene(kinds: tuple[str, ...], number: int) -> dict[str, Any]:
    """Return a scene with these sounds one after another, and pauses of changing lengths."""
    at, events = 0.5 + 0.25 * (number % 3), []
    for place, kind in enumerate(kinds):
        seconds = 1.0 + 0.5 * ((number + place) % 3)
        frequency = 440.0 * (1 + (number + place) % 3)
        events.append(
            {"sound": kind, "at": at, "seconds": seconds, "frequency": frequency, "seed": number}
        )
        at += seconds + 0.75
    noise = (0.0, 0.0, 0.02)[number % 3]
    return {"seconds": at + 0.5, "sample_rate": RATE, "events": events, "noise": noise}


def audio_events() -> dict[str, Any]:
    """Return the set of scenes in which sounds are to be found with their times."""
    questions = []
    for number in range(24):
        count = 1 + number // 8
        sounds = tuple(_scenes.SOUNDS[(number + 2 * n) % len(_scenes.SOUNDS)] for n in range(count))
        spec = scene(sounds, number)
        questions.append(about_scene(number, spec, ("one", "two", "three")[count - 1]))
    usual = {"prompt": ASKED, "scorer": "events"}
    about = "Scenes of one to three sounds, each to be named with its times."
    return whole("audio_events", "audio", about, usual, questions)


ASKED = (
    "Which sounds are in this recording, and when? The sounds are beep, noise, clicks, siren and "
    'chord. Answer with a JSON list only, such as [{"event": "beep", "start": 1.0, "end": 2.5}], '
    "with times in seconds."
)


def about_scene(number: int, spec: dict[str, Any], category: str) -> dict[str, Any]:
    """Return the question about one scene."""
    events = [
        {"event": one["sound"], "start": one["at"], "end": one["at"] + one["seconds"]}
        for one in spec["events"]
    ]
    samples = clips.decode(clips.encode(_scenes.composed(spec)), "scene").samples
    raw = (samples * 32_768).round().astype("<i2").tobytes()
    return {
        "id": f"{category}-{number + 1}",
        "prompt": ASKED,
        "category": category,
        "reference": json.dumps(events),
        "scorer": "events",
        "media": [{"make": spec, "sha256": hashlib.sha256(raw).hexdigest()}],
        "options": {"events": events, "level": LEVELS[number // 8]},
    }


def tts() -> dict[str, Any]:
    """Return the set of texts to speak; a transcription of the speech is scored."""
    questions = [
        {
            "id": f"{category}-{number}",
            "prompt": text,
            "category": category,
            "reference": text,
            "scorer": "wer",
            "options": {"max_wer": 0.1},
        }
        for category, texts in TTS.items()
        for number, text in enumerate(texts, 1)
    ]
    return whole("tts", "speech", "Texts to speak.", {}, questions)


def music() -> dict[str, Any]:
    """Return the set of descriptions of music and sounds."""
    questions = [
        {
            "id": f"{category}-{number}",
            "prompt": text,
            "category": category,
            "reference": "10 s",
            "scorer": "duration",
            "options": {"seconds": 10, "within": 0.1},
        }
        for category, texts in MUSIC.items()
        for number, text in enumerate(texts, 1)
    ]
    return whole("music", "music", "Music and sounds to generate, 10 s each.", {}, questions)


# Of each tune to write: what it is, and what it must keep to.
TUNES: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "scale": (
        ("the scale of C major, one octave up, in quarter notes", {"key": "C", "bars": 2}),
        ("the scale of G major, one octave up and down, in eighth notes", {"key": "G"}),
        ("the scale of D minor, one octave up, in quarter notes", {"key": "Dm"}),
        ("the scale of B flat major, two octaves up, in eighth notes", {"key": "Bb"}),
    ),
    "key": (
        ("a cheerful tune in F major", {"key": "F"}),
        ("a sad tune in E minor", {"key": "Em"}),
        ("a bold tune in A major", {"key": "A"}),
        ("a mysterious tune in D dorian", {"key": "Ddor"}),
    ),
    "metre": (
        ("a march in 4/4", {"metre": "4/4"}),
        ("a waltz in 3/4", {"metre": "3/4"}),
        ("a jig in 6/8", {"metre": "6/8"}),
        ("a tune in 5/4", {"metre": "5/4"}),
    ),
    "length": (
        ("a lullaby of exactly 4 bars", {"bars": 4}),
        ("a folk tune of exactly 8 bars", {"bars": 8}),
        ("a hymn that lasts 15 seconds", {"seconds": 15}),
        ("upbeat jazz that lasts 30 seconds", {"seconds": 30}),
    ),
    "harmony": (
        ("four bars of chords of three notes: C, F, G and C", {"key": "C", "bars": 4}),
        ("broken chords of A minor in eighth notes", {"key": "Am"}),
        ("a twelve-bar blues with a chord in each bar", {"bars": 12}),
        ("a tune in G major for two voices, V:1 and V:2", {"key": "G"}),
    ),
    "whole": (
        ("a tune of 8 bars in G major and 3/4", {"key": "G", "metre": "3/4", "bars": 8}),
        ("a tune of 16 bars in D major and 6/8", {"key": "D", "metre": "6/8", "bars": 16}),
        ("20 seconds of music in E minor and 4/4", {"key": "Em", "metre": "4/4", "seconds": 20}),
        ("a tune of 12 bars in F# minor and 9/8", {"key": "F#m", "metre": "9/8", "bars": 12}),
    ),
}
WRITE = (
    "Write {0} in ABC notation. Begin with the fields X:1, T:, M:, L:, Q:1/4= and K:, each on a "
    "line. Answer with the tune only."
)


def music_abc() -> dict[str, Any]:
    """Return the set of tunes to write in ABC notation."""
    questions = [
        {
            "id": f"{category}-{number}",
            "prompt": WRITE.format(text),
            "category": category,
            "rubric": f"The tune should be {text}; a musician should find it worth playing.",
            "scorer": "abc",
            "options": {**options, "level": LEVELS[min((number - 1) * 3 // 4, 2)]},
        }
        for category, tunes in TUNES.items()
        for number, (text, options) in enumerate(tunes, 1)
    ]
    about = "Tunes to write in ABC notation: scales, keys, metres, lengths, harmony, and all of it."
    return whole("music_abc", "music", about, {}, questions)


def whole(
    name: str, modality: str, about: str, usual: dict[str, Any], questions: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the content of a set's file."""
    return {
        "name": name,
        "version": "1.0",
        "modality": modality,
        "description": about,
        **({"input": usual} if usual else {}),
        "questions": questions,
    }


def main() -> None:
    """Write the sets that are named, or all."""
    makers = {make.__name__: make for make in (audio_stt, audio_events, tts, music, music_abc)}
    for name in sys.argv[1:] or makers:
        text = json.dumps(makers[name](), indent=1, ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""The measures of sound: of recordings, of generated speech and music, and of live speech."""

from __future__ import annotations

from pytest_llamaburn.measures import STATISTICS, Measure, rate

# Of sound: unit, which direction is better, formula.
_SOUND = {
    "latency_ms": ("ms", "lower", "end of a transcription − its request"),
    "audio_seconds": ("s", "none", "duration of a recording or of generated sound"),
    "real_time_factor": (
        "ratio",
        "lower",
        "time to transcribe or generate / duration of the sound",
    ),
    "generation_time_ms": ("ms", "lower", "end of generated sound − its request"),
    "time_to_first_audio_ms": ("ms", "lower", "first byte of sound after the header − request"),
    "silent_share": ("share", "lower", "frames of 20 ms below −50 dBFS / all frames"),
    "clipped_share": ("share", "lower", "samples in runs of three or more at full scale / all"),
    "audio_quality_score": ("score", "higher", "overall quality of speech by DNSMOS P.835, 1 to 5"),
    "asked_seconds": ("s", "none", "duration of music that was asked for"),
    "duration_error_s": ("s", "none", "real − asked duration of music"),
    "spectral_flatness": ("share", "none", "geometric / arithmetic mean of the power spectrum"),
    "render_ms": ("ms", "lower", "time to render a score as sound; part of generation_time_ms"),
    "onset_f1": (
        "share",
        "higher",
        "onsets of the rendering that are those of the score: F1, 50 ms",
    ),
    "notes": ("count", "none", "notes of a score"),
    "delay_ms": ("ms", "lower", "live: median of arrival of a text − end of its speech"),
    "first_text_ms": ("ms", "lower", "live: arrival of the first text − start"),
    "speech_seconds": ("s", "none", "live: duration of the stretches of speech"),
    "overruns": ("count", "lower", "live: how often the device lost samples"),
}
# Of written music: the share of answers, and its formula.
_WRITTEN = {
    "parse_rate": "answers that are valid ABC notation / all answers",
    "key_obeyed": "tunes in the key that was asked for, 9 of 10 notes in its scale / all of a key",
    "metre_obeyed": "tunes in the metre that was asked for, 9 of 10 bars whole / all of a metre",
}
WRITTEN = tuple(rate(*each) for each in _WRITTEN.items())
SOUND = tuple(
    Measure(name, *facts, key=f"results.measured.{name}", statistics=STATISTICS)
    for name, facts in _SOUND.items()
)

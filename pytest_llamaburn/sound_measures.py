"""The measures of sound: of recordings, of generated speech and music, and of live speech."""

from __future__ import annotations

from pytest_llamaburn.measures import STATISTICS, Measure

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
    "delay_ms": ("ms", "lower", "live: median of arrival of a text − end of its speech"),
    "first_text_ms": ("ms", "lower", "live: arrival of the first text − start"),
    "speech_seconds": ("s", "none", "live: duration of the stretches of speech"),
    "overruns": ("count", "lower", "live: how often the device lost samples"),
}
SOUND = tuple(
    Measure(name, *facts, key=f"results.measured.{name}", statistics=STATISTICS)
    for name, facts in _SOUND.items()
)

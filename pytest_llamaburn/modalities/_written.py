"""Music that a model of text writes as ABC notation: asked for, rendered and measured."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import files
from pytest_llamaburn.audio import clips, levels
from pytest_llamaburn.errors import AudioError
from pytest_llamaburn.modalities import _onsets, _sounding, _synthesis
from pytest_llamaburn.notation import grammar, midi, reading
from pytest_llamaburn.notation.playing import AbcError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.notation.tune import Tune

SCORER: Final = "abc"
_GRAMMAR: Final = ("llama.cpp", "embedded")  # servers that take GBNF
_USUAL_S, _BAR_S = 30.0, 2.0  # of a tune without a length; of a bar of 4/4 at 120 a minute
_FEW_BARS, _MOST_BARS = 4, 128
# What an answer without a tune has no number of.
_UNHEARD: Final = (
    *("generation_time_ms", "render_ms", "audio_seconds", "real_time_factor", "silent_share"),
    *("clipped_share", "spectral_flatness", "onset_f1", "notes", "duration_error_s"),
)
_FIRST_AUDIO: Final = "a score sounds when it is complete"


def prompt(question: Question, text: str) -> str:
    """Return the request for a tune; a question that is scored as ABC asks for it itself."""
    if question.scorer == SCORER:
        return text
    return (
        f"Write this music in ABC notation: {text}. Played at its tempo, it should last "
        f"{float(question.options['seconds']):g} seconds. Begin with the fields X:1, T:, M:, L:, "
        "Q:1/4= and K:, each on a line. Answer with the tune only."
    )


def constraint(kind: str, question: Question, settings: Any) -> tuple[str, dict[str, Any]]:
    """Return what makes a kind of server write valid ABC: its name, and fields of the request."""
    bars = _most_bars(question.options)
    if settings.abc_grammar and kind in _GRAMMAR:
        return "grammar", {"grammar": grammar.gbnf(bars)}
    if settings.abc_grammar and kind == "ollama":
        return "format", {"format": grammar.schema(bars)}
    return "none", {}


def _most_bars(options: Mapping[str, Any]) -> int:
    """Return how many bars a tune may have: more than it needs, so that it can be too long."""
    needed = float(options.get("bars", options.get("seconds", _USUAL_S) / _BAR_S))
    return min(max(_FEW_BARS, round(needed * 1.5)), _MOST_BARS)


def measured(
    question: Question, answer: str, answer_ms: float | None, constrained_by: str, settings: object
) -> dict[str, Any]:
    """Render an answer, keep its sound, score and MIDI file, and return the numbers of it.

    `answer_ms` is how long the answer took. The numbers of an answer that is no ABC are null.
    """
    about: dict[str, Any] = {"music_by": "abc", "constrained_by": constrained_by}
    if "seconds" in question.options:
        about["asked_seconds"] = float(question.options["seconds"])
    try:
        tune = reading.tune_in(answer)
    except AbcError as err:
        why = f"the answer is no ABC: {err}"
        return {**about, **dict.fromkeys(_UNHEARD), "null_reasons": dict.fromkeys(_UNHEARD, why)}
    return {**about, **_of_tune(tune, reading.text_in(answer), answer_ms, about, settings)}


def _of_tune(
    tune: Tune, text: str, answer_ms: float | None, about: Mapping[str, Any], settings: Any
) -> dict[str, Any]:
    started_ns = perf_counter_ns()
    clip = _synthesis.rendered(tune)
    render_ms = (perf_counter_ns() - started_ns) / 1e6
    total_ms = None if answer_ms is None else answer_ms + render_ms
    found, flatness = levels.levels(clip), levels.flatness(clip)
    reasons = {"time_to_first_audio_ms": _FIRST_AUDIO}
    if flatness is None:
        reasons["spectral_flatness"] = "the music is shorter than 50 ms"
    if "asked_seconds" in about:
        asked = {"duration_error_s": clip.seconds - about["asked_seconds"]}
    else:
        asked = {}
    return {
        **asked,
        "generation_time_ms": total_ms,
        "render_ms": render_ms,
        "audio_seconds": clip.seconds,
        "real_time_factor": None if total_ms is None else total_ms / 1000 / clip.seconds,
        "silent_share": found.silent_share,
        "clipped_share": found.clipped_share,
        "spectral_flatness": flatness,
        "onset_f1": _onsets.f1(tune.onsets, _onsets.onsets_of(clip)),
        "notes": len(tune.notes),
        "sample_rate": clip.sample_rate,
        "null_reasons": reasons,
        **_kept(clip, tune, text, settings),
    }


def _kept(clip: clips.Clip, tune: Tune, text: str, settings: object) -> dict[str, str | None]:
    """Keep the sound, and the score and the MIDI file beside it; return their paths."""
    sound = _sounding.kept(clip, settings)
    if sound["audio_path"] is None:
        return {**sound, "abc_path": None, "midi_path": None}
    path = Path(sound["audio_path"])
    beside = {"abc_path": (".abc", f"{text}\n".encode()), "midi_path": (".mid", midi.encode(tune))}
    try:
        for suffix, content in beside.values():
            path.with_suffix(suffix).write_bytes(content)
    except OSError as err:
        raise AudioError(f"{path}: cannot be written: {files.reason(err)}") from err
    return sound | {name: str(path.with_suffix(suffix)) for name, (suffix, _) in beside.items()}

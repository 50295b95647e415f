"""Speech: a text is spoken by `/v1/audio/speech`, and what comes is measured.

The answer that scorers read is a transcription of the speech by Whisper tiny.en, so that WER says
how well it is understood; a tiny model mishears a few words of good speech too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn.audio import clips
from pytest_llamaburn.errors import UsageError
from pytest_llamaburn.modalities import _quality, _requests, _sounding
from pytest_llamaburn.trace import Failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.backends._base import Backend, Model
    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.media import Medium
    from pytest_llamaburn.trace import Trace

NOUN: Final = "requests for speech"
CAPABILITY: Final = "speech"
OWN: Final = "text"
SETTINGS: Final = ("voice", "speech_format")
SUFFIXES: Final = {".txt": "text/plain"}
MEASURED: Final = {**_sounding.MEASURED, "audio_quality_score": "score"}
_PATH = "/audio/speech"


def ready() -> None:
    """Raise MissingExtraError without the libraries for sound and for a transcription."""
    clips.soundfile_library()
    _quality.understands()


async def ask(
    backend: Backend,
    model: Model,
    question: Question,
    sent: Sequence[Medium],  # noqa: ARG001 - speech is asked for by text alone
    settings: Any,
) -> tuple[Trace, dict[str, Any]]:
    """Return the trace of the speech, whose text is its transcription, and its numbers."""
    form = settings.speech_format
    body = {
        "model": model.id,
        "input": question.prompt,
        "voice": settings.voice,
        "response_format": form,
    }
    exchange = await _requests.post_json(backend, _PATH, body)
    outcome = _sounding.heard(exchange, form)
    if isinstance(outcome, Failed):
        return _sounding.trace_of(exchange, outcome, ""), {}
    measured = {
        **outcome.measured,
        **_scored(outcome),
        **_sounding.kept(outcome.clip, settings),
    }
    text = _quality.understood(outcome.clip)
    return _sounding.trace_of(exchange, outcome, text), measured


def _scored(sound: _sounding.Sound) -> dict[str, Any]:
    """Return the quality of speech, or why it has none."""
    why = "the speech is silent" if sound.measured["silent_share"] == 1 else ""
    try:
        quality = None if why else _quality.score(sound.clip)
    except UsageError as err:
        quality, why = None, str(err)
    reasons = {"null_reasons": {"audio_quality_score": why}} if why else {}
    return {
        "audio_quality_score": quality,
        "audio_quality_method": _quality.METHOD,
        **reasons,
    }

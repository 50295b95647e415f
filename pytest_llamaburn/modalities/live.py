"""Live speech: an input device is heard, and each stretch of speech is transcribed at its end.

A stretch ends with a pause of 0.6 s, or after 15 s. The delay of its text counts from the end of
its speech to the arrival of its text.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from pytest_llamaburn import files, kept_media
from pytest_llamaburn.audio import clips, devices, levels, recording, stream
from pytest_llamaburn.modalities import audio
from pytest_llamaburn.trace import Delta, Failed, Finished, Sent, Trace, fold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_llamaburn.audio.clips import Clip
    from pytest_llamaburn.backends._base import Backend, Model
    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.media import Medium
    from pytest_llamaburn.trace import Event

NOUN: Final = "recordings"
CAPABILITY: Final = "audio"
SUFFIXES: Final = audio.SUFFIXES
MEASURED: Final = {
    "delay_ms": "ms",
    "first_text_ms": "ms",
    "audio_seconds": "s",
    "speech_seconds": "s",
    "real_time_factor": "ratio",
    "overruns": "count",
}
_RATE = 16_000
_PAUSE_S, _LONGEST_S, _SHORTEST_S = 0.6, 15.0, 0.2
_BEFORE_S = 0.2  # sound before the first loud frame that belongs to a stretch
_USUAL_S = 60.0
_FRAME_S = 0.02


Source: TypeAlias = recording.Capture | stream.Stream


class Teller:
    """Says the running text to people and tells it to programs; an eval run sets where."""

    say: Callable[[str], None] = staticmethod(lambda text: None)  # noqa: ARG005
    tell: Callable[[str, dict[str, Any]], None] = staticmethod(lambda event, facts: None)  # noqa: ARG005


TELLER = Teller()


@dataclass
class Cutter:
    """Cuts blocks of sound into stretches of speech."""

    rate: int
    _rows: list[Any] = field(default_factory=list)
    _frames: int = 0  # samples so far, over all blocks
    _speech: tuple[int, int] | None = None  # first and last sample of speech that is not cut yet

    def add(self, row: Any) -> Iterator[tuple[int, int]]:
        """Take a row of samples; yield the first and last sample of each stretch that ended."""
        size = max(1, round(self.rate * _FRAME_S))
        for start in range(0, len(row), size):
            part = row[start : start + size]
            loud = bool(levels.sounding(clips.clip_of(part, self.rate)).any())
            yield from self._step(len(part), loud=loud)
        self._rows.append(row)

    def rest(self) -> Iterator[tuple[int, int]]:
        """Yield the stretch that is still open."""
        if self._speech:
            yield self._ended()

    def clip(self, first: int, last: int) -> Clip:
        """Return a part of all sound, with a little of what came before and after."""
        before, after = round(_BEFORE_S * self.rate), round(_BEFORE_S * self.rate)
        whole = np.concatenate(self._rows)
        return clips.clip_of(whole[max(0, first - before) : last + after], self.rate)

    @property
    def whole(self) -> Clip:
        """All sound so far."""
        return clips.clip_of(np.concatenate(self._rows), self.rate)

    @property
    def seconds(self) -> float:
        """The duration of all sound."""
        return self._frames / self.rate

    def _step(self, size: int, *, loud: bool) -> Iterator[tuple[int, int]]:
        begin, self._frames = self._frames, self._frames + size
        if loud:
            self._speech = (self._speech[0] if self._speech else begin, self._frames)
        if not self._speech:
            return
        pause = (self._frames - self._speech[1]) / self.rate
        length = (self._frames - self._speech[0]) / self.rate
        if pause >= _PAUSE_S or length >= _LONGEST_S:
            ended = self._ended()
            if (ended[1] - ended[0]) / self.rate >= _SHORTEST_S:
                yield ended

    def _ended(self) -> tuple[int, int]:
        assert self._speech is not None  # noqa: S101 - the callers looked
        ended, self._speech = self._speech, None
        return ended


def ready() -> None:
    """Raise MissingExtraError without the libraries for sound."""
    clips.soundfile_library()


def check_source(settings: Any) -> None:
    """Raise AudioError or MissingExtraError where there is nothing to be heard."""
    chosen = settings.device or settings.input_device
    if chosen.startswith(stream.PREFIX):
        stream.Stream(_path_of(chosen))
    else:
        devices.find(chosen, devices.INPUT)


async def ask(
    backend: Backend,
    model: Model,
    question: Question,  # noqa: ARG001 - what is said is the question
    sent: Sequence[Medium],  # noqa: ARG001
    settings: Any,
) -> tuple[Trace, dict[str, Any]]:
    """Return the trace of a live session: each text is a delta when it arrives."""
    capture, name = _source(settings)
    cutter = Cutter(capture.form.sample_rate)
    queue: asyncio.Queue[tuple[int, int, int] | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def put(stretch: tuple[int, int, int] | None) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, stretch)

    seconds = settings.duration or _USUAL_S
    TELLER.say(f"listening to '{name}' for {seconds:g} s")
    TELLER.tell("listening", {"seconds": seconds})
    started_ns = perf_counter_ns()
    hearing = asyncio.create_task(asyncio.to_thread(_hear, capture, cutter, seconds, put))
    try:
        events, parts = await _texts(backend, model, settings, cutter, queue)
    finally:
        await hearing
    measured = _measured(capture, cutter, parts, started_ns)
    return _trace(started_ns, events), {**measured, "recording_id": _kept(cutter, settings)}


def _source(settings: Any) -> tuple[Source, str]:
    """Return what is heard, and its name: a device, or a stream of another program."""
    chosen = settings.device or settings.input_device
    if chosen.startswith(stream.PREFIX):
        found = stream.Stream(_path_of(chosen))
        return found, found.name
    device = devices.find(chosen, devices.INPUT)
    return recording.Capture(device, devices.Form(_RATE, 1, settings.buffer_size)), device.name


def _path_of(chosen: str) -> Path:
    return files.home(chosen.removeprefix(stream.PREFIX))


def _kept(cutter: Cutter, settings: Any) -> str | None:
    """Return the id of the recording, which is kept with the result; None without any sound."""
    if not cutter.seconds:
        return None
    raw = clips.encode(cutter.whole)
    return kept_media.keep(Path(settings.results_dir), raw, ".wav")


def _hear(
    capture: Source,
    cutter: Cutter,
    seconds: float,
    put: Callable[[tuple[int, int, int] | None], None],
) -> None:
    """Record for some seconds; put each stretch of speech with the time at which it ended."""
    try:
        for block in capture:
            row = block.mean(axis=1)
            now = perf_counter_ns()
            for first, last in cutter.add(row):
                put((first, last, now - _ns(cutter.seconds - last / cutter.rate)))
            if cutter.seconds >= seconds:
                break
        for first, last in cutter.rest():
            put((first, last, perf_counter_ns() - _ns(cutter.seconds - last / cutter.rate)))
    finally:
        put(None)


async def _texts(
    backend: Backend, model: Model, settings: object, cutter: Cutter, queue: asyncio.Queue[Any]
) -> tuple[list[Event], list[dict[str, Any]]]:
    """Transcribe each stretch as it comes; return the events, and what is known of each."""
    events: list[Event] = []
    parts: list[dict[str, Any]] = []
    while (stretch := await queue.get()) is not None:
        first, last, ended_ns = stretch
        raw = clips.encode(cutter.clip(first, last))
        found = await audio.transcribed(backend, model, [raw], settings)
        if found.failure:
            return [*events, found.failure], parts
        now = perf_counter_ns()
        events.append(Delta(now, "content", f"{found.text.strip()} "))
        part = {
            "start_s": first / cutter.rate,
            "end_s": last / cutter.rate,
            "text": found.text.strip(),
            "delay_ms": (now - ended_ns) / 1e6,
            "transcription_ms": (found.end_ns - found.sent_ns) / 1e6,
        }
        TELLER.say(part["text"])
        TELLER.tell("heard", part)
        parts.append({**part, "arrived_ns": now})
    return events, parts


def _trace(started_ns: int, events: list[Event]) -> Trace:
    end = [] if events and isinstance(events[-1], Failed) else [Finished(perf_counter_ns(), "stop")]
    return fold([Sent(started_ns), *events, *end])


def _measured(
    capture: Source, cutter: Cutter, parts: list[dict[str, Any]], started_ns: int
) -> dict[str, Any]:
    spoken = sum(part["end_s"] - part["start_s"] for part in parts)
    busy = sum(part["transcription_ms"] for part in parts) / 1000
    first = (parts[0].pop("arrived_ns") - started_ns) / 1e6 if parts else None
    for part in parts[1:]:
        del part["arrived_ns"]
    silent = "no speech was heard"
    reasons = dict.fromkeys(("delay_ms", "first_text_ms", "real_time_factor"), silent)
    reasons = {} if parts else reasons
    if capture.overruns is None:
        reasons["overruns"] = "the library of the device does not tell"
    return {
        "delay_ms": median(part["delay_ms"] for part in parts) if parts else None,
        "first_text_ms": first,
        "audio_seconds": cutter.seconds,
        "speech_seconds": spoken,
        "real_time_factor": busy / spoken if spoken else None,
        "overruns": capture.overruns,
        "ended": capture.ended or None,
        "stretches": parts,
        "null_reasons": reasons,
    }


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)

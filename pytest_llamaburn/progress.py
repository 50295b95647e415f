"""Progress of a run on standard error: a bar, plain lines, JSON lines or nothing.

pytest captures standard error while tests run, so this writes to a duplicate of it taken before.
"""

from __future__ import annotations

import io
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TextIO, cast

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

FAILING_SHARE = 0.05
_PLAIN_EVERY_S = 30.0
_PLAIN_SHARE = 0.1


class Stream(Protocol):
    """What progress is written to."""

    def write(self, text: str, /) -> object:
        """Take text."""

    def flush(self) -> object:
        """Show it."""

    def close(self) -> object:
        """Give up what was taken to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """How a run goes right now. A field is None if it is unknown or does not apply.

    `done` of `planned` things of the stage are finished; `unit` names them. `eta_s` is how long the
    rest takes at the present pace. Speed and TTFT are those of the last finished request. `clients`
    or `rate_per_sec` is the load; `requests_per_sec`, `total_p50_ms` and `total_p95_ms` are of the
    last few seconds of it. `failure` is the kind of the last failure. `state` is `failing` if more
    than 5 % of what has ended failed, else `ok`.
    """

    stage: str = "measuring"
    unit: str = "requests"
    done: int | None = None
    planned: int | None = None
    failed: int | None = None
    failure: str | None = None
    state: str | None = None
    tokens_per_sec: float | None = None
    time_to_first_token_ms: float | None = None
    clients: float | None = None
    rate_per_sec: float | None = None
    in_flight: int | None = None
    requests_per_sec: float | None = None
    total_p50_ms: float | None = None
    total_p95_ms: float | None = None
    eta_s: float | None = None


def of_request(row: dict[str, Any], **fields: Any) -> Event:
    """Return the event of a finished request, from its row."""
    return Event(
        failure=row["error"] and row["error"]["kind"],
        tokens_per_sec=row["tokens_per_sec"],
        time_to_first_token_ms=row["time_to_first_token_ms"],
        **fields,
    )


def state_of(failed: int, ended: int) -> str | None:
    """Return whether requests fail, from how many have ended; None if none has."""
    if not ended:
        return None
    return "failing" if failed > FAILING_SHARE * ended else "ok"


class Progress(Protocol):
    """What a run tells about itself while it goes on."""

    def plan(self, total: int) -> None:
        """Take how many more things are to come."""

    def say(self, text: str) -> None:
        """Take a sentence."""

    def step(self, event: Event) -> None:
        """Take that one more of the planned things is finished."""

    def load(self, event: Event) -> None:
        """Take how a load goes right now. Called often; shown as often as is useful."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def make(word: str, descriptor: int | None) -> Progress:
    """Return the progress a word names, on a descriptor it will close.

    auto is live on a terminal that takes control codes, else plain.
    """
    if word == "none" or descriptor is None:
        return Silent()
    stream = Lossy(os.fdopen(descriptor, "wb", buffering=0), encoding="utf-8", errors="replace")
    if word == "auto":
        word = "live" if takes_control_codes(stream) else "plain"
    styles: dict[str, type[Live | Plain | Json]] = {"live": Live, "plain": Plain, "json": Json}
    return styles[word](stream)


def takes_control_codes(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that may be drawn on, not one that shows plain text.

    Who sets NO_COLOR wants plain text too.
    """
    plain = os.environ.get("TERM") in ("dumb", "unknown") or os.environ.get("NO_COLOR")
    return stream.isatty() and not plain


class Lossy(io.TextIOWrapper):
    """Text that nobody may read any more: where the terminal is gone it is lost, and no run is."""

    def write(self, text: str, /) -> int:
        """Write text at once, if it can be."""
        with suppress(OSError):
            os.write(self.fileno(), text.encode(errors="replace"))
        return len(text)


class Silent:
    """No progress."""

    def plan(self, total: int) -> None:
        """Say nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def step(self, event: Event) -> None:
        """Say nothing."""

    def load(self, event: Event) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Do nothing."""


class Counter:
    """What all styles count: things done, planned and failed, and the time that the rest takes."""

    def __init__(self, stream: Stream) -> None:
        """Write to `stream`."""
        self._stream, self._began = stream, monotonic()
        self._planned = self._done = self._failed = 0
        self._grows = False

    def plan(self, total: int) -> None:
        """Take how many more things are to come."""
        self._grows |= self._done > 0
        self._planned += total

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    def _counted(self, event: Event) -> Event:
        """Return the event of a finished thing with what was counted so far.

        The time left is unknown while the plan grows with the run.
        """
        self._done += 1
        self._failed += event.failure is not None
        left = max(0, self._planned - self._done)
        pace_s = (monotonic() - self._began) / self._done
        return replace(
            event,
            done=self._done,
            planned=self._planned,
            failed=self._failed,
            state=state_of(self._failed, self._done),
            eta_s=None if self._grows else left * pace_s,
        )

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class Plain(Counter):
    """A line each tenth of the requests or 30 seconds and at the end; no control bytes."""

    def __init__(self, stream: Stream) -> None:
        """Write to `stream`."""
        super().__init__(stream)
        self._said, self._since = 0, monotonic()

    def say(self, text: str) -> None:
        """Write a line."""
        self._write(text)

    def step(self, event: Event) -> None:
        """Say how far the run is, if it is time to."""
        event = self._counted(event)
        due = self._done - self._said >= max(1, self._planned * _PLAIN_SHARE)
        last = self._done == self._planned and not self._grows
        if due or last or self._silent_for_long():
            self._said, self._since = self._done, monotonic()
            count = f"{event.done}/{event.planned} {event.unit}"
            self._write(", ".join(filter(None, [count, words(event)])))

    def load(self, event: Event) -> None:
        """Say how the load goes, if it is time to."""
        if self._silent_for_long():
            self._since = monotonic()
            self._write(words(event))

    def _silent_for_long(self) -> bool:
        return monotonic() - self._since > _PLAIN_EVERY_S


class Json(Counter):
    """One JSON object an event: what is known of it."""

    def say(self, text: str) -> None:
        """Write a sentence as an event."""
        self._write(json.dumps({"event": "note", "text": text}))

    def step(self, event: Event) -> None:
        """Write that one more thing is finished."""
        self.load(self._counted(event))

    def load(self, event: Event) -> None:
        """Write how it goes."""
        known = {name: value for name, value in asdict(event).items() if value is not None}
        self._write(json.dumps({"event": "progress", **known}))


class Live(Counter):
    """One bar with speed, elapsed and remaining time."""

    _bar: Bar | None = None

    def plan(self, total: int) -> None:
        """Show the bar, or make it longer."""
        super().plan(total)
        if self._bar is None:
            self._bar = _bar(self._stream)
            self._bar.start()
            self._task = self._bar.add_task("measuring", total=0, words="")
        self._bar.update(self._task, total=self._planned, refresh=True)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)

    def step(self, event: Event) -> None:
        """Move the bar; drawn between requests only."""
        self._draw(self._counted(event), advance=1)

    def load(self, event: Event) -> None:
        """Show how the load goes beside the bar."""
        self._draw(event, advance=0)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
        super().close()

    def _draw(self, event: Event, advance: int) -> None:
        if self._bar is not None:
            self._bar.update(
                self._task,
                advance=advance,
                refresh=True,
                description=event.stage,
                words=words(event),
            )


def words(event: Event) -> str:
    """Return an event's numbers as one line for people."""
    if event.clients is not None:
        clients = "client" if event.clients == 1 else "clients"
        return f"{event.clients:.3g} {clients}: {_load_words(event)}"
    if event.rate_per_sec is not None:
        return f"{event.rate_per_sec:.3g} requests/s: {_load_words(event)}"
    if event.failure is not None:
        return f"last failed: {event.failure}"
    speed, ttft_ms = event.tokens_per_sec, event.time_to_first_token_ms
    shown = [f"{speed:.1f} tokens/s" if speed else "", f"TTFT {ttft_ms:.0f} ms" if ttft_ms else ""]
    return ", ".join(filter(None, shown))


def _load_words(event: Event) -> str:
    shown = [f"{event.in_flight} in flight", f"{event.requests_per_sec:.3g} requests/s"]
    if event.tokens_per_sec is not None:
        shown.append(f"{event.tokens_per_sec:.3g} tokens/s")
    if event.total_p95_ms is not None:
        shown.append(f"p95 now {event.total_p95_ms:.3g} ms")
    return ", ".join([*shown, f"{event.failed} failed"])


def _bar(stream: Stream) -> Bar:
    """Return a bar that is drawn only when it is told to."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[words]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(file=cast("TextIO", stream), force_terminal=True),
        transient=True,
        auto_refresh=False,  # a drawing thread would share the processor with the clock
        redirect_stdout=False,
        redirect_stderr=False,
    )

"""Progress of a run on standard error: a bar, plain lines, JSON lines or nothing.

pytest captures standard error while tests run, so this writes to a duplicate of it taken before.
"""

from __future__ import annotations

import io
import json
import os
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

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


class Progress(Protocol):
    """What a run tells about itself while it goes on."""

    def plan(self, total: int) -> None:
        """Take the number of requests to come."""

    def say(self, text: str) -> None:
        """Take a sentence."""

    def step(self, row: dict[str, Any]) -> None:
        """Take a finished request's row."""

    def pulse(self, text: str) -> None:
        """Take how a load goes right now; told often, shown as often as is of use."""

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
    styles: dict[str, type[Live | Plain]] = {"live": Live, "plain": Plain, "json": Json}
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

    def step(self, row: dict[str, Any]) -> None:
        """Say nothing."""

    def pulse(self, text: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Do nothing."""


class Plain:
    """A line each tenth of the requests or 30 seconds and at the end; no control bytes.

    Where the plan grows as the run goes on, nobody knows which request is the last.
    """

    def __init__(self, stream: Stream) -> None:
        """Write to `stream`."""
        self._stream, self._total, self._count = stream, 0, 0
        self._said, self._since = 0, monotonic()
        self._grows = False

    def plan(self, total: int) -> None:
        """Take the number of requests to come."""
        self._grows |= self._count > 0
        self._total += total

    def say(self, text: str) -> None:
        """Write a line."""
        self._write(text)

    def step(self, row: dict[str, Any]) -> None:
        """Say how far the run is, if it is time to."""
        self._count += 1
        due = self._count - self._said >= max(1, self._total * _PLAIN_SHARE)
        last = self._count == self._total and not self._grows
        if due or last or monotonic() - self._since > _PLAIN_EVERY_S:
            self._said, self._since = self._count, monotonic()
            shown = [f"{self._count}/{self._total} requests", _speed(row)]
            self._write(", ".join(filter(None, shown)))

    def pulse(self, text: str) -> None:
        """Say it if it is time to."""
        if monotonic() - self._since > _PLAIN_EVERY_S:
            self._since = monotonic()
            self.say(text)

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class Json(Plain):
    """One JSON object a finished request."""

    def say(self, text: str) -> None:
        """Write a sentence as an event."""
        self._write(json.dumps({"event": "note", "text": text}))

    def step(self, row: dict[str, Any]) -> None:
        """Write the request's headline numbers."""
        self._count += 1
        names = ("prompt_id", "start", "time_to_first_token_ms", "tokens_per_sec")
        error = row["error"]["kind"] if row["error"] else None
        event = {"event": "request", "done": self._count, "total": self._total, "error": error}
        self._write(json.dumps({**event, **{name: row[name] for name in names}}))


class Live:
    """One bar with speed, elapsed and remaining time."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on `stream`."""
        self._stream, self._total = stream, 0
        self._bar: Bar | None = None

    def plan(self, total: int) -> None:
        """Show the bar, or make it longer."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._total += total
        if self._bar is None:
            self._bar = Progress(
                TextColumn("measuring"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[speed]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=Console(file=self._stream, force_terminal=True),
                transient=True,
                auto_refresh=False,  # a drawing thread would share the processor with the clock
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=0, speed="")
        self._bar.update(self._task, total=self._total, refresh=True)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)

    def step(self, row: dict[str, Any]) -> None:
        """Move the bar; drawn between requests only."""
        if self._bar is not None:
            self._bar.update(self._task, advance=1, speed=_speed(row), refresh=True)

    def pulse(self, text: str) -> None:
        """Show it beside the bar."""
        if self._bar is not None:
            self._bar.update(self._task, advance=0, speed=text, refresh=True)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
        self._stream.close()


def _speed(row: dict[str, Any]) -> str:
    if row["error"]:
        return f"last failed: {row['error']['kind']}"
    speed, ttft_ms = row["tokens_per_sec"], row["time_to_first_token_ms"]
    shown = [f"{speed:.1f} tokens/s" if speed else "", f"TTFT {ttft_ms:.0f} ms" if ttft_ms else ""]
    return ", ".join(filter(None, shown))

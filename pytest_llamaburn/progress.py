"""Progress of a run on standard error: a bar, plain lines, JSON lines or nothing.

pytest captures standard error while tests run, so this module writes to an earlier duplicate of it.
"""

from __future__ import annotations

import io
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Protocol, TextIO, cast

from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.progress import Progress as Bar

FAILING_SHARE = 0.05
_PLAIN_EVERY_S = 30.0
_PLAIN_SHARE = 0.1


class Stream(Protocol):
    """The stream to which progress is written."""

    def write(self, text: str, /) -> object:
        """Write text."""

    def flush(self) -> object:
        """Flush it."""

    def close(self) -> object:
        """Close it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The current state of a run. A field is None if it is unknown or does not apply.

    `done` of `planned` units of the stage are finished; `unit` names the unit. `eta_s` is the
    remaining time at the current speed. Speed and TTFT are those of the last finished request.
    `clients` or `rate_per_sec` is the load; `requests_per_sec`, `total_p50_ms` and `total_p95_ms`
    cover its last few seconds. `failure` is the kind of the last failure. `state` is `failing` if
    more than 5 % of the finished requests failed, else `ok`. `at` is when it was written, in
    seconds since 1970.
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
    at: float | None = None


def of_request(row: Mapping[str, Any], **fields: Any) -> Event:
    """Return the event of a finished request, from its row."""
    return Event(
        failure=row["error"] and row["error"]["kind"],
        tokens_per_sec=row["tokens_per_sec"],
        time_to_first_token_ms=row["time_to_first_token_ms"],
        **fields,
    )


def state_of(failed: int, ended: int) -> str | None:
    """Return `failing` or `ok`, or None if no request has ended."""
    if not ended:
        return None
    return "failing" if failed > FAILING_SHARE * ended else "ok"


class Progress(Protocol):
    """A display of the progress of runs."""

    def plan(self, total: int) -> None:
        """Add `total` units to the plan."""

    def resume(self, done: int) -> None:
        """Take how many of the planned units an earlier part of the run finished."""

    def say(self, text: str) -> None:
        """Show a sentence."""

    def tell(self, event: str, facts: Mapping[str, object]) -> None:
        """Tell a program that reads the progress what happened, such as an answer."""

    def step(self, event: Event) -> None:
        """Count one finished unit and show the event."""

    def load(self, event: Event) -> None:
        """Show the state of a load. Runs call it often; not every call is shown."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def make(word: str, descriptor: int | None) -> Progress:
    """Return the display that a word names; it writes to a descriptor and will close it.

    `auto` is `live` on a terminal that supports control codes, else `plain`.
    """
    if word == "none" or descriptor is None:
        return Silent()
    stream = Lossy(os.fdopen(descriptor, "wb", buffering=0), encoding="utf-8", errors="replace")
    if word == "auto":
        word = "live" if takes_control_codes(stream) else "plain"
    styles: dict[str, type[Live | Plain | Json]] = {"live": Live, "plain": Plain, "json": Json}
    return styles[word](stream)


def takes_control_codes(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that supports control codes; not with NO_COLOR."""
    plain = os.environ.get("TERM") in ("dumb", "unknown") or os.environ.get("NO_COLOR")
    return stream.isatty() and not plain


class Lossy(io.TextIOWrapper):
    """A stream that ignores errors, so that a closed terminal does not end a run."""

    def write(self, text: str, /) -> int:
        """Write text at once; an error is ignored."""
        with suppress(OSError):
            os.write(self.fileno(), text.encode(errors="replace"))
        return len(text)


class Silent:
    """No progress."""

    def plan(self, total: int) -> None:
        """Say nothing."""

    def resume(self, done: int) -> None:
        """Say nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""

    def tell(self, event: str, facts: Mapping[str, object]) -> None:
        """Say nothing."""

    def step(self, event: Event) -> None:
        """Say nothing."""

    def load(self, event: Event) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Do nothing."""


class Counter:
    """Base of the displays: it counts finished, planned and failed units and the remaining time."""

    def __init__(self, stream: Stream) -> None:
        """Write to `stream`."""
        self._stream, self._began = stream, monotonic()
        self._planned = self._done = self._failed = self._earlier = 0
        self._grows = False

    def plan(self, total: int) -> None:
        """Add `total` units to the plan."""
        self._grows |= self._done > 0
        self._planned += total

    def resume(self, done: int) -> None:
        """Count things that an earlier part of the run finished; they have no pace."""
        self._earlier += done

    def tell(self, event: str, facts: Mapping[str, object]) -> None:
        """Show nothing: people see the file."""

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    def _counted(self, event: Event) -> Event:
        """Return the event of a finished unit with the counts so far.

        The remaining time is unknown if the plan grows during the run.
        """
        self._done += 1
        self._failed += event.failure is not None
        done = self._done + self._earlier
        left = max(0, self._planned - done)
        pace_s = (monotonic() - self._began) / self._done
        return replace(
            event,
            done=done,
            planned=self._planned,
            failed=self._failed,
            state=state_of(self._failed, self._done),
            eta_s=None if self._grows else left * pace_s,
        )

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class Plain(Counter):
    """One line for each 10 % of the requests or 30 seconds, and at the end; no control bytes."""

    def __init__(self, stream: Stream) -> None:
        """Write to `stream`."""
        super().__init__(stream)
        self._said, self._since = 0, monotonic()

    def say(self, text: str) -> None:
        """Write a line."""
        self._write(text)

    def step(self, event: Event) -> None:
        """Write a line about the progress, if one is due."""
        event = self._counted(event)
        due = self._done - self._said >= max(1, self._planned * _PLAIN_SHARE)
        last = event.done == self._planned and not self._grows
        if due or last or self._silent_for_long():
            self._said, self._since = self._done, monotonic()
            one = event.unit.removesuffix("s")
            count = f"{event.done}/{counted(event.planned or 0, one, event.unit)}"
            self._write(", ".join(filter(None, [count, words(event)])))

    def load(self, event: Event) -> None:
        """Write a line about the load, if one is due."""
        if self._silent_for_long():
            self._since = monotonic()
            self._write(words(event))

    def _silent_for_long(self) -> bool:
        return monotonic() - self._since > _PLAIN_EVERY_S


class Json(Counter):
    """One JSON object per event, with its known fields."""

    def say(self, text: str) -> None:
        """Write a sentence as an event."""
        self._write(json.dumps({"event": "note", "text": text}))

    def tell(self, event: str, facts: Mapping[str, object]) -> None:
        """Write what happened as an event."""
        self._write(json.dumps({"event": event, "at": round(time(), 3), **facts}))

    def step(self, event: Event) -> None:
        """Count one finished unit and write the event."""
        self.load(self._counted(event))

    def load(self, event: Event) -> None:
        """Write the event."""
        event = replace(event, at=round(time(), 3))
        known = {name: value for name, value in asdict(event).items() if value is not None}
        self._write(json.dumps({"event": "progress", **known}))


class Live(Counter):
    """A progress bar with speed, elapsed and remaining time."""

    _bar: Bar | None = None

    def plan(self, total: int) -> None:
        """Show the bar, or extend it."""
        super().plan(total)
        if self._bar is None:
            self._bar = _bar(self._stream)
            self._bar.start()
            self._task = self._bar.add_task("measuring", total=0, words="")
        self._bar.update(self._task, total=self._planned, refresh=True)

    def resume(self, done: int) -> None:
        """Show what an earlier part of the run finished as done."""
        super().resume(done)
        if self._bar is not None:
            self._bar.update(self._task, advance=done, refresh=True)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)

    def step(self, event: Event) -> None:
        """Move the bar; it is drawn only between requests."""
        self._draw(self._counted(event), advance=1)

    def load(self, event: Event) -> None:
        """Show the load beside the bar."""
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
    """Return an event as one line of text."""
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
    """Return a bar that is drawn only on a call to refresh it."""
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
        auto_refresh=False,  # a drawing thread would disturb the timing
        redirect_stdout=False,
        redirect_stderr=False,
    )


class Lines:
    """A stream that writes whole lines between the lines of pytest's report."""

    def __init__(self, config: Any) -> None:
        """Take pytest's capture manager and terminal reporter."""
        self._capture: Any = config.pluginmanager.getplugin("capturemanager")
        self._report: Any = config.pluginmanager.getplugin("terminalreporter")

    def write(self, text: str) -> None:
        """Write lines."""
        with self._capture.global_and_fixture_disabled():
            self._report.ensure_newline()
            self._report.write(f"llamaburn: {text}")

    def flush(self) -> None:
        """Do nothing: pytest flushes."""

    def close(self) -> None:
        """Do nothing: the terminal is pytest's."""

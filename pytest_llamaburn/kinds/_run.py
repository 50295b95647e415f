"""The base of all runs: it connects to a server, loads and warms up a model, and opens a journal.

Fixtures create runs, but this module does not import pytest.
"""

from __future__ import annotations

import asyncio
import copy
import random
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

# Import numpy before the first request. A signal during this import would leave numpy broken, and
# the result file of the finished requests could not be made.
import numpy as np  # noqa: F401

from pytest_llamaburn import environment, metrics, options
from pytest_llamaburn.backends._detect import connect
from pytest_llamaburn.energy import timeline
from pytest_llamaburn.energy.profiler import Profiler
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.load.prompts import conversation
from pytest_llamaburn.option import changed
from pytest_llamaburn.store import journal, results
from pytest_llamaburn.store.resume import check_same

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_llamaburn.backends._base import Backend, Message, Model, Server
    from pytest_llamaburn.documents import Clock, Document, LoadedModel, Outcome
    from pytest_llamaburn.kinds._kind import RunKind
    from pytest_llamaburn.progress import Progress
    from pytest_llamaburn.trace import Trace

RECORDED_FIELDS = (
    *("id", "name", "quantization", "family", "parameter_size", "digest", "context_length"),
)
WARMUP_PROMPT = "Say hello in one short sentence."
_IDLE_S = 1.5  # how long the idle power is measured, both before and after the model is loaded


class Identity(NamedTuple):
    """The ids of a run: its session, its run id, and the worker that measures."""

    session_id: str
    run_id: str
    worker: str
    timestamp: str
    variant: str = ""


class Run:
    """A model under test."""

    kind: ClassVar[RunKind]

    def __init__(self, settings: Any, identity: Identity, repeat: int, progress: Progress) -> None:
        """Take the settings; nothing is opened before `prepare`."""
        self.settings, self.identity = settings, identity
        self.repeat, self._progress = repeat, progress
        self._random = random.Random(f"{settings.seed}/{identity}")  # noqa: S311 - not a secret
        self.backend: Backend
        self.model: Model
        self.server: Server
        self.journal: journal.Journal | None = None
        self.profiler: Profiler
        self._unwritten: list[Document] = []
        self._keeping = threading.Lock()
        self._other_load = environment.OtherLoad()
        self._last: Trace | None = None
        self._told_lost: str | None = None
        self.alarm: Callable[[str], None] = progress.say  # prints an urgent message at once

    async def prepare(self, model: str | None, planned: dict[str, int], extra: Document) -> None:
        """Connect, load and warm up, then open the journal; its header includes `extra`.

        Raises UsageError before anything is written.
        """
        await self._meet(model)
        self.check()
        self.profiler = Profiler(
            self.settings, self.server, concurrency=self._at_once(), publish=self._keep
        )
        self.profiler.remembers = False
        self.profiler.start()
        await self._warm_up()
        self._open_journal(self._header(model, extra), planned)
        self.write("facts", {"loaded_before": await self._loaded(), "slots": await self._slots()})
        self.write("facts", {"server_notes": [*self.backend.notes]})
        self.profiler.publish_facts()
        self.sync()
        self._other_load.start()
        self._begin(sum(planned.values()))

    @property
    def folder(self) -> Path:
        """The directory of this run's journal."""
        if self.journal is not None:
            return self.journal.directory
        return journal.directory(Path(self.settings.results_dir), self.identity.run_id)

    def settle(self) -> None:
        """If the results directory is gone, continue the journal elsewhere and say so."""
        if self.journal is not None:
            self.journal.settle()
            self._tell_lost()

    def forget(self) -> None:
        """Close the journal's files, after the result file was written."""
        if self.journal is not None:
            self.journal.forget()

    def sync(self) -> None:
        """Write the journal to disk; only between items, never during a measurement."""
        if self.journal is not None:
            self.journal.sync()

    async def finish(self, reason: str) -> None:
        """End the journal and close the connection to the server."""
        try:
            if hasattr(self, "profiler"):
                self.profiler.stop()
            await self._end_journal(reason)
        finally:
            if hasattr(self, "backend"):
                self.backend.close()

    def clock(self, trace: Trace) -> Clock:
        """Return when a request was in flight, for its row."""
        return {
            "segment": self.profiler.segment,
            "sent_ns": trace.sent_ns,
            "first_ns": trace.first_ns,
            "end_ns": trace.end_ns,
        }

    def messages(self, text: str) -> list[Message]:
        """Return the conversation that asks a prompt."""
        return conversation(text, self._random if self.settings.cache == "bust" else None)

    async def _meet(self, model: str | None) -> None:
        """Connect to the server, and learn which one it is and which model it has."""
        self.backend = await connect(self.settings, model)
        self.server = await self.backend.server()
        self.model = await self.backend.describe(model or await self.backend.only_model())

    def _about(self) -> Document:
        """Return the fields that this kind of run adds to the header."""
        return {}

    def check(self) -> None:
        """Raise UsageError for settings that this server or model does not support."""

    def _at_once(self) -> int:
        """Return the maximum number of requests in flight."""
        return 1

    def _begin(self, requests: int) -> None:
        """Start, after all preparations; `requests` is the number of planned requests."""

    def take_over(self, record: journal.Record) -> None:
        """Take over the results of an earlier part of this run."""

    def _open_journal(self, header: Document, planned: dict[str, int]) -> None:
        directory = Path(self.settings.results_dir)
        record = journal.read(journal.directory(directory, self.identity.run_id))
        if self.settings.resume and record.header:
            check_same(record.header, header)
            self.take_over(record)
        self.journal = journal.Journal(directory, self.identity.run_id, self.identity.worker)
        self.write("header", header)
        # Every worker expects all items. The plan that an item writes later replaces this number.
        self.write("expected", {"items": planned})

    async def _end_journal(self, reason: str) -> None:
        if self.journal is None:
            return
        known = self.server.local and self.server.kind in ("embedded", "ollama")
        # The processes of an unknown server would count as other load.
        share = self._other_load.share() if known else None
        self.write("facts", {"other_cpu_share": share})
        if reason == "finished":
            self.write("facts", {"loaded_after": await self._loaded()})
        self.write("end", {"reason": reason})
        self.journal.close()

    async def _warm_up(self) -> None:
        loaded = [entry["name"] for entry in await self._loaded() or ()]
        if self.model.id not in loaded:
            await self._idle(timeline.IDLE_BEFORE_LOAD)
        with self.profiler.phase("load"):
            await self.load_model()
        await self._idle(timeline.IDLE_LOADED)
        with self.profiler.phase("warmup"):
            for _ in range(self.settings.warmup):
                self._last = await self.send_untimed(WARMUP_PROMPT)

    async def load_model(self) -> None:
        """Load the model with the options of the timed requests."""
        await self.backend.load(self.model)

    async def _idle(self, name: str) -> None:
        """Measure the idle power, if there is a power sensor."""
        if self.profiler.has_power:
            with self.profiler.phase(name):
                await asyncio.sleep(_IDLE_S)

    def _keep(self, entry: Document) -> None:
        """Write an entry of the profiler to the journal, once the journal is open."""
        with self._keeping:
            self._unwritten.append(entry)
            if self.journal is not None:
                for unwritten in self._unwritten:
                    self.journal.write("profile", **unwritten)
                self._unwritten.clear()

    async def send_untimed(self, text: str) -> Trace:
        """Send a prompt whose answer is not measured; return its trace."""
        wire = self.backend.wire()
        payload = self.backend.payload(self.model, self.messages(text))
        try:
            return await self.backend.stream(wire, payload)
        finally:
            wire.close()

    def _backend_with(self, settings: Document) -> Backend:
        """Return the backend with some settings of the answers replaced."""
        other = copy.copy(self.backend)
        other.settings = changed(self.settings, settings)
        return other

    async def _loaded(self) -> list[LoadedModel] | None:
        try:
            return await self.backend.loaded()
        except ServerError:  # the rows of the requests already record the server's failure
            return None

    async def _slots(self) -> int | None:
        try:
            return await self.backend.slots()
        except ServerError:
            return None

    def write(self, kind: str, fields: Mapping[str, object]) -> None:
        """Write a line of this type to the journal, if it is open."""
        if self.journal is not None:
            self.journal.write(kind, **fields)
            self._tell_lost()

    def _tell_lost(self) -> None:
        """Say where the run continues; only the main thread may write to the terminal."""
        if self.journal is not None and self.journal.lost not in (None, self._told_lost):
            self._told_lost = self.journal.lost
            self.alarm(self.journal.lost)

    def _header(self, asked: str | None, extra: Document) -> Document:
        sent, model = self._sent(), asdict(self.model)
        return {
            **self._opening(),
            "model": {name: model[name] for name in RECORDED_FIELDS},
            "server": self.server._asdict(),
            "config": {**self._config(), "model": [asked] if asked else [], "sent": sent},
            "contended": self.settings.allow_parallel,
            "environment": environment.facts(),
            **extra,
            **self._about(),
        }

    def _sent(self) -> Document:
        """Return what each request carries besides its text, for `config.sent`."""
        sent = self.backend.body(self.model, [])
        del sent["messages"]
        return sent

    def _opening(self) -> Document:
        return {
            "schema": self.kind.schema,
            "schema_version": results.SCHEMA_VERSION,
            "session_id": self.identity.session_id,
            "run_id": self.identity.run_id,
            "timestamp": self.identity.timestamp,
        }

    def _config(self) -> Document:
        return options.record(self.settings, self.kind.settings_class)


def row_of(trace: Trace, prompt: str) -> Outcome:
    """Return the fields of a finished request's row that all kinds of run share."""
    values, reasons = metrics.compute(trace)
    row: Any = {
        "timestamp": utc_now(),
        **values,
        "finish_reason": trace.finish_reason,
        "chunks": len(trace.delta_ns),
        "prompt_characters": len(prompt),
        "flags": trace.flags,
        "null_reasons": reasons,
        "error": trace.error,
        "chunk_gaps_ms": [round(gap, 6) for gap in metrics.chunk_gaps_ms(trace)],
    }
    return cast("Outcome", row)


def utc_now() -> str:
    """Return the time in UTC, in the format of result files."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

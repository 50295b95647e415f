"""One model on one server, loaded, warmed up and journalled: what every kind of run begins with.

pytest drives runs through fixtures, but nothing here knows pytest.
"""

from __future__ import annotations

import asyncio
import random
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

# Before the first request: a signal in the middle of this import would leave numpy broken, and the
# file of what was finished could not be made.
import numpy as np  # noqa: F401

from pytest_llamaburn import environment, metrics, options
from pytest_llamaburn.backends._detect import connect
from pytest_llamaburn.energy import timeline
from pytest_llamaburn.energy.profiler import Profiler
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.load.prompts import conversation
from pytest_llamaburn.store import journal, results
from pytest_llamaburn.store.resume import check_same

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.backends._base import Backend, Message, Model, Server
    from pytest_llamaburn.kinds._kind import RunKind
    from pytest_llamaburn.progress import Progress
    from pytest_llamaburn.trace import Trace

RECORDED_FIELDS = (
    *("id", "name", "quantization", "family", "parameter_size", "digest", "context_length"),
)
_WARMUP_PROMPT = "Say hello in one short sentence."
_IDLE_S = 1.5  # how long idling is watched, before and after loading, where power can be read


class Identity(NamedTuple):
    """Which run of which session this is, and which worker measures."""

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
        self._profiler: Profiler
        self._unwritten: list[dict[str, Any]] = []
        self._keeping = threading.Lock()
        self._other_load = environment.OtherLoad()
        self._last: Trace | None = None
        self._told_lost: str | None = None
        self.alarm: Callable[[str], None] = progress.say  # what cannot wait until the end

    async def prepare(
        self, model: str | None, planned: dict[str, int], about: dict[str, Any]
    ) -> None:
        """Connect, load and warm up, then open the journal; `about` joins its header.

        Raises UsageError before anything is written.
        """
        self.backend = await connect(self.settings, model)
        self.server = await self.backend.server()
        self.model = await self.backend.describe(model or await self.backend.only_model())
        self._check()
        self._profiler = Profiler(
            self.settings, self.server, concurrency=self._at_once(), publish=self._keep
        )
        self._profiler.remembers = False
        self._profiler.start()
        await self._warm_up()
        self._open_journal(self._header(model, about), planned)
        self._journal(
            "facts", {"loaded_before": await self._loaded(), "slots": await self._slots()}
        )
        self._journal("facts", {"server_notes": [*self.backend.notes]})
        self._profiler.tell()
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
        """Have the journal go on elsewhere where the results directory is gone, and tell it."""
        if self.journal is not None:
            self.journal.settle()
            self._tell_lost()

    def forget(self) -> None:
        """Close the files of a run whose result is written."""
        if self.journal is not None:
            self.journal.forget()

    def sync(self) -> None:
        """Have the disk hold the journal; between items, never while measuring."""
        if self.journal is not None:
            self.journal.sync()

    async def finish(self, reason: str) -> None:
        """End the journal and give the server back."""
        try:
            if hasattr(self, "_profiler"):
                self._profiler.stop()
            await self._end_journal(reason)
        finally:
            if hasattr(self, "backend"):
                self.backend.close()

    def messages(self, text: str) -> list[Message]:
        """Return the conversation that asks a prompt."""
        return conversation(text, self._random if self.settings.cache == "bust" else None)

    def _about(self) -> dict[str, Any]:
        """Return what else the header of this kind of run holds."""
        return {}

    def _check(self) -> None:
        """Raise UsageError for what this server or model cannot do."""

    def _at_once(self) -> int:
        """Return the most requests that may be in flight at once."""
        return 1

    def _begin(self, requests: int) -> None:
        """Take note that all is ready and so many requests are planned."""

    def _continue(self, record: journal.Record) -> None:
        """Take over what an earlier part of this run has done."""

    def _open_journal(self, header: dict[str, Any], planned: dict[str, int]) -> None:
        directory = Path(self.settings.results_dir)
        record = journal.read(journal.directory(directory, self.identity.run_id))
        if self.settings.resume and record.header:
            check_same(record.header, header)
            self._continue(record)
        self.journal = journal.Journal(directory, self.identity.run_id, self.identity.worker)
        self._journal("header", header)
        # every worker expects all items; what an item then really plans has the last word
        self._journal("expected", {"items": planned})

    async def _end_journal(self, reason: str) -> None:
        if self.journal is None:
            return
        known = self.server.local and self.server.kind in ("embedded", "ollama")
        share = self._other_load.share() if known else None  # else the server counts as another
        self._journal("facts", {"other_cpu_share": share})
        if reason == "finished":
            self._journal("facts", {"loaded_after": await self._loaded()})
        self._journal("end", {"reason": reason})
        self.journal.close()

    async def _warm_up(self) -> None:
        held = [entry["name"] for entry in await self._loaded() or ()]
        if self.model.id not in held:
            await self._idle(timeline.IDLE_BEFORE_LOAD)
        with self._profiler.phase("load"):
            await self.backend.load(self.model)
        await self._idle(timeline.IDLE_LOADED)
        with self._profiler.phase("warmup"):
            for _ in range(self.settings.warmup):
                self._last = await self._untimed(_WARMUP_PROMPT)

    async def _idle(self, name: str) -> None:
        """Watch what doing nothing takes, if anything says what it takes."""
        if self._profiler.has_power:
            with self._profiler.phase(name):
                await asyncio.sleep(_IDLE_S)

    def _keep(self, entry: dict[str, Any]) -> None:
        """Journal what the profiler read; what comes before the journal is open waits for it."""
        with self._keeping:
            self._unwritten.append(entry)
            if self.journal is not None:
                for one in self._unwritten:
                    self.journal.write("profile", **one)
                self._unwritten.clear()

    async def _untimed(self, text: str) -> Trace:
        wire = self.backend.wire()
        payload = self.backend.payload(self.model, self.messages(text))
        try:
            return await self.backend.stream(wire, payload)
        finally:
            wire.close()

    async def _loaded(self) -> Any:
        try:
            return await self.backend.loaded()
        except ServerError:  # a server that died was already noted in its requests' rows
            return None

    async def _slots(self) -> int | None:
        try:
            return await self.backend.slots()
        except ServerError:
            return None

    def _journal(self, kind: str, fields: dict[str, Any]) -> None:
        if self.journal is not None:
            self.journal.write(kind, **fields)
            self._tell_lost()

    def _tell_lost(self) -> None:
        """Say where the run went on; in the main thread alone, which may write to the terminal."""
        if self.journal is not None and self.journal.lost not in (None, self._told_lost):
            self._told_lost = self.journal.lost
            self.alarm(self.journal.lost)

    def _header(self, asked: str | None, about: dict[str, Any]) -> dict[str, Any]:
        sent = self.backend.body(self.model, [])
        del sent["messages"]
        model = asdict(self.model)
        return {
            **self._opening(),
            "model": {name: model[name] for name in RECORDED_FIELDS},
            "server": self.server._asdict(),
            "config": {**self._config(), "model": [asked] if asked else [], "sent": sent},
            "contended": self.settings.allow_parallel,
            "environment": environment.facts(),
            **about,
            **self._about(),
        }

    def _opening(self) -> dict[str, Any]:
        return {
            "schema": self.kind.schema,
            "schema_version": results.SCHEMA_VERSION,
            "session_id": self.identity.session_id,
            "run_id": self.identity.run_id,
            "timestamp": self.identity.timestamp,
        }

    def _config(self) -> dict[str, Any]:
        return options.record(self.settings, self.kind.settings_class)


def row_of(trace: Trace, prompt: str) -> dict[str, Any]:
    """Return what a finished request's row holds whatever the run, from its prompt's text on."""
    values, reasons = metrics.compute(trace)
    return {
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


def utc_now() -> str:
    """Return the time in UTC, as result files have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

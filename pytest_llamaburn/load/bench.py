"""One model on one server, warmed up: it measures prompts and journals what happened.

pytest drives it through the `llm` and `measure` fixtures, but nothing here knows pytest.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pytest_llamaburn import environment, gates, journal, metrics, options, results, stats, timeline
from pytest_llamaburn.backends._detect import connect
from pytest_llamaburn.errors import ServerError, StoppedError
from pytest_llamaburn.load import filing
from pytest_llamaburn.load.driver import closed_loop
from pytest_llamaburn.load.measured import Measured
from pytest_llamaburn.profiler import Profiler

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_llamaburn.backends._base import Backend, Message, Model, Server
    from pytest_llamaburn.backends._http import Wire
    from pytest_llamaburn.datasets import Planned, Prompt
    from pytest_llamaburn.settings import Benchmark
    from pytest_llamaburn.trace import Trace

_WARMUP_PROMPT = "Say hello in one short sentence."
_NONCE_ALPHABET = "bcdfghjklmnpqrtvwxz"  # one token each in any tokenizer, and no number
_NONCE_LETTERS = 12
_IDLE_S = 1.5  # how long idling is watched, before and after loading, where power can be read


class Progress(Protocol):
    """Who is told how the run goes."""

    def say(self, text: str) -> None:
        """Take a sentence."""

    def step(self, row: dict[str, Any]) -> None:
        """Take a finished request's row."""


class Identity(NamedTuple):
    """Which run of which session this is, and which worker measures."""

    session_id: str
    run_id: str
    worker: str
    timestamp: str


class Shot(NamedTuple):
    """One timed request to make."""

    prompt: Prompt
    repeat: int
    iteration: int
    start: str

    @property
    def key(self) -> tuple[Any, ...]:
        """What identifies the request within its run; a row of it has the same."""
        return (self.prompt.id, self.prompt.sha256, self.repeat, self.iteration, self.start)


class Bench:
    """A model under test."""

    def __init__(
        self,
        settings: Benchmark,
        identity: Identity,
        repeat: int,
        progress: Progress,
    ) -> None:
        """Take the settings; nothing is opened before `prepare`."""
        self.settings, self.identity = settings, identity
        self.repeat, self._progress = repeat, progress
        self._rows: list[dict[str, Any]] = []
        self._began = perf_counter()
        self._random = random.Random(f"{settings.seed}/{identity}")  # noqa: S311 - not a secret
        self.backend: Backend
        self.model: Model
        self.server: Server
        self.journal: journal.Journal | None = None
        self._profiler: Profiler | None = None
        self._unwritten: list[dict[str, Any]] = []
        self._keeping = threading.Lock()
        self._other_load = environment.OtherLoad()
        self._done: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._streak: tuple[str | None, int] = (None, 0)
        self._last: Trace | None = None

    async def prepare(self, model: str | None, planned: dict[str, int], prompts: Any) -> None:
        """Connect, load and warm up, then open the journal.

        Raises UsageError before anything is written.
        """
        self.backend = await connect(self.settings, model)
        self.server = await self.backend.server()
        self.model = await self.backend.describe(model or await self.backend.only_model())
        if self.settings.start != "warm" and not self.backend.can_unload:
            raise ServerError(f"--start: {self.backend.address.url} has no way to unload a model")
        self._profiler = Profiler(self.settings, self.server, publish=self._keep).start()
        await self._warm_up(self._profiler)
        directory = Path(self.settings.results_dir)
        header = self._header(model, prompts)
        self._continue_from(
            journal.read(journal.directory(directory, self.identity.run_id)), header
        )
        self.journal = journal.Journal(directory, self.identity.run_id, self.identity.worker)
        self.journal.write("header", **header)
        self.journal.write("planned", items=planned)
        self.journal.write("facts", loaded_before=await self._loaded(), slots=await self._slots())
        self._profiler.tell()
        self.journal.sync()
        self._other_load.start()
        self._progress.say(self._estimate(sum(planned.values())))
        self._began = perf_counter()

    async def measure(self, prompt: Prompt, iterations: int, key: str) -> Measured:
        """Send a prompt's timed requests one after another; return what they measured.

        `key` names the call in the journal's plan.
        """
        self._plan(key, iterations * len(starts(self.settings)))
        measured = await self._shoot(prompt, range(iterations))
        if self._over_budget():
            self._plan(key, len(measured.runs))
        return measured

    async def extend(self, prompts: Sequence[Planned]) -> Measured:
        """Go on, prompt after prompt, until --precision is reached or --budget is spent."""
        for number, planned in enumerate(itertools.cycle(prompts)):
            if self._enough():
                break
            iteration = planned.iterations + number // len(prompts)
            more = await self._shoot(planned.prompt, (iteration,))
            self._plan(f"more/{self.repeat}/{number}", len(more.runs))
        return Measured(self._rows)

    def gate(self, expressions: Iterable[str], measured: Measured) -> list[str]:
        """Judge and journal the gates of one test; return the sentences of those not passed."""
        good = [row for row in measured.runs if row["error"] is None]
        found = {"summary": results.summary(good, measured.runs)}
        mode = self.settings.gate_mode
        verdicts = [
            gates.judge(gate, found, measured.runs, mode) for gate in gates.parse_all(expressions)
        ]
        for verdict in verdicts:
            self._journal("gate", verdict)
        return [gates.sentence(v) for v in verdicts if v["verdict"] != "pass"]

    def sync(self) -> None:
        """Have the disk hold the journal; between items, never while measuring."""
        if self.journal is not None:
            self.journal.sync()

    async def finish(self, reason: str) -> None:
        """End the journal and give the server back."""
        try:
            if self._profiler is not None:
                self._profiler.stop()
            await self._end_journal(reason)
        finally:
            if hasattr(self, "backend"):
                self.backend.close()

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

    def _continue_from(self, record: journal.Record, header: dict[str, Any]) -> None:
        """Take over what an earlier part of this run has done, if it is the same run."""
        if self.settings.resume and record.header:
            filing.check_same(record.header, header)
            self._done = {filing.key_of(row): row for row in record.rows}
            self._random.seed(f"{self.identity}/{len(self._done)}")  # no prefix comes twice

    def _until_stopped(self, shots: Iterator[Shot]) -> Iterator[Shot]:
        """Yield the requests to send until too many in a row failed in the same way."""
        for shot in shots:
            if self._over_budget():
                return
            kind, count = self._streak
            if count >= self.settings.max_failures:
                raise StoppedError(
                    f"stopped after {count} requests in a row failed with {kind}: see the "
                    "server's words in the table; --max-failures raises the limit"
                )
            yield shot

    async def _shoot(self, prompt: Prompt, iterations: Iterable[int]) -> Measured:
        """Send the requests of a prompt that are not done yet, one after another."""
        kinds = starts(self.settings)
        shots = [Shot(prompt, self.repeat, i, start) for i in iterations for start in kinds]
        rows = [self._done[shot.key] for shot in shots if shot.key in self._done]
        self._rows += rows
        if self.settings.cache == "warm":
            await self._untimed(prompt.text)

        def done(shot: Shot, trace: Trace) -> None:
            rows.append(self._note(shot, trace))

        left = (shot for shot in shots if shot.key not in self._done)
        await closed_loop(self._until_stopped(left), 1, self.backend.wire, self._send, done)
        self._power(rows)
        return Measured(rows)

    def _power(self, rows: Iterable[dict[str, Any]]) -> None:
        """Give rows of this bench the power that was read meanwhile; the file does it again."""
        if self._profiler is not None:
            line = self._profiler.timeline()
            for row in rows:
                if row["clock"]["segment"] == self._profiler.segment:
                    row.update(timeline.powered(row, line))

    def _keep(self, entry: dict[str, Any]) -> None:
        """Journal what the profiler read; what comes before the journal is open waits for it."""
        with self._keeping:
            self._unwritten.append(entry)
            if self.journal is not None:
                for one in self._unwritten:
                    self.journal.write("profile", **one)
                self._unwritten.clear()

    def _note(self, shot: Shot, trace: Trace) -> dict[str, Any]:
        row = self._row(shot, trace)
        self._journal("request", row)
        self._rows.append(row)
        self._progress.step(row)
        kind, (last, count) = row["error"] and row["error"]["kind"], self._streak
        self._streak = (kind, count + 1 if kind == last else 1) if kind else (None, 0)
        return row

    def _plan(self, key: str, requests: int) -> None:
        self._journal("planned", {"items": {key: requests}})

    def _enough(self) -> bool:
        """Return whether --precision, --budget or --max-iterations says to go no further."""
        s = self.settings
        if len(self._rows) >= s.max_iterations or self._over_budget():
            return True
        if s.precision is None:
            return s.budget is None
        name = metrics.resolve(s.precision_metric) or ""
        values = [row[name] for row in self._rows if row[name] is not None]
        half = stats.relative_half_width(values)
        return half is not None and half <= s.precision

    def _over_budget(self) -> bool:
        """Return whether another request of the usual length would end after --budget."""
        if self.settings.budget is None:
            return False
        spent = perf_counter() - self._began
        typical = spent / len(self._rows) if self._rows else 0.0
        return spent + typical > self.settings.budget

    async def _send(self, wire: Wire, shot: Shot) -> Trace:
        load_ms = None
        if shot.start == "cold":
            wire.close()
            load_ms = await self.backend.unload(self.model)
            wire.address = self.backend.address
        payload = self.backend.payload(self.model, self._messages(shot.prompt.text))
        trace = await self.backend.stream(wire, payload)
        if load_ms is not None:
            trace.timings.load_ms = load_ms
        return trace

    def _messages(self, text: str) -> list[Message]:
        """Return the conversation; a fresh prefix of constant length defeats the prompt cache."""
        if self.settings.cache == "bust":
            letters = " ".join(self._random.choices(_NONCE_ALPHABET, k=_NONCE_LETTERS))
            text = f"{letters}\n\n{text}"
        return [{"role": "user", "content": text}]

    async def _warm_up(self, profiler: Profiler) -> None:
        held = [entry["name"] for entry in await self._loaded() or ()]
        if self.model.id not in held:
            await self._idle(profiler, timeline.IDLE_BEFORE_LOAD)
        with profiler.phase("load"):
            await self.backend.load(self.model)
        await self._idle(profiler, timeline.IDLE_LOADED)
        with profiler.phase("warmup"):
            for _ in range(self.settings.warmup):
                self._last = await self._untimed(_WARMUP_PROMPT)

    async def _idle(self, profiler: Profiler, name: str) -> None:
        """Watch what doing nothing takes, if anything says what it takes."""
        if profiler.has_power:
            with profiler.phase(name):
                await asyncio.sleep(_IDLE_S)

    async def _untimed(self, text: str) -> Trace:
        wire = self.backend.wire()
        payload = self.backend.payload(self.model, self._messages(text))
        try:
            return await self.backend.stream(wire, payload)
        finally:
            wire.close()

    def _estimate(self, requests: int) -> str:
        """Return how long the run may take, judging by the last warm-up request."""
        values = metrics.compute(self._last)[0] if self._last else {}
        first, gap = values.get("time_to_first_token_ms"), values.get("inter_token_latency_ms")
        if first is None or gap is None:
            return f"{requests} requests to {self.model.id}: no estimate without a good warm-up"
        longest_s = (first + gap * self.settings.max_tokens) / 1000
        total_s = requests * longest_s
        return f"{requests} requests to {self.model.id}: at most about {total_s:.0f} s"

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

    def _row(self, shot: Shot, trace: Trace) -> dict[str, Any]:
        values, reasons = metrics.compute(trace)
        failure = trace.failure
        return {
            "prompt_id": shot.prompt.id,
            "category": shot.prompt.category,
            "prompt_sha256": shot.prompt.sha256,
            "repeat": shot.repeat,
            "iteration": shot.iteration,
            "start": shot.start,
            "timestamp": utc_now(),
            "clock": {
                "segment": self._profiler and self._profiler.segment,
                "sent_ns": trace.sent_ns,
                "first_ns": trace.first_ns,
                "end_ns": trace.end_ns,
            },
            **values,
            "finish_reason": trace.finish_reason,
            "chunks": len(trace.delta_ns),
            "answer": trace.text if self.settings.mode == "correctness" else None,
            "prompt_characters": len(shot.prompt.text),
            "flags": [failure.flag] if failure and failure.flag else [],
            "null_reasons": reasons,
            "error": {
                "kind": failure.kind,
                "phase": failure.phase,
                "status": failure.status,
                "message": failure.message,
            }
            if failure
            else None,
            "chunk_gaps_ms": [round(gap, 6) for gap in metrics.chunk_gaps_ms(trace)],
        }

    def _header(self, asked: str | None, prompts: Any) -> dict[str, Any]:
        from pytest_llamaburn.settings import Benchmark

        sent = self.backend.body(self.model, [])
        del sent["messages"]
        model = asdict(self.model)
        shown = results.ModelFacts.model_fields
        return {
            "schema": "llamaburn/benchmark",
            "schema_version": results.SCHEMA_VERSION,
            "session_id": self.identity.session_id,
            "run_id": self.identity.run_id,
            "timestamp": self.identity.timestamp,
            "model": {name: model[name] for name in shown},
            "server": self.server._asdict(),
            "config": {
                **options.record(self.settings, Benchmark),
                "model": [asked] if asked else [],
                "sent": sent,
            },
            "contended": self.settings.allow_parallel,
            "environment": environment.facts(),
            "prompts": prompts,
        }


def starts(settings: Benchmark) -> tuple[str, ...]:
    """Return the kinds of start each iteration measures."""
    return ("cold", "warm") if settings.start == "both" else (settings.start,)


def utc_now() -> str:
    """Return the time in UTC, as result files have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

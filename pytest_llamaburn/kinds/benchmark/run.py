"""A benchmark run: it sends one request at a time, prompt after prompt."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import documents, gates, measures, metrics, modalities
from pytest_llamaburn.energy import profiles
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.kinds import _probe
from pytest_llamaburn.kinds._limits import Limits
from pytest_llamaburn.kinds._run import Run, row_of
from pytest_llamaburn.kinds.benchmark import KIND
from pytest_llamaburn.kinds.benchmark.measured import Measured
from pytest_llamaburn.kinds.benchmark.measures import MEASURES
from pytest_llamaburn.load.driver import closed_loop
from pytest_llamaburn.option import changed
from pytest_llamaburn.progress import of_request
from pytest_llamaburn.stats import samples
from pytest_llamaburn.texts import counted, span
from pytest_llamaburn.trace import answered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_llamaburn.backends._base import Message
    from pytest_llamaburn.backends._http import Wire
    from pytest_llamaburn.datasets import Planned, Prompt
    from pytest_llamaburn.documents import BenchmarkRow, Document
    from pytest_llamaburn.kinds.benchmark.settings import Benchmark
    from pytest_llamaburn.media import Medium
    from pytest_llamaburn.store.journal import Record
    from pytest_llamaburn.trace import Trace


_KEY = ("prompt_id", "prompt_sha256", "repeat", "iteration", "start")


class TimedRequest(NamedTuple):
    """A timed request to send."""

    prompt: Prompt
    repeat: int
    iteration: int
    start: str

    @property
    def key(self) -> tuple[Any, ...]:
        """The request's key within its run; its row has the same values."""
        return (self.prompt.id, self.prompt.sha256, self.repeat, self.iteration, self.start)


class BenchmarkRun(Run):
    """The run of a benchmark: it measures prompts on one model."""

    kind = KIND

    def __init__(self, *args: Any) -> None:
        """Take the arguments of Run."""
        super().__init__(*args)
        self._rows: list[BenchmarkRow] = []
        self._done: dict[tuple[Any, ...], BenchmarkRow] = {}
        advice = "; --max-failures raises the limit"
        self._limits = Limits(self.settings.budget, self.settings.max_failures, advice)
        self._media: list[Medium] = []  # sent with every prompt

    async def measure(self, prompt: Prompt, iterations: int, key: str) -> Measured:
        """Send the timed requests of a prompt one after another; return their results.

        `key` is the name of this call in the journal's plan.
        """
        self._plan(key, iterations * len(starts(self.settings)))
        measured = await self._take(prompt, range(iterations))
        if self._limits.over_budget():
            self._plan(key, len(measured.runs))
        return measured

    async def extend(self, prompts: Sequence[Planned]) -> Measured:
        """Measure prompt after prompt until --precision is reached or --budget is used up."""
        for number, planned in enumerate(itertools.cycle(prompts)):
            if self._enough():
                break
            iteration = planned.iterations + number // len(prompts)
            self._progress.plan(len(starts(self.settings)))
            more = await self._take(planned.prompt, (iteration,))
            self._plan(f"more/{self.repeat}/{number}", len(more.runs))
        return Measured(self._rows)

    def messages(self, text: str) -> list[Message]:
        """Return the conversation that asks a prompt, with the media of the run."""
        (message,) = super().messages(text)
        return [{**message, "media": self._media}] if self._media else [message]

    def check(self) -> None:
        """Raise UsageError for a start or media that this server or model does not support."""
        if self.settings.start != "warm" and not self.backend.can_unload:
            raise ServerError(f"--start: {self.backend.address.url} has no way to unload a model")
        given = modalities.given(self.settings)
        for modality in given:
            _probe.check_capability(self.model, self.server, modality)
            decided = _probe.settled(self.settings, self.model, self.server, modality)
            self.settings = self.backend.settings = changed(self.settings, decided)
        self._media = [
            medium
            for modality in given
            for medium in modalities.of_settings(modality, self.settings)
        ]

    async def _warm_up(self) -> None:
        await super()._warm_up()
        self._probes = {
            modality.KIND: await _probe.sent(self.backend, self.model, modality)
            for modality in modalities.given(self.settings)
        }

    def _about(self) -> Document:
        if not self._media:
            return {}
        return {"media": {"sent": [one.facts for one in self._media], "probes": self._probes}}

    def _begin(self, requests: int) -> None:
        left = requests - len(self._done)
        if left > 0:
            self._progress.say(self._estimate(left))
        self._limits.begin()

    def take_over(self, record: Record) -> None:
        """Take over the rows; the random prefixes go on behind them."""
        self._done = {tuple(row[name] for name in _KEY): row for row in record.rows}
        self._random.seed(f"{self.identity}/{len(self._done)}")  # prefixes must not repeat

    def _until_stopped(self, requests: Iterator[TimedRequest]) -> Iterator[TimedRequest]:
        """Yield the requests; raises StoppedError after too many equal failures in a row."""
        for request in requests:
            if self._limits.over_budget():
                return
            self._limits.check_failures()
            yield request

    async def _take(self, prompt: Prompt, iterations: Iterable[int]) -> Measured:
        """Send the requests of a prompt that an earlier part of the run did not send."""
        kinds = starts(self.settings)
        requests = [
            TimedRequest(prompt, self.repeat, i, start) for i in iterations for start in kinds
        ]
        rows = [self._done[request.key] for request in requests if request.key in self._done]
        self._rows += rows
        self._progress.resume(len(rows))
        if self.settings.cache == "warm":
            await self.send_untimed(prompt.text)

        def done(request: TimedRequest, trace: Trace) -> None:
            rows.append(self._note(request, trace))

        left = (request for request in requests if request.key not in self._done)
        await closed_loop(self._until_stopped(left), 1, self.backend.wire, self._send, done)
        self._power(rows)
        return Measured(rows)

    def _power(self, rows: Iterable[BenchmarkRow]) -> None:
        """Set the power of rows, so that tests can read it; the result file computes it again."""
        line = self.profiler.timeline()
        for row in rows:
            if row["clock"]["segment"] == self.profiler.segment:
                row.update(profiles.powered(row, line))

    def gate(self, expressions: Iterable[str], measured: Measured) -> list[str]:
        """Decide and journal the gates of one test; return a sentence for each one not passed."""
        document, mode = _document(measured), self.settings.gate_mode
        verdicts = gates.judged(document, MEASURES, expressions, mode)
        for verdict in verdicts:
            self.write("gate", verdict)
        return gates.not_passed(verdicts)

    def properties(self, measured: Measured) -> Iterator[tuple[str, float]]:
        """Yield the names and values of one test for a test report."""
        return measures.properties(MEASURES, _document(measured))

    def _note(self, request: TimedRequest, trace: Trace) -> BenchmarkRow:
        row = self._row(request, trace)
        self.write("request", row)
        self._rows.append(row)
        self._progress.step(of_request(row))
        self._limits.count(row["error"])
        return row

    def _plan(self, key: str, requests: int) -> None:
        self.write("planned", {"items": {key: requests}})

    def _enough(self) -> bool:
        """Return whether --precision, --budget or --max-iterations ends the run."""
        s = self.settings
        if len(self._rows) >= s.max_iterations or self._limits.over_budget():
            return True
        if s.precision is None:
            return bool(s.budget is None)
        measure = measures.find(metrics.REQUEST, s.precision_metric)
        name = measure.name if measure else s.precision_metric
        values = documents.values(Measured(self._rows).counted, name)
        half = samples.relative_half_width(values)
        return half is not None and half <= s.precision

    async def _send(self, wire: Wire, request: TimedRequest) -> Trace:
        load_ms = None
        if request.start == "cold":
            wire.close()
            self.profiler.follow(None)
            load_ms = await self.backend.unload(self.model)
            wire.address = self.backend.address
            self.profiler.follow(wire.address.port)
        payload = self.backend.payload(self.model, self.messages(request.prompt.text))
        trace = await self.backend.stream(wire, payload)
        if load_ms is not None:
            trace.timings.load_ms = load_ms
        if self.settings.mode == "correctness":
            return trace  # in this mode, an empty answer is wrong, not a failure
        return answered(trace)

    def _estimate(self, requests: int) -> str:
        """Return a sentence with the expected time, estimated from the last warm-up request."""
        values = metrics.compute(self._last)[0] if self._last else {}
        first, gap = values.get("time_to_first_token_ms"), values.get("inter_token_latency_ms")
        sent = f"{counted(requests, 'request')} to {self.model.id}"
        if first is None or gap is None:
            return f"{sent}: no estimate, the warm-up failed"
        longest_s = (first + gap * self.settings.max_tokens) / 1000
        total_s = min(requests * longest_s, self.settings.budget or math.inf)
        return f"{sent}: about {span(total_s)}"

    def _row(self, request: TimedRequest, trace: Trace) -> BenchmarkRow:
        row: BenchmarkRow = {
            "prompt_id": request.prompt.id,
            "category": request.prompt.category,
            "prompt_sha256": request.prompt.sha256,
            "repeat": request.repeat,
            "iteration": request.iteration,
            "start": request.start,
            "answer": trace.text if self.settings.mode == "correctness" else None,
            "clock": self.clock(trace),
            **row_of(trace, request.prompt.text),
        }
        if self._media:
            row["media_tokens"] = trace.usage.media
        return row


def _document(measured: Measured) -> Document:
    """Return the results of one test, in the format of a result file."""
    rows = measured.counted
    good = [row for row in rows if row["error"] is None]
    return {
        "config": {"start": rows[0]["start"] if rows else "warm"},
        "results": {"runs": rows, "summary": metrics.summary(good, rows)},
    }


def starts(settings: Benchmark) -> tuple[str, ...]:
    """Return the kinds of start that each iteration measures."""
    return ("cold", "warm") if settings.start == "both" else (settings.start,)

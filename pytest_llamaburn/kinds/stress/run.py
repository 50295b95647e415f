"""A stress run: it sends the steps of a mode one after another, each until all requests ended."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from statistics import median
from time import perf_counter, perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import datasets, metrics, registry
from pytest_llamaburn.capacity import measuring_window
from pytest_llamaburn.errors import NothingMeasuredError, ServerError
from pytest_llamaburn.kinds._run import WARMUP_PROMPT, Run
from pytest_llamaburn.kinds.stress import KIND, levels, machines, plan, replicas
from pytest_llamaburn.kinds.stress.plan import Ending
from pytest_llamaburn.load import clock_error, prompts, rows
from pytest_llamaburn.load.nodes import Nodes
from pytest_llamaburn.load.sender import RequestRange, Sender
from pytest_llamaburn.load.status import LoadStatus
from pytest_llamaburn.load.step import SERVER_GONE, Step, StepHealth
from pytest_llamaburn.load.workers import Workers, setup_of
from pytest_llamaburn.option import changed
from pytest_llamaburn.store import journal, results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.backends._base import Backend
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.stress.plan import Plan
    from pytest_llamaburn.load.rows import Request
    from pytest_llamaburn.load.sender import Health
    from pytest_llamaburn.trace import Trace


LEAST_DEADLINE_S = 10.0
DEADLINE_TIMES = 10.0  # default deadline / median total time of the baseline
IDLE_WITHIN_S = 60.0
IDLE_TIMES = 2.0  # the server is idle if the TTFT of a probe / that of the baseline is below this
_REPORT_EVERY_S = 0.5


class Baseline(NamedTuple):
    """The results of a single client in seconds, and the deadline computed from them."""

    total_s: float
    ttft_s: float
    deadline_s: float
    requests: Sequence[Request] = ()


class StressRun(Run):
    """A model under load."""

    kind = KIND

    def __init__(self, asked: Any, *args: Any) -> None:
        """Take the arguments of Run; raises SettingsError for contradicting options."""
        super().__init__(plan.checked(asked), *args)
        self._finished: dict[int, list[Request]] = {}
        self._attempt = 0
        self._own: rows.Rows | None = None  # None if other processes send
        self._sender: Sender | Workers | Nodes
        self._machines: machines.Machines | None = None
        self._visit: tuple[int, int] | None = None  # the open visit: its number, its next request
        self._idle_ttft_s = 0.0  # of the baseline, or of a probe after it
        self._reader: rows.Reader | None = None
        self._seen: dict[tuple[int, int], dict[int, Request]] = {}  # of each visit, by number
        self._worst = StepHealth()  # of the visit so far

    async def drive(self) -> None:
        """Send all steps of the mode; the journal and the rows record the results."""
        await self._start_sending()
        try:
            baseline = await self._baseline()
            foreseen = plan.estimate(self.settings, baseline.total_s, await self._slots())
            self._progress.say(foreseen or "how long it takes depends on what the server carries")
            ending = await self._follow(baseline)
        finally:
            await self._sender.close()
            if isinstance(self._sender, Nodes):
                self.write("facts", {"clocks": self._sender.clocks()})
        findings = {"stop_reason": ending.stop_reason}
        point = ending.failure_point and {"failure_point": ending.failure_point._asdict()}
        self.write("facts", {"findings": {**findings, **(point or {})}})

    def expect(self, expressions: Sequence[str]) -> None:
        """Add thresholds to those of the settings."""
        self.write("facts", {"thresholds": list(expressions)})

    def results(self) -> Document:
        """Return the results so far, in the format of the result file."""
        so_far: Document = results.build(journal.read(self.folder))["results"]
        return so_far

    def settle(self) -> None:
        """Continue journal and rows elsewhere if the results directory is gone."""
        super().settle()
        if self._own is not None:
            self._own.settle(self.folder)
        elif isinstance(sender := getattr(self, "_sender", None), Nodes):
            sender.settle(self.folder)

    async def finish(self, reason: str) -> None:
        """End the journal, and let the machines go."""
        try:
            await super().finish(reason)
        finally:
            if self._machines is not None:
                self._machines.cluster.close()

    def forget(self) -> None:
        """Close journal and rows, after the result file was written."""
        super().forget()
        if self._own is not None:
            self._own.close()
        elif isinstance(sender := getattr(self, "_sender", None), Nodes):
            sender.forget()

    def _continue(self, record: journal.Record) -> None:
        steps = record.others.get("step", [])
        loads = {(s["step"], s["attempt"]): s for s in steps if "load" in s}
        for end in steps:
            if "ended_ns" in end:
                begun = loads[end["step"], end["attempt"]]
                wanted = RequestRange(begun["visit"], begun["attempt"], begun["first"])
                count = begun["load"]["requests"]
                sent = self._requests(wanted, count)
                self._finished[end["step"]] = _marked(sent, limited=end.get("limited", False))
        self._attempt = 1 + max((end["attempt"] for end in steps), default=-1)

    async def _warm_up(self) -> None:
        """Warm up, and make prompts of the requested length, before anything is written."""
        first, *others = self._servers.backends
        for other in others:  # all have the model in memory before a prompt is sent to any
            await other.load(self.model)
        await super()._warm_up()
        for self.backend in others:
            for _ in range(self.settings.warmup):
                await self.send_untimed(WARMUP_PROMPT)
        self.backend = first
        given = datasets.load_prompts(self.settings.prompts)
        self._prompts = await prompts.prompts(self.settings.isl, given, self._ask_briefly)

    async def _meet(self, model: str | None) -> None:
        """Connect to all servers, and learn which they are and that they have one model."""
        self._machines = await machines.opened(self.settings)
        found = await replicas.met(self.settings, model)
        self._replicas, self._servers = found, found.servers
        self.backend = found.servers.backends[0]
        self.server, self.model = found.identity, found.model
        if self._machines is not None:
            setup = setup_of(found.servers, found.model, ())
            await machines.check_servers(self._machines, setup)

    def _about(self) -> Document:
        return self._replicas.facts()

    async def _slots(self) -> int | None:
        """Return how many requests all servers process at once, or None if one does not tell."""
        try:
            slots = [await backend.slots() for backend in self._servers.backends]
        except ServerError:
            return None
        known = [count for count in slots if count is not None]
        return sum(known) if len(known) == len(slots) else None

    async def _start_sending(self) -> None:
        streams, rate = self._expected()
        plan.allow_files(streams)
        if 0 not in self._finished:
            found = await clock_error.calibrate(streams, rate)
            self.write("facts", {"calibration": found})
        worker = f"{self.identity.worker}-{self._attempt}"
        setup = setup_of(self._servers, self.model, self._prompts)
        if self._machines is not None:
            self.write("facts", {"nodes": self._machines.facts()})
            nodes = self._sender = Nodes(self._machines.remotes, setup, self.folder)
            await nodes.start(self.settings.workers, worker)
            return
        if self.settings.workers == 1:
            self._own = rows.Rows(self.folder, worker)
            self._sender = Sender(self._servers, self.model, self._prompts, self._own)
            return
        self._sender = Workers(setup)
        await self._sender.start(self.settings.workers, self.folder, worker)

    async def _baseline(self) -> Baseline:
        """Measure a single client; raises NothingMeasuredError if all its requests fail."""
        seen = await self._take(0, plan.baseline(self.settings))
        good = [r for r in seen if r.failure is None and r.first_ns is not None]
        if not good:
            kinds = ", ".join(Counter(r.failure for r in seen if r.failure))
            why = kinds or "the machine that sends was lost"
            raise NothingMeasuredError(f"a single client got no answer: {why}")
        total_s = median((r.end_ns - r.sent_ns) / 1e9 for r in good)
        ttft_s = median(((r.first_ns or 0) - r.sent_ns) / 1e9 for r in good)
        deadline_s = self.settings.timeout_total or max(LEAST_DEADLINE_S, DEADLINE_TIMES * total_s)
        limits = self._servers.deadlines
        first_s = min(limits.first_token, deadline_s)
        self._servers.deadlines = limits._replace(total=deadline_s, first_token=first_s)
        self._progress.say(f"baseline {total_s:.3g} s per request, deadline {deadline_s:.3g} s")
        about = {"total_s": total_s, "ttft_s": ttft_s, "deadline_s": deadline_s}
        self.write("facts", {"baseline": about})
        self._idle_ttft_s = max(ttft_s, await self._probe() or 0.0)
        return Baseline(**about, requests=seen)

    async def _follow(self, baseline: Baseline) -> Ending:
        """Send the mode's steps until it has no more or the server is gone."""
        mode = registry.load("kinds.stress.modes", self.settings.mode)
        steps: Plan = mode.plan(self.settings, baseline)
        number = 1
        step: Step | Ending = next(steps)
        while isinstance(step, Step):
            if step.from_idle and number not in self._finished:
                await self._sender.leave()
                await self._wait_until_idle(number)
            seen = await self._take(number, step)
            if self._sender.gone:
                return Ending(SERVER_GONE)
            # Plan in a thread, so that the event loop still serves the clients of an open step.
            number, step = number + 1, await asyncio.to_thread(_planned, steps, seen)
        return step

    async def _take(self, number: int, step: Step) -> list[Request]:
        """Send a step and return its requests, or those of an earlier part of this run."""
        if number in self._finished:
            return self._finished[number]
        wanted = self._range(number, step)
        if wanted.first == 0:
            self._seen.clear()  # the mode has the requests of earlier visits
            self._worst = StepHealth()
        about = {"step": number, "attempt": self._attempt, "visit": wanted.step}
        start_ns = perf_counter_ns() + self._sender.lead_ns
        load = {"load": step._asdict(), "started_ns": start_ns, "first": wanted.first}
        self.write("step", {**about, **load})
        stage = "sending" if number else "baseline"
        before = self._sender.counts if wanted.first else Counter[str]()  # a visit counts from 0
        status = LoadStatus(step, perf_counter(), before, stage)
        reporting = asyncio.create_task(self._report(status))
        try:
            self._sender.deadlines = self._servers.deadlines
            health = await self._sender.send(step, wanted, start_ns)
            self._show(status)
        finally:
            reporting.cancel()
            self.settle()
        ended_ns, kept_up = perf_counter_ns(), _step_health(health)
        sent = (
            await asyncio.to_thread(self._requests, wanted, step.requests)
            if step.keep_records
            else []
        )
        limited = self._limited(step, wanted, kept_up)
        ended = {"ended_ns": ended_ns, "health": kept_up._asdict(), "limited": limited}
        self.write("step", {**about, **ended, **self._of_machines()})
        self.sync()
        return _marked(sent, limited=limited)

    def _of_machines(self) -> Document:
        """Return what the journal says of the machines at the end of a step."""
        sender = self._sender
        if not isinstance(sender, Nodes):
            return {}
        healths = {place: _step_health(health) for place, health in sender.healths.items()}
        return machines.told(sender.losses, healths)

    def _limited(self, step: Step, wanted: RequestRange, health: StepHealth) -> bool:
        """Return whether the client has been too slow in this visit; False without requests."""
        self._worst = self._worst.worst(health)
        seen = [*self._seen.get(wanted[:2], {}).values()]
        pause_ns = plan.longest_think_ns(self.settings.think_time) if step.pauses else 0.0
        load = measuring_window.Load(step.level, step.unit, pause_ns)
        lost = isinstance(self._sender, Nodes) and bool(self._sender.losses)
        return lost or (bool(seen) and levels.client_limited(seen, load, self._worst))

    def _range(self, number: int, step: Step) -> RequestRange:
        """Return the numbers of a step's requests, in a new visit or in the open visit."""
        goes_on = self._visit is not None and not step.from_idle
        visit, first = self._visit if goes_on and self._visit else (number, 0)
        self._visit = (visit, first + (step.requests or 0)) if step.hold_open else None
        return RequestRange(visit, self._attempt, first)

    def _requests(self, wanted: RequestRange, count: int | None) -> list[Request]:
        """Read the new rows and return the requests of a step, in the order of the schedule."""
        self._reader = self._reader or rows.Reader(self.folder)
        for row in self._reader.new():
            if not rows.unsent(row):
                seen = self._seen.setdefault((row.step, row.attempt), {})
                seen[row.number] = rows.request_of(row)
        seen = self._seen.get(wanted[:2], {})
        numbers = seen if count is None else range(wanted.first, wanted.first + count)
        found = [seen[number] for number in numbers if number in seen]
        return sorted(found, key=lambda request: request.scheduled_ns)

    async def _report(self, status: LoadStatus) -> None:
        """Report the progress of a step twice per second."""
        while True:
            await asyncio.sleep(_REPORT_EVERY_S)
            self.settle()
            self._show(status)

    def _show(self, status: LoadStatus) -> None:
        now = status.now(perf_counter(), self._sender.counts, self._sender.recent_ms)
        self._progress.load(now)

    async def _wait_until_idle(self, number: int) -> None:
        """Wait until a short request is as fast as on an idle server; journal the time.

        After IDLE_WITHIN_S the step starts anyway, and the level is marked with `began_busy`.
        """
        began, idle = perf_counter(), False
        while not idle and perf_counter() - began < IDLE_WITHIN_S:
            ttft_s = await self._probe()
            if ttft_s is None:
                break
            idle = ttft_s <= IDLE_TIMES * self._idle_ttft_s
        waited = {"idle": idle, "waited_s": perf_counter() - began}
        self.write("step", {"step": number, "attempt": self._attempt, "wait": waited})

    async def _probe(self) -> float | None:
        """Return the TTFT of a short request in seconds, or None if it failed.

        It may be longer than that of the baseline, if the server has the baseline's prompts in its
        cache. With several servers it is that of the slowest one.
        """
        backends = [self._servers.backends[place] for place in self._servers.alive]
        traces = [await self._ask_briefly("Hello.", backend) for backend in backends]
        known = [(t.first_ns - t.sent_ns) / 1e9 for t in traces if not t.failure and t.first_ns]
        return max(known, default=None)

    async def _ask_briefly(self, text: str, backend: Backend | None = None) -> Trace:
        brief = copy.copy(backend or self.backend)
        brief.settings = changed(brief.settings, {"max_tokens": 2, "osl": None})
        wire = brief.wire()
        try:
            return await brief.stream(wire, brief.payload(self.model, self.messages(text)))
        finally:
            wire.close()

    def _at_once(self) -> int:
        return plan.at_once(self.settings)

    def _expected(self) -> tuple[int, float]:
        """Return the maximum number of streams at once, and the chunks per second of each."""
        values = metrics.compute(self._last)[0] if self._last else {}
        gap_ms = values.get("inter_token_latency_ms") or 20.0
        total_ms = values.get("total_generation_ms")
        alone = (total_ms / 1e3,) if total_ms else ()
        return plan.at_once(self.settings, *alone), 1e3 / gap_ms


def _marked(requests: Sequence[Request], *, limited: bool) -> list[Request]:
    return [request._replace(limited=limited) for request in requests]


def _planned(steps: Plan, seen: Sequence[Request]) -> Step | Ending:
    """Return a mode's next step, or how it ended."""
    try:
        return steps.send(seen)
    except StopIteration as end:
        ending: Ending = end.value
        return ending


def _step_health(health: Health) -> StepHealth:
    """Return the health of a step for the journal, with percentiles of the event loop's lag."""
    import numpy as np

    lags = health.loop_lag_ms
    p50_ms, p99_ms = map(float, np.percentile(lags, [50, 99])) if lags else (None, None)
    return StepHealth(health.cpu_s / health.wall_s if health.wall_s else None, p50_ms, p99_ms)

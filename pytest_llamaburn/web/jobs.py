"""Jobs: runs of the command as child processes, one after another, and their history.

What a child says goes to a file beside its job's record. So a server that was killed and started
again finds the child, whose run went on, and follows it.
"""

from __future__ import annotations

import asyncio
import secrets
import subprocess
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
from pydantic import BaseModel, ValidationError

from pytest_llamaburn.progress import Event
from pytest_llamaburn.web import child, lists, processes
from pytest_llamaburn.web.lists import Reference
from pytest_llamaburn.web.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_llamaburn.web.events import Bus
    from pytest_llamaburn.web.processes import Process

FOLDER = ".jobs"
MOST_WAITING = 100
_MOST_KEPT = 500
_IDLE_S = 0.1
_POLL_S = 0.04  # so that what a run says is soon told
_TELL_S = 0.08  # ten events a second are as many as a page can show
_PATIENCE_S = 10.0  # from one signal to the next
_LAST_PATIENCE_S = 0.8  # when the server itself ends
_LINES = 40
_MOST_PROGRESS = 2_000  # events of a job that a page reads at once
_MOST_TOLD = 1_000
_MEANINGS = {
    0: "done",
    1: "a gate failed",
    2: "interrupted",
    3: "an internal error",
    4: "bad input or environment",
    5: "nothing was measured",
}
ID = r"^[0-9]{8}T[0-9]{6}-[0-9a-f]{6}$"
State = Literal["queued", "running", "stopping", "ended", "cancelled", "lost"]


class Job(BaseModel):
    """A job as it is now. `lost`: how it ended is not known; `cancelled`: it never began.

    `progress` is the last event of the run; `lines` are the last that it wrote besides. `command`
    and `pytest` do the same in a terminal. Times are UTC.
    """

    id: str
    kind: str
    state: State = "queued"
    command: str
    pytest: str | None = None
    created: str
    started: str | None = None
    ended: str | None = None
    exit_code: int | None = None
    meaning: str | None = None
    progress: Event | None = None
    wrote: list[Reference] = []
    lines: list[str] = []
    pid: int | None = None
    pid_began: float | None = None  # numbers of processes are used again

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("ended", "cancelled", "lost")


class Order(NamedTuple):
    """What is to be run: the command's words, its equals in a terminal, and its environment."""

    kind: str
    words: Sequence[str]
    command: str
    pytest: str | None = None
    env: Mapping[str, str] | None = None
    preview: Sequence[str] = ()  # what it only says, as with dry_run, where it runs nothing


class Jobs:
    """All jobs of a results directory. Used on one event loop."""

    def __init__(self, results_dir: Path, bus: Bus, program: Sequence[str]) -> None:
        """Read the history; `program` begins each command."""
        self._results_dir = results_dir
        self._bus, self._program = bus, program
        self._jobs = {job.id: job for job in _history(results_dir / FOLDER)}
        self._waiting: dict[str, Order] = {}
        self._running: tuple[Job, Process] | None = None
        self._free = asyncio.Event()  # set while nothing runs
        self._free.set()
        self._closing = False

    def every(self) -> list[Job]:
        """Return all jobs, the newest first."""
        return sorted(self._jobs.values(), key=lambda job: job.id, reverse=True)

    def find(self, job_id: str) -> Job:
        """Return a job; raises Refusal where there is none."""
        job = self._jobs.get(job_id)
        if job is None:
            raise Refusal(404, f"there is no job '{job_id}': GET /jobs lists them", "id")
        return job

    def progress(self, job_id: str) -> list[dict[str, Any]]:
        """Return the progress of a job so far, as events have it; raises Refusal."""
        events = [event for event in self._events(job_id) if isinstance(event, Event)]
        step = -(-len(events) // _MOST_PROGRESS) or 1
        return [_known(event) for event in events[::-step][::-1]]

    def told(self, job_id: str) -> list[dict[str, Any]]:
        """Return what a job told of its answers so far, the newest if very many; raises Refusal."""
        told = [event for event in self._events(job_id) if isinstance(event, dict)]
        return told[-_MOST_TOLD:]

    def _events(self, job_id: str) -> list[Event | dict[str, Any] | str | None]:
        with processes.Tail(self._said(self.find(job_id))) as tail:
            return [_event(line) for line in tail.lines()]

    @property
    def busy(self) -> bool:
        """Whether a job runs or waits."""
        return self._running is not None or bool(self._waiting)

    def submit(self, order: Order, *, queue: bool) -> Job:
        """Take an order; raises Refusal where others are before it and it is not to wait."""
        if self._closing:
            raise Refusal(503, "the server is being stopped")
        if self.busy and not queue:
            raise Refusal(
                409, "another job runs, and two would disturb each other: wait, or send ?queue=true"
            )
        if len(self._waiting) >= MOST_WAITING:
            raise Refusal(409, f"{MOST_WAITING} jobs wait already: cancel one first")
        now = datetime.now(UTC)
        # With its microseconds, so that ids are in the order in which the orders came.
        job_id = f"{now:%Y%m%dT%H%M%S}-{now.microsecond:05x}{secrets.randbelow(16):x}"
        job = Job(
            id=job_id,
            kind=order.kind,
            command=order.command,
            pytest=order.pytest,
            created=_stamp(now),
            lines=[*order.preview],
        )
        self._save(job)
        self._jobs[job_id], self._waiting[job_id] = job, order
        self._tell(job)
        return job

    def stop(self, job_id: str) -> Job:
        """Cancel a job that waits, or have one that runs stop; raises Refusal where it is over."""
        job = self.find(job_id)
        if job.over:
            raise Refusal(409, f"job {job_id} is over: it is {job.state}", "id")
        if self._waiting.pop(job_id, None) is not None:
            self._end(job, "cancelled")
        elif job.state == "running":
            self._change(job, state="stopping")
        return job

    async def work(self) -> None:
        """Run what waits, in turn, until this is cancelled; first, what an earlier server left."""
        for job in reversed(self.every()):
            if not job.over:
                await self._adopt(job)
        while True:
            if self._waiting:
                job_id, order = next(iter(self._waiting.items()))
                del self._waiting[job_id]
                await self._run(self._jobs[job_id], order)
            await asyncio.sleep(_IDLE_S)

    async def close(self) -> None:
        """Cancel what waits and end what runs; a cut run can be resumed."""
        self._closing = True
        for job_id in [*self._waiting]:
            del self._waiting[job_id]
            self._end(self._jobs[job_id], "cancelled", meaning="the server was stopped")
        if self._running is None:
            return
        _, process = self._running
        process.interrupt()
        if not await self._idle():
            process.kill()
            await self._idle()

    async def _idle(self) -> bool:
        """Return whether what runs ends within a little time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._free.wait(), _LAST_PATIENCE_S)
        return self._free.is_set()

    async def _adopt(self, job: Job) -> None:
        process = processes.adopted(job.pid, job.pid_began)
        if process is None:
            state: State = "cancelled" if job.started is None else "lost"
            self._end(job, state, meaning="the server ended before it")
            return
        await self._follow(job, process)

    async def _run(self, job: Job, order: Order) -> None:
        path = self._said(job)
        try:
            process = processes.started([*self._program, *order.words], path, order.env)
        except (OSError, subprocess.SubprocessError) as err:
            self._end(job, "ended", exit_code=4, meaning=f"it could not be started: {err}")
            return
        self._change(
            job,
            state="running",
            started=_stamp(datetime.now(UTC)),
            pid=process.pid,
            pid_began=process.began,
        )
        await self._follow(job, process)

    async def _follow(self, job: Job, process: Process) -> None:
        """Read what a child says until it has ended; press it where it is to stop."""
        self._running = job, process
        self._free.clear()
        press, told = _Pressure(process), _Told(self._bus, job)
        with processes.Tail(self._said(job)) as tail:
            while True:
                over = process.over()  # before what it said last is read
                self._hear(job, tail.lines())
                told.tell(last=over)
                if over:
                    break
                if job.state == "stopping":
                    press.press()
                await asyncio.sleep(_POLL_S)
        self._finish(job, process.code)

    def _hear(self, job: Job, lines: Sequence[str]) -> None:
        for line in lines:
            event = _event(line)
            if isinstance(event, Event):
                job.progress = event
            elif isinstance(event, dict):
                self._bus.publish("told", {"job": job.id, **event})
            elif text := event if isinstance(event, str) else line.strip():
                job.lines = [*job.lines, text][-_LINES:]
                self._bus.publish("note", {"job": job.id, "text": text})
                self._note_file(job, line)

    def _note_file(self, job: Job, line: str) -> None:
        path = child.wrote(line)
        found = path and lists.reference(self._results_dir, Path(path))
        if found:
            job.wrote.append(found)

    def _finish(self, job: Job, code: int | None) -> None:
        """Note how a child ended."""
        self._running = None
        self._free.set()
        if code is None:
            self._end(job, "lost", meaning="an earlier server began it: its exit code is unknown")
        elif code < 0:
            self._end(job, "ended", exit_code=code, meaning=f"ended by signal {-code}")
        else:
            self._end(job, "ended", exit_code=code, meaning=_MEANINGS.get(code))

    def _end(self, job: Job, state: State, **fields: Any) -> None:
        self._change(job, state=state, ended=_stamp(datetime.now(UTC)), **fields)

    def _change(self, job: Job, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(job, name, value)
        with suppress(Refusal):  # the job goes on where its record cannot be written
            self._save(job)
        self._tell(job)

    def _tell(self, job: Job) -> None:
        self._bus.publish("job", job.model_dump(mode="json", exclude={"lines", "pytest"}))

    def _said(self, job: Job) -> Path:
        return self._results_dir / FOLDER / f"{job.id}.stderr"

    def _save(self, job: Job) -> None:
        """Write a job's record; raises Refusal where it cannot be written."""
        path = self._results_dir / FOLDER / f"{job.id}.json"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".tmp")
            temporary.write_text(job.model_dump_json(indent=2), encoding="utf-8")
            temporary.replace(path)
        except OSError as err:
            words = f"{path.parent} cannot be written: {err.strerror or err}"
            raise Refusal(503, words) from err


class _Told:
    """Publishes the progress of a job, not more often than a page can show it."""

    def __init__(self, bus: Bus, job: Job) -> None:
        self._bus, self._job = bus, job
        self._latest: Event | None = job.progress
        self._next_s = 0.0

    def tell(self, *, last: bool) -> None:
        """Publish the progress if it is new, and it is time to or the last chance."""
        now, progress = asyncio.get_running_loop().time(), self._job.progress
        if progress is None or progress is self._latest or not (last or now >= self._next_s):
            return
        self._latest, self._next_s = progress, now + _TELL_S
        self._bus.publish("progress", {"job": self._job.id, **_known(progress)})


class _Pressure:
    """Has a child end: SIGINT, then SIGTERM, then SIGKILL."""

    def __init__(self, process: Process) -> None:
        self._steps: list[Callable[[], None]] = [
            process.interrupt,
            process.terminate,
            process.kill,
        ]
        self._next_s = 0.0

    def press(self) -> None:
        """Take the next step if it is due."""
        now = asyncio.get_running_loop().time()
        if self._steps and now >= self._next_s:
            self._steps.pop(0)()
            self._next_s = now + _PATIENCE_S


def _event(line: str) -> Event | dict[str, Any] | str | None:
    """Return the event, or the text of the note, that a line of a child is; None for others.

    Events that are no progress, such as an answer, are dicts.
    """
    if not line.startswith('{"event"'):
        return None
    try:
        if line.startswith('{"event": "note"'):
            return str(msgspec.json.decode(line)["text"])
        if not line.startswith('{"event": "progress"'):
            found = msgspec.json.decode(line)
            return found if isinstance(found, dict) else None
        return _decoder.decode(line)
    except (msgspec.DecodeError, LookupError):
        return None


def _known(event: Event) -> dict[str, Any]:
    return {name: value for name, value in asdict(event).items() if value is not None}


_decoder = msgspec.json.Decoder(Event)


def _history(folder: Path) -> list[Job]:
    """Return the jobs of earlier servers, without the oldest of very many, which are removed."""
    found = sorted(folder.glob("*.json"), reverse=True) if folder.is_dir() else []
    for path in found[_MOST_KEPT:]:
        with suppress(OSError):
            path.unlink()
            path.with_suffix(".stderr").unlink(missing_ok=True)
    jobs = []
    for path in found[:_MOST_KEPT]:
        with suppress(OSError, ValidationError):  # what cannot be read is no job of ours
            jobs.append(Job.model_validate_json(path.read_bytes()))
    return jobs


def _stamp(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")

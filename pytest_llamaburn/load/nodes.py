"""Several machines that send one load together, seen from the process that leads them.

One schedule is split among all sending processes of all machines, as `workers.py` splits it among
those of one. Raw rows come back while the load goes on and are written beside the run's own, with
their times on our clock, so that only raw rows are ever merged.

What carries the calls is a `Remote` for each machine: an actor of Ray (`cluster.py`), or a fake. A
machine that no longer answers is lost: what it had not sent is counted as unsent, not as failed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager, suppress
from time import perf_counter_ns
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from pytest_llamaburn.errors import LlamaBurnError, SettingsError
from pytest_llamaburn.load import clocks, rows
from pytest_llamaburn.load.node import NodeReport
from pytest_llamaburn.load.sender import Health, RequestRange, due_times
from pytest_llamaburn.load.step import RATE
from pytest_llamaburn.load.workers import Task, shares_of, worst

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from pathlib import Path

    from pytest_llamaburn.backends._http import Deadlines
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.load.rows import Row
    from pytest_llamaburn.load.step import Step
    from pytest_llamaburn.load.workers import Setup

_POLL_S = 0.5
_LEAD_NS, _LEAD_EACH_NS = 400_000_000, 5_000_000
_CLOCK_EVERY_NS = 5_000_000_000
_TIMES = ("scheduled_ns", "sent_ns", "first_ns", "last_ns", "end_ns")


class NodeLostError(Exception):
    """A machine no longer answers."""


class Remote(Protocol):
    """A `Node` on another machine."""

    name: str

    async def call(self, method: str, *given: object) -> Any:
        """Return what a method of the Node returns; raises NodeLostError if it is lost."""


@contextmanager
def answering(remote: Remote) -> Iterator[None]:
    """Raise SettingsError if a machine is lost before anything was sent."""
    try:
        yield
    except NodeLostError as err:
        raise SettingsError(
            f"--ray: {remote.name} does not answer: {err}: read the log of Ray there"
        ) from None


class Loss(NamedTuple):
    """A machine that was lost in a step, and the requests of the step that it did not finish.

    `unsent` is None if that number is not known.
    """

    node: int
    reason: str
    unsent: int | None


class _Member:
    """One machine: how to call it, its clock, and what it did in the current visit."""

    def __init__(self, place: int, remote: Remote) -> None:
        self.place, self.remote = place, remote
        self.track = clocks.Track()
        self.report = NodeReport()
        self.shares: list[RequestRange] = []
        self.finished: set[int] = set()  # numbers of the visit
        self.lost: str | None = None

    async def read_clock(self) -> None:
        """Compare its clock with ours."""
        self.track.add(await clocks.read(lambda: self.remote.call("times")))

    async def refresh_clock(self) -> None:
        """Compare the clocks if that was not done in the last seconds."""
        if perf_counter_ns() - self.track.readings[-1].at_ns > _CLOCK_EVERY_NS:
            await self.read_clock()


class Nodes:
    """The machines of a load; sends as a Sender does."""

    def __init__(self, remotes: Sequence[Remote], setup: Setup, folder: Path) -> None:
        """Take the machines, what they are told, and where their rows are written."""
        self._members = [_Member(place, remote) for place, remote in enumerate(remotes)]
        self._setup, self._folder = setup, folder
        self._files: dict[int, rows.Rows] = {}
        self._count = 1  # of the processes of each machine
        self.deadlines: Deadlines = Task().deadlines
        self.losses: list[Loss] = []  # of the last step
        self.healths: dict[int, Health] = {}  # of the last step, by machine

    @property
    def lead_ns(self) -> int:
        """How much later a step starts, so that all machines have been told."""
        return _LEAD_NS + _LEAD_EACH_NS * len(self._members)

    @property
    def gone(self) -> bool:
        """Whether the machines no longer reach the server."""
        sharing = [one for one in self._live if one.shares]
        return bool(sharing) and all(one.report.gone for one in sharing)

    @property
    def counts(self) -> Counter[str]:
        """What all machines did in the current step: in_flight, done, failed, tokens."""
        return sum((Counter(one.report.counts) for one in self._live), Counter[str]())

    @property
    def recent_ms(self) -> list[float]:
        """The latencies of requests that succeeded in the last few seconds."""
        return [latency_ms for one in self._live for latency_ms in one.report.recent_ms]

    @property
    def _live(self) -> list[_Member]:
        return [one for one in self._members if one.lost is None]

    async def start(self, count: int, worker: str) -> None:
        """Start so many sending processes on each machine, and compare the clocks.

        Raises SettingsError if a machine does not answer.
        """
        self._count = count

        async def begin(one: _Member) -> None:
            own = f"{worker}-node{one.place}"
            self._files[one.place] = rows.Rows(self._folder, own)
            setup = {"folder": self._folder.name, "worker": own}
            told = msgspec.structs.replace(self._setup, **setup)
            with answering(one.remote):
                await one.remote.call("start", told, count)
                await one.read_clock()

        await asyncio.gather(*map(begin, self._members))

    async def send(self, step: Step, wanted: RequestRange, start_ns: int) -> Health:
        """Send a step's load, each machine its share; return the health of the worst of them."""
        if wanted.first == 0:
            self._split(step, wanted)
        self.losses, self.healths = [], {}
        sharing = [one for one in self._live if one.shares]
        if not sharing:
            raise LlamaBurnError("all machines that send the load are lost")
        found = await asyncio.gather(*(self._share(one, step, wanted, start_ns) for one in sharing))
        known = {one.place: it for one, it in zip(sharing, found, strict=True) if it is not None}
        self.healths = known
        return worst([*known.values()]) if known else Health(0.0, 0.0, [])

    async def leave(self) -> None:
        """Let the load end, and wait for what is in flight."""

        async def leave(one: _Member) -> None:
            self._write(one, await one.remote.call("leave"))

        await self._with_all(leave)

    async def close(self) -> None:
        """End the processes of all machines, also in the middle of a step."""

        async def close(one: _Member) -> None:
            if one.track.readings:
                await one.read_clock()
            self._write(one, await one.remote.call("close"))

        await self._with_all(close)

    def forget(self) -> None:
        """Close the files of rows, which can still be moved after `close`."""
        for file in self._files.values():
            file.close()

    def settle(self, folder: Path) -> None:
        """Continue in a folder, with all rows, if the folder of before was removed or moved."""
        self._folder = folder
        for file in self._files.values():
            file.settle(folder)

    def clocks(self) -> list[Document]:
        """Return what is known of the clock of each machine, and which were lost."""
        return [
            {"node": one.remote.name, "lost": one.lost, **one.track.facts()}
            for one in self._members
            if one.track.readings
        ]

    async def _with_all(self, work: Callable[[_Member], Awaitable[None]]) -> None:
        """Do something with all machines that are left, at once."""

        async def with_one(one: _Member) -> None:
            try:
                await work(one)
            except NodeLostError as err:
                one.lost = str(err)

        await asyncio.gather(*map(with_one, self._live))

    def _split(self, step: Step, wanted: RequestRange) -> None:
        """Split a visit among the machines that are left."""
        live = self._live
        for one, shares in zip(live, split(step, wanted, len(live), self._count), strict=True):
            one.shares, one.finished, one.report = shares, set(), NodeReport()

    async def _share(
        self, one: _Member, step: Step, wanted: RequestRange, start_ns: int
    ) -> Health | None:
        """Send a machine's share; return its health, or None if it was lost."""
        shares = [share._replace(first=wanted.first) for share in one.shares]
        try:
            await one.refresh_clock()
            their_ns = start_ns + one.track.offset_ns
            await one.remote.call("begin", Task(step, wanted, their_ns, self.deadlines), shares)
            while (health := await self._progress(one)) is None:
                pass
        except NodeLostError as err:
            one.lost = str(err)
            self.losses.append(Loss(one.place, one.lost, self._unsent(step, shares, one.finished)))
            return None
        return health

    async def _progress(self, one: _Member) -> Health | None:
        """Take a machine's next report and its rows; return its health at the end of a step.

        Raises NodeLostError if it is lost, LlamaBurnError for an error there.
        """
        report: NodeReport = await one.remote.call("poll", _POLL_S)
        one.report = msgspec.structs.replace(report, rows=b"")
        try:
            await one.refresh_clock()
        finally:
            self._write(one, report.rows)
        if report.ended is not None:
            with suppress(NodeLostError, LlamaBurnError):  # end its other processes
                self._write(one, await one.remote.call("close"))
            raise NodeLostError(report.ended)
        if report.error is not None:
            raise LlamaBurnError(f"{one.remote.name}: {report.error}")
        return report.health

    def _unsent(self, step: Step, shares: Sequence[RequestRange], finished: set[int]) -> int | None:
        """Return how many requests of a step a lost machine did not finish, or None."""
        if step.requests is not None:
            numbers = {number for share in shares for number in share.numbers(step.requests)}
            return len(numbers - finished)
        if step.unit == RATE and not step.bursts:
            asked = SimpleNamespace(**self._setup.settings)
            return sum(len(due_times(asked, step, share)) for share in shares) - len(finished)
        return None

    def _write(self, one: _Member, lines: bytes) -> None:
        """Write a machine's new rows, with their times on our clock."""
        for row in rows.decoded(lines.splitlines(keepends=True)):
            one.finished.add(row.number)
            self._files[one.place].write(moved(row, one.track, one.place))


def split(
    step: Step, wanted: RequestRange, machines: int, processes: int
) -> list[list[RequestRange]]:
    """Return the shares of each machine's processes; few clients are spread over all machines."""
    every = shares_of(step, wanted, machines * processes)
    return [every[order::machines] for order in range(machines)]


def moved(row: Row, track: clocks.Track, place: int) -> Row:
    """Return a row of another machine with its times on our clock, and the machine's place."""
    known = {name: getattr(row, name) for name in _TIMES}
    ours = {name: None if ns is None else track.ours(ns) for name, ns in known.items()}
    return msgspec.structs.replace(row, **ours, gaps_ms=list(row.gaps_ms), node=place)

"""Which server answers a question, and which machine asks it.

Each server has one question at a time, or each machine asks one at a time if there are more of
them. A question whose machine or server is lost is asked again elsewhere, so it is answered once.
Nothing here scores an answer.
"""

from __future__ import annotations

import asyncio
import copy
import dataclasses
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pytest_llamaburn.errors import LlamaBurnError
from pytest_llamaburn.load.nodes import NodeLostError, answering
from pytest_llamaburn.load.workers import setup_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.kinds.eval.answering import Answering
    from pytest_llamaburn.kinds.eval.documents import AnswerRow
    from pytest_llamaburn.load.machines import Machines
    from pytest_llamaburn.load.nodes import Remote
    from pytest_llamaburn.load.replicas import Replicas
    from pytest_llamaburn.load.servers import Servers

ELSEWHERE, NODE = "asked_elsewhere", "node"  # types of lines of the journal
_NOT_REACHED = ("connect_refused", "connect_error", "connect_timeout", "dns")
_DIED = "server_crash"
_UNASKED = ("search", "request")  # phases of failures before a server was asked


class Listener(Protocol):
    """What hears of each question and each answer."""

    def asking(self, question: Question) -> None:
        """Hear that a question is asked now."""

    def answered(self, question: Question, row: AnswerRow) -> None:
        """Hear of an answer."""

    write: Callable[[str, Mapping[str, Any]], None]  # a line of the journal

    def say(self, text: str) -> None:
        """Say a sentence to the user."""


class Target(NamedTuple):
    """A server: its place and name, and what asks it from this machine."""

    place: int
    host: str
    answering: Answering


class _Member:
    """A machine that asks; `remote` is None for this one."""

    def __init__(self, remote: Remote | None) -> None:
        self.remote, self.asking = remote, 0
        self.lost: str | None = None


class Dispatch:
    """Has the questions of one set answered by the servers of a run."""

    def __init__(
        self, servers: Servers, targets: Sequence[Target], remotes: Sequence[Remote]
    ) -> None:
        """Take what asks each server, and the machines that ask; without any, this one does."""
        self._servers, self._targets = servers, targets
        self._listener: Listener
        self._members = [*map(_Member, remotes)] or [_Member(None)]
        self._turn = 0
        self._ready: dict[tuple[int, int], Answering] = {}  # by machine and server

    @property
    def at_once(self) -> int:
        """How many questions are asked at once."""
        return max(len(self._members), len(self._targets))

    async def answer(
        self, asked: Iterable[tuple[Question, int]], listener: Listener
    ) -> dict[str, LlamaBurnError]:
        """Have questions answered, each with the number of a sample; the listener hears of each.

        Returns the errors of questions that could not be asked, by their ids.
        """
        self._listener = listener
        left, broken = deque(asked), dict[str, LlamaBurnError]()
        count = min(self.at_once, len(left))
        lanes = [asyncio.create_task(self._lane(left, broken)) for _ in range(count)]
        try:
            await asyncio.gather(*lanes)
        finally:
            for lane in lanes:
                lane.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)
        return broken

    async def _lane(
        self, left: deque[tuple[Question, int]], broken: dict[str, LlamaBurnError]
    ) -> None:
        """Ask one question after another until none is left."""
        while left:
            question, number = left.popleft()
            self._listener.asking(question)
            try:
                row = await self._row(question, number)
            except LlamaBurnError as err:
                broken[question.id] = err
            else:
                self._listener.answered(question, row)

    async def _row(self, question: Question, number: int) -> AnswerRow:
        """Return the answer of the next server; one that is not reached is passed over.

        So is one that dies meanwhile, but only once: the question itself may be what kills servers.
        """
        tried: set[int] = set()
        passed = {*_NOT_REACHED, _DIED}
        while True:
            place = self._servers.take(tried)
            try:
                row = await self._asked(question, number, self._targets[place])
            finally:
                self._servers.give_back(place)
            failure = row["error"] and row["error"]["kind"]
            self._servers.note(place, failure)
            tried.add(place)
            if failure not in passed or tried.issuperset(self._servers.alive):
                return row
            passed -= {failure} & {_DIED}
            about = {"host": self._targets[place].host, "question_id": question.id}
            self._listener.write(ELSEWHERE, {**about, "failure": failure})

    async def _asked(self, question: Question, number: int, target: Target) -> AnswerRow:
        """Return the answer of a server, asked by the next machine that is not lost."""
        while True:
            one = self._next_member()
            one.asking += 1
            try:
                row = await self._answering(one, target).row(question, number)
            except NodeLostError as err:
                self._lose(one, str(err), question)
            else:
                return self._named(row, one, target)
            finally:
                one.asking -= 1

    def _next_member(self) -> _Member:
        """Return the machine that asks the fewest questions now, in turn if several do."""
        count = len(self._members)
        live = [place for place, one in enumerate(self._members) if one.lost is None]
        if not live:
            raise LlamaBurnError(
                "all machines that ask the questions are lost: continue the run with --resume"
            )
        busy = [one.asking for one in self._members]
        place = min(live, key=lambda place: (busy[place], (place - self._turn) % count))
        self._turn = place + 1
        return self._members[place]

    def _answering(self, one: _Member, target: Target) -> Answering:
        """Return what asks a server from a machine."""
        if one.remote is None:
            return target.answering
        key = self._members.index(one), target.place
        if key not in self._ready:
            self._ready[key] = made = copy.copy(target.answering)
            made.via = partial(one.remote.call, "ask", target.place)
            made.clock = None  # its times are those of another clock
        return self._ready[key]

    def _lose(self, one: _Member, why: str, question: Question) -> None:
        assert one.remote is not None  # noqa: S101 - this machine is not lost
        one.lost = why
        about = {"node": one.remote.name, "lost": why}
        self._listener.write(NODE, {**about, "asked_again": question.id})
        self._listener.say(f"{one.remote.name} was lost ({why}): others ask its questions")

    def _named(self, row: AnswerRow, one: _Member, target: Target) -> AnswerRow:
        """Return a row with the server that answered, and the machine that asked it."""
        error = row["error"]
        if row["cached"] or (error is not None and error["phase"] in _UNASKED):
            return row
        if len(self._targets) > 1:
            row["host"] = target.host
        if one.remote is not None:
            row["node"] = one.remote.name
        return row


async def opened(
    first: Answering,
    replicas: Replicas,
    machines: Machines | None,
    questions: Sequence[Question],
) -> Dispatch:
    """Return what has the questions asked, where `first` asks the first server.

    The other servers are checked as the first one was. Raises UsageError.
    """
    servers, identities = replicas.servers, replicas.identities
    answerings = [first]
    for backend, server in zip(servers.backends[1:], identities[1:], strict=True):
        other = dataclasses.replace(first, backend=backend, server=server)
        await other.check(questions)
        answerings.append(other)
    targets = [
        Target(place, server.host, one)
        for place, (server, one) in enumerate(zip(identities, answerings, strict=True))
    ]
    if machines is None:
        return Dispatch(servers, targets, ())
    setup = setup_of(servers, replicas.model, ())
    for remote in machines.remotes:
        with answering(remote):
            await remote.call("connect", setup)
    return Dispatch(servers, targets, machines.remotes)

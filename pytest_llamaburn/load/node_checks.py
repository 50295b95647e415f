"""Whether machines can send one load together: their versions, clocks, keys and servers."""

from __future__ import annotations

import asyncio
import os
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.backends._secrets import KEY_VARIABLE
from pytest_llamaburn.load import clocks
from pytest_llamaburn.load.node import machine
from pytest_llamaburn.load.nodes import answering

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.load.clocks import Reading
    from pytest_llamaburn.load.nodes import Remote
    from pytest_llamaburn.load.workers import Setup

MOST_WALL_OFFSET_MS = 100.0  # more means that nothing keeps the clock right
_OWN = ("127.0.0.1", "localhost", "[::1]")
VERSIONS, CLOCKS, KEYS, SERVERS = "versions", "clocks", "keys", "servers"


class Seen(NamedTuple):
    """What a machine said of itself, and how its clocks compare with ours."""

    name: str
    facts: Document
    reading: Reading


class Problem(NamedTuple):
    """What is wrong with a machine: what it is about, a sentence, and the fix."""

    about: str
    finding: str
    fix: str


async def look(remotes: Sequence[Remote]) -> list[Seen]:
    """Return what each machine says; raises SettingsError if one does not answer."""
    return [*await asyncio.gather(*map(_seen, remotes))]


async def _seen(remote: Remote) -> Seen:
    with answering(remote):
        facts = await remote.call("facts")
        return Seen(remote.name, facts, await clocks.read(lambda: remote.call("times")))


def problems(seen: Sequence[Seen]) -> Iterator[Problem]:
    """Yield what keeps machines from sending one load together with this one."""
    own = {"python": platform.python_version(), "llamaburn": version("pytest-llamaburn")}
    for one in seen:
        for what, mine in own.items():
            if one.facts[what] != mine:
                finding = f"{one.name} has {what} {one.facts[what]}, this machine has {mine}"
                yield Problem(VERSIONS, finding, "install the same version on all machines")
        off_ms = one.reading.wall_offset_ns / 1e6
        if abs(off_ms) > MOST_WALL_OFFSET_MS:
            way = "ahead of" if off_ms > 0 else "behind"
            finding = f"the clock of {one.name} is {abs(off_ms):.0f} ms {way} this machine's"
            yield Problem(CLOCKS, finding, "let NTP set the clocks of all machines")
        if os.environ.get(KEY_VARIABLE) and not one.facts["has_key"]:
            finding = f"{one.name} has no {KEY_VARIABLE}, and keys are never sent to a machine"
            yield Problem(KEYS, finding, "set it there in the environment of ray start")


async def unreached(remotes: Sequence[Remote], seen: Sequence[Seen], setup: Setup) -> list[Problem]:
    """Return which servers are not reached from which machines.

    An address of this machine only, such as 127.0.0.1, means another server on another machine.
    """
    found, here = [], machine()
    for remote, one in zip(remotes, seen, strict=True):
        own = _loopback(setup) if one.facts["machine"] != here else []
        with answering(remote):
            missing = own or await remote.call("unreached", setup)
        for url in missing:
            why = "which is an address of this machine only" if own else "though this machine does"
            finding = f"{remote.name} does not reach {url}, {why}"
            fix = "let the server listen on an address that all machines reach, and name it"
            found.append(Problem(SERVERS, finding, fix))
    return found


def _loopback(setup: Setup) -> list[str]:
    hosts = [connection["host"] for connection in setup.connections]
    return [host for host in hosts if any(word in host for word in _OWN)]

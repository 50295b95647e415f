"""Measure the CPU cost of a streamed chunk, compared with simple clients.

The cost is the CPU time (user and system) of the whole run without start-up, divided by the number
of chunks; it includes requests, parsing and metrics. `benchmark` is the path of a benchmark.
`stress` is the path of a stress run, with its sender and a row on disk per request. The other
clients are minimal: aiohttp on uvloop, which splits its reads into events, with `json.loads` and a
timestamp for each; httpx does the same with `aiter_lines`. The floor is a uvloop protocol that only
stamps and keeps each read and counts the events at the end: no client in Python can cost less. All
use the same scheduled server in turns, each in its own process. Goals: at most 0.45 of aiohttp's
cost, at most 1.7 times the floor.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple

from _ours import Spent, backend_at, drive, timed
from _report import Line, report

from pytest_llamaburn.backends._address import parse_host
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.backends._http import request_bytes
from pytest_llamaburn.datasets import Prompt
from pytest_llamaburn.kinds.stress.settings import Stress
from pytest_llamaburn.load._metronome import Schedule, Server
from pytest_llamaburn.load.rows import Reader, Rows
from pytest_llamaburn.load.sender import RequestRange, Sender
from pytest_llamaburn.load.servers import Servers
from pytest_llamaburn.load.step import CLIENTS, Step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    import aiohttp
    import httpx

    Ask = Callable[[int], Awaitable[int]]

_SCHEDULE = Schedule()
_PATH = "/v1/chat/completions"
_FEWER = 10  # httpx is too slow for a hundred streams on one core, so it gets a tenth


class Cost(NamedTuple):
    """The result of a client: chunks read, CPU time and wall time."""

    chunks: int
    cpu_s: float
    wall_s: float

    @property
    def per_chunk_us(self) -> float:
        """CPU time per chunk."""
        return self.cpu_s / self.chunks * 1e6


def main() -> int:
    """Compare the clients; return 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--waves", type=int, default=5, help="requests of each client")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each kind of client")
    parser.add_argument("--as-client", nargs=2, metavar=("KIND", "URL"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.as_client:
        kind, url = chosen.as_client
        print(json.dumps(_CLIENTS[kind](url, chosen.clients, chosen.waves)))
        return 0
    if chosen.clients < _FEWER or chosen.waves < 2:
        parser.error(f"use at least {_FEWER} clients and 2 waves")
    return _compare(chosen.clients, chosen.waves, chosen.rounds)


def _compare(clients: int, waves: int, rounds: int) -> int:
    costs: dict[str, list[Cost]] = {kind: [] for kind in _CLIENTS}
    for _ in range(rounds):
        for kind, found in costs.items():
            fewer = _FEWER if kind == "httpx" else 1
            found.append(_run(kind, clients // fewer, waves))
    return report(_title(clients, waves, rounds), [*_lines(costs, waves)])


def _title(clients: int, waves: int, rounds: int) -> str:
    load = f"{clients} streams of {_SCHEDULE.rate:g} chunks/s"
    return f"{load}, httpx {clients // _FEWER}; {waves} requests each; median of {rounds}"


def _lines(costs: dict[str, list[Cost]], waves: int) -> Iterator[Line]:
    per_chunk = {kind: median(c.per_chunk_us for c in found) for kind, found in costs.items()}
    for kind, value in per_chunk.items():
        yield Line(f"{kind}: CPU per chunk", value, "us")
    for kind, found in costs.items():
        late = median(c.wall_s for c in found) / (waves * _SCHEDULE.request_s) - 1
        yield Line(f"{kind}: wall over the schedule's", late * 100, "%")
    for ours in ("benchmark", "stress"):
        yield Line(f"{ours} / aiohttp", per_chunk[ours] / per_chunk["aiohttp"], "", 0.45)
        yield Line(f"{ours} / floor", per_chunk[ours] / per_chunk["floor"], "", 1.7)
    yield Line("benchmark / httpx", per_chunk["benchmark"] / per_chunk["httpx"], "")


def _run(kind: str, clients: int, waves: int) -> Cost:
    with Server(_SCHEDULE) as server:
        load = [f"--clients={clients}", f"--waves={waves}", "--as-client", kind, server.url]
        said = subprocess.check_output([sys.executable, __file__, *load], text=True)
    cost = Cost(*json.loads(said))
    expected = clients * waves * _SCHEDULE.chunks
    if cost.chunks != expected:
        raise RuntimeError(f"{kind} read {cost.chunks} of {expected} chunks")
    return cost


def _benchmark(url: str, clients: int, waves: int) -> Cost:
    driven = drive(url, clients * waves, clients)
    return Cost(driven.chunks, driven.spent.cpu_s, driven.spent.wall_s)


def _stress(url: str, clients: int, waves: int) -> Cost:
    """Send one level as `llamaburn stress` does, and count the gaps of its rows."""
    backend = backend_at(url, "openai", Stress)
    step = Step(clients, CLIENTS, requests=clients * waves)
    with TemporaryDirectory() as folder:
        prompts = [Prompt("one", "short", "request")]
        sender = Sender(
            Servers([backend]), Model("scheduled", "scheduled"), prompts, Rows(Path(folder), "w")
        )
        spent = timed(sender.send(step, RequestRange(0), perf_counter_ns()))
        found = [len(row.gaps_ms) + 1 for row in Reader(Path(folder)).new() if not row.error]
    return Cost(sum(found), spent.cpu_s, spent.wall_s)


class _Stamping(asyncio.Protocol):
    """Stamps and keeps each read of a response until it ends."""

    def __init__(self) -> None:
        self.reads: list[bytes] = []
        self.stamps: list[int] = []
        self.over = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.stamps.append(perf_counter_ns())
        self.reads.append(data)
        if data[-5:] == b"0\r\n\r\n":
            self.over.set()


def _floor(url: str, clients: int, waves: int) -> Cost:
    address = parse_host(url)

    async def ask(number: int) -> int:
        loop = asyncio.get_running_loop()
        transport, wire = await loop.create_connection(_Stamping, address.host, address.port)
        body = json.dumps(_body(number)).encode()
        transport.writelines(
            request_bytes(address, _PATH.removeprefix("/v1"), {"Host": "floor"}, body)
        )
        await wire.over.wait()
        transport.close()
        return b"".join(wire.reads).count(b'"content":') - 1  # the first one is the role

    return _cost(lambda tally: _loop(ask, clients, waves, tally))


def _aiohttp(url: str, clients: int, waves: int) -> Cost:
    import aiohttp

    async def work(tally: list[int]) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(url, connector=connector) as session:
            await _loop(lambda n: _aiohttp_ask(session, n), clients, waves, tally)

    return _cost(work)


async def _aiohttp_ask(session: aiohttp.ClientSession, number: int) -> int:
    stamps = []
    async with session.post(_PATH, json=_body(number)) as reply:
        async for event in _events(reply.content.iter_any()):
            if _content(event):
                stamps.append(perf_counter())
    return len(stamps)


async def _events(reads: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for read in reads:
        *events, rest = (rest + read).split(b"\n\n")
        for event in events:
            yield event.removeprefix(b"data: ")


def _httpx(url: str, clients: int, waves: int) -> Cost:
    import httpx

    async def work(tally: list[int]) -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=url, limits=limits, trust_env=False) as client:
            await _loop(lambda n: _httpx_ask(client, n), clients, waves, tally)

    return _cost(work)


async def _httpx_ask(client: httpx.AsyncClient, number: int) -> int:
    stamps = []
    async with client.stream("POST", _PATH, json=_body(number)) as reply:
        async for line in reply.aiter_lines():
            if line.startswith("data: ") and _content(line[6:]):
                stamps.append(perf_counter())
    return len(stamps)


def _content(event: str | bytes) -> bool:
    """Return whether an event has a part of the answer."""
    with suppress(json.JSONDecodeError):  # [DONE]
        for choice in json.loads(event)["choices"]:
            return bool(choice["delta"].get("content"))
    return False


def _body(number: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"request {number}"}]
    return {"model": "scheduled", "messages": messages, "stream": True, "max_tokens": 128}


async def _loop(ask: Ask, clients: int, waves: int, tally: list[int]) -> None:
    source = iter(range(clients * waves))

    async def client() -> None:
        for number in source:
            tally.append(await ask(number))

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())


def _cost(work: Callable[[list[int]], Any]) -> Cost:
    tally: list[int] = []
    spent: Spent = timed(work(tally))
    return Cost(sum(tally), spent.cpu_s, spent.wall_s)


_CLIENTS = {
    "floor": _floor,
    "benchmark": _benchmark,
    "stress": _stress,
    "aiohttp": _aiohttp,
    "httpx": _httpx,
}

if __name__ == "__main__":
    sys.exit(main())

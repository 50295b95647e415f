"""Measure loads from several machines: what two nodes send, how evenly, and what merging costs.

`throughput`, `union` and `same` start a cluster of Ray on this machine (extra [ray]). `merge` needs
neither Ray nor sockets: machines in virtual time hand over rows that were made up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, perf_counter_ns
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from _ours import backend_at
from _report import Line, report

from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.datasets import Prompt
from pytest_llamaburn.kinds.stress import levels, plan
from pytest_llamaburn.kinds.stress.levels import Visit
from pytest_llamaburn.kinds.stress.settings import Stress
from pytest_llamaburn.load import clocks, rows
from pytest_llamaburn.load._metronome import Schedule, Server
from pytest_llamaburn.load.node import NodeReport
from pytest_llamaburn.load.nodes import Nodes
from pytest_llamaburn.load.sender import Health, RequestRange, Sender
from pytest_llamaburn.load.servers import Servers
from pytest_llamaburn.load.step import CLIENTS, RATE, Step
from pytest_llamaburn.load.workers import Setup, setup_of
from pytest_llamaburn.metrics import REQUEST
from pytest_llamaburn.option import model_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.load.nodes import Remote
    from pytest_llamaburn.load.rows import Row

_MODEL, _PROMPTS = Model("scheduled", "scheduled"), [Prompt("one", "short", "One?")]
_BUSY = 0.9  # of a processor: there client_health trips
_POLLS = 4  # in which a virtual machine hands over its rows


class Sent(NamedTuple):
    """What a step came to."""

    rows: list[Row]
    healths: dict[int, Health]
    wall_s: float

    @property
    def chunks(self) -> int:
        """The pieces of all answers."""
        return sum(len(row.gaps_ms) + 1 for row in self.rows if row.first_ns is not None)

    @property
    def rate(self) -> float:
        """The chunks a second by the wall clock."""
        return self.chunks / self.wall_s

    @property
    def cpu_us(self) -> float:
        """The processor time of all senders for a chunk."""
        return 1e6 * sum(health.cpu_s for health in self.healths.values()) / self.chunks

    def late_ms(self) -> np.ndarray:
        """Return how late each request was sent."""
        return np.array([(row.sent_ns - row.scheduled_ns) / 1e6 for row in self.rows])

    def ttft_ms(self) -> np.ndarray:
        """Return the time to the first token of each request."""
        return np.array([row.values["time_to_first_token_ms"] for row in self.rows], dtype=float)


class _Turns(NamedTuple):
    """What one node and what two nodes sent, turn by turn."""

    one: list[Sent]
    two: list[Sent]


def main() -> int:
    """Measure what is named; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=[*_FIGURES], metavar="|".join(_FIGURES))
    parser.add_argument("--simulate", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--beside", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    while chosen.beside:
        by_process(chosen.beside, Step(40, CLIENTS, 400))
    if chosen.simulate:
        print(json.dumps(simulated(chosen.simulate)))
        return 0
    return max(_FIGURES[name]() for name in chosen.what)


def throughput() -> int:
    """Compare what two nodes of one load send with what one sends beside an unrelated process.

    Each node has 40 clients, and the unrelated process too. So the server and the cores have the
    same work in both cases, and only the second node's belonging to the load differs. A node is
    full where it uses its processor for `_BUSY` of the time: the chunks a second of full nodes
    follow from the processor time of a chunk.
    """
    turns, sent = 5, _Turns([], [])
    with Server(Schedule(0.02, 200.0, 100)) as server:
        for _ in range(turns):
            with _beside(server.url):
                sent.one.append(with_nodes(1, server.url, Step(40, CLIENTS, 400), "poisson"))
            sent.two.append(with_nodes(2, server.url, Step(80, CLIENTS, 800), "poisson"))
    one, two = (median(turn.cpu_us for turn in side) for side in sent)
    return report(
        f"chunks of two nodes against one, 40 clients a node, medians of {turns} turns",
        [
            Line("one node, chunks/s", median(turn.rate for turn in sent.one), ""),
            Line("two nodes, chunks/s", median(turn.rate for turn in sent.two), ""),
            Line("CPU of a chunk, one node", one, "µs"),
            Line("CPU of a chunk, two nodes", two, "µs"),
            Line("one full node, chunks/s", _BUSY * 1e6 / one, ""),
            Line("two full nodes / one (from CPU time)", 2 * one / two, "×", 1.9, False),
        ],
    )


@contextmanager
def _beside(url: str) -> Iterator[None]:
    """Let an unrelated process send 40 clients' requests until the block ends."""
    other = subprocess.Popen([sys.executable, __file__, f"--beside={url}"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def union() -> int:
    """Show how late and how even the requests of two nodes are together."""
    step = Step(500.0, RATE, seconds=8.0)
    with Server(Schedule(0.02, 100.0, 2)) as server:
        alone = by_process(server.url, step)
        found = with_nodes(2, server.url, step, "static")
    late_ms = found.late_ms()
    due_ns = np.sort([row.scheduled_ns for row in found.rows])
    uneven_ms = np.abs(np.diff(due_ns) / 1e6 - 2.0)
    return report(
        f"union of two nodes, {len(found.rows)} requests at 500 per second",
        [
            Line("lateness, median", float(np.median(late_ms)), "ms"),
            Line("lateness, p99", float(np.percentile(late_ms, 99)), "ms", 2.0),
            Line(
                "lateness, p99, of one process just before",
                float(np.percentile(alone.late_ms(), 99)),
                "ms",
            ),
            Line("gap between due times, largest error", float(uneven_ms.max()), "ms"),
            Line("requests of the schedule", float(len(found.rows)), "", 4000.0, False),
        ],
    )


def same() -> int:
    """Compare the merged report of two nodes with that of one process, in turn."""
    step, turns = Step(100.0, RATE, seconds=4.0), 3
    alone, merged = [], []
    with Server(Schedule(0.05, 100.0, 10)) as server, _Cluster(2) as actors:
        for _ in range(turns):
            alone.append(by_process(server.url, step).ttft_ms())
            merged.append(by_nodes(actors, server.url, step, "static").ttft_ms())
    lines = []
    for name, percent in (("p50", 50), ("p95", 95)):
        one, two = ([float(np.percentile(it, percent)) for it in side] for side in (alone, merged))
        apart = float(np.mean(two) - np.mean(one))
        noise = max(max(one) - min(one), max(two) - min(two))
        lines += [
            Line(f"TTFT {name}, one process", float(np.mean(one)), "ms"),
            Line(f"TTFT {name}, two nodes", float(np.mean(two)), "ms"),
            Line(f"TTFT {name}, difference", apart, "ms", max(noise, 0.3), both=True),
        ]
    return report(f"A/A: merged against single, {turns} turns each", lines)


def merge() -> int:
    """Show how memory and time of merging grow with the number of machines."""
    sizes, lines, seconds = (25, 50, 100, 200), [], []
    for nodes in sizes:
        words = [sys.executable, __file__, f"--simulate={nodes}"]
        found = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
        seconds.append(found["merge_s"])
        lines += [
            Line(f"{nodes} nodes × 1,000 clients: merging", found["merge_s"], "s"),
            Line(f"{nodes} nodes: peak memory of merging", found["merge_mb"], "MB", 1000.0),
            Line(f"{nodes} nodes: exact p99, streamed", found["percentile_s"], "s"),
            Line(
                f"{nodes} nodes: peak memory with the level's statistics",
                found["level_mb"],
                "MB",
                1000.0,
            ),
        ]
    power = float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
    lines.append(Line("merge time grows with nodes to the power", power, "", 1.2))
    return report("merging of virtual machines, one request a client", lines)


class _Cluster:
    """A cluster of Ray on this machine, as a context manager that returns its actors."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> Sequence[Remote]:
        from pytest_llamaburn.load.cluster import Cluster

        self._cluster = Cluster("local", self._count)
        return self._cluster.actors

    def __exit__(self, *_: object) -> None:
        self._cluster.close()


def with_nodes(count: int, url: str, step: Step, arrival: str) -> Sent:
    """Return what so many nodes of a new cluster sent."""
    with _Cluster(count) as actors:
        return by_nodes(actors, url, step, arrival)


def by_nodes(actors: Sequence[Remote], url: str, step: Step, arrival: str) -> Sent:
    """Return what these nodes sent."""

    async def work(folder: Path) -> Sent:
        nodes = Nodes(actors, _setup(url, arrival), folder)
        await nodes.start(1, "main")
        began = perf_counter()
        await nodes.send(step, RequestRange(1), perf_counter_ns() + nodes.lead_ns)
        wall_s = perf_counter() - began - nodes.lead_ns / 1e9
        await nodes.close()
        nodes.forget()
        return Sent(list(rows.read(folder)), nodes.healths, wall_s)

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(work(Path(folder)))


def by_process(url: str, step: Step) -> Sent:
    """Return what this process sent."""

    async def work(folder: Path) -> Sent:
        own = rows.Rows(folder, "main")
        sender = Sender(_servers(url, "static"), _MODEL, _PROMPTS, own)
        health = await sender.send(step, RequestRange(1), perf_counter_ns() + sender.lead_ns)
        await sender.close()
        own.close()
        return Sent(list(rows.read(folder)), {0: health}, health.wall_s)

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(work(Path(folder)))


def _servers(url: str, arrival: str) -> Servers:
    backend = backend_at(url, "openai")
    backend.settings = model_of(Stress)(host=url, arrival=arrival)  # type: ignore[assignment]
    return Servers([backend])


def _setup(url: str, arrival: str) -> Setup:
    return setup_of(_servers(url, arrival), _MODEL, _PROMPTS)


class VirtualNode:
    """A machine without sockets: each of its clients has one answer, at a made-up time."""

    def __init__(self, place: int) -> None:
        """Take its place; its clock is that many hours ahead."""
        self.name, self._ahead_ns = f"node-{place}", place * 3600 * 10**9
        self._luck = np.random.default_rng(place)
        self._left: list[int] = []

    async def call(self, method: str, *given: Any) -> Any:
        """Answer as a Node does."""
        if method == "times":
            found = clocks.times()
            return clocks.Times(found.monotonic_ns + self._ahead_ns, found.wall_ns)
        if method == "begin":
            task, shares = given
            self._left = [n for share in shares for n in share.numbers(task.step.requests)]
            self._each = -(-len(self._left) // _POLLS)
        if method == "poll":
            now, self._left = self._left[: self._each], self._left[self._each :]
            lines = b"".join(self._line(number) for number in now)
            health = None if self._left else Health(0.1, 1.0, [0.1])
            return NodeReport(rows=lines, health=health)
        return b""

    def _line(self, number: int) -> bytes:
        total_ms = float(self._luck.lognormal(6, 0.5))
        sent_ns = self._ahead_ns + number * 1000
        first_ns, end_ns = sent_ns + int(1e5 * total_ms), sent_ns + int(1e6 * total_ms)
        values: dict[str, float | None] = dict.fromkeys(REQUEST)
        values |= {"time_to_first_token_ms": total_ms / 10, "total_generation_ms": total_ms}
        values["output_sequence_length"] = 32.0
        gaps = [round(total_ms / 35, 4)] * 31
        about = (1, 0, number, "one", sent_ns, sent_ns, first_ns, end_ns, end_ns)
        return msgspec.json.encode(rows.Row(*about, values, gaps)) + b"\n"


def simulated(count: int) -> dict[str, float]:
    """Return what merging the rows of so many machines with 1,000 clients each costs."""
    step = Step(1000 * count, CLIENTS, 1000 * count)
    settings = {"seed": 0, "arrival": None}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        nodes = Nodes([*map(VirtualNode, range(count))], Setup([], settings, _MODEL, []), folder)

        async def send() -> float:
            await nodes.start(1, "main")
            began = perf_counter()
            await nodes.send(step, RequestRange(1), 0)
            return perf_counter() - began

        merge_s, merge_mb = asyncio.run(send()), _peak_mb()
        began = perf_counter()
        totals = np.fromiter(
            (row.values["total_generation_ms"] for row in rows.read(folder)), float
        )
        exact = float(np.percentile(totals, 99))
        percentile_s = perf_counter() - began
        visit = Visit(step, list(rows.read(folder)), 0)
        nothing = levels.Excluded(plan.Window(), plan.Window())
        found = levels.summarize([visit], nothing)
        nodes.forget()
    return {
        "merge_s": merge_s,
        "merge_mb": merge_mb,
        "percentile_s": percentile_s,
        "p99_ms": exact,
        "p99_of_level_ms": found["total_generation_ms"]["p99"],
        "level_mb": _peak_mb(),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


_FIGURES = {"throughput": throughput, "union": union, "same": same, "merge": merge}

if __name__ == "__main__":
    sys.exit(main())

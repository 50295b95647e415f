"""Servers that exist in numbers only, on a clock of their own, whose true limits are known.

A queue in order of arrival before some slots (Kiefer and Wolfowitz: each request takes the slot
that is free first). A request that is not done by its deadline is dropped; if it was being served,
its slot is free again at once. The mean service takes one second.
"""

from __future__ import annotations

import dataclasses
import functools
import heapq
import itertools
import math
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pytest_llamaburn.capacity import degradation, open_loop, visits
from pytest_llamaburn.capacity.loops import search
from pytest_llamaburn.capacity.search import Limits
from pytest_llamaburn.load import arrivals
from pytest_llamaburn.load.rows import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from pytest_llamaburn.capacity.degradation import DegradationPoint
    from pytest_llamaburn.capacity.search import FailurePoint
    from pytest_llamaburn.load.step import Probe

SECOND = 10**9
PREFILL = 0.1  # the share of a service until the first token


def dice(seed: int) -> random.Random:
    """Return reproducible luck."""
    return random.Random(seed)  # noqa: S311 - not a secret


def constant(_: random.Random) -> float:
    """Return the same service always."""
    return 1.0


def lognormal(rng: random.Random) -> float:
    """Return a service with a coefficient of variation of a half."""
    spread2 = math.log(1.25)
    return math.exp(rng.gauss(-spread2 / 2, math.sqrt(spread2)))


def bimodal(rng: random.Random) -> float:
    """Return a short service, or once in four one 2.7 times as long: cv 0.53."""
    return (0.7 if rng.random() < 0.75 else 1.9) * rng.uniform(0.8, 1.2)


SERVICES: dict[str, Callable[[random.Random], float]] = {
    f.__name__: f for f in (constant, lognormal, bimodal)
}


class Faults(NamedTuple):
    """Errors that come in clusters; at 0 sharpness the same `rate` under every load.

    Else the odds rise with the load to this power, through `rate` at the level `at`.
    """

    rate: float = 0.0
    cluster: float = 3.0
    at: float = 1.0
    sharpness: float = 0.0

    def share(self, level: float) -> float:
        """Return the share of requests that fail at this level."""
        if not self.rate:
            return 0.0
        odds: float = self.rate / (1 - self.rate) * (level / self.at) ** self.sharpness
        return odds / (1 + odds)


class Outside(NamedTuple):
    """What a machine's other work does to a visit, by `chance`: a stretch of it is disturbed.

    There either services take `slower` times as long, or a share of the requests fails together.
    """

    chance: float = 0.0
    slower: float = 2.5
    errors: float = 0.4


@dataclass
class VirtualServer:
    """A server under test; every probe starts with an idle one unless it goes on."""

    slots: int = 4
    service: str = "lognormal"
    deadline_s: float = 10.5
    faults: Faults = field(default_factory=Faults)
    think_s: float = 0.0
    outside: Outside = field(default_factory=Outside)

    def __post_init__(self) -> None:
        self.rng = self.luck = dice(0)
        self.failing = False
        self.draw = SERVICES[self.service]
        self.rest()

    def seed(self, seed: int) -> VirtualServer:
        self.rng, self.luck = dice(seed), dice(-1 - seed)
        return self

    def rest(self) -> None:
        """Be idle again."""
        self.free = [0.0] * self.slots
        self.clients: list[float] = []
        self.now = 0.0
        self.served = 0
        self.slow = self.broken = range(0)
        if self.luck.random() < self.outside.chance:
            first = self.luck.randrange(60)
            stretch = range(first, first + self.luck.randrange(30, 120))
            if self.luck.random() < 0.5:
                self.slow = stretch
            else:
                self.broken = stretch

    def closed(self, clients: int, requests: int, *, fresh: bool = True) -> list[Request]:
        """Return what this many clients see, in order of sending."""
        if fresh:
            self.rest()
            self.clients = [i * self.think_s / clients for i in range(clients)]
        share, records = self.faults.share(clients), []
        for _ in range(requests):
            sent = self.clients[0]
            end, first, failure = self._serve(sent, share)
            heapq.heapreplace(self.clients, end + self.think_s)
            records.append(_record(sent, first, end, failure))
        return records

    def open(self, arrivals: Iterable[float], rate: float = 0.0) -> list[Request]:
        """Return what requests at these times, in seconds, see."""
        share = self.faults.share(rate)
        served = ((at, *self._serve(at, share)) for at in arrivals)
        return [_record(at, first, end, failure) for at, end, first, failure in served]

    def closed_share(self, clients: int, requests: int) -> float:
        """Return the share that fails of so many requests in the long run."""
        self.rest()
        ready = [i * self.think_s / clients for i in range(clients)]
        share, first, failed = self.faults.share(clients), 5 * clients, 0
        for number in range(first + requests):
            end, _, failure = self._serve(ready[0], share)
            heapq.heapreplace(ready, end + self.think_s)
            failed += failure is not None and number >= first
        return failed / requests

    def open_share(self, arrivals: Sequence[float], rate: float) -> float:
        """Return the share that fails of requests at these times."""
        self.rest()
        share = self.faults.share(rate)
        return sum(self._serve(at, share)[2] is not None for at in arrivals) / len(arrivals)

    def _serve(self, sent: float, share: float) -> tuple[float, float | None, str | None]:
        """Return when a request ends, when its first token comes, and how it fails."""
        start, limit = max(sent, self.free[0]), sent + self.deadline_s
        if start >= limit:
            return limit, None, "timeout_total"
        need = self.draw(self.rng)
        self.served += 1
        if self.served in self.slow:
            need *= self.outside.slower
        end = min(start + need, limit)
        heapq.heapreplace(self.free, end)
        first = start + PREFILL * need
        failure = "timeout_total" if start + need > limit else self._fault(share)
        if self.served in self.broken and self.luck.random() < self.outside.errors:
            failure = failure or "reset"
        return end, first if first < end else None, failure

    def _fault(self, share: float) -> str | None:
        """Return the kind of an error, from a chain that stays in errors for some requests."""
        if share:
            leave = 1 / self.faults.cluster
            enter = leave * share / (1 - share)
            self.failing = self.rng.random() < (1 - leave if self.failing else enter)
        return "reset" if share and self.failing else None


def _record(sent: float, first: float | None, end: float, failure: str | None) -> Request:
    sent_ns = round(sent * SECOND)
    first_ns = None if first is None else round(first * SECOND)
    return Request(sent_ns, sent_ns, first_ns, round(end * SECOND), failure)


DEADLINE_S = 10.5
LOOPS = ("closed", "poisson", "static")
Result = TypeVar("Result")


def drive(
    search: Generator[Probe, Sequence[Request], Result], send: Callable[[Probe], list[Request]]
) -> tuple[Result, int]:
    """Return what a search found and how many requests it sent."""
    sent = 0
    try:
        probe = next(search)
        while True:
            records = send(probe)
            sent += len(records)
            probe = search.send(records)
    except StopIteration as end:
        return end.value, sent


def clients(server: VirtualServer) -> Callable[[Probe], list[Request]]:
    """Return the closed loop that a search drives."""
    return lambda probe: server.closed(int(probe.level), probe.requests, fresh=probe.from_idle)


def schedules(server: VirtualServer, pattern: str, seed: int) -> Callable[[Probe], list[Request]]:
    """Return the open loop that a search drives; each probe has a schedule of its own."""
    seeds = itertools.count(1000 * seed)

    def send(probe: Probe) -> list[Request]:
        server.rest()
        times = arrivals.schedule(pattern, probe.level, count=probe.requests, seed=next(seeds))
        return server.open(times.tolist(), probe.level)

    return send


class Found(NamedTuple):
    """What a ramp found, and how many requests it sent, the baseline's too."""

    failure: FailurePoint
    degradation: DegradationPoint | None
    sent: int


def ramp(server: VirtualServer, loop: str, seed: int) -> Found:
    """Return what the search finds on a server, and the lowest degradation point of its levels."""
    server.seed(seed)
    deadline_ns = round(server.deadline_s * SECOND)
    runs: dict[float, list[list[Request]]] = {}
    closed = loop == "closed"
    alone = server.closed(1, 10 if closed else 20)
    think_ns = round(server.think_s * SECOND)
    limits = Limits(1, 1000, deadline_ns, budget=740, baseline=alone, think_ns=think_ns)
    if not closed:
        idle = open_loop.idle(alone)
        limits = Limits(0.5, 1000, deadline_ns, budget=730, alone=idle)
    send = clients(server) if closed else schedules(server, loop, seed)
    found, sent = drive(search(limits), _kept(send, runs))
    levels = visits.for_points(runs, clients=closed)
    point = degradation.lowest(degradation.points(levels, alone)) if closed else None
    return Found(found, point, sent + len(alone))


def _kept(
    send: Callable[[Probe], list[Request]], runs: dict[float, list[list[Request]]]
) -> Callable[[Probe], list[Request]]:
    """Return what sends, and keeps the records of each visit by its level."""

    def keep(probe: Probe) -> list[Request]:
        records = send(probe)
        if probe.from_idle:
            runs.setdefault(probe.level, []).append([])
        runs[probe.level][-1].extend(records)
        return records

    return keep


def failure_point(server: VirtualServer, loop: str, seed: int) -> tuple[FailurePoint, int]:
    """Return what the search finds on a server, and the requests sent, the baseline's too."""
    found = ramp(server, loop, seed)
    return found.failure, found.sent


def true_degradation_point(server: VirtualServer, n: int = 10_000) -> float:
    """Return the lowest degradation point over every level, each of a very long run."""
    endless = dataclasses.replace(server, deadline_s=1e9, outside=Outside())
    levels: dict[float, list[Request]] = {
        level: endless.seed(1).closed(level, n + level)[level:]
        for level in range(1, 2 * server.slots + 3)
    }
    found = degradation.lowest(degradation.points(levels, levels[1]))
    assert found is not None
    assert found.estimate is not None
    return found.estimate


def true_failure_point(server: VirtualServer, loop: str, n: int = 20_000) -> float:
    """Return the level at which 5 % fail, from a bisection over very long runs."""
    server = dataclasses.replace(server, outside=Outside())
    if loop == "closed":
        most = math.ceil(server.slots * (server.deadline_s + server.think_s)) + 2
        return _crossing(lambda step: server.seed(1).closed_share(step, n), most // 2, most)
    gaps, hundredth = arrivals.schedule(loop, 1.0, count=n, seed=7), server.slots / 100

    def share(step: int) -> float:
        rate = step * hundredth
        return server.seed(1).open_share((gaps / rate).tolist(), rate)

    return hundredth * _crossing(share, 70, 130)


def _crossing(share: Callable[[int], float], low: int, high: int) -> float:
    """Return the step at which a share crosses 5 %, on a straight line from one to the next."""
    share = functools.cache(share)  # each is of a very long run
    while share(low) > 0.05 and low > 1:
        low, high = low // 2, low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if share(middle) > 0.05 else (middle, high)
    below, above = share(low), share(high)
    return low + (high - low) * (0.05 - below) / max(above - below, 1e-9)

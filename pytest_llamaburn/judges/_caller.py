"""Sending calls to judges: how many at once, repeated after transient errors, in the budget."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_llamaburn.judges._base import FATAL, Ask, CallError, Judge, Reply, Usage
from pytest_llamaburn.judges._prices import cost_usd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

CHARS_PER_TOKEN = 4  # of English text; for estimates only
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 8.0
_LONGEST_ASKED_S = 120.0  # a server that asks for a longer wait is given up
_ROUNDING_USD = 1e-9  # tolerated error of sums of floats
_UNPRICED = "the price of a judge is unknown"
_UNCOUNTED = "a judge does not say how many tokens it took"
_UNANSWERED = "a call without an answer may have been billed"
_CROWDED = frozenset(("rate_limit", "overloaded"))


class BudgetError(Exception):
    """The next call would exceed the budget; the message says which."""


class Window:
    """How many calls are sent at the same time.

    The number is halved if the server is overloaded. It then grows by one after each round of
    successful calls, up to the initial number.
    """

    def __init__(self, most: int) -> None:
        """Begin with the largest number."""
        self._most, self.size = most, float(most)
        self._active = 0
        self._free = asyncio.Condition()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait until a call may be sent, and count it until it ends."""
        async with self._free:
            await self._free.wait_for(lambda: self._active < int(self.size))
            self._active += 1
        try:
            yield
        finally:
            async with self._free:
                self._active -= 1
                self._free.notify(max(0, int(self.size) - self._active))

    def crowded(self) -> None:
        """Halve the number of calls: the server is overloaded."""
        self.size = max(1.0, self.size / 2)

    def went_well(self) -> None:
        """Count a successful call: the number grows by one each round."""
        self.size = min(float(self._most), self.size + 1 / self.size)


@dataclass
class Budget:
    """What may be spent on judging, and what was spent; `cost_usd` has calls of known price."""

    max_calls: int | None = None
    max_cost_usd: float | None = None
    calls: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    _reserved: float = field(default=0.0, repr=False)
    _running: int = field(default=0, repr=False)
    _settled: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    async def room(self, worst_usd: float | None) -> None:
        """Wait until `take` succeeds, or until no running call can make room for it.

        A running call reserves the most it can cost, which is far more than most calls cost.
        """
        while self._running and self._refusal(worst_usd):
            await self._settled.wait()

    def take(self, worst_usd: float | None) -> None:
        """Reserve the most that a call can cost; raises BudgetError if it is not left."""
        if refusal := self._refusal(worst_usd):
            raise BudgetError(refusal)
        self.calls += 1
        self._running += 1
        self._reserved += worst_usd or 0.0

    def settle(self, worst_usd: float | None, cost: float | None, calls: int = 1) -> None:
        """Replace what `take` reserved by the cost of the call; keep it if the cost is unknown.

        `calls` is 0 if the call was not sent.
        """
        self.calls -= 1 - calls
        self._running -= 1
        if cost is None:
            self.unpriced += 1
        else:
            self._reserved -= worst_usd or 0.0
            self.cost_usd += cost
        self._settled.set()
        self._settled = asyncio.Event()

    def charge(self, calls: int, cost: float | None, most_usd: float | None) -> None:
        """Count an earlier part of the run; if its cost is unknown, reserve the most it can be."""
        self.calls += calls
        if cost is None:
            self.unpriced += 1
            self._reserved += most_usd or 0.0
        else:
            self.cost_usd += cost

    def _refusal(self, worst_usd: float | None) -> str | None:
        """Return why a call with this greatest cost is refused; None if it is not."""
        if self.max_calls is not None and self.calls >= self.max_calls:
            return f"all {self.max_calls} calls of --max-judge-calls are used"
        if self.max_cost_usd is None:
            return None
        worst = worst_usd or 0.0
        left = self.max_cost_usd - self.cost_usd - self._reserved
        if worst <= left + _ROUNDING_USD:
            return None
        return (
            f"a call may cost {worst:.4f} USD and {max(0.0, left):.4f} of --max-judge-cost are left"
        )


@dataclass
class Spent:
    """The calls that were sent for one verdict, and their cost.

    If the cost of any call is unknown, `cost_usd` is None and `cost_reason` says why. `most_usd`
    counts the most that such a call can cost; it is None if the price is unknown too.
    """

    calls: int = 0
    cost_usd: float | None = 0.0
    most_usd: float | None = 0.0
    cost_reason: str | None = None

    def add(self, cost: float | None, worst: float | None, reason: str) -> None:
        """Add a call; the reason counts if its cost is unknown."""
        self.calls += 1
        self.cost_usd = _plus(self.cost_usd, cost)
        self.most_usd = _plus(self.most_usd, worst if cost is None else cost)
        if cost is None:
            self.cost_reason = self.cost_reason or reason


@dataclass
class Caller:
    """Sends calls to one judge. `sleep` and `dice` are for tests."""

    judge: Judge
    window: Window
    budget: Budget = field(default_factory=Budget)
    prices: Mapping[str, float] | None = None
    retries: int = 4
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    dice: random.Random = field(default_factory=random.Random)
    _fatal: CallError | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _opened: bool = False

    async def ask(self, ask: Ask, spent: Spent) -> Reply:
        """Return the judge's reply; raises CallError, the last one, or BudgetError.

        A call whose error may pass is repeated, after the wait that the server asks for or a
        growing one. Every call that was sent is added to `spent`, also one that failed.
        """
        await self.open()
        async with self.window.slot():
            tried = 0
            while True:
                try:
                    reply = await self._once(ask, spent)
                except CallError as err:
                    if not self._worth_trying(err) or tried == self.retries:
                        raise
                    await self._wait(err, tried)
                    tried += 1
                else:
                    self.window.went_well()
                    return reply

    async def open(self) -> None:
        """Open the judge, once."""
        async with self._opening:
            if not self._opened:
                await self.judge.open()
                self._opened = True

    def worst_usd(self, ask: Ask) -> float | None:
        """Return the most a call can cost, None for an unknown price: no token is below a byte.

        Providers put the schema before the prompt, and bill it.
        """
        sent = (ask.system, ask.user, json.dumps(ask.schema))
        seen = sum(one.most_tokens for one in ask.shown if one.kind in self.judge.takes)
        prompt, most = seen + sum(len(text.encode()) for text in sent), ask.max_tokens
        plain = cost_usd(Usage(input=prompt, output=most), self.prices)
        written = cost_usd(Usage(input=0, cache_write=prompt, output=most), self.prices)
        return max((cost for cost in (plain, written) if cost is not None), default=None)

    async def _once(self, ask: Ask, spent: Spent) -> Reply:
        worst, cost, reason, sent = self.worst_usd(ask), None, _UNANSWERED, True
        await self.budget.room(worst)
        if self._fatal is not None:
            raise self._fatal
        self.budget.take(worst)
        try:
            reply = await self.judge.send(ask)
            cost, reason = cost_usd(reply.usage, self.prices), _unknown(reply.usage)
        except CallError as err:
            sent, cost = err.sent, 0.0 if err.free else None
            self._fatal = err if err.kind in FATAL else self._fatal
            raise
        finally:
            self.budget.settle(worst, cost, int(sent))
            if sent:
                spent.add(cost, worst, reason)
        return reply

    def _worth_trying(self, err: CallError) -> bool:
        if err.kind in _CROWDED:
            self.window.crowded()
        if err.transient and (err.retry_after_s or 0.0) > _LONGEST_ASKED_S:
            err.words += f"; the server asks to wait longer than {_LONGEST_ASKED_S:g} s"
            return False
        return err.transient

    async def _wait(self, err: CallError, tried: int) -> None:
        """Wait as long as the server asks for, else twice as long each time, less a random part.

        A wait of 0 s, such as until a date that has passed, is no wait: calls must not be used up.
        """
        if err.kind == "parameter":
            return  # the next call is sent without it
        wait = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**tried) * (1 - self.dice.random() / 4)
        await self.sleep(err.retry_after_s or wait)


def _unknown(usage: Usage) -> str:
    """Return why the cost of an answered call is unknown, if it is."""
    return _UNCOUNTED if usage.input is None or usage.output is None else _UNPRICED


def _plus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b

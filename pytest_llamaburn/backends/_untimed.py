"""Limits on untimed calls: httpx limits each pause, but neither total time nor bytes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import httpx

from pytest_llamaburn.backends._exchange import ANSWER_LIMIT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Bounded(httpx.AsyncHTTPTransport):
    """A transport that limits an answer's bytes and, unless `within_s` is None, its time.

    Raises httpx.ReadError if an answer is too long, httpx.ReadTimeout if it takes too long.
    """

    def __init__(self, within_s: float | None, **options: Any) -> None:
        """Take the time limit of a whole answer in seconds, and httpx's own options."""
        super().__init__(**options)
        self._within_s = within_s

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer; its body is checked against the limits while it is read."""
        now = asyncio.get_running_loop().time()
        until = None if self._within_s is None else now + self._within_s
        async with self._ended(until):
            reply = await super().handle_async_request(request)
        body = cast("httpx.AsyncByteStream", reply.stream)
        reply.stream = _Body(body, self._pieces(body, until))
        return reply

    async def _pieces(
        self, body: httpx.AsyncByteStream, until: float | None
    ) -> AsyncIterator[bytes]:
        left, pieces = ANSWER_LIMIT, aiter(body)
        while True:
            async with self._ended(until):
                piece = await anext(pieces, None)
            if piece is None:
                return
            left -= len(piece)
            if left < 0:
                raise httpx.ReadError(f"it is longer than {ANSWER_LIMIT // 1_000_000} MB")
            yield piece

    @asynccontextmanager
    async def _ended(self, until: float | None) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(until):
                yield
        except TimeoutError:
            raise httpx.ReadTimeout(f"it took longer than {self._within_s:g} s") from None


class _Body(httpx.AsyncByteStream):
    def __init__(self, body: httpx.AsyncByteStream, pieces: AsyncIterator[bytes]) -> None:
        self._body, self._pieces = body, pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def aclose(self) -> None:
        await self._body.aclose()

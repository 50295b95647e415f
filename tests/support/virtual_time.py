"""An event loop whose time passes only while nothing is ready: hours of a load in a moment."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

    import pytest


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type,unused-ignore]
    """Never waits: what would be waited passes at once on the loop's own clock."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self.loop.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Sleeps take no time and are as long as they are asked to be."""

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.now = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def perf_counter_ns(self) -> int:
        return round(self.now * 1e9)


def run(work: Coroutine[Any, Any, Any], patch: pytest.MonkeyPatch, *modules: Any) -> Any:
    """Run some work in virtual time, on which these modules' `perf_counter_ns` is."""
    loop = VirtualLoop()
    for module in modules:
        patch.setattr(module, "perf_counter_ns", loop.perf_counter_ns)
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()

"""Which contexts a run tries: doubling up to the longest, then bisecting the edge."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pytest_llamaburn.kinds.fit.settings import Fit

FIRST = 2048  # tokens of the first context
LONGEST = 8192  # of a model that does not tell for what it was trained
GPU, SPILLS, RAM, LOADED = "gpu", "spills", "ram", "loaded"  # where a model was loaded
FAILED, REFUSED = "failed", "refused"  # why it was not
_ON = (GPU, SPILLS)


class At(NamedTuple):
    """A step: the type of the KV cache and the context with which the model is loaded."""

    kv_type: str
    num_ctx: int


def ends(settings: Fit, trained: int | None) -> tuple[int, int]:
    """Return the first and the longest context to try; `trained` is the model's own."""
    longest = settings.max_ctx or trained or LONGEST
    longest = min(longest, trained or longest)
    return min(settings.num_ctx or FIRST, longest), longest


def doubled(first: int, longest: int) -> list[int]:
    """Return the contexts of the first pass, the longest included."""
    steps = itertools.takewhile(lambda n: n < longest, (first << i for i in itertools.count()))
    return [*steps, longest]


def most(first: int, longest: int, edge: int) -> int:
    """Return how many contexts are tried at most."""
    passed = doubled(first, longest)
    widest = max((b - a for a, b in itertools.pairwise([0, *passed])), default=first)
    uneven = int(first % edge > 0 or longest % edge > 0)  # a half of the way is then rounded
    return len(passed) + max(0, math.ceil(math.log2(max(1.0, widest / edge)))) + uneven


def requests(settings: Fit) -> int:
    """Return the number of timed requests at most, before the model is known."""
    steps = most(*ends(settings, None), settings.edge)
    return int(settings.iterations) * steps * len(settings.kv_type)


class Search:
    """The search for the edge: the largest context that stays where the smallest one is.

    That is wholly on the GPU, if any step was on it, else in RAM.
    """

    def __init__(self, first: int, longest: int, edge: int) -> None:
        """Take the contexts to try first, and the number of tokens to which the edge is found."""
        self._left = doubled(first, longest)
        self._edge = edge
        self.places: dict[int, str] = {}

    def tell(self, num_ctx: int, place: str) -> None:
        """Record where the model was loaded with a context, or why not."""
        self.places[num_ctx] = place
        if place in (FAILED, REFUSED):
            self._left = [n for n in self._left if n < num_ctx]

    def next(self) -> int | None:
        """Return the context to try next, or None if the edge is found."""
        waiting = [n for n in self._left if n not in self.places]
        if waiting:
            return waiting[0]
        low, high = self.largest or 0, self.beyond
        if high is None:
            return None
        middle = (low + high) // 2 // self._edge * self._edge
        if middle <= low:
            middle += self._edge
        return middle if low < middle < high and middle not in self.places else None

    @property
    def largest(self) -> int | None:
        """The largest context that stayed where the smallest one is."""
        return max((n for n in self.places if self._stays(n)), default=None)

    @property
    def beyond(self) -> int | None:
        """The smallest context that did not; all larger ones are taken to be like it."""
        return min((n for n in self.places if not self._stays(n)), default=None)

    def _stays(self, num_ctx: int) -> bool:
        on_gpu = any(place in _ON for place in self.places.values())
        return self.places[num_ctx] in ((GPU,) if on_gpu else (RAM, LOADED))

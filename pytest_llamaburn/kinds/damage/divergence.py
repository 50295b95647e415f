"""How far one distribution of the next token is from another, as far as servers tell it.

A server tells the k likeliest tokens and their probabilities. The divergence is taken over the
reference's tokens, with all others as one: KL = Σ p ln(p / q), in nats. That is a lower bound of
the divergence over all tokens, since to merge tokens never raises it (the log sum inequality; Cover
and Thomas, Elements of Information Theory, 2006, ch. 2.7).

The other model does not tell the q of a token that is not among its own k. That q is then at most
its smallest probability that is told. The divergence is the smallest that such a q allows, so it
stays a lower bound. There is no upper bound: a q may be 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.backends._lenient import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Likely = Sequence[tuple[str, float]]  # (token, log probability)

_HALVINGS = 200
_ROUNDED = 1e-6  # what servers round of a probability; a smaller rest is taken to be that large


class Gap(NamedTuple):
    """Two distributions of the next token: `kl` in nats, and the likeliest token of each.

    `shared` is the reference's probability of the tokens that both models told.
    """

    kl: float
    shared: float
    reference: str
    other: str

    @property
    def changed(self) -> bool:
        """Whether the likeliest token is another one."""
        return self.reference != self.other


def gap(reference: Likely, other: Likely) -> Gap:
    """Return how far a distribution is from that of the reference; neither may be empty."""
    p, q = cells(reference), cells(other)
    shared = math.fsum(p[token] for token in p if token in q)
    return Gap(kl(p, q), shared, top(reference), top(other))


def top(likely: Likely) -> str:
    """Return the likeliest token, the first of several."""
    return max(likely, key=lambda one: one[1])[0]


def cells(likely: Likely) -> dict[str, float]:
    """Return the probability of each text; tokens with the same text are one.

    Tokens without a readable text, and those of probability 0, are among all the others.
    """
    found: dict[str, float] = {}
    for token, logprob in likely:
        if UNREADABLE not in token:
            found[token] = found.get(token, 0.0) + math.exp(min(0.0, logprob))
    total = max(1.0, math.fsum(found.values()))  # rounding may exceed 1
    return {token: p / total for token, p in found.items() if p > 0}


def kl(p: Mapping[str, float], q: Mapping[str, float]) -> float:
    """Return the least divergence that the cells of both allow, at least 0."""
    both = [(p[token], q[token]) for token in p if token in q]
    missing = [p[token] for token in p if token not in q]
    rest = max(_ROUNDED, 1 - math.fsum(p.values()))
    left = max(_ROUNDED, 1 - math.fsum(b for _, b in both))
    if missing:
        least = math.fsum(b for token, b in q.items() if token not in p)
        left = max(left, least + _ROUNDED)
        shares = _spread(missing, rest, left, (min(q.values(), default=1.0), least))
    else:
        shares = [left]
    pairs = [*both, *zip([*missing, rest], shares, strict=True)]
    return max(0.0, math.fsum(a * math.log(a / b) for a, b in pairs))


def _spread(
    missing: Sequence[float], rest: float, left: float, bounds: tuple[float, float]
) -> list[float]:
    """Return how `left` spreads over the missing tokens and all others, at the least divergence.

    Without bounds each part is in proportion to its p. A missing token has at most `bounds[0]`,
    and all others together have at least `bounds[1]`, so it is min(bound, c · p), with c from a
    bisection.
    """
    most, least = bounds

    def at(c: float) -> list[float]:
        return [*(min(most, c * p) for p in missing), max(least, c * rest)]

    low, high = 0.0, max(2.0, 2 * left / max(rest, *missing))
    while sum(at(high)) < left and high * min(missing) < most:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(at(middle)) < left else (low, middle)
    found = at(high)
    return [*found[:-1], max(found[-1], left - math.fsum(found[:-1]))]

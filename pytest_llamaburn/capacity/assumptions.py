"""Which assumption of the model of a server did not hold, in one sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_llamaburn.capacity import observations, service
from pytest_llamaburn.load.rows import TIMED_OUT
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.capacity.observations import Answer, Observations
    from pytest_llamaburn.capacity.service import Service

NEAR = 0.10  # relative difference up to which a number counts as the same
_CACHE = 0.05  # difference of the share of cached tokens
_PARTLY = (0.25, 0.75)  # share of a prompt's time for which answers wait, neither nothing nor all


class Broken(NamedTuple):
    """An assumption that did not hold: its name, and a sentence with the numbers."""

    assumption: str
    sentence: str


def of_fit(fitted: Service, failures: Counter[str]) -> Iterator[Broken]:
    """Yield the assumptions that the measured load already shows not to hold."""
    if not fitted.filled:
        yield Broken(
            "slots",
            f"no request waited for a slot with up to {fitted.most} in flight, so the number of "
            f"slots is not known: a load with more than {fitted.most} in flight is predicted as if "
            "the others waited",
        )
    if fitted.stall is not None and _PARTLY[0] < fitted.stall < _PARTLY[1]:
        yield Broken(
            "reading",
            f"answers waited for {fitted.stall:.0%} of the time in which prompts were read beside "
            "them: the model knows only none and all of it",
        )
    yield from _refused(failures, "the measured load")


def of_load(fitted: Service, load: Sequence[Answer]) -> Iterator[Broken]:
    """Yield the assumptions that did not hold under the predicted load."""
    seen = observations.observed([load], fitted.slots)
    yield from _refused(seen.failures, "the predicted load")
    if not seen.answers:
        return
    yield from _rates(fitted, seen)
    yield from _lengths(fitted, seen)
    cached = service.cached_share(seen.answers)
    if abs(cached - fitted.cached) > _CACHE:
        yield Broken(
            "cache",
            f"{cached:.0%} of the prompt tokens came from the cache, and {fitted.cached:.0%} in "
            "the load that was measured before",
        )
    if not fitted.filled and seen.most > fitted.most:
        yield Broken(
            "slots",
            f"{seen.most} requests were in flight at once, more than the {fitted.most} that were "
            "measured before, which filled no queue",
        )


def _refused(failures: Counter[str], where: str) -> Iterator[Broken]:
    kinds = {kind: n for kind, n in failures.items() if kind != TIMED_OUT}
    if kinds:
        words = ", ".join(f"{kind} × {n}" for kind, n in kinds.items())
        many = counted(sum(kinds.values()), "request")
        yield Broken(
            "refused",
            f"{many} of {where} failed ({words}): the model knows only requests that wait",
        )


def _rates(fitted: Service, seen: Observations) -> Iterator[Broken]:
    """Yield whether prompts were read, and answers written, as fast as before."""
    steps, line = fitted.steps(), fitted.line()
    reads = service.reads_of(seen, shared=fitted.shared)
    expected_ms = service.reading_ms(reads, steps, line).sum()
    if expected_ms > 0 and abs(ratio := reads.took_ms.sum() / expected_ms - 1) > NEAR:
        yield Broken(
            "prefill",
            f"prompts took {_more(ratio)} to read than in the load that was measured before: the "
            "machine had more or less other work, or the rate depends on more than their tokens",
        )
    expected_ms = (seen.writes.clean * steps).sum()
    if expected_ms > 0 and abs(ratio := seen.writes.clean_ms.sum() / expected_ms - 1) > NEAR:
        yield Broken(
            "decode",
            f"tokens took {_more(ratio)} to write than in the load that was measured before: the "
            "machine had more or less other work, or the rate depends on more than the batch",
        )


def _lengths(fitted: Service, seen: Observations) -> Iterator[Broken]:
    before = np.mean(fitted.lengths, axis=0)
    now = np.mean([(a.prompt, a.tokens) for a in seen.answers], axis=0)
    for name, old, new in zip(("prompts", "answers"), before, now, strict=True):
        if abs(new / old - 1) > NEAR:
            yield Broken(
                "lengths",
                f"the {name} had {new:.3g} tokens on average, and {old:.3g} in the load that was "
                "measured before",
            )


def _more(ratio: float) -> str:
    return f"{ratio:.0%} longer" if ratio > 0 else f"{-ratio:.0%} less time"

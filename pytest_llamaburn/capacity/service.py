"""A model of a server: its slots, how fast it reads prompts, and how fast it writes answers.

A step that writes a token of each of b answers takes `step_ms[b]`. A group of prompts takes
`fixed_ms` + `token_ms` · tokens + `beside` · `step_ms[b]` to read. If reading and writing share the
processor, the b answers get one token meanwhile; this is how llama.cpp and other servers with
continuous batching work. Otherwise each slot works by itself.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_llamaburn.capacity import observations, queue_replay
from pytest_llamaburn.capacity.observations import Reads, Writes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_llamaburn.capacity.observations import Answer, Observations

    Floats = NDArray[np.float64]
    Interval = tuple[float, float]

MOST_SLOTS = 128
FEWEST_READS = 20  # groups of prompts
FEWEST_TOKENS = 30  # of a batch, for a time of its own
_FEW_TOKENS, _FEW_SHARE = 3, 0.2  # of an answer, and as a share of the usual number
SHARES = 0.5  # share of a prompt's time for which the answers beside it wait, if both share
_MOST_LENGTHS = 240  # pairs of lengths that are kept
_QUANTILES = 21  # of the spread around a fit
_LEAST_MS = 1e-6  # of reading
_SAMPLES = 100  # of the bootstrap
_DRAWS = 40  # of them that are kept
_APART = 1.15  # the longest prompt / the shortest, for a rate per token
_LONGER = 0.25  # prompts take so much longer than a step, as a share of it, to see who waits


class Value(NamedTuple):
    """A fitted number with its 95 % interval, and the number of samples behind it."""

    value: float
    ci95: Interval | None
    n: int


class Service(NamedTuple):
    """A fitted server.

    - `slots`: requests worked on at once; `filled` is False if no request ever waited for a slot.
    - `shared`: whether it works step by step, so that answers wait while a prompt is read.
    - `stall`: the share of the time of reading for which answers were seen to wait, None if prompts
      took no longer than a step, or none was read beside an answer.
    - `reading`: `fixed_ms`, `token_ms` and `beside`, of the time to read prompts.
    - `one_length`: the prompts were about equally long, so `fixed_ms` is 0.
    - `step_ms`: the time of a step for 1, 2, … `slots` answers; `n` is 0 for interpolated ones.
    - `lengths`: pairs (tokens of the prompt, tokens of the answer) in the order of sending.
    - `read_spread`, `write_spread`: quantiles of measured time / fitted time.
    - `cached`: the share of prompt tokens that came from the cache.
    - `most`: the highest number of requests in flight.
    - `draws`: samples of the three numbers of the time to read, and of all times of steps, from a
      bootstrap of the measured requests. They vary together, which the intervals do not show.
    """

    slots: int
    filled: bool
    shared: bool
    stall: float | None
    reading: tuple[Value, ...]
    one_length: bool
    step_ms: tuple[Value, ...]
    lengths: tuple[tuple[float, float], ...]
    read_spread: tuple[float, ...]
    write_spread: tuple[float, ...]
    cached: float
    most: int
    draws: tuple[tuple[float, ...], ...]

    def steps(self) -> Floats:
        """Return the time of a step by batch, in ms."""
        return np.array([step.value for step in self.step_ms])

    def line(self) -> Floats:
        """Return what the time to read depends on: one group, one token, one step beside it."""
        return np.array([one.value for one in self.reading])


def fit(runs: Sequence[Sequence[Answer]]) -> Service | str:
    """Return the server behind some runs, or a sentence why it cannot be seen."""
    runs = [run for run in runs if run]
    most = observations.in_flight(runs)
    ordered = [[a.request for a in observations.in_order(run)] for run in runs]
    queue = queue_replay.seen(ordered, most) if runs else None
    if not runs:
        return "no request was sent"
    slots = queue.slots if queue else most
    if slots > MOST_SLOTS:
        return f"{slots} requests were worked on at once: a model has at most {MOST_SLOTS} slots"
    seen = observations.observed(runs, slots)
    reads = len(seen.groups.took_ms)
    if not seen.answers:
        return "no request succeeded"
    if reads < FEWEST_READS:
        return f"only {reads} prompts were read one after another: {FEWEST_READS} are needed"
    if seen.writes.clean.sum() < FEWEST_TOKENS:
        return "the answers have too few tokens, or came in one piece: no time per token is known"
    return _fitted(seen, filled=queue is not None)


def _fitted(seen: Observations, *, filled: bool) -> Service:
    steps = steps_ms(seen.writes)
    stall = stall_share(seen, steps)
    shared = _shared(stall, seen)
    reads = reads_of(seen, shared=shared)
    lengths = np.array([(a.prompt, a.tokens) for a in seen.answers])
    one_length = bool(lengths[:, 0].max() < _APART * lengths[:, 0].min())
    line = _line(reads, steps, one_length=one_length)
    rng = np.random.default_rng(0)
    drawn_steps, drawn_lines = [], []
    for _ in range(_SAMPLES):
        drawn_steps.append(steps_ms(Writes(*_resampled(seen.writes, rng))))
        part = Reads(*_resampled(reads, rng))
        drawn_lines.append(_line(part, steps, one_length=one_length))
    tokens = (seen.writes.clean.sum(0) * (seen.writes.clean.sum(0) >= FEWEST_TOKENS)).astype(int)
    counts = [len(reads.took_ms)] * len(line)
    return Service(
        seen.slots,
        filled,
        shared,
        stall,
        _values(line, drawn_lines, counts),
        one_length,
        _values(steps, drawn_steps, tokens.tolist()),
        tuple((float(p), float(n)) for p, n in lengths[-_MOST_LENGTHS:]),
        _quantiles(reads.took_ms / np.maximum(reading_ms(reads, steps, line), _LEAST_MS)),
        _quantiles(writing_ratios(seen.writes, steps)),
        cached_share(seen.answers),
        seen.most,
        tuple(tuple(map(float, both)) for both in np.hstack([drawn_lines, drawn_steps])[:_DRAWS]),
    )


def _shared(stall: float | None, seen: Observations) -> bool:
    """Return whether a server works step by step; tokens in step show it if prompts are short."""
    if stall is not None:
        return stall >= SHARES
    tokens, together = seen.pairs
    return tokens < FEWEST_TOKENS or together >= SHARES * tokens


def reads_of(seen: Observations, *, shared: bool) -> Reads:
    """Return the prompts as such a server reads them: in groups, or each by itself."""
    return seen.groups if shared else seen.singles


def steps_ms(writes: Writes) -> Floats:
    """Return the time of a step by batch; between and beyond the known ones it is a line.

    Prompts that were read beside a step do not count. With too few tokens of each batch, it is one
    time for all.
    """
    took, tokens = writes.clean_ms.sum(0), writes.clean.sum(0)
    known = np.flatnonzero(tokens >= FEWEST_TOKENS)
    if not len(known):
        return np.full(len(tokens), took.sum() / max(tokens.sum(), 1.0))
    return np.asarray(np.interp(np.arange(len(tokens)), known, took[known] / tokens[known]))


def stall_share(seen: Observations, steps: Floats) -> float | None:
    """Return for which share of the time of reading the answers beside it waited.

    An answer that waits gets one token while prompts are read. None if prompts took no longer than
    a step, or were not read beside an answer.
    """
    groups, writes = seen.groups, seen.writes
    step_ms = _beside(groups, steps)
    longer_ms = float((groups.batch * (groups.took_ms - step_ms)).sum())
    if longer_ms <= _LONGER * float((groups.batch * step_ms).sum()):
        return None
    waited_ms = float(writes.shared_ms.sum() - (writes.shared * steps).sum())
    return float(np.clip(waited_ms / longer_ms, 0.0, 1.0))


def reading_ms(reads: Reads, steps: Floats, line: Floats) -> Floats:
    """Return how long groups of prompts should take to read."""
    return np.asarray(_columns(reads, steps) @ line)


def writing_ratios(writes: Writes, steps: Floats) -> Floats:
    """Return measured time / fitted time of each answer that has enough tokens.

    Not many are enough: answers that are written fast have fewer tokens beside which none is read.
    """
    fitted, tokens = (writes.clean * steps).sum(1), writes.clean.sum(1)
    enough = tokens >= max(_FEW_TOKENS, _FEW_SHARE * np.median(tokens))
    took = writes.clean_ms.sum(1)
    good = enough & (fitted > 0) & (took > 0)  # pieces that came in one read took no time
    return np.asarray(took[good] / fitted[good])


def cached_share(answers: Sequence[Answer]) -> float:
    """Return the share of the tokens of the prompts that came from the cache."""
    cached = sum(a.cached for a in answers)
    return cached / max(cached + sum(a.prompt for a in answers), 1.0)


def _columns(reads: Reads, steps: Floats) -> Floats:
    """Return the columns of the regression: one group, its tokens, the step beside it."""
    return np.column_stack([np.ones(len(reads.tokens)), reads.tokens, _beside(reads, steps)])


def _beside(reads: Reads, steps: Floats) -> Floats:
    places = np.clip(reads.batch, 1, len(steps)) - 1
    return np.asarray(np.where(reads.batch > 0, steps[places], 0.0))


def _line(reads: Reads, steps: Floats, *, one_length: bool) -> Floats:
    """Return the regression with coefficients of at least 0, weighted for relative errors."""
    columns = _columns(reads, steps)
    weights = np.ones(len(columns))
    allowed = [1, 2] if one_length else [0, 1, 2]
    found = np.zeros(3)
    for _ in range(2):
        found = _least_squares(columns * weights[:, None], reads.took_ms * weights, allowed)
        fitted = columns @ found
        weights = 1 / np.maximum(fitted, 0.1 * max(float(np.median(fitted)), 1e-6))
    return found


def _least_squares(columns: Floats, took: Floats, allowed: Sequence[int]) -> Floats:
    """Return the coefficients, all at least 0, with the smallest squares of errors."""
    best, least = np.zeros(columns.shape[1]), np.inf
    for count in range(len(allowed), 0, -1):
        for chosen in combinations(allowed, count):
            part = columns[:, chosen]
            found = np.linalg.lstsq(part, took, rcond=None)[0]
            error = float(((part @ found - took) ** 2).sum())
            if (found >= 0).all() and error < least * (1 - 1e-9):
                best, least = np.zeros(columns.shape[1]), error
                best[list(chosen)] = found
    return best


def _resampled(parts: Sequence[Any], rng: np.random.Generator) -> list[Any]:
    """Return the rows of some arrays in a bootstrap sample, the same ones of all."""
    rows = rng.integers(0, len(parts[0]), len(parts[0]))
    return [part[rows] for part in parts]


def _values(found: Floats, drawn: Sequence[Floats], counts: Sequence[int]) -> tuple[Value, ...]:
    """Return numbers with the middle 95 % of their bootstrap samples."""
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    pairs = zip(found, low, high, counts, strict=True)
    return tuple(Value(float(v), (float(a), float(b)), int(n)) for v, a, b, n in pairs)


def _quantiles(ratios: Floats) -> tuple[float, ...]:
    """Return evenly spaced quantiles, so that each is as likely."""
    at = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    return tuple(float(q) for q in np.quantile(ratios, at)) if len(ratios) else (1.0,)

"""What the answers of a load show of a server: its batches, its steps, and how it reads prompts.

A server with slots writes the answers in its slots in steps: each step gives every answer a token.
A batch is the number of answers that are written at once. When a prompt is read, the answers beside
it may have to wait. All times are those that the client sees, in ms.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_llamaburn.capacity import queue_replay
from pytest_llamaburn.load.rows import request_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from pytest_llamaburn.load.rows import Request, Row

    Floats = NDArray[np.float64]

_TOGETHER = 0.3  # first tokens that are closer than this share of a step came in one step
_STEP = 1.5  # a request waits for less than this many steps until the next one begins
_IN_STEP = 0.1  # tokens that are closer than this share of a step came in one step, by a pair
_NS = 1e6  # ns in a ms


class Answer(NamedTuple):
    """One request: its times, the tokens of its prompt that were not cached, and its pieces.

    `tokens` is the length of the answer, `cached` the number of cached tokens of the prompt.
    """

    request: Request
    prompt: float
    cached: float
    tokens: float
    gaps_ms: Sequence[float]


class Reads(NamedTuple):
    """How long prompts took to read, an entry for each group that was read together.

    `took_ms` is from the begin of the work to the first token, `tokens` of all prompts of a group,
    `batch` the answers that were written meanwhile.
    """

    took_ms: Floats
    tokens: Floats
    batch: NDArray[np.int64]


class Writes(NamedTuple):
    """How long tokens took to write: a row for each answer, a column for each batch from 1 on.

    `clean_ms` is the time of `clean` tokens that no prompt was read beside, `shared_ms` and
    `shared` are of the others.
    """

    clean_ms: Floats
    clean: Floats
    shared_ms: Floats
    shared: Floats


class Observations(NamedTuple):
    """All that some runs show of a server with so many slots.

    `pairs` has the number of tokens of two answers that were written at once, and how many of them
    came together with one of the other.
    """

    slots: int
    groups: Reads
    singles: Reads
    writes: Writes
    pairs: tuple[int, int]
    answers: list[Answer]
    failures: Counter[str]
    most: int


def answer_of(row: Row) -> Answer:
    """Return the answer of a row. A prompt without a count of tokens has one token."""
    value = row.values
    cached = value.get("cached_tokens") or 0.0
    prompt = max((value.get("input_sequence_length") or 1.0) - cached, 1.0)
    tokens = value.get("output_sequence_length") or len(row.gaps_ms) + 1.0
    return Answer(request_of(row), prompt, cached, tokens, row.gaps_ms)


def in_order(run: Iterable[Answer]) -> list[Answer]:
    """Return answers in the order in which their work began, as far as they tell."""
    return sorted(run, key=lambda a: (a.request.sent_ns, a.request.first_ns or a.request.end_ns))


def in_flight(runs: Iterable[Sequence[Answer]]) -> int:
    """Return the highest number of requests in flight at once."""
    most = 0
    for run in runs:
        sent = np.sort([a.request.sent_ns for a in run])
        ended = np.sort([a.request.end_ns for a in run])
        now = np.arange(1, len(run) + 1) - np.searchsorted(ended, sent, side="right")
        most = max(most, int(now.max(initial=0)))
    return most


def failures(runs: Iterable[Sequence[Answer]]) -> Counter[str]:
    """Return how many requests failed, by the kind of their failure."""
    return Counter(a.request.failure for run in runs for a in run if a.request.failure)


def observed(runs: Sequence[Sequence[Answer]], slots: int) -> Observations:
    """Return what runs show of a server that works on `slots` requests at once."""
    ordered = [in_order(run) for run in runs if run]
    seen = [_Run(run, slots) for run in ordered]
    every = [answer for run in ordered for answer in run]
    return Observations(
        slots,
        _joined(run.groups() for run in seen),
        _joined(run.singles() for run in seen),
        Writes(*(np.concatenate(parts) for parts in zip(*(r.writes() for r in seen), strict=True))),
        (sum(run.pairs()[0] for run in seen), sum(run.pairs()[1] for run in seen)),
        [answer for answer in every if answer.request.failure is None],
        failures(ordered),
        in_flight(ordered),
    )


class _Run:
    """One run: which answers were read and written at each time."""

    def __init__(self, run: Sequence[Answer], slots: int) -> None:
        begun = queue_replay.starts([a.request for a in run], slots)
        pairs = zip(run, begun, strict=True)
        seen = [(a, at / _NS) for a, (at, on) in pairs if on and a.request.first_ns is not None]
        seen.sort(key=lambda pair: pair[0].request.first_ns or 0)
        self.slots, self.seen = slots, [answer for answer, _ in seen]
        self.starts = np.array([start for _, start in seen])
        self.firsts = np.array([(a.request.first_ns or 0) / _NS for a in self.seen])
        lasts = [(a.request.last_token_ns or a.request.end_ns) / _NS for a in self.seen]
        self.lasts = np.sort(lasts)
        gaps = np.concatenate([np.zeros(1), *(np.asarray(a.gaps_ms, float) for a in self.seen)])
        self.step_ms = float(np.median(gaps[gaps > 0])) if (gaps > 0).any() else 0.0
        stamps = [np.zeros(1), *(self._tokens(i) for i in range(len(seen)))]
        owners = np.repeat(np.arange(len(stamps)), [len(times) for times in stamps])
        order = np.argsort(np.concatenate(stamps), kind="stable")
        self._stamps, self._owners = np.concatenate(stamps)[order], owners[order]
        self.begins = np.sort(self.starts)
        self._groups = self._read_together()

    def groups(self) -> Reads:
        """Return the groups of prompts that were read together, one group after another."""
        return self._groups

    def singles(self) -> Reads:
        """Return each prompt alone, from the begin of its work on."""
        tokens, took = np.array([a.prompt for a in self.seen], float), self.firsts - self.starts
        good = took > 0
        return Reads(took[good], tokens[good], self._batch(self.starts)[good])

    def writes(self) -> Writes:
        """Return the times of tokens, by answer and by batch."""
        shape = (len(self.seen), self.slots)
        clean_ms, clean, shared_ms, shared = (np.zeros(shape) for _ in range(4))
        for row, answer in enumerate(self.seen):
            gaps = np.asarray(answer.gaps_ms, float)
            ends = self._tokens(row)[1:]
            begins = ends - gaps
            each = max(answer.tokens - 1.0, 1.0) / max(len(gaps), 1)  # tokens of a piece
            batch = np.clip(self._batch((begins + ends) / 2), 1, self.slots) - 1
            reading = self._reading(begins, ends)
            for which, ms, tokens in ((~reading, clean_ms, clean), (reading, shared_ms, shared)):
                np.add.at(ms[row], batch[which], gaps[which])
                np.add.at(tokens[row], batch[which], each)
        return Writes(clean_ms, clean, shared_ms, shared)

    def pairs(self) -> tuple[int, int]:
        """Return how many tokens two answers at once have, and how many came together."""
        near = (np.diff(self._stamps) < _IN_STEP * self.step_ms) & (np.diff(self._owners) != 0)
        together = np.append(near, False) | np.append(False, near)
        two = self._batch(self._stamps) == 2
        return int(two.sum()), int((two & together).sum())

    def _tokens(self, place: int) -> Floats:
        """Return the times of an answer's pieces."""
        gaps = np.asarray(self.seen[place].gaps_ms, float)
        return np.asarray(self.firsts[place] + np.concatenate([np.zeros(1), np.cumsum(gaps)]))

    def _batch(self, at: Any) -> Any:
        """Return how many answers were being written at some times."""
        begun = np.searchsorted(self.firsts, at, side="right")
        return begun - np.searchsorted(self.lasts, at, side="right")

    def _reading(self, begins: Floats, ends: Floats) -> NDArray[np.bool_]:
        """Return in which of some periods a prompt was read."""
        begun = np.searchsorted(self.begins, ends, side="left")
        return np.asarray(begun > np.searchsorted(self.firsts, begins, side="right"))

    def _read_together(self) -> Reads:
        """Return the groups of prompts whose first tokens came in one step."""
        found: list[tuple[float, float, int]] = []
        together_ms, low = _TOGETHER * self.step_ms, 0
        begins, before = self.starts.copy(), -np.inf
        for high in range(1, len(self.seen) + 1):
            if high < len(self.seen) and self.firsts[high] - self.firsts[low] <= together_ms:
                continue
            start = max(before, float(self.starts[low:high].max()))
            begin = self._step_begun(start, float(self.firsts[low]) - together_ms)
            begins[low:high] = np.maximum(begins[low:high], begin)
            tokens = sum(answer.prompt for answer in self.seen[low:high])
            before = float(self.firsts[high - 1])
            if before > begin:  # else it overtook a request that was sent earlier
                found.append((before - begin, tokens, int(self._batch(begin))))
            low = high
        self.begins = np.sort(np.minimum(begins, self.firsts))
        took, tokens_of, batch = zip(*found, strict=True) if found else ((), (), ())
        return Reads(np.array(took, float), np.array(tokens_of, float), np.array(batch, int))

    def _step_begun(self, start: float, first: float) -> float:
        """Return when the step began that read a prompt: when the step before it gave tokens."""
        until = min(first, start + _STEP * self.step_ms)
        before = int(np.searchsorted(self._stamps, until, side="left")) - 1
        return max(start, float(self._stamps[max(0, before)]))


def _joined(parts: Iterable[Reads]) -> Reads:
    return Reads(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

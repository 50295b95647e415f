"""Scales and ticks of charts: numbers to places, and labels that never overlap."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHARACTER = 7.6  # the width of a character of a tick's label; that of the widest usual fonts
HEIGHT = 12.0
APART = 8.0  # the least distance of two labels beside each other
_APART_VERTICAL = 4.0
_MOST = 7  # so many ticks are enough
_LARGE, _SMALL = 1e6, 1e-3  # numbers outside of these are written with a power of ten


class Scale(NamedTuple):
    """Places numbers on a line of pixels from `start` to `end`; those outside of it at its ends."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a number."""
        return self.start + min(1.0, max(0.0, self._share(value))) * (self.end - self.start)

    def _share(self, value: float) -> float:
        if self.log:
            value = max(value, self.low)
            return math.log(value / self.low) / math.log(self.high / self.low)
        half = (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)  # no overflow
        return half if math.isfinite(half) else 0.0


class Tick(NamedTuple):
    """A tick: its place, its label, and the pixels from `start` to `end` that the label takes."""

    place: float
    label: str
    start: float
    end: float


def scale(values: Sequence[float], start: float, end: float, *, log: bool = False) -> Scale:
    """Return a scale on which all values have a place; a single value is in the middle."""
    low, high = min(values), max(values)
    log = log and low > 0
    if high / 2 - low / 2 <= max(abs(low), abs(high)) * 1e-9:
        low, high = _around(low)
    return Scale(low, high, start, end, log)


def _around(value: float) -> tuple[float, float]:
    """Return the ends of a range around a single value."""
    if abs(value) < 1e-300:
        return value, 1.0
    low, high = sorted((value * 0.9, value * (1.1 if abs(value) < 1e300 else 1.0)))
    return low, high


def ticks(
    scale: Scale,
    at: Sequence[float] = (),
    limits: tuple[float, float] | None = None,
    *,
    whole: bool = False,
) -> list[Tick]:
    """Return ticks whose labels do not overlap, at round numbers or at some of the places `at`.

    With `whole` they are at whole numbers only. Labels on a horizontal scale, which has `limits`,
    stay between these. Labels on a vertical one are above each other.
    """
    apart = APART if limits else _APART_VERTICAL
    if at:
        inside = [value for value in at if scale.low <= value <= scale.high]
        named = {texts([value])[0]: value for value in sorted(inside, reverse=True)}
        found = [_tick(scale(value), label, limits) for label, value in named.items()]
        return _thinned(found, apart)
    for values in _choices(scale):
        if whole and not all(value.is_integer() for value in values):
            continue
        found = _labelled(scale, values, limits)
        if found and not _crowded(found, apart):
            return found
    return _thinned(_labelled(scale, [scale.low, scale.high], limits), apart)


def _choices(scale: Scale) -> Iterator[list[float]]:
    """Yield sets of round numbers, the finest first."""
    if scale.log:
        for each in ((1, 2, 5), (1, 3), (1,)):
            yield from _at_least_two(_decades(scale, each, 1))
        for apart in (2, 3, 5, 10, 20, 50):
            yield from _at_least_two(_decades(scale, (1,), apart))
    for most in range(_MOST, 0, -1):
        yield _round(scale, most)


def _at_least_two(values: list[float]) -> Iterator[list[float]]:
    if 2 <= len(values) <= 2 * _MOST:
        yield values


def _decades(scale: Scale, each: Sequence[int], apart: int) -> list[float]:
    first, last = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
    exponents = (e for e in range(first, last + 1) if e % apart == 0)
    values = (float(f"{digit}e{exponent}") for exponent in exponents for digit in each)
    return [value for value in values if scale.low <= value <= scale.high]


def _round(scale: Scale, most: int) -> list[float]:
    """Return at most about so many multiples of a round step."""
    rough = scale.high / most - scale.low / most
    if not math.isfinite(rough) or rough < 1e-300:
        return []
    power = math.floor(math.log10(rough))
    steps = (float(f"{digits}e{power}") for digits in (1, 2, 2.5, 5, 10))
    step = next((step for step in steps if step >= rough * 0.999), rough)
    first, last = math.ceil(scale.low / step - 1e-9), math.floor(scale.high / step + 1e-9)
    return [float(i * step) for i in range(first, last + 1)]


def _labelled(
    scale: Scale, values: Sequence[float], limits: tuple[float, float] | None
) -> list[Tick]:
    alone = scale.log or not _even(values)
    labels = [texts([value])[0] for value in values] if alone else texts(values)
    if len(set(labels)) < len(labels):
        return []
    pairs = zip(values, labels, strict=True)
    return [_tick(scale(value), label, limits) for value, label in pairs]


def _even(values: Sequence[float]) -> bool:
    """Return whether numbers are multiples of one step, so that their labels look alike."""
    steps = [b - a for a, b in itertools.pairwise(values)]
    return not steps or max(steps) - min(steps) <= 1e-6 * abs(max(steps))


def _tick(place: float, label: str, limits: tuple[float, float] | None) -> Tick:
    if limits is None:
        return Tick(place, label, place - HEIGHT / 2, place + HEIGHT / 2)
    start, end = extent(place, label, limits)
    return Tick(place, label, start, end)


def extent(place: float, label: str, limits: tuple[float, float]) -> tuple[float, float]:
    """Return the pixels that a label takes at a place; it is moved so that it is within limits."""
    width = CHARACTER * len(label)
    start = max(limits[0], min(place - width / 2, limits[1] - width))
    return start, start + width


def texts(values: Sequence[float]) -> list[str]:
    """Return the labels of numbers, all with the same number of decimals."""
    most = max(map(abs, values), default=0.0)
    apart = min((b - a for a, b in itertools.pairwise(values)), default=most)
    if most >= _LARGE or 0 < most < _SMALL:
        return [f"{value:.6g}" if value == 0 else _power(value, apart) for value in values]
    decimals, exact = 0, apart / (100 if len(values) > 1 else 10_000)
    while decimals < 6 and any(abs(round(v, decimals) - v) > exact for v in values):
        decimals += 1
    return [f"{value + 0.0:,.{decimals}f}" for value in values]


def _power(value: float, apart: float) -> str:
    digits = math.ceil(math.log10(abs(value) / apart)) if 0 < apart < abs(value) else 0
    mantissa, exponent = f"{value:.{min(6, max(1, digits))}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def _crowded(found: Sequence[Tick], apart: float) -> bool:
    spans = sorted((tick.start, tick.end) for tick in found)
    return any(b[0] - a[1] < apart for a, b in itertools.pairwise(spans))


def _thinned(found: Sequence[Tick], apart: float) -> list[Tick]:
    """Return the first tick and each next one with enough room."""
    kept: list[Tick] = []
    for tick in sorted(found, key=lambda tick: tick.start):
        if not kept or tick.start - kept[-1].end >= apart:
            kept.append(tick)
    return kept


def rows(spans: Sequence[tuple[float, float]], most: int) -> list[int | None]:
    """Return for each label its row, the first in which it overlaps no other; None without one."""
    taken: list[list[tuple[float, float]]] = [[] for _ in range(most)]
    found: list[int | None] = []
    for start, end in spans:
        free = (
            row
            for row, others in enumerate(taken)
            if all(end + APART <= a or b + APART <= start for a, b in others)
        )
        row = next(free, None)
        if row is not None:
            taken[row].append((start, end))
        found.append(row)
    return found

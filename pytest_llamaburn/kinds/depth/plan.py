"""What a run measures: its depths, the lengths of its prompts, and how long that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds._counts import counts

if TYPE_CHECKING:
    from pytest_llamaburn.kinds.depth.settings import Depth
    from pytest_llamaburn.load.prompts import Ruler

PREFILL, DECODE = "prefill", "decode"
LEAST_LENGTHS = 3  # of prompts; two points have a slope, but no interval
SPARE = 16  # tokens of the context that no plan uses: texts are a little longer than planned


class Place(NamedTuple):
    """One measurement at a depth: reading a prompt of some tokens, or writing an answer."""

    depth: int
    part: str
    tokens: int
    iteration: int


def depths(settings: Depth) -> list[int]:
    """Return the depths, lowest first."""
    return counts(settings.depths, "--depths")


def lengths(settings: Depth) -> list[int]:
    """Return the lengths of prompts; raises SettingsError for fewer than three."""
    found = counts(settings.isl, "--isl")
    if len(found) < LEAST_LENGTHS or found[0] < 1:
        raise SettingsError(
            f"--isl: '{settings.isl}' is refused: a slope needs at least {LEAST_LENGTHS} different "
            "lengths above 0, as 128,256,512"
        )
    return found


def requests(settings: Depth) -> int:
    """Return the number of timed requests, if each depth fits in the context."""
    return int(settings.iterations) * len(depths(settings)) * (len(lengths(settings)) + 1)


def too_deep(depth: int, settings: Depth, context: int | None) -> str | None:
    """Return why a depth cannot be measured in a context of this length, or None."""
    need = depth + max(*lengths(settings), settings.osl) + SPARE
    if context is None or need <= context:
        return None
    return (
        f"past the loaded context of {context} tokens: it needs {need}; load a longer one with "
        f"--num-ctx {need}, if the model has it"
    )


def places(settings: Depth, fitting: list[int]) -> list[Place]:
    """Return all measurements, round by round, so that a drift hits all depths alike."""
    return [
        Place(depth, part, tokens, iteration)
        for iteration in range(settings.iterations)
        for depth in fitting
        for part, tokens in (
            *((PREFILL, length) for length in lengths(settings)),
            (DECODE, settings.osl),
        )
    ]


def seconds(planned: list[Place], ruler: Ruler, token_ms: float | None) -> float | None:
    """Return about how long the measurements take, or None if a rate is unknown.

    Each round fills the context up to each depth once.
    """
    if ruler.ms_per_token is None or token_ms is None:
        return None
    filled = sum(depth for depth, _ in {(place.depth, place.iteration) for place in planned})
    read = sum(place.tokens for place in planned if place.part == PREFILL)
    written = sum(place.tokens for place in planned if place.part == DECODE)
    return ((filled + read) * ruler.ms_per_token + written * token_ms) / 1e3

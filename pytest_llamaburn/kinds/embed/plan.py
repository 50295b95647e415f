"""What a run sends: its batches, the lengths of its texts, and how long that takes."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds._counts import counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.kinds.embed.settings import Embed

EMBED, RERANK = "embed", "rerank"
OVERFLOW = "context_overflow"
_MOST_TEXTS = 4096  # in a request
_LONGEST = 1_000_000  # tokens of a text
_TEXTS_OF_A_RUN = 10_000_000


class Cell(NamedTuple):
    """A measurement: requests with so many texts of so many tokens each."""

    batch: int
    length: int


class Speed(NamedTuple):
    """The time of a request that the warm-up showed.

    It is `fixed_ms`, and `text_ms` + `token_ms` · tokens for each text.
    """

    fixed_ms: float
    text_ms: float
    token_ms: float


def cells(asked: Mapping[str, Any]) -> list[Cell]:
    """Return each batch size with each length; raises SettingsError for others than such numbers.

    `asked` has the settings by name.
    """
    batches = _between(asked["batch"], "--batch", "texts", _MOST_TEXTS)
    lengths = _between(asked["isl"], "--isl", "tokens", _LONGEST)
    return [Cell(batch, length) for length in lengths for batch in batches]


def requests(settings: Embed) -> int:
    """Return the number of timed requests."""
    return len(cells(_named(settings))) * int(settings.iterations)


def check(settings: Embed) -> None:
    """Raise SettingsError for batches or lengths that have no meaning, or too many texts."""
    texts = settings.iterations * sum(cell.batch for cell in cells(_named(settings)))
    if texts > _TEXTS_OF_A_RUN:
        raise SettingsError(
            f"--iterations: {settings.iterations} is refused: it makes {texts} texts, at most "
            f"{_TEXTS_OF_A_RUN} can be measured"
        )


def places(settings: Embed) -> list[tuple[Cell, int]]:
    """Return all measurements, round by round, so that a drift hits all cells alike."""
    rounds = range(settings.iterations)
    return [(cell, n) for n, cell in itertools.product(rounds, cells(_named(settings)))]


def seconds(settings: Embed, speed: Speed | None, first: Sequence[Cell] = ()) -> float | None:
    """Return about how long the requests take, or None if the speed is unknown.

    `first` are those that are sent once, before the timed ones.
    """
    if speed is None:
        return None
    every = [*first, *(cell for cell, _ in places(settings))]
    per_text = ((cell.batch, speed.text_ms + cell.length * speed.token_ms) for cell in every)
    return sum(speed.fixed_ms + batch * text_ms for batch, text_ms in per_text) / 1e3


def _named(settings: Embed) -> dict[str, Any]:
    return {"batch": settings.batch, "isl": settings.isl}


def _between(text: str, option: str, what: str, most: int) -> list[int]:
    found = counts(text, option, what, "1,8,32")
    if found[0] < 1 or found[-1] > most:
        raise SettingsError(
            f"{option}: '{text}' is refused: each number of {what} must be from 1 to {most}"
        )
    return found

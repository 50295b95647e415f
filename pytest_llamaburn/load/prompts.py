"""What a request asks: prompts of a wanted length, and the fresh prefix that defeats caches."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn import metrics
from pytest_llamaburn.datasets import Prompt
from pytest_llamaburn.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pytest_llamaburn.backends._base import Message
    from pytest_llamaburn.trace import Trace

_WORDS = (
    *("river", "stone", "cloud", "apple", "green", "house"),
    *("seven", "light", "water", "paper", "garden", "music"),
)
_TEXTS = 8
_TRIES = 6
_CLOSE = 0.01  # of the wanted length; the fresh prefix varies by a token too
_NONCE_ALPHABET = "bcdfghjklmnpqrtvwxz"  # one token each in any tokenizer, no digits
_NONCE_LETTERS = 12
RULED = (16, 128)  # words of the two texts with which a ruler is made


class Ruler(NamedTuple):
    """How a server counts our words: the tokens of a prompt are `fixed` + `per_word` · words.

    `fixed` are the tokens of the chat template. `ms_per_token` is a rough time to process a token
    of a prompt, or None.
    """

    fixed: float
    per_word: float
    ms_per_token: float | None = None

    def words(self, tokens: float) -> int:
        """Return how many words have so many tokens, without the chat template."""
        return max(0, round(tokens / self.per_word))


async def prompts(
    isl: int | None, given: Sequence[Prompt], ask: Callable[[str], Awaitable[Trace]]
) -> list[Prompt]:
    """Return prompts of `isl` tokens as the server counts them, or the given ones if it is None.

    Raises ServerError if the server counts no tokens, or no prompt comes near that length.
    """
    if isl is None:
        return list(given)
    words = await _words(isl, ask)
    rng = random.Random(isl)  # noqa: S311 - reproducible, no secret
    texts = (text(words, rng) for _ in range(_TEXTS))
    return [Prompt(f"isl-{isl}-{i}", "synthetic", one) for i, one in enumerate(texts)]


async def ruler(ask: Callable[[str], Awaitable[Trace]]) -> Ruler:
    """Return the ruler of a server, from two short requests.

    Raises ServerError if the server counts no tokens.
    """
    counts, times_ms = [], []
    for words in RULED:
        trace = await ask(text(words, random.Random(words)))  # noqa: S311 - no secret
        counts.append(_tokens(trace, "this run"))
        first_ms = metrics.compute(trace)[0]["time_to_first_token_ms"]
        times_ms.append(math.nan if first_ms is None else first_ms)
    grown = counts[1] - counts[0]
    if grown <= 0:
        msg = f"this run needs a server that counts tokens: it counts {counts[0]} in two texts, of "
        raise ServerError(f"{msg}{RULED[0]} and of {RULED[1]} words")
    per_word = grown / (RULED[1] - RULED[0])
    slower_ms = times_ms[1] - times_ms[0]  # NaN is not above 0
    ms_per_token = slower_ms / grown if slower_ms > 0 else None
    return Ruler(max(0.0, counts[0] - per_word * RULED[0]), per_word, ms_per_token)


def text(words: int, luck: random.Random) -> str:
    """Return a text of so many random words, each of which is about one token."""
    return " ".join(luck.choices(_WORDS, k=words))


async def _words(isl: int, ask: Callable[[str], Awaitable[Trace]]) -> int:
    """Return how many of our words make a prompt of `isl` tokens, template and prefix included."""
    words, seen = max(1, isl // 2), {}
    for _ in range(_TRIES):
        tokens = await _count(words, ask)
        seen[words] = tokens
        if abs(tokens - isl) <= max(1, _CLOSE * isl):
            return words
        words = max(1, words + round((isl - tokens) / _slope(seen)))
    closest = min(seen, key=lambda n: abs(seen[n] - isl))
    raise ServerError(
        f"--isl {isl}: the server counts {seen[closest]} tokens at the nearest: choose a length "
        f"above {min(seen.values())}, its chat template's own included"
    )


def _slope(seen: dict[int, int]) -> float:
    """Return tokens per word, from the shortest and the longest text so far."""
    low, high = min(seen), max(seen)
    return (seen[high] - seen[low]) / (high - low) if seen[high] > seen[low] else 1.0


async def _count(words: int, ask: Callable[[str], Awaitable[Trace]]) -> int:
    trace = await ask(text(words, random.Random(words)))  # noqa: S311 - no secret
    return _tokens(trace, "--isl")


def _tokens(trace: Trace, who: str) -> int:
    """Return the server's count of a prompt's tokens; raises ServerError if there is none."""
    if not trace.usage.prompt:  # 0 is not a count
        why = trace.failure.message if trace.failure else "it sends no token counts"
        raise ServerError(f"{who} needs a server that counts tokens: {why}")
    return int(trace.usage.prompt)


def conversation(asked: str, fresh: random.Random | None) -> list[Message]:
    """Return a prompt as messages; a fresh prefix of constant length defeats the prompt cache."""
    if fresh:
        letters = " ".join(fresh.choices(_NONCE_ALPHABET, k=_NONCE_LETTERS))
        asked = f"{letters}\n\n{asked}"
    return [{"role": "user", "content": asked}]

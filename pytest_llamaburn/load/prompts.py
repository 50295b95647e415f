"""What a request asks: prompts of a wanted length, and the fresh prefix that defeats caches."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

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
    texts = (" ".join(rng.choices(_WORDS, k=words)) for _ in range(_TEXTS))
    return [Prompt(f"isl-{isl}-{i}", "synthetic", text) for i, text in enumerate(texts)]


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
    rng = random.Random(words)  # noqa: S311
    trace = await ask(" ".join(rng.choices(_WORDS, k=words)))
    if not trace.usage.prompt:  # 0 is not a count
        why = trace.failure.message if trace.failure else "it sends no token counts"
        raise ServerError(f"--isl needs a server that counts tokens: {why}")
    return int(trace.usage.prompt)


def conversation(text: str, fresh: random.Random | None) -> list[Message]:
    """Return a prompt as messages; a fresh prefix of constant length defeats the prompt cache."""
    if fresh:
        letters = " ".join(fresh.choices(_NONCE_ALPHABET, k=_NONCE_LETTERS))
        text = f"{letters}\n\n{text}"
    return [{"role": "user", "content": text}]

"""Flags: what is unusual about a request, from its row and its run alone.

A flag never changes a number; it says with what care the number must be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Row = dict[str, Any]

RELOADED_OVER_MS = 100.0  # a warm load_duration is 1 to 4 ms
NONCE_TOKENS = 24  # what the fresh prefix may add to the part of a prompt two requests share
SPARSE_CHARACTERS_PER_TOKEN = 6.0  # a text rarely has fewer tokens than characters / 6
MANY_TOKENS_PER_CHUNK = 1.5
MANY_SHARED_READS = 0.1


class Context(NamedTuple):
    """What the rows of a run are compared with."""

    least_cached: float
    num_ctx: int | None
    max_tokens: int
    cpu_share: float | None


FLAGS: dict[str, Callable[[Row, Context], bool]] = {}


def context(rows: Sequence[Row], config: dict[str, Any], facts: dict[str, Any]) -> Context:
    """Return what the rows of one run are compared with."""
    cached = [row["cached_tokens"] for row in rows if row["cached_tokens"] is not None]
    sent = config["sent"].get("options", {})
    cpu = cpu_share(config, facts)
    return Context(
        least_cached=min(cached, default=0),
        num_ctx=sent.get("num_ctx"),
        max_tokens=config["max_tokens"],
        cpu_share=cpu,
    )


def cpu_share(config: dict[str, Any], facts: dict[str, Any]) -> float | None:
    """Return which share of the model under test its server holds outside the GPU."""
    name = config["sent"].get("model")
    held = [m for m in facts.get("loaded_before") or () if m["name"] == name]
    share = held[0]["gpu_share"] if held else None
    return None if share is None else 1 - share


def of(row: Row, about: Context) -> list[str]:
    """Return a row's flags: those set while it was read, then those of its numbers."""
    if row["error"] is not None:
        return list(row["flags"])
    return [*row["flags"], *(name for name, applies in FLAGS.items() if applies(row, about))]


def _flag(rule: Callable[[Row, Context], bool]) -> Callable[[Row, Context], bool]:
    FLAGS[rule.__name__] = rule
    return rule


@_flag
def truncated_prompt(row: Row, about: Context) -> bool:
    """Say whether the server read far fewer tokens than the text must have, and filled its context.

    Ollama cuts an over-long prompt to about half of num_ctx without a word.
    """
    tokens, characters = row["input_sequence_length"], row.get("prompt_characters")
    if tokens is None or characters is None or about.num_ctx is None:
        return False
    fills = 0.4 * about.num_ctx <= tokens <= about.num_ctx
    return bool(fills and tokens < characters / SPARSE_CHARACTERS_PER_TOKEN)


@_flag
def cache_hit(row: Row, about: Context) -> bool:
    """Say whether more of the prompt was cached than the chat template that all requests share."""
    cached = row["cached_tokens"]
    return cached is not None and cached > about.least_cached + NONCE_TOKENS


@_flag
def reloaded(row: Row, about: Context) -> bool:  # noqa: ARG001 - all rules take the same
    """Say whether a warm request had to wait for the model to be loaded."""
    load_ms = row["load_duration_ms"]
    return row["start"] == "warm" and load_ms is not None and load_ms > RELOADED_OVER_MS


@_flag
def cpu_spill(row: Row, about: Context) -> bool:  # noqa: ARG001
    """Say whether the server holds part of the model outside the GPU."""
    return about.cpu_share is not None and 0 < about.cpu_share < 1


@_flag
def coalesced(row: Row, about: Context) -> bool:  # noqa: ARG001
    """Say whether chunks hold several tokens, or several chunks came in one read."""
    gaps, per_chunk = row["chunk_gaps_ms"], row["tokens_per_chunk"]
    shared = sum(gap == 0 for gap in gaps) > MANY_SHARED_READS * len(gaps)
    return shared or (per_chunk is not None and per_chunk >= MANY_TOKENS_PER_CHUNK)


@_flag
def early_stop(row: Row, about: Context) -> bool:
    """Say whether the model ended by itself before the limit."""
    tokens = row["output_sequence_length"]
    return row["finish_reason"] == "stop" and tokens is not None and tokens < about.max_tokens

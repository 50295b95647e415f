"""Flags: unusual properties of a request, found in its row and its run.

A flag changes no number; it warns that a number needs care.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_llamaburn.documents import Document, RequestRow

RELOADED_OVER_MS = 100.0  # a warm load_duration is 1 to 4 ms
NONCE_TOKENS = 24  # maximum tokens of the fresh prefix that may add to the shared part of prompts
SPARSE_CHARACTERS_PER_TOKEN = 6.0  # a text rarely has fewer tokens than characters / 6
MOST_OF_FRAMES = 0.75  # a prompt has at least this share of the tokens that its frames take
MANY_TOKENS_PER_CHUNK = 1.5
MANY_SHARED_READS = 0.1


class Context(NamedTuple):
    """The facts of a run with which its rows are compared."""

    least_cached: float
    num_ctx: int | None
    max_tokens: int
    cpu_share: float | None


FLAGS: dict[str, Callable[[RequestRow, Context], bool]] = {}


def context(rows: Sequence[RequestRow], config: Document, facts: Document) -> Context:
    """Return the facts of a run with which its rows are compared."""
    cached = [row["cached_tokens"] for row in rows if row["cached_tokens"] is not None]
    sent = config["sent"].get("options", {})
    cpu = cpu_share(config, facts)
    return Context(
        least_cached=min(cached, default=0),
        num_ctx=sent.get("num_ctx"),
        max_tokens=config["max_tokens"],
        cpu_share=cpu,
    )


def cpu_share(config: Document, facts: Document) -> float | None:
    """Return the share of the model that its server keeps outside the GPU, or None."""
    name = config["sent"].get("model")
    held = [m for m in facts.get("loaded_before") or () if m["name"] == name]
    share = held[0]["gpu_share"] if held else None
    return None if share is None else 1 - share


def of(row: RequestRow, about: Context) -> list[str]:
    """Return a row's flags: those set while the answer was read, then those of its numbers."""
    if row["error"] is not None:
        return list(row["flags"])
    return [*row["flags"], *(name for name, applies in FLAGS.items() if applies(row, about))]


def _flag(rule: Callable[[RequestRow, Context], bool]) -> Callable[[RequestRow, Context], bool]:
    FLAGS[rule.__name__] = rule
    return rule


@_flag
def truncated_prompt(row: RequestRow, about: Context) -> bool:
    """Return whether the server cut the prompt to fit its context.

    Ollama silently cuts a prompt that is too long to about half of num_ctx. The server then reports
    far fewer tokens than the text has, or than the frames of a video take.
    """
    tokens, characters = row["input_sequence_length"], row.get("prompt_characters")
    frames = row.get("expected_media_tokens")
    if tokens is not None and frames is not None and tokens < MOST_OF_FRAMES * frames:
        return True
    if tokens is None or characters is None or about.num_ctx is None:
        return False
    fills = 0.4 * about.num_ctx <= tokens <= about.num_ctx
    return bool(fills and tokens < characters / SPARSE_CHARACTERS_PER_TOKEN)


@_flag
def cache_hit(row: RequestRow, about: Context) -> bool:
    """Return whether more of the prompt was cached than the chat template of all requests."""
    cached = row["cached_tokens"]
    return cached is not None and cached > about.least_cached + NONCE_TOKENS


@_flag
def reloaded(row: RequestRow, about: Context) -> bool:  # noqa: ARG001 - all rules take the same
    """Return whether a warm request waited until the model was loaded."""
    load_ms = row["load_duration_ms"]
    return row["start"] == "warm" and load_ms is not None and load_ms > RELOADED_OVER_MS


@_flag
def cpu_spill(row: RequestRow, about: Context) -> bool:  # noqa: ARG001
    """Return whether the server keeps a part of the model outside the GPU."""
    return about.cpu_share is not None and 0 < about.cpu_share < 1


@_flag
def coalesced(row: RequestRow, about: Context) -> bool:  # noqa: ARG001
    """Return whether chunks have several tokens, or several chunks came in one read."""
    gaps, per_chunk = row["chunk_gaps_ms"], row["tokens_per_chunk"]
    shared = sum(gap == 0 for gap in gaps) > MANY_SHARED_READS * len(gaps)
    return shared or (per_chunk is not None and per_chunk >= MANY_TOKENS_PER_CHUNK)


@_flag
def early_stop(row: RequestRow, about: Context) -> bool:
    """Return whether the model ended its answer before the limit."""
    tokens = row["output_sequence_length"]
    return row["finish_reason"] == "stop" and tokens is not None and tokens < about.max_tokens

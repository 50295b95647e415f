"""The shapes of JSON in the file of a run that finds the largest context.

They are plain dicts at runtime, as those of `pytest_llamaburn.documents`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict


@with_config(ConfigDict(extra="allow", allow_inf_nan=False))
class Foreseen(TypedDict):
    """What the metadata of the model's file tell; `reason` says why the memory is not predicted.

    `largest_context` is the predicted one for each type of the KV cache, in the free bytes
    `memory_bytes` of `memory`.
    """

    architecture: str | None
    context_length: int | None
    layers: int | None
    heads: int | list[int] | None
    kv_heads: int | list[int] | None
    key_length: int | None
    value_length: int | None
    weights_bytes: int | None
    layer_bytes: int | None
    kv_bytes_per_token: dict[str, float | None]
    largest_context: dict[str, int | None]
    memory: Literal["gpu", "ram", "unknown"]
    memory_bytes: int | None
    reason: str | None


# What a run says that ended before anything was predicted.
NOTHING: Foreseen = {
    "architecture": None,
    "context_length": None,
    "layers": None,
    "heads": None,
    "kv_heads": None,
    "key_length": None,
    "value_length": None,
    "weights_bytes": None,
    "layer_bytes": None,
    "kv_bytes_per_token": {},
    "largest_context": {},
    "memory": "unknown",
    "memory_bytes": None,
    "reason": "the run ended before the prediction",
}

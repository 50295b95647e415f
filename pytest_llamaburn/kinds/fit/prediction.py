"""The memory that a model will take, from the metadata of its file.

The sizes are those of llama.cpp, which Ollama runs too: the weights, the key-value (KV) cache of
all layers, and the compute buffer of a batch with flash attention. Where the metadata leave a size
open, it is None with a reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.backends import _gguf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.backends._gguf import Header

CELLS = 256  # llama.cpp rounds the context up to a multiple
BATCH = 512  # tokens that are read at once, by default
_FLOAT, _HALF = 4, 2  # bytes
# Architectures whose layers all keep a key and a value for each token of the context.
_PLAIN = frozenset(
    [
        "llama",
        "qwen2",
        "qwen2moe",
        "qwen3",
        "qwen3moe",
        "gemma",
        "stablelm",
        "falcon",
        "starcoder2",
        "gpt2",
        "gptneox",
        "phi2",
        "olmo",
        "olmo2",
        "olmoe",
        "command-r",
        "granite",
        "granitemoe",
        "internlm2",
        "orion",
        "baichuan",
        "minicpm",
        "smollm3",
        "glm4",
        "exaone",
        "nemotron",
        "deci",
        "openelm",
        "xverse",
        "refact",
        "codeshell",
        "mpt",
        "bloom",
        "plamo",
        "arcee",
    ]
)
# What a key of the metadata says about layers that keep something else.
_ODD = {
    ".attention.sliding_window": "some layers may keep only a sliding window of the context",
    ".attention.kv_lora_rank": "its layers keep compressed keys and values (MLA)",
    ".attention.shared_kv_layers": "some layers share their keys and values",
    ".ssm.state_size": "some layers keep a state instead of keys and values",
    ".wkv.head_size": "its layers keep a state instead of keys and values",
    ".shortconv.l_cache": "some layers keep a state instead of keys and values",
    ".full_attention_interval": "some layers keep a state instead of keys and values",
}


class Shape(NamedTuple):
    """What the metadata say of a model; `reason` says why the KV cache cannot be computed.

    `heads` and `kv_heads` have a number for each layer. `input_bytes` are the weights that a GPU
    does not need: the table of the input tokens, if the output has its own.
    """

    architecture: str
    layers: int | None = None
    heads: tuple[int, ...] = ()
    kv_heads: tuple[int, ...] = ()
    key_length: int | None = None
    value_length: int | None = None
    embedding: int | None = None
    inner: int | None = None
    vocabulary: int | None = None
    weights_bytes: int | None = None
    layer_bytes: int | None = None
    input_bytes: int = 0
    reason: str | None = None

    def kv_bytes_per_token(self, kv_type: str) -> float | None:
        """Return the bytes of the KV cache for one token, with keys and values of a type."""
        if self.reason or self.key_length is None or self.value_length is None:
            return None
        each = [
            _gguf.row_bytes(kv_type, heads * length)
            for heads in self.kv_heads
            for length in (self.key_length, self.value_length)
        ]
        known = [size for size in each if size is not None]
        return sum(known) if len(known) == len(each) else None


class Need(NamedTuple):
    """The bytes that a model takes with a context; None for what is not known.

    `total` is all of it, `gpu` what is on GPUs if all layers are.
    """

    weights: int | None
    kv: int | None
    compute: int | None
    total: int | None
    gpu: int | None


class Asked(NamedTuple):
    """How a model is loaded: its context, parallel slots, the type of its KV cache, its batch."""

    num_ctx: int
    slots: int = 1
    kv_type: str = "f16"
    batch: int = BATCH


def shape(header: Header) -> Shape:
    """Return what the metadata of a model's file say."""
    keys = header.keys
    name = str(keys.get("general.architecture") or "")
    own = {k.removeprefix(name): v for k, v in keys.items() if k.startswith(f"{name}.")}
    layers, embedding = _count(own, ".block_count"), _count(own, ".embedding_length")
    heads = _per_layer(own.get(".attention.head_count"), layers)
    kv_heads = _per_layer(own.get(".attention.head_count_kv"), layers) or heads
    most = max(heads, default=0)
    usual = embedding // most if embedding and most else None
    found = Shape(
        name,
        layers,
        heads,
        kv_heads,
        _count(own, ".attention.key_length") or usual,
        _count(own, ".attention.value_length") or usual,
        embedding,
        max(_per_layer(own.get(".feed_forward_length"), layers), default=None),
        _count(own, ".vocab_size"),
    )
    return found._replace(reason=_doubt(found, own), **_weights(header))


def need(model: Shape, asked: Asked) -> Need:
    """Return the memory that a model will take."""
    per_token = model.kv_bytes_per_token(asked.kv_type)
    cells = -(-asked.num_ctx // CELLS) * CELLS
    batch = min(asked.batch, cells * asked.slots)
    kv = None if per_token is None else round(per_token * cells * asked.slots)
    compute = None if model.reason else _compute(model, cells, batch)
    if model.weights_bytes is None or kv is None or compute is None:
        return Need(model.weights_bytes, kv, compute, None, None)
    total = model.weights_bytes + kv + compute
    return Need(model.weights_bytes, kv, compute, total, total - model.input_bytes)


def _compute(model: Shape, cells: int, batch: int) -> int | None:
    """Return about how large the compute buffer is.

    For each token of a batch it holds five activations as long as the embedding and three as long
    as the inner layer: seen in the log of llama.cpp's build 11549. It also holds the mask of the
    batch over the context, and the scores of one output token.
    """
    if model.embedding is None or model.inner is None:
        return None
    activations = _FLOAT * batch * (5 * model.embedding + 3 * model.inner)
    return activations + _HALF * batch * cells + _FLOAT * (model.vocabulary or 0)


def _weights(header: Header) -> dict[str, Any]:
    """Return the fields of a Shape that the tensors tell."""
    sizes = header.tensors
    known = [size for size in sizes.values() if size is not None]
    if not sizes or len(known) < len(sizes):
        return {}
    layers = [size or 0 for name, size in sizes.items() if name.startswith("blk.")]
    numbers = {name.split(".")[1] for name in sizes if name.startswith("blk.")}
    own_output = "output.weight" in sizes
    return {
        "weights_bytes": sum(known),
        "layer_bytes": round(sum(layers) / len(numbers)) if numbers else None,
        "input_bytes": sizes.get("token_embd.weight") or 0 if own_output else 0,
    }


def _doubt(found: Shape, own: Mapping[str, object]) -> str | None:
    """Return why the KV cache cannot be computed from the metadata, or None."""
    if not found.architecture:
        return "the metadata do not name the model's architecture"
    for key, words in _ODD.items():
        if own.get(key):
            return f"{found.architecture}{key} is set: {words}"
    if found.architecture not in _PLAIN:
        return f"it is not known what the layers of the architecture {found.architecture} keep"
    if own.get(".attention.causal") is False:
        return "it is an encoder, which keeps nothing"
    missing = {
        "block_count": found.layers,
        "attention.head_count": found.heads,
        "embedding_length or attention.key_length": found.key_length,
        "embedding_length or attention.value_length": found.value_length,
    }
    absent = [name for name, value in missing.items() if not value]
    return f"the metadata lack {found.architecture}.{absent[0]}" if absent else None


def _count(own: Mapping[str, object], key: str) -> int | None:
    value = own.get(key)
    return value if type(value) is int and value > 0 else None


def _per_layer(value: object, layers: int | None) -> tuple[int, ...]:
    """Return a number for each layer, from one number or a list of them; empty for others."""
    if type(value) is int and value > 0 and layers:
        return (value,) * layers
    if isinstance(value, list) and len(value) == layers:
        numbers = tuple(item for item in value if type(item) is int and item >= 0)
        return numbers if len(numbers) == layers else ()
    return ()

"""A hand-wired projector of colours: llama.cpp answers from pixels with it, without any training.

A patch becomes its mean red, green and blue. Each of eight colours has a pair of hidden units that
are on near its corner of the colour cube. They add up to the text model's own embedding of the
colour's name. It is no trained model and sees nothing but plain colours.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from support import requantized

if TYPE_CHECKING:
    from pathlib import Path

CORNERS = {
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "yellow": (1, 1, 0),
    "purple": (1, 0, 1),
    "cyan": (0, 1, 1),
    "white": (1, 1, 1),
    "black": (0, 0, 0),
}
IMAGE, PATCH, WIDTH = 64, 32, 8  # pixels, pixels, channels of the encoder: four image tokens
WHOLE = IMAGE  # a patch that gives one token for an image
_STEEP = 40.0  # of the hidden units' ramps
_RAMP = ((0.95, 1.0), (0.75, -1.0))  # where a unit begins, and its sign: the two make a plateau


def write(text_model: Path, target: Path, *, blind: bool = False, patch: int = PATCH) -> None:
    """Write the projector of a text model; a blind one gives the same embedding for any colour."""
    import gguf

    place = _places(text_model)
    tensors = requantized.reader_of(text_model).tensors
    table = next(one for one in tensors if one.name == "token_embd.weight")
    size = int(table.shape[0])

    def embedding(word: str) -> Any:
        row = table.data[place[f"\u0120{word}"]][None]
        return gguf.dequantize(row, table.tensor_type)[0].astype(np.float32)

    writer = gguf.GGUFWriter(target, "clip")
    _describe(writer, size, patch)
    for name, tensor in {**_encoder(patch), **_projector(size, embedding, blind=blind)}.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@cache
def _places(text_model: Path) -> dict[str, int]:
    """Return the number of each token of a model."""
    field = requantized.reader_of(text_model).fields["tokenizer.ggml.tokens"]
    return {word: number for number, word in enumerate(field.contents())}


def _describe(writer: Any, size: int, patch: int) -> None:
    writer.add_type("mmproj")
    writer.add_name("hand-wired colour projector")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", True)
    numbers = {
        "embedding_length": WIDTH,
        "feed_forward_length": 8,
        "block_count": 1,  # llama.cpp leaves out the last block: none runs
        "projection_dim": size,
        "image_size": IMAGE,
        "patch_size": patch,
        "attention.head_count": 1,
    }
    for name, value in numbers.items():
        writer.add_uint32(f"clip.vision.{name}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_array("clip.vision.image_mean", [0.0, 0.0, 0.0])
    writer.add_array("clip.vision.image_std", [1.0, 1.0, 1.0])


def _zeros(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


def _encoder(patch: int) -> dict[str, Any]:
    """Return the tensors that take the mean of each colour in a patch."""
    mean = _zeros(WIDTH, 3, patch, patch)
    for channel in range(3):
        mean[channel, channel] = 1 / (patch * patch)
    block = "v.blk.0."
    tensors = {
        "v.patch_embd.weight": mean,
        "v.patch_embd.bias": _zeros(WIDTH),
        "v.position_embd.weight": _zeros((IMAGE // patch) ** 2, WIDTH),
        f"{block}ffn_up.weight": _zeros(8, WIDTH),
        f"{block}ffn_up.bias": _zeros(8),
        f"{block}ffn_down.weight": _zeros(WIDTH, 8),
        f"{block}ffn_down.bias": _zeros(WIDTH),
    }
    for name in ("ln1", "ln2"):
        tensors |= {
            f"{block}{name}.weight": _zeros(WIDTH) + 1,
            f"{block}{name}.bias": _zeros(WIDTH),
        }
    for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
        tensors[f"{block}{name}.weight"] = _zeros(WIDTH, WIDTH)
        tensors[f"{block}{name}.bias"] = _zeros(WIDTH)
    return tensors


def _projector(size: int, embedding: Any, *, blind: bool) -> dict[str, Any]:
    """Return the tensors that turn a colour into the embedding of its name."""
    first, bias, second = _zeros(size, WIDTH), _zeros(size), _zeros(size, size)
    for number, (name, corner) in enumerate(CORNERS.items()):
        at = np.array(corner, np.float32)
        seen = embedding("white" if blind else name) / (_STEEP * 0.2)
        for unit, (begins, sign) in enumerate(_RAMP, 2 * number):
            first[unit, :3] = _STEEP * np.where(at > 0, 1.0, -1.0)
            bias[unit] = _STEEP * (begins - at.sum())
            second[:, unit] = sign * seen
    return {
        "mm.0.weight": first,
        "mm.0.bias": bias,
        "mm.2.weight": second,
        "mm.2.bias": _zeros(size),
    }

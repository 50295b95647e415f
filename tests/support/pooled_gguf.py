"""A copy of a GGUF file that says how its model makes one vector of a text: an embedding model."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MEAN = 1
_STRING, _ARRAY, _UINT32 = 8, 9, 4
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_ALIGNED = 32


def pooled(source: Path, target: Path, key: str = "llama.pooling_type") -> Path:
    """Write the copy: one more key in the header, and the same tensors."""
    data = source.read_bytes()
    magic, version, tensors, keys = struct.unpack_from("<4sIQQ", data)
    end = begin = 24
    for _ in range(keys):
        name_end = _after_text(data, end)
        (kind,) = struct.unpack_from("<I", data, name_end)
        end = _after_value(data, name_end + 4, kind)
    for _ in range(tensors):
        end = _after_text(data, end)
        (dimensions,) = struct.unpack_from("<I", data, end)
        end += 4 + 8 * dimensions + 4 + 8
    added = struct.pack("<Q", len(key)) + key.encode() + struct.pack("<II", _UINT32, MEAN)
    head = struct.pack("<4sIQQ", magic, version, tensors, keys + 1) + added + data[begin:end]
    weights = data[end + -end % _ALIGNED :]
    target.write_bytes(head + b"\0" * (-len(head) % _ALIGNED) + weights)
    return target


def _after_text(data: bytes, at: int) -> int:
    (length,) = struct.unpack_from("<Q", data, at)
    return int(at + 8 + length)


def _after_value(data: bytes, at: int, kind: int) -> int:
    if kind == _STRING:
        return _after_text(data, at)
    if kind != _ARRAY:
        return at + _SIZES[kind]
    inner, count = struct.unpack_from("<IQ", data, at)
    at += 12
    if inner != _STRING:
        return int(at + count * _SIZES[inner])
    for _ in range(count):
        at = _after_text(data, at)
    return at

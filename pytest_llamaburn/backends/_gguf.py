"""The metadata of GGUF files: keys and tensors, without the weights.

The format is that of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, little-endian.
"""

from __future__ import annotations

import struct
from math import prod
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_LONGEST_ARRAY = 4096  # longer ones, such as the vocabulary, are skipped
_MOST = 10_000_000  # keys, tensors or bytes of a name; a file with more is damaged
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_SCALARS[12] = "d"
# Of each type of a tensor: its number in files, and the elements and bytes of a block.
TYPES = {
    "F32": (0, 1, 4),
    "F16": (1, 1, 2),
    "BF16": (30, 1, 2),
    "F64": (28, 1, 8),
    "I8": (24, 1, 1),
    "I16": (25, 1, 2),
    "I32": (26, 1, 4),
    "I64": (27, 1, 8),
    "Q4_0": (2, 32, 18),
    "Q4_1": (3, 32, 20),
    "Q5_0": (6, 32, 22),
    "Q5_1": (7, 32, 24),
    "Q8_0": (8, 32, 34),
    "Q2_K": (10, 256, 84),
    "Q3_K": (11, 256, 110),
    "Q4_K": (12, 256, 144),
    "Q5_K": (13, 256, 176),
    "Q6_K": (14, 256, 210),
    "IQ2_XXS": (16, 256, 66),
    "IQ2_XS": (17, 256, 74),
    "IQ3_XXS": (18, 256, 98),
    "IQ1_S": (19, 256, 50),
    "IQ4_NL": (20, 32, 18),
    "IQ3_S": (21, 256, 110),
    "IQ2_S": (22, 256, 82),
    "IQ4_XS": (23, 256, 136),
    "IQ1_M": (29, 256, 56),
    "TQ1_0": (34, 256, 54),
    "TQ2_0": (35, 256, 66),
    "MXFP4": (39, 32, 17),
}
_NAMES = {number: name for name, (number, _, _) in TYPES.items()}


class Header(NamedTuple):
    """The keys of a model's file, without long arrays, and the bytes of its tensors by name.

    A tensor of an unknown type has None.
    """

    keys: Mapping[str, Any]
    tensors: Mapping[str, int | None]


def tensor_bytes(kind: str, shape: Sequence[int]) -> int | None:
    """Return the bytes of a tensor of a type such as Q4_K, or None if the type is unknown."""
    if kind not in TYPES:
        return None
    _, elements, size = TYPES[kind]
    return prod(shape) // elements * size


def row_bytes(kind: str, elements: int) -> float | None:
    """Return the bytes of a row of so many elements, or None if no whole blocks make it up."""
    known = TYPES.get(kind.upper())
    return None if known is None or elements % known[1] else elements / known[1] * known[2]


def read(path: Path) -> Header:
    """Return the metadata of a file; raises ModelError if it is damaged or cannot be read."""
    try:
        with path.open("rb") as file:
            return _header(file)
    except (struct.error, UnicodeDecodeError, KeyError, ValueError) as err:
        raise ModelError(f"{path}: its GGUF metadata cannot be read: {err!r}") from None
    except OSError as err:
        raise ModelError(f"{path} cannot be read: {err.strerror or err}") from None


def _header(file: IO[bytes]) -> Header:
    magic, version, tensors, keys = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError(f"it begins with {magic!r} and version {version}")
    found = {_text(file): _value(file, *_numbers(file, "I")) for _ in range(_counted(keys))}
    sizes = dict(_tensor(file) for _ in range(_counted(tensors)))
    return Header({name: value for name, value in found.items() if value is not None}, sizes)


def _tensor(file: IO[bytes]) -> tuple[str, int | None]:
    name = _text(file)
    (dimensions,) = _numbers(file, "I")
    shape = _numbers(file, f"{_counted(dimensions)}Q")
    kind, _ = _numbers(file, "IQ")
    return name, tensor_bytes(_NAMES.get(kind, ""), shape)


def _value(file: IO[bytes], kind: int) -> Any:
    """Return a value; None for an array that is too long to be kept."""
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        return _numbers(file, _SCALARS[kind])[0]
    inner, length = _numbers(file, "IQ")
    if inner in (_STRING, _ARRAY):
        items = [_value(file, inner) for _ in range(_counted(length))]
        return items if length <= _LONGEST_ARRAY else None
    if length <= _LONGEST_ARRAY:
        return [*_numbers(file, f"{length}{_SCALARS[inner]}")]
    file.seek(length * struct.calcsize(f"<{_SCALARS[inner]}"), 1)
    return None


def _numbers(file: IO[bytes], form: str) -> tuple[Any, ...]:
    return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))


def _text(file: IO[bytes]) -> str:
    (length,) = _numbers(file, "Q")
    return file.read(_counted(length)).decode(errors="replace")


def _counted(number: int) -> int:
    if number > _MOST:
        raise ValueError(f"it claims to have {number} parts")
    return number

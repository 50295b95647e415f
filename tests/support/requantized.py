"""Writes a GGUF file with other weights, by the quantizer in the package of the embedded engine.

The engine's Python module has no function for it, but its library has llama.cpp's. The rules are
those of llama-quantize: a row that a K type cannot hold gets the type that llama-quantize chooses
then, and what has one dimension stays. The embedding stays too.

python tests/support/requantized.py SOURCE.gguf TARGET.gguf Q2_K
"""

from __future__ import annotations

import ctypes
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np

_K_ROW = 256  # numbers in a block of a K type
_INSTEAD = {
    "Q2_K": "IQ4_NL",
    "Q3_K": "IQ4_NL",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}


def write(source: Path, target: Path, kind: str, *, only: str = "") -> Path:
    """Write a model with weights of this type; `only` is a pattern in the names of those to change.

    Returns the target.
    """
    reader = reader_of(source)
    writer = gguf.GGUFWriter(target, _text(reader, "general.architecture"))
    for field in reader.fields.values():
        if not field.name.startswith(("GGUF.", "general.architecture", "general.file_type")):
            inner = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], inner)
    for tensor in reader.tensors:
        chosen = _type_of(tensor, kind) if re.search(only, tensor.name) else tensor.tensor_type
        data = tensor.data if chosen == tensor.tensor_type else _quantized(tensor, chosen)
        writer.add_tensor(tensor.name, data, raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


@cache
def reader_of(path: Path) -> gguf.GGUFReader:
    """Return the reader of a file, which takes two seconds to make for a whole model."""
    return gguf.GGUFReader(path)


def _text(reader: Any, name: str) -> str:
    return str(reader.fields[name].contents())


def _type_of(tensor: Any, kind: str) -> Any:
    if len(tensor.shape) < 2 or tensor.name == "token_embd.weight":
        return tensor.tensor_type
    holds = kind not in _INSTEAD or int(tensor.shape[0]) % _K_ROW == 0
    return gguf.GGMLQuantizationType[kind if holds else _INSTEAD[kind]]


def _quantized(tensor: Any, kind: gguf.GGMLQuantizationType) -> Any:
    """Return the tensor's rows in another type, as bytes."""
    weights = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
    rows, columns = weights.shape
    block, size = gguf.GGML_QUANT_SIZES[kind]
    made = np.empty((rows, columns // block * size), np.uint8)
    from xllamacpp import xllamacpp

    engine = ctypes.CDLL(xllamacpp.__file__)
    engine.ggml_quantize_init(ctypes.c_int(kind))
    engine.ggml_quantize_chunk.restype = ctypes.c_size_t
    count = engine.ggml_quantize_chunk(
        ctypes.c_int(kind),
        np.ascontiguousarray(weights).ctypes.data_as(ctypes.c_void_p),
        made.ctypes.data_as(ctypes.c_void_p),
        *map(ctypes.c_int64, (0, rows, columns)),
        None,
    )
    assert count == made.nbytes
    return made


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])

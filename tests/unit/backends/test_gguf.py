"""The metadata of GGUF files, as the format's own package writes them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest

from pytest_llamaburn.backends import _gguf
from pytest_llamaburn.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(7)
    writer.add_bool("llama.flag", val=True)
    writer.add_float32("llama.half", 0.5)
    writer.add_array("llama.attention.head_count_kv", [4, 2, 0])
    writer.add_array("general.languages", ["en", "de"])
    writer.add_array("tokenizer.ggml.scores", [0.5] * 5000)
    writer.add_array("tokenizer.ggml.tokens", ["a"] * 5000)
    writer.add_tensor("blk.0.a.weight", np.zeros((8, 64), dtype=np.float16))
    writer.add_tensor("blk.0.b.weight", np.zeros((4, 3), dtype=np.float32))
    quantized = np.zeros((8, 34 * 2), dtype=np.uint8)
    writer.add_tensor("q.weight", quantized, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_keys_and_sizes_are_those_that_were_written(file: Path) -> None:
    found = _gguf.read(file)
    assert found.keys == {
        "general.architecture": "llama",
        "llama.block_count": 7,
        "llama.flag": True,
        "llama.half": 0.5,
        "llama.attention.head_count_kv": [4, 2, 0],
        "general.languages": ["en", "de"],
    }
    assert found.tensors == {
        "blk.0.a.weight": 8 * 64 * 2,
        "blk.0.b.weight": 4 * 3 * 4,
        "q.weight": 8 * 2 * 34,
    }


def test_types_have_the_numbers_and_blocks_of_the_formats_own_package() -> None:
    theirs = {kind.name: (int(kind), *size) for kind, size in gguf.GGML_QUANT_SIZES.items()}
    assert {name: theirs[name] for name in _gguf.TYPES} == _gguf.TYPES
    assert _gguf.tensor_bytes("Q4_K", [4096, 2]) == 4096 * 2 // 256 * 144
    assert _gguf.tensor_bytes("Q99", [4096]) is None
    assert _gguf.row_bytes("q8_0", 64) == 68
    assert _gguf.row_bytes("q8_0", 33) is None


def test_a_damaged_file_is_one_sentence(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    damaged = {
        "cut": whole[:200],
        "other": b"GGML" + whole[4:],
        "old": whole[:4] + struct.pack("<I", 1) + whole[8:],
        "endless": whole[:16] + struct.pack("<Q", 2**60) + whole[24:],
    }
    for name, content in damaged.items():
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"its GGUF metadata cannot be read: ") as refused:
            _gguf.read(path)
        assert "\n" not in str(refused.value)
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        _gguf.read(tmp_path / "absent.gguf")

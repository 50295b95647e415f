"""The damage of a real model, whose weights the engine's own quantizer made coarser."""

from __future__ import annotations

import asyncio
import json
from statistics import fmean
from typing import TYPE_CHECKING, Any

import pytest
from support import requantized
from support.command_line import run_cli
from support.scripted import settings_for

from pytest_llamaburn.backends import _catalogue
from pytest_llamaburn.backends.embedded import Backend
from pytest_llamaburn.kinds.damage import places, prefixes
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from pathlib import Path

PLACES = 2  # of each text
KINDS = 4  # of texts


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the first of our own texts of each kind, up to their second places."""
    first = {one.category: one for one in reversed(prefixes.load(None))}
    passages = [
        {**one._asdict(), "parts": one.parts[: PLACES + 1]}
        for name, one in first.items()
        if name != "arithmetic"  # a small model repeats numbers, however coarse it is
    ]
    path = tmp_path_factory.mktemp("texts") / "texts.json"
    path.write_text(json.dumps({"passages": passages}))
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the embedded model, and the same with a part of its weights in other types."""
    folder, source = tmp_path_factory.mktemp("models"), _catalogue.fetch("smollm2-135m", quiet=True)
    made = {
        kind: requantized.write(source, folder / f"{kind}.gguf", kind, only=r"blk\.[0-9]\.ffn_down")
        for kind in ("Q8_0", "Q2_K")
    }
    return {"whole": source, **made}


async def told(model: Path, role: str, texts: Path) -> list[dict[str, Any]]:
    """Return the rows of a model at all places."""
    backend = Backend(settings_for(host=None))
    await backend.open(str(model))
    try:
        about, wire, rows = await backend.describe(str(model)), backend.wire(), []
        for passage in prefixes.load(str(texts)):
            for prefix in passage.prefixes:
                trace, likely = await backend.next_token(wire, about, prefix.text, 20)
                row = {"role": role, "part": "token", "prompt_id": prefix.id, "likely": likely}
                about_it = {"passage": passage.id, "category": passage.category, "error": None}
                rows.append({**row, **about_it, "input_sequence_length": trace.usage.prompt})
        wire.close()
    finally:
        backend.close()
    return rows


def mean_kl(reference: list[dict[str, Any]], other: list[dict[str, Any]]) -> float:
    found = places.of([*reference, *other])
    assert len(found) == len(reference) == PLACES * KINDS
    assert all(one["same_tokens"] for one in found)
    return fmean(one["kl"] for one in found)


def test_damage_grows_as_the_weights_become_coarser(
    models: dict[str, Path], texts: Path, tmp_path: Path
) -> None:
    reference = asyncio.run(told(models["whole"], "reference", texts))
    again = asyncio.run(told(models["whole"], "other", texts))
    fine = mean_kl(reference, asyncio.run(told(models["Q8_0"], "other", texts)))
    assert mean_kl(reference, again) == 0
    assert 0 < fine < 0.02
    coarse = of_command(models, texts, tmp_path)
    assert coarse["kl_divergence"]["n"] == PLACES * KINDS
    assert coarse["kl_divergence"]["value"] > 5 * fine
    assert coarse["same_tokens"]["value"] == 1
    assert coarse["speed_ratio"]["value"] > 0
    reason = coarse["perplexity_ratio"]["reason"]
    assert "gives no log probabilities of a given text" in reason


def of_command(models: dict[str, Path], texts: Path, directory: Path) -> Any:
    """Return what the command finds of the coarsest weights."""
    few = ("--rounds=1", "--iterations=1", "--max-tokens=8", "--warmup=1", "--gpu-provider=host")
    both = (str(models["whole"]), str(models["Q2_K"]))
    run_cli("damage", *both, f"--prefixes={texts}", *few, cwd=directory)
    (path,) = (directory / "results" / "damages").glob("*.json")
    document = json.loads(path.read_text())
    assert results.check(document) is None
    assert document["status"] == "complete"
    return document["results"]

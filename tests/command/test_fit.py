"""`llamaburn fit` as a child process, against a scripted Ollama with a GPU of known size."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.command_line import run_cli
from support.gpu_server import INFO, PER_TOKEN, TENSORS, WEIGHTS, Gpu, GpuOllama, taken
from support.scripted import LlamaCppFacade, Request, ScriptedServer, Steps, settings_for, sized

from pytest_llamaburn.backends import _detect
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.backends.ollama import Backend
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.kinds.fit import prediction
from pytest_llamaburn.store.results import check

if TYPE_CHECKING:
    from pathlib import Path

ASKED = ("--edge=256", "--iterations=1", "--osl=4", "--warmup=1", "--max-ctx=16384")


def file_of(tmp_path: Path) -> dict[str, Any]:
    (path,) = (tmp_path / "results" / "fits").glob("*.json")
    document: dict[str, Any] = json.loads(path.read_text())
    check(document)
    return document


def test_the_file_has_the_edge_and_prediction_beside_truth(tmp_path: Path) -> None:
    gpu = Gpu(holds=9472)
    with ScriptedServer(GpuOllama(gpu=gpu)) as server:
        done = run_cli("fit", f"--host={server.host}", *ASKED, cwd=tmp_path)
    document = file_of(tmp_path)
    found = document["results"]
    assert document["status"] == "complete"
    (series,) = found["series"]
    assert (series["largest_context"], series["beyond"]) == (9472, 9728)
    assert gpu.loads[:4] == [2048, 4096, 8192, 16384]
    assert len(gpu.loads) == len({*gpu.loads})
    for step in found["steps"]:
        assert step["total_bytes"] == taken(step["num_ctx"])
        assert abs(step["difference"]) < 1e-6
    assert found["foreseen"]["kv_bytes_per_token"] == {"f16": PER_TOKEN}
    assert found["foreseen"]["weights_bytes"] == WEIGHTS
    assert found["totals"]["planned"] == found["totals"]["succeeded"] == len(found["steps"])
    assert "KV cache f16: 9472 tokens wholly on the GPU" in done.stdout
    foreseen, estimate = done.stderr.index("4 layers, 4 heads"), done.stderr.index("at most 9 l")
    assert foreseen < estimate


def test_a_dry_run_loads_nothing_and_writes_nothing(tmp_path: Path) -> None:
    with ScriptedServer(GpuOllama(gpu=(gpu := Gpu()))) as server:
        args = ("fit", "tiny:latest", f"--host={server.host}", "--dry-run", "--kv-type=q8_0")
        done = run_cli(*args, cwd=tmp_path)
        refused = run_cli(*args, "--kv-type=q9", cwd=tmp_path, check=4)
    assert "--kv-type: 'q9' is refused" in refused.stderr
    assert gpu.loads == []
    assert not (tmp_path / "results").exists()
    assert "tiny:latest: 4 layers, 4 heads, 2 KV heads, 18.9 MB of weights" in done.stdout
    row = next(line.split() for line in done.stdout.splitlines() if line.startswith("32768"))
    kv = 32768 * PER_TOKEN * 34 / 64
    assert row[:4] == ["32768", "q8_0", "18.9", f"{kv / 1e6:.1f}"]


def test_metadata_that_leave_it_open_give_a_reason_and_the_run_goes_on(tmp_path: Path) -> None:
    info = {**INFO, "llama.attention.sliding_window": 512}
    with ScriptedServer(GpuOllama(gpu=Gpu(breaks=5000), info=info)) as server:
        done = run_cli("fit", f"--host={server.host}", *ASKED, "--edge=2048", cwd=tmp_path)
    found = file_of(tmp_path)["results"]
    assert "no prediction: llama.attention.sliding_window is set" in done.stdout
    assert {step["difference"] for step in found["steps"]} == {None}
    failed = found["steps"][-2:]
    assert [step["place"] for step in failed] == ["failed", "failed"]
    assert "out of memory" in failed[0]["reason"]
    assert found["series"][0]["largest_context"] == 4096


def test_bad_settings_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    done = run_cli("fit", "tiny", "--kv-type=f99", cwd=tmp_path, check=4)
    assert done.stderr.startswith("llamaburn: --kv-type: 'f99' is refused: use a type such as f16")
    with ScriptedServer(GpuOllama(gpu=(gpu := Gpu()))) as server:
        args = ("fit", f"--host={server.host}", "--kv-type=f16", "--kv-type=q8_0")
        done = run_cli(*args, cwd=tmp_path, check=4)
    assert "--kv-type: ollama takes the type of its KV cache at its start" in done.stderr
    assert gpu.loads == []


def test_arrays_are_asked_for_only_if_there_are_any() -> None:
    asked = []
    heads = {"llama.attention.head_count_kv": [2, 2, 1, 1, 2, 2]}

    def script(request: Request) -> Steps:
        asked.append(request.json)
        known = heads if request.json.get("verbose") else {key: [] for key in heads}
        info = {**INFO, "llama.block_count": 6, **known}
        return [sized(200, {"model_info": info, "tensors": TENSORS})]

    with ScriptedServer(script) as server:
        backend = Backend(settings_for(server.host))
        shape = prediction.shape(asyncio.run(backend.metadata("tiny")))
    assert shape.kv_heads == (2, 2, 1, 1, 2, 2)
    assert asked == [{"model": "tiny"}, {"model": "tiny", "verbose": True}]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"size": 500, "size_vram": 900}, "no plausible size"),
        ({"size": "much", "size_vram": 9}, "no plausible size"),
        ({"size": 98_000_000, "size_vram": 98_000_000}, "the size of the file"),
        (None, "does not list the model as loaded"),
    ],
)
def test_a_size_that_cannot_be_true_is_null_with_a_reason(entry: Any, words: str) -> None:
    models = [] if entry is None else [{"name": "tiny", **entry}]
    with ScriptedServer([sized(200, {"models": models})]) as server:
        backend = Backend(settings_for(server.host))
        held = asyncio.run(backend.held(Model("tiny", "tiny", size_mb=98.4)))
    assert held.total_bytes is None
    assert words in str(held.reason)


def test_a_llama_cpp_server_tells_its_file_if_it_is_on_this_machine(tmp_path: Path) -> None:
    from pytest_llamaburn.backends import _catalogue

    path = str(_catalogue.fetch("smollm2-135m", quiet=True))
    facade = LlamaCppFacade(props=json.dumps({"model_path": path, "total_slots": 1}))
    with ScriptedServer(facade) as server:
        done = run_cli("fit", f"--host={server.host}", *ASKED, cwd=tmp_path)
    found = file_of(tmp_path)["results"]
    assert found["foreseen"]["layers"] == 30
    (step,) = found["steps"]
    assert (step["num_ctx"], step["place"], step["total_bytes"]) == (2048, "loaded", None)
    assert step["reason"] == "the server does not report the memory of its models"
    assert "the server loads the model with one context only, at its start" in done.stdout


def test_a_server_that_tells_nothing_has_no_prediction() -> None:
    async def ask(host: str) -> None:
        backend = await _detect.unopened(settings_for(host), "tiny")
        await backend.metadata("tiny")

    with (
        ScriptedServer(LlamaCppFacade()) as server,
        pytest.raises(ServerError, match="does not tell the layers and heads of tiny"),
    ):
        asyncio.run(ask(server.host))

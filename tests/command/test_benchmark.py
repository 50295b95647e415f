"""`llamaburn benchmark` as a child process, against a loopback server with Ollama's wire."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from filelock import FileLock
from support.command_line import COMMAND, results_in, run_cli
from support.processes import Process
from support.scripted import (
    Close,
    LlamaCppFacade,
    OllamaFacade,
    Request,
    Reset,
    ScriptedServer,
    Steps,
    ollama_stream,
    sized,
)

from pytest_llamaburn.store.results import check

if TYPE_CHECKING:
    from collections.abc import Iterator

BROKEN: Steps = [sized(500, {"error": "boom"}), Close()]


@pytest.fixture(scope="module")
def ollama() -> Iterator[str]:
    with ScriptedServer(OllamaFacade()) as server:
        yield server.host


def bench(host: str, cwd: Path, *args: str, check: int = 0) -> subprocess.CompletedProcess[str]:
    return run_cli("benchmark", "tiny", f"--host={host}", *args, cwd=cwd, check=check)


def test_table_on_stdout_and_everything_else_on_stderr(ollama: str, tmp_path: Path) -> None:
    done = bench(ollama, tmp_path)
    assert done.stdout.startswith("tiny:latest (Q4_1, llama)\nserver ollama 0.32.15 at http://127")
    assert "complete: 5 of 5 requests, 5 of 24 prompts (default)" in done.stdout
    assert "wrote results/benchmarks/tiny_latest_" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_json_output_is_exactly_the_file(ollama: str, tmp_path: Path) -> None:
    done = bench(ollama, tmp_path, "-o", "json", "--progress=json")
    (path,) = (tmp_path / "results" / "benchmarks").iterdir()
    assert done.stdout == path.read_text()
    assert check(json.loads(done.stdout)) is None
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    requests = [event for event in events if event["event"] == "progress"]
    assert [event["done"] for event in requests] == [1, 2, 3, 4, 5]


def test_several_models_are_an_array_of_files(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        done = bench(server.host, tmp_path, "-m", "tiny:latest", "-o", "json", "--iterations=2")
    documents = json.loads(done.stdout)
    assert len(documents) == len(results_in(tmp_path / "results")) == 2
    assert len({document["session_id"] for document in documents}) == 1


def test_output_file_suffix_names_the_format(ollama: str, tmp_path: Path) -> None:
    names = ("a.csv", "a.md", "a.jsonl", "a.txt", "a.json")
    outputs = [word for name in names for word in ("-o", name)]
    done = bench(ollama, tmp_path, *outputs, "--iterations=3")
    assert done.stdout == ""
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert [row["model"] for row in rows] == ["tiny:latest"] * 3
    assert all(row["power_draw_watts"] == "" for row in rows)
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 3
    assert (tmp_path / "a.md").read_text().startswith("### tiny:latest")


def test_printed_pytest_line_measures_the_same(ollama: str, tmp_path: Path) -> None:
    line = bench(ollama, tmp_path, "--print-pytest", "--iterations=2", "--seed=7").stdout
    words = shlex.split(line)
    assert words[0] == "pytest"
    assert not (tmp_path / "results").exists()
    plain = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words[1:]]
    subprocess.run(plain, cwd=tmp_path, check=True, capture_output=True)
    (document,) = results_in(tmp_path / "results")
    assert document["config"]["seed"] == 7
    assert document["results"]["totals"]["requests"] == 2


def test_requests_to_ollama_leave_nothing_to_its_defaults(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        bench(server.host, tmp_path, "--iterations=1", "--max-tokens=9", "--keep-alive=-1")
        bodies = [json.loads(r.partition(b"\r\n\r\n")[2]) for r in server.requests if b"chat" in r]
    assert {json.dumps(body["options"]) for body in bodies} == {json.dumps(bodies[0]["options"])}
    expected = {"num_ctx": 4096, "num_predict": 9, "seed": 0, "temperature": 0.0}
    assert bodies[0]["options"].items() >= expected.items()
    assert bodies[0]["keep_alive"] == -1
    assert bodies[0]["think"] is False


def test_each_request_begins_with_a_fresh_prefix_of_constant_length(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        bench(server.host, tmp_path, "--iterations=9")
        bodies = [json.loads(r.partition(b"\r\n\r\n")[2]) for r in server.requests if b"chat" in r]
    prefixes = [b["messages"][0]["content"].partition("\n\n")[0] for b in bodies if b["messages"]]
    assert len(prefixes) == len(set(prefixes)) == 11
    assert {len(prefix.split()) for prefix in prefixes} == {12}


def test_warm_cache_sends_the_prompt_as_it_is(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        bench(server.host, tmp_path, "--cache=warm", "--iterations=1", "--warmup=0")
        bodies = [json.loads(r.partition(b"\r\n\r\n")[2]) for r in server.requests if b"chat" in r]
    priming, timed = (body["messages"] for body in bodies if body["messages"])
    assert priming == timed


def test_cold_start_unloads_before_each_timed_request(tmp_path: Path) -> None:
    facade = OllamaFacade(final={"load_duration": 40_150_664, "total_duration": None})
    with ScriptedServer(facade) as server:
        bench(server.host, tmp_path, "--start=cold", "--iterations=3")
        unloads = [r for r in server.requests if b'"keep_alive":0' in r or b'"keep_alive": 0' in r]
    assert len(unloads) == 3
    (document,) = results_in(tmp_path / "results")
    assert document["results"]["summary"]["load_duration_ms"]["p50"] == pytest.approx(40.15, 0.01)


def test_cold_start_waits_until_the_model_is_out_of_memory(tmp_path: Path) -> None:
    class Lingering(OllamaFacade):
        seen = 0  # how often the model was still there

        def __call__(self, request: Request) -> Steps:
            if request.path == "/api/ps" and not self.loaded and self.loads and self.seen < 2:
                self.seen += 1
                return [sized(200, {"models": [{"name": self.model, "size": 1}]})]
            return super().__call__(request)

    with ScriptedServer(Lingering()) as server:
        bench(server.host, tmp_path, "--start=cold", "--iterations=1", "--warmup=0")
    (unload,) = [n for n, r in enumerate(server.requests) if b'"keep_alive":0' in r]
    asked = [request.split(b" ", 2)[1] for request in server.requests[unload + 1 :][:4]]
    assert asked == [b"/api/ps", b"/api/ps", b"/api/ps", b"/api/chat"]


def test_cold_start_of_a_server_that_cannot_unload_is_refused(tmp_path: Path) -> None:
    with ScriptedServer(LlamaCppFacade()) as server:
        done = bench(server.host, tmp_path, "-m", "tiny:latest", "--start=cold", check=4)
    assert "no way to unload" in done.stderr
    assert not (tmp_path / "results").exists()


def test_both_starts_are_summarised_apart(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        done = bench(server.host, tmp_path, "--start=both", "--iterations=2")
    found = results_in(tmp_path / "results")[0]["results"]
    assert [run["start"] for run in found["runs"]] == ["cold", "warm"] * 2
    assert found["summary"]["time_to_first_token_ms"]["n"] == 2
    assert found["summary_cold"]["time_to_first_token_ms"]["n"] == 2
    assert "tiny:latest, cold start" in done.stdout


def test_llama_cpp_server_is_detected(tmp_path: Path) -> None:
    with ScriptedServer(LlamaCppFacade(model="m")) as server:
        host = f"--host={server.host}/v1"
        run_cli("benchmark", "m", host, "--iterations=2", cwd=tmp_path)
    (document,) = results_in(tmp_path / "results")
    assert document["server"]["kind"] == "llama.cpp"
    assert document["config"]["sent"].keys() >= {"stream_options", "max_tokens", "seed"}
    assert "top_k" not in document["config"]["sent"]
    assert document["results"]["runs"][0]["cached_tokens"] == 4


def test_only_model_of_a_named_host_needs_no_name(tmp_path: Path) -> None:
    with ScriptedServer(LlamaCppFacade(model="m")) as server:
        run_cli("benchmark", f"--host={server.host}", "--iterations=1", cwd=tmp_path)
    assert results_in(tmp_path / "results")[0]["model"]["id"] == "m"


def test_named_host_with_several_models_needs_a_name(tmp_path: Path) -> None:
    listing = sized(200, {"data": [{"id": "one"}, {"id": "two"}]})
    with ScriptedServer([listing]) as server:
        done = run_cli("benchmark", f"--host={server.host}", cwd=tmp_path, check=4)
        assert done.stderr == f"llamaburn: --model is needed: {server.host}/v1 has one, two\n"


def test_model_that_cannot_be_loaded_is_told_in_the_servers_words(tmp_path: Path) -> None:
    words = "model requires more system memory (9.9 GiB) than is available (1.0 GiB)"

    class Full(OllamaFacade):
        def __call__(self, request: Request) -> Steps:
            loads = request.path == "/api/chat"
            return [sized(500, {"error": words})] if loads else super().__call__(request)

    with ScriptedServer(Full()) as server:
        done = bench(server.host, tmp_path, check=4)
        assert done.stderr == f"llamaburn: {server.host}/api/chat: oom (500): {words}\n"
    assert not (tmp_path / "results").exists()


def test_server_that_dies_after_its_last_answer_costs_no_result(tmp_path: Path) -> None:
    class Dying(OllamaFacade):
        def __call__(self, request: Request) -> Steps:
            over = self.chats == 2 + 1  # two warm-ups
            return [Reset()] if over else super().__call__(request)

    with ScriptedServer(Dying()) as server:
        bench(server.host, tmp_path, "--iterations=1")
    (document,) = results_in(tmp_path / "results")
    assert document["status"] == "complete"
    assert document["telemetry"]["loaded_before"][0]["name"] == "tiny:latest"
    assert document["telemetry"]["loaded_after"] is None


def test_slots_that_cannot_be_asked_for_are_unknown(tmp_path: Path) -> None:
    class Once(LlamaCppFacade):
        asked = 0

        def __call__(self, request: Request) -> Steps:
            self.asked += request.path == "/props"
            again = request.path == "/props" and self.asked > 1
            return [Reset()] if again else super().__call__(request)

    with ScriptedServer(Once(model="tiny")) as server:
        bench(server.host, tmp_path, "--iterations=1")
    assert results_in(tmp_path / "results")[0]["telemetry"]["slots"] is None


@pytest.mark.parametrize("props", ['[{"total_slots": 1}]', '{"total_slots": "one"}'])
def test_properties_in_no_shape_known_cost_no_run(props: str, tmp_path: Path) -> None:
    with ScriptedServer(LlamaCppFacade(props=props)) as server:
        run_cli("benchmark", f"--host={server.host}", "--iterations=1", cwd=tmp_path)
    (document,) = results_in(tmp_path / "results")
    assert document["status"] == "complete"
    assert document["server"]["kind"] == "llama.cpp"


def test_bug_of_ours_exits_three_with_its_traceback(ollama: str, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pytest_llamaburn.commands import main\n"
        "from pytest_llamaburn.kinds.benchmark.run import BenchmarkRun\n"
        "BenchmarkRun.measure = lambda *_: 1 / 0\nsys.exit(main())\n"
    )
    words = ("benchmark", "tiny", f"--host={ollama}", "--iterations=1")
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "ZeroDivisionError: division by zero" in done.stderr


def test_run_waits_for_another_on_this_machine_and_says_so(ollama: str, tmp_path: Path) -> None:
    words = ("benchmark", "tiny", f"--host={ollama}", "--iterations=1")
    with FileLock(Path(os.environ["TMPDIR"]) / "llamaburn-measuring.lock"):
        running = Process[bytes](
            [*COMMAND, *words], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert running.stderr is not None
        told = running.stderr.readline()
        assert not (tmp_path / "results").exists()
    assert told.startswith(b"waiting: another LlamaBurn measurement runs on this machine; Ctrl-C")
    running.communicate(timeout=300)
    assert running.returncode == 0


def test_second_run_in_the_same_second_overwrites_nothing(ollama: str, tmp_path: Path) -> None:
    for _ in range(3):
        bench(ollama, tmp_path, "--iterations=1")
    assert len({document["run_id"] for document in results_in(tmp_path / "results")}) == 3


def test_server_behind_tls_is_measured_if_its_authority_is_trusted(tmp_path: Path) -> None:
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    with ScriptedServer(OllamaFacade(), tls) as server:
        refused = bench(server.host, tmp_path, check=4)
        args = ("benchmark", "tiny", f"--host={server.host}")
        run_cli(*args, cwd=tmp_path, SSL_CERT_FILE=str(tmp_path / "authority.pem"))
    assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr
    assert refused.stderr.count("llamaburn: ") == 1
    assert "Traceback" not in refused.stderr
    (document,) = results_in(tmp_path / "results")
    assert document["server"]["host"].startswith("https://127.0.0.1:")
    assert document["results"]["totals"]["succeeded"] == 5


def test_strange_model_names_become_safe_file_names(tmp_path: Path) -> None:
    name = "../模型/x:" + "y" * 300
    with ScriptedServer(LlamaCppFacade(model=name)) as server:
        run_cli("benchmark", "-m", name, f"--host={server.host}", "--iterations=1", cwd=tmp_path)
    (path,) = (tmp_path / "results" / "benchmarks").iterdir()
    assert path.name.startswith("模型_x_yyy")
    assert results_in(tmp_path / "results")[0]["model"]["id"] == name
    assert [p.name for p in tmp_path.iterdir()] == ["results"]


def test_failed_requests_are_counted_and_shown(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade(faults={3: BROKEN})) as server:
        done = bench(server.host, tmp_path)
    assert "complete: 4 of 5 requests" in done.stdout
    assert "failed: server_error × 1: boom" in done.stdout


def test_an_answer_of_nothing_is_a_failed_request(tmp_path: Path) -> None:
    nothing = ollama_stream([], eval_count=None)
    with ScriptedServer(OllamaFacade(faults={3: nothing})) as server:
        done = bench(server.host, tmp_path)
    assert "complete: 4 of 5 requests" in done.stdout
    assert "failed: empty_answer × 1: the stream ended without any part" in done.stdout


@pytest.mark.parametrize("iterations", [3, 20])  # the latter are stopped after five
def test_nothing_measured_exits_five_and_keeps_the_file(iterations: int, tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade(faults=dict.fromkeys(range(9), BROKEN))) as server:
        done = bench(server.host, tmp_path, f"--iterations={iterations}", check=5)
    assert "nothing was measured" in done.stderr
    assert results_in(tmp_path / "results")[0]["status"] == "failed"


def test_facts_of_other_types_leave_a_valid_file_with_notes(tmp_path: Path) -> None:
    details = {"quantization_level": 4, "family": ["llama"], "context_length": "8192"}
    entry = {"name": "tiny:latest", "size": "large", "digest": 7, "details": details}

    class Odd(OllamaFacade):
        def __call__(self, request: Request) -> Steps:
            listed = request.path in ("/api/tags", "/api/ps")
            return [sized(200, {"models": [entry]})] if listed else super().__call__(request)

    with ScriptedServer(Odd()) as server:
        bench(server.host, tmp_path, "--iterations=1")
    (document,) = results_in(tmp_path / "results")
    assert check(document) is None
    assert (document["model"]["quantization"], document["model"]["context_length"]) == (None, 8192)
    note = "/api/ps: models: 'size' is \"large\", not a number of at least 0"
    assert note in document["telemetry"]["server_notes"]


def test_disagreeing_clocks_become_a_note(tmp_path: Path) -> None:
    facade = OllamaFacade(token_s=0.005, final={"eval_duration": 3_000_000})
    with ScriptedServer(facade) as server:
        done = bench(server.host, tmp_path)
    (document,) = results_in(tmp_path / "results")
    assert "clocks_disagree" in {insight["id"] for insight in document["insights"]}
    assert "fewer tokens per second than the server reported" in done.stdout


def test_configuration_file_of_the_specification_works(ollama: str, tmp_path: Path) -> None:
    (tmp_path / "llamaburn.toml").write_text(
        '[defaults]\njudge_provider = "claude"\nbenchmark_iterations = 3\nwarmup_runs = 1\n'
        "stress_duration_sec = 60\ntemperature = 0.5\n"
        f'[ollama]\nhost = "{ollama}"\n[cost]\nkwh_rate = 0.12\n'
    )
    run_cli("benchmark", "tiny", cwd=tmp_path)
    config = results_in(tmp_path / "results")[0]["config"]
    assert (config["iterations"], config["warmup"], config["temperature"]) == (3, 1, 0.5)
    assert results_in(tmp_path / "results")[0]["results"]["cost"] == {
        "kwh_rate": 0.12,
        "tariff": [],
        "currency": "$",
        "pue": 1.0,
        "energy_wh": None,
        "cost_per_run": None,
        "cost_per_1m_tokens": None,
        "cost_per_month": None,
        "duty": None,
        "cost_per_month_at_duty": None,
        "co2_g": None,
        "reason": "no_provider",
    }


def test_users_pytest_settings_do_not_reach_the_run(ollama: str, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "conftest.py").write_text("raise RuntimeError('not for us')\n")
    run_cli(
        *("benchmark", "tiny", f"--host={ollama}", "--iterations=1"),
        cwd=tmp_path,
        PYTEST_ADDOPTS="--no-such-option",
        PYTEST_PLUGINS="no_such_plugin",
    )
    assert len(results_in(tmp_path / "results")) == 1


def test_parallel_permission_marks_the_file(ollama: str, tmp_path: Path) -> None:
    done = bench(ollama, tmp_path, "--allow-parallel", "--iterations=1")
    assert results_in(tmp_path / "results")[0]["contended"] is True
    assert "contended:" in done.stdout


def test_results_directory_on_another_file_system_works(ollama: str, tmp_path: Path) -> None:
    import tempfile

    other = Path("/dev/shm") if Path("/dev/shm").is_dir() else tmp_path  # noqa: S108
    with tempfile.TemporaryDirectory(dir=other) as folder:
        bench(ollama, tmp_path, f"--results-dir={folder}", "--iterations=1")
        assert len(results_in(Path(folder))) == 1


BAD_INPUT = {
    "no server": (["m", "--host=127.0.0.1:1"], "no server at http://127.0.0.1:1"),
    "unknown model": (["tinny"], "has no model 'tinny'"),
    "unknown prompt set": (["tiny", "--prompts=codding"], "unknown prompt set 'codding'"),
    "missing prompt file": (["tiny", "--prompts=none.json"], "none.json does not exist"),
    "empty prompt file": (["tiny", "--prompts=empty.json"], "empty.json: is not JSON"),
    "wrong prompt file": (
        ["tiny", "--prompts=wrong.json"],
        "wrong.json: prompts[0] (id 'a'): prompt",
    ),
    "no iterations": (["tiny", "--iterations=0"], "--iterations: '0' is refused"),
    "negative warm-up": (["tiny", "--warmup=-1"], "--warmup: '-1' is refused"),
    "no number": (["tiny", "--seed=x"], "--seed: 'x' is refused"),
    "unknown word": (["tiny", "--cache=cold"], "--cache: 'cold' is refused"),
    "unknown backend": (["tiny", "--backend=vllm"], "--backend: 'vllm' is refused"),
    "unknown format": (["tiny", "-o", "xml"], "--output: unknown format 'xml'"),
    "output nowhere": (["tiny", "-o", "nowhere/x.csv"], "there is no directory nowhere"),
    "no output file": (["tiny", "-o", "."], "--output: unknown format '.'"),
    "no port": (["tiny", "--host=localhost:99999"], "its port is not a number up to 65535"),
    "unknown file to continue": (["tiny", "--resume=../x"], "there is no unfinished run '../x'"),
    "unknown language": (["tiny", "--mode=correctness", "--lang=xx"], "unknown language 'xx'"),
    "prompt file of an array": (
        ["tiny", "--prompts=array.json"],
        "array.json: prompts: ",
    ),
    "unknown flag": (["tiny", "--iteration=3"], "unrecognized arguments"),
    "key in the URL": (["tiny", "--host=http://me:pw@x"], "password in the URL is refused"),
    "other scheme": (["tiny", "--host=ftp://x"], "only http and https"),
    "no such file": (["x.gguf"], "x.gguf does not exist"),
    "not a GGUF": (["empty.gguf"], "empty.gguf is not a GGUF file"),
    "unwritable results": (["tiny", "--results-dir=empty.json"], "empty.json cannot be written"),
    "openai without host": (["m", "--backend=openai"], "--backend openai needs a server"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_sentence_and_exit_code_four(
    case: str, ollama: str, tmp_path: Path
) -> None:
    (tmp_path / "empty.json").touch()
    (tmp_path / "empty.gguf").touch()
    (tmp_path / "array.json").write_text("[]")
    (tmp_path / "wrong.json").write_text('{"name": "x", "prompts": [{"id": "a", "prompt": " "}]}')
    before = sorted(tmp_path.iterdir())
    args, sentence = BAD_INPUT[case]
    hosted = any(a.startswith(("--host", "--backend=openai")) for a in args)
    done = run_cli(
        "benchmark", *args, *([] if hosted else [f"--host={ollama}"]), cwd=tmp_path, check=4
    )
    told = [line for line in done.stderr.splitlines() if not line.startswith("waiting: ")]
    assert len(told) == 1
    assert told[0].startswith("llamaburn: ")
    assert sentence in told[0]
    assert done.stdout == ""
    assert sorted(tmp_path.iterdir()) == before


def test_unknown_key_in_the_configuration_names_the_nearest(ollama: str, tmp_path: Path) -> None:
    (tmp_path / "llamaburn.toml").write_text("[defaults]\nbenchmark_iteration = 3\n")
    done = bench(ollama, tmp_path, check=4)
    assert "unknown key 'defaults.benchmark_iteration'" in done.stderr
    assert "did you mean 'defaults.benchmark_iterations'?" in done.stderr

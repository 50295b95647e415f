"""`models`, `results`, `schema` and the top of the command."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import jsonschema
import pytest
from support.command_line import COMMAND, results_in, run_cli
from support.processes import Process
from support.scripted import (
    Hang,
    LlamaCppFacade,
    OllamaFacade,
    Pause,
    Request,
    Reset,
    ScriptedServer,
    Steps,
    head,
    ndjson,
    sized,
)

from pytest_llamaburn import __version__, registry
from pytest_llamaburn.commands import build_parser, main, schema
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

NOWHERE = "127.0.0.1:1"


PULLING = ndjson({"status": "pulling", "total": 4, "completed": 2})
SUCCESS = ndjson({"status": "success"})


class Registry(OllamaFacade):
    """An Ollama that can pull one model."""

    def __call__(self, request: Request) -> Steps:
        if request.path != "/api/pull":
            return super().__call__(request)
        if request.json["model"] != "tiny":
            return [sized(200, ndjson({"error": "pull model manifest: file does not exist"}))]
        return self.pulling

    pulling: Steps = (sized(200, PULLING + SUCCESS),)


def pulled(pulling: Steps, cwd: Path, check: int) -> str:
    """Return what a pull says of an answer that begins as it should."""
    facade = Registry()
    facade.pulling = pulling
    with ScriptedServer(facade) as server:
        args = ("models", "pull", "tiny", f"--host={server.host}")
        return run_cli(*args, cwd=cwd, check=check).stderr.replace(server.host, "HOST")


def test_models_lists_the_servers_and_the_catalogue(tmp_path: Path) -> None:
    facade = OllamaFacade(loaded=True)
    with ScriptedServer(facade) as server:
        done = run_cli("models", f"--host={server.host}", cwd=tmp_path)
    header, _, tiny, embedded = done.stdout.splitlines()
    assert header.split()[:3] == ["name", "where", "size"]
    assert tiny.startswith("tiny:latest")
    assert tiny.endswith("yes, 100% on the GPU")
    assert embedded.split()[:2] == ["smollm2-135m", "embedded"]


@pytest.mark.parametrize(
    ("fault", "context"), [(None, "8192"), (sized(500), "–"), (sized(200, "[]"), "–")]
)
def test_models_shows_the_context_length_that_ollama_says_of_each(
    fault: bytes | None, context: str, tmp_path: Path
) -> None:
    facade = OllamaFacade()

    def script(request: Request) -> Steps:
        return [fault] if fault and request.path == "/api/show" else facade(request)

    with ScriptedServer(script) as server:
        done = run_cli("models", f"--host={server.host}", cwd=tmp_path)
    tiny = done.stdout.splitlines()[2]
    assert tiny.split()[-2:] == [context, "no"]


def test_models_as_json_has_every_field(tmp_path: Path) -> None:
    with ScriptedServer(LlamaCppFacade(model="m")) as server:
        done = run_cli("models", f"--host={server.host}", "-o", "json", cwd=tmp_path)
    first, second = json.loads(done.stdout)
    assert (first["id"], first["context_length"]) == ("m", 2048)
    assert second["where"] == "embedded"


def test_models_without_a_server_shows_the_catalogue(tmp_path: Path) -> None:
    done = run_cli("models", cwd=tmp_path, OLLAMA_HOST=NOWHERE)
    assert "smollm2-135m" in done.stdout
    assert f"no server at http://{NOWHERE}" in done.stderr


def test_models_of_a_named_host_that_is_silent_exits_four(tmp_path: Path) -> None:
    done = run_cli("models", f"--host={NOWHERE}", cwd=tmp_path, check=4)
    assert f"no server at http://{NOWHERE}" in done.stderr


def test_models_of_what_is_no_model_server_exits_four(tmp_path: Path) -> None:
    with ScriptedServer([sized(200, "<html>It works!</html>")]) as server:
        done = run_cli("models", f"--host={server.host}", cwd=tmp_path, check=4)
        assert done.stderr == (
            f"llamaburn: {server.host}/v1/models has no model list in OpenAI's format\n"
        )


def test_models_of_the_embedded_engine_asks_no_server(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        words = ("models", "--backend=embedded", f"--host={server.host}", "--output=json")
        listed = json.loads(run_cli(*words, cwd=tmp_path).stdout)
    assert {row["where"] for row in listed} == {"embedded"}
    assert server.requests == []


def test_pull_of_an_embedded_model_says_where_it_lies(tmp_path: Path) -> None:
    lies = tmp_path / "models" / "smollm2-135m.gguf"
    lies.parent.mkdir()
    lies.touch()  # what is here is not fetched again
    words = ("models", "pull", "smollm2-135m")
    done = run_cli(*words, cwd=tmp_path, LLAMABURN_CACHE_DIR=str(tmp_path))
    assert (done.stdout, done.stderr) == (f"{lies}\n", "")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"id": 5}, "has no model list in OpenAI's format"),
        ("tiny", "has no model list in OpenAI's format"),
    ],
)
@pytest.mark.parametrize("command", ["models", "benchmark tiny"])
def test_list_in_an_odd_shape_is_one_sentence(
    command: str, entry: object, words: str, tmp_path: Path
) -> None:
    with ScriptedServer([sized(200, {"data": [entry]})]) as server:
        args = (*command.split(), f"--host={server.host}", "--backend=openai")
        done = run_cli(*args, cwd=tmp_path, check=4)
    assert f"llamaburn: {server.host}/v1/models {words}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["models", "benchmark tiny", "status", "doctor"])
def test_host_of_a_variable_that_is_no_address_is_told_by_the_variable(
    command: str, tmp_path: Path
) -> None:
    done = run_cli(*command.split(), cwd=tmp_path, check=None, OLLAMA_HOST="foo:bar")
    told = done.stdout + done.stderr
    assert "OLLAMA_HOST: 'foo:bar' is refused: its port is not a number up to 65535" in told
    assert "--host: " not in told


@pytest.mark.parametrize("command", ["models", "benchmark tiny", "status", "doctor"])
@pytest.mark.parametrize("key", ["sk-\rsecret", "sk-sécret"])
def test_key_that_fits_in_no_header_is_told_without_being_shown(
    command: str, key: str, tmp_path: Path
) -> None:
    args = (*command.split(), "--host=127.0.0.1:1")
    done = run_cli(*args, cwd=tmp_path, check=None, LLAMABURN_API_KEY=key)
    assert "LLAMABURN_API_KEY is not a valid key" in done.stdout + done.stderr
    assert "cret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_pull_follows_the_server(tmp_path: Path) -> None:
    with ScriptedServer(Registry()) as server:
        done = run_cli("models", "pull", "tiny", f"--host={server.host}", cwd=tmp_path)
    assert done.stderr.splitlines() == ["pulling 50%", "success"]


def test_pull_tells_programs_its_progress_as_runs_do(tmp_path: Path) -> None:
    facade = Registry()
    odd = ndjson({"status": "pulling", "total": "many"})
    facade.pulling = [sized(200, PULLING + odd + SUCCESS)]
    with ScriptedServer(facade) as server:
        words = ("models", "pull", "tiny", f"--host={server.host}", "--progress=json")
        said = run_cli(*words, cwd=tmp_path).stderr
    first, *rest = map(json.loads, said.splitlines())
    for event in (first, *rest):
        del event["at"]
    about = {"event": "progress", "stage": "pulling", "unit": "bytes"}
    assert first == {**about, "done": 2, "planned": 4}
    assert rest == [about, {**about, "stage": "success"}]


@pytest.mark.parametrize("body", [b"", PULLING, b"<p>\n", PULLING + b"[]\n"])
def test_pull_that_ends_without_success_exits_four(body: bytes, tmp_path: Path) -> None:
    *_, last = pulled([sized(200, body)], tmp_path, 4).splitlines()
    assert last == (
        "llamaburn: HOST cannot pull tiny: the answer ended without success. "
        "Read the server's log, then pull again"
    )


def test_pull_that_is_refused_tells_the_status_and_the_words_in_one_line(tmp_path: Path) -> None:
    page = "<html>\n<h1>502 Bad Gateway</h1>\n</html>"
    assert pulled([sized(502, page)], tmp_path, 4) == (
        "llamaburn: HOST cannot pull tiny: server_error (502): "
        "<html> <h1>502 Bad Gateway</h1> </html>\n"
    )


def test_pull_that_is_cut_says_so_of_a_server_that_was_there(tmp_path: Path) -> None:
    answer = head(200, content_length="999") + PULLING
    *_, last = pulled([answer, Pause(0.2), Reset()], tmp_path, 4).splitlines()
    assert last.startswith("llamaburn: HOST sent no complete answer: ")


@pytest.mark.parametrize("more", [b"\n", b'{"completed": 3}\n', b'{"completed":1,"total":"9"}\n'])
def test_pull_follows_a_server_that_leaves_things_out(more: bytes, tmp_path: Path) -> None:
    said = pulled([sized(200, PULLING + more + SUCCESS)], tmp_path, 0)
    assert said.splitlines() == ["pulling 50%", "success"]


def test_models_of_what_is_no_ollama_is_one_sentence(tmp_path: Path) -> None:
    with ScriptedServer(LlamaCppFacade()) as server:
        args = ("models", "--backend=ollama", f"--host={server.host}")
        done = run_cli(*args, cwd=tmp_path, check=4)
    assert "/api/ps has no model list in Ollama's format: try --backend openai" in done.stderr
    assert done.stderr.count("\n") == 1


def test_pull_of_an_unknown_model_gives_the_servers_words(tmp_path: Path) -> None:
    with ScriptedServer(Registry()) as server:
        done = run_cli("models", "pull", "no", f"--host={server.host}", cwd=tmp_path, check=4)
    assert "cannot pull no: pull model manifest: file does not exist" in done.stderr


def test_pull_without_a_name_says_so(tmp_path: Path) -> None:
    assert "no model given" in run_cli("models", "pull", cwd=tmp_path, check=4).stderr


def test_pull_from_a_server_that_cannot_says_so(tmp_path: Path) -> None:
    with ScriptedServer(LlamaCppFacade()) as server:
        done = run_cli("models", "pull", "x", f"--host={server.host}", cwd=tmp_path, check=4)
    assert "only Ollama can" in done.stderr


def test_results_are_listed_shown_and_validated(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        bench = ("benchmark", "tiny", f"--host={server.host}", "--iterations=2")
        table = run_cli(*bench, cwd=tmp_path).stdout
    listed = run_cli("results", "list", "benchmarks", cwd=tmp_path).stdout.splitlines()
    identifier = listed[2].split()[0]
    assert listed[2].split()[1:4] == ["benchmarks", "complete", "tiny:latest"]
    assert run_cli("results", "show", identifier, cwd=tmp_path).stdout == table
    path = f"results/benchmarks/{identifier}.json"
    shown = run_cli("results", "show", path, "-o", "json", cwd=tmp_path).stdout
    assert shown == (tmp_path / path).read_text()
    run_id = json.loads(shown)["run_id"]
    assert run_cli("results", "show", run_id, cwd=tmp_path).stdout == table
    assert run_cli("results", "validate", path, cwd=tmp_path).stdout == f"{path}: valid\n"
    rows = json.loads(run_cli("results", "list", "-o", "json", cwd=tmp_path).stdout)
    assert [row["id"] for row in rows] == [identifier]


def test_no_results_is_said_plainly(tmp_path: Path) -> None:
    assert run_cli("results", "list", cwd=tmp_path).stdout == "no results in results\n"


def test_damaged_files_are_refused_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "c.json").write_text('{"schema": "llamaburn/benchmark"}')
    files = ("a.json", "b.json", "c.json", "d.json")
    done = run_cli("results", "validate", *files, cwd=tmp_path, check=4)
    reasons = ("it has no 'schema'", "b.json is not JSON", "schema_version: field required")
    assert all(reason in done.stderr for reason in (*reasons, "no result 'd.json'"))


@pytest.mark.parametrize("action", [("list", "benchmark"), ("show",), ("validate",)])
def test_results_without_what_they_need_exit_four(action: tuple[str, ...], tmp_path: Path) -> None:
    assert run_cli("results", *action, cwd=tmp_path, check=4).stderr.startswith("llamaburn: ")


def test_list_shows_a_file_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "results" / "benchmarks").mkdir(parents=True)
    (tmp_path / "results" / "benchmarks" / "x.json").write_text("{")
    assert "unreadable" in run_cli("results", "list", cwd=tmp_path).stdout


@pytest.mark.parametrize("kind", [*results.kinds(), "eval_set", "prompts", "settings"])
def test_schema_of_each_kind_of_file_is_json_schema(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", kind]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_version_is_the_packages(tmp_path: Path) -> None:
    assert run_cli("--version", cwd=tmp_path).stdout == f"llamaburn {__version__}\n"


@pytest.mark.parametrize("name", registry.names("commands"))
def test_help_of_each_command_has_an_example_and_the_exit_codes(name: str, tmp_path: Path) -> None:
    text = run_cli(name, "--help", cwd=tmp_path).stdout
    assert f"example:\n  llamaburn {name}" in text
    assert "exit codes:" in text


def test_no_command_exits_four(tmp_path: Path) -> None:
    assert "command" in run_cli(cwd=tmp_path, check=4).stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom pytest_llamaburn.commands import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'httpx', 'msgspec', 'numpy', 'pydantic', 'pytest', 'rich', 'asyncio'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("schema", "benchmark"), 0),  # longer than the buffer
        (("results", "list"), 0),
        (("--help",), 0),
        (("--version",), 0),
        (("models", f"--host={NOWHERE}"), 4),
    ],
)
def test_reader_that_has_left_is_no_error(
    words: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert done.returncode == code
    assert b"Error" not in done.stderr


def test_ctrl_c_exits_two_without_a_word(tmp_path: Path) -> None:
    asked = threading.Event()

    def script(_: Request) -> Steps:
        asked.set()
        return [Hang()]

    with ScriptedServer(script) as server:
        words = ("models", f"--host={server.host}")
        pipe = subprocess.PIPE
        running = Process[bytes]([*COMMAND, *words], cwd=tmp_path, stdout=pipe, stderr=pipe)
        assert asked.wait(60)
        running.send_signal(signal.SIGINT)
        assert running.communicate(timeout=300) == (b"", b"")
    assert running.returncode == 2


def test_data_is_utf_8_whatever_the_locale_s_encoding(tmp_path: Path) -> None:
    with ScriptedServer(LlamaCppFacade()) as server:
        args = ("models", f"--host={server.host}")
        done = run_cli(*args, cwd=tmp_path, PYTHONIOENCODING="ascii")
    header, rule, tiny, _ = done.stdout.splitlines()
    assert header.startswith("name")
    assert set(rule) == {"─"}
    assert tiny.startswith("tiny:latest")


def redirected(words: str, where: str, cwd: Path) -> tuple[int, str]:
    """Return the exit code and the errors of a command whose output a shell redirects."""
    command = f"{shlex.quote(sys.executable)} -m pytest_llamaburn {words}"
    script = f"{command} {where}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", ["results list", "schema"])  # less and more than is buffered
def test_output_that_cannot_be_written_is_one_sentence(words: str, tmp_path: Path) -> None:
    code, said = redirected(words, ">/dev/full", tmp_path)
    assert code == 4
    assert said.startswith("llamaburn: standard output cannot be written: No space left on device;")
    assert said.count("\n") == 1


def test_file_of_a_run_whose_table_is_lost_is_named(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        words = f"benchmark tiny --host={server.host} --iterations=1"
        code, said = redirected(words, ">/dev/full", tmp_path)
    *_, wrote, lost = said.splitlines()
    assert (code, lost.partition(":")[0]) == (4, "llamaburn")
    assert (tmp_path / wrote.removeprefix("wrote ")).is_file()


@pytest.mark.parametrize("words", ["schema", "results show x"])
def test_exit_code_tells_even_where_no_word_can(words: str, tmp_path: Path) -> None:
    assert redirected(words, ">/dev/full 2>&1", tmp_path) == (4, "")


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
def test_output_that_the_caller_closed_goes_nowhere(closed: str, tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        words = f"benchmark tiny --host={server.host} --iterations=1"
        code, said = redirected(words, closed, tmp_path)
    assert code == 0
    assert "Traceback" not in said
    (document,) = results_in(tmp_path / "results")
    assert document["status"] == "complete"


@pytest.mark.parametrize("words", ["results list", "schema"])
def test_reader_that_leaves_early_is_no_error(words: str, tmp_path: Path) -> None:
    assert redirected(words, "| head -c 0", tmp_path) == (0, "")


@pytest.mark.parametrize("error", [OSError("of no stream of ours"), KeyError("left over")])
def test_bug_shows_its_traceback_and_exits_three(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_off(arguments: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(schema, "run", break_off)
    assert main(["schema"]) == 3
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("results show -o json FILE", ["FILE"]),
        ("results show --results-dir results FILE", ["FILE"]),
        ("results list -o json stress", ["stress"]),
        ("compare A -o json B", ["A", "B"]),
    ],
)
def test_names_may_follow_options(line: str, names: list[str]) -> None:
    words = line.split()
    assert build_parser(words[0]).parse_args(words).names == names


def test_an_unknown_option_is_refused_beside_names_that_follow_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["results", "list", "--bogus", "-o", "json", "stress"])
    assert ended.value.code == 4
    assert "unrecognized arguments: --bogus" in capsys.readouterr().err

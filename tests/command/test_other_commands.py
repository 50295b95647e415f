"""`models`, `results`, `schema` and the top of the command."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from command_line import llamaburn
from scripted import LlamaCppFacade, OllamaFacade, Request, ScriptedServer, Steps, ndjson, sized

from pytest_llamaburn import __version__, registry, results
from pytest_llamaburn.commands import main

if TYPE_CHECKING:
    from pathlib import Path


class Registry(OllamaFacade):
    """An Ollama that can pull one model."""

    def __call__(self, request: Request) -> Steps:
        if request.path != "/api/pull":
            return super().__call__(request)
        if request.json["model"] != "tiny":
            return [sized(200, ndjson({"error": "pull model manifest: file does not exist"}))]
        lines: list[dict[str, Any]] = [
            {"status": "pulling", "total": 4, "completed": 2},
            {"status": "success"},
        ]
        return [sized(200, b"".join(ndjson(line) for line in lines))]


def test_models_lists_the_servers_and_the_catalogue(tmp_path: Path) -> None:
    facade = OllamaFacade(loaded=True)
    with ScriptedServer(facade) as server:
        done = llamaburn("models", f"--host={server.host}", cwd=tmp_path)
    header, _, tiny, embedded = done.stdout.splitlines()
    assert header.split()[:3] == ["name", "where", "size"]
    assert tiny.startswith("tiny:latest")
    assert tiny.endswith("yes, 100% on the GPU")
    assert embedded.split()[:2] == ["smollm2-135m", "embedded"]


def test_models_as_json_has_every_field(tmp_path: Path) -> None:
    with ScriptedServer(LlamaCppFacade(model="m")) as server:
        done = llamaburn("models", f"--host={server.host}", "-o", "json", cwd=tmp_path)
    first, second = json.loads(done.stdout)
    assert (first["id"], first["context_length"]) == ("m", 2048)
    assert second["where"] == "embedded"


def test_models_without_a_server_shows_the_catalogue(tmp_path: Path) -> None:
    done = llamaburn("models", cwd=tmp_path, OLLAMA_HOST="127.0.0.1:1")
    assert "smollm2-135m" in done.stdout
    assert "no server at http://127.0.0.1:1" in done.stderr


def test_models_of_a_named_host_that_is_silent_exits_four(tmp_path: Path) -> None:
    done = llamaburn("models", "--host=127.0.0.1:1", cwd=tmp_path, check=4)
    assert "no server at http://127.0.0.1:1" in done.stderr


def test_pull_follows_the_server(tmp_path: Path) -> None:
    with ScriptedServer(Registry()) as server:
        done = llamaburn("models", "pull", "tiny", f"--host={server.host}", cwd=tmp_path)
    assert done.stderr.splitlines() == ["pulling 50%", "success"]


def test_pull_of_an_unknown_model_gives_the_servers_words(tmp_path: Path) -> None:
    with ScriptedServer(Registry()) as server:
        done = llamaburn("models", "pull", "no", f"--host={server.host}", cwd=tmp_path, check=4)
    assert "cannot pull no: pull model manifest: file does not exist" in done.stderr


def test_pull_without_a_name_says_so(tmp_path: Path) -> None:
    assert "name the model" in llamaburn("models", "pull", cwd=tmp_path, check=4).stderr


def test_pull_from_a_server_that_cannot_says_so(tmp_path: Path) -> None:
    with ScriptedServer(LlamaCppFacade()) as server:
        done = llamaburn("models", "pull", "x", f"--host={server.host}", cwd=tmp_path, check=4)
    assert "only Ollama can" in done.stderr


def test_results_are_listed_shown_and_validated(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        bench = ("benchmark", "tiny", f"--host={server.host}", "--iterations=2")
        table = llamaburn(*bench, cwd=tmp_path).stdout
    listed = llamaburn("results", "list", "benchmarks", cwd=tmp_path).stdout.splitlines()
    identifier = listed[2].split()[0]
    assert listed[2].split()[1:4] == ["benchmarks", "complete", "tiny:latest"]
    assert llamaburn("results", "show", identifier, cwd=tmp_path).stdout == table
    path = f"results/benchmarks/{identifier}.json"
    shown = llamaburn("results", "show", path, "-o", "json", cwd=tmp_path).stdout
    assert shown == (tmp_path / path).read_text()
    run_id = json.loads(shown)["run_id"]
    assert llamaburn("results", "show", run_id, cwd=tmp_path).stdout == table
    assert llamaburn("results", "validate", path, cwd=tmp_path).stdout == f"{path}: valid\n"
    rows = json.loads(llamaburn("results", "list", "-o", "json", cwd=tmp_path).stdout)
    assert [row["id"] for row in rows] == [identifier]


def test_no_results_is_said_plainly(tmp_path: Path) -> None:
    assert llamaburn("results", "list", cwd=tmp_path).stdout == "no results in results\n"


def test_damaged_files_are_refused_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "c.json").write_text('{"schema": "llamaburn/benchmark"}')
    files = ("a.json", "b.json", "c.json", "d.json")
    done = llamaburn("results", "validate", *files, cwd=tmp_path, check=4)
    reasons = ("it has no 'schema'", "b.json is not JSON", "schema_version: field required")
    assert all(reason in done.stderr for reason in (*reasons, "no result 'd.json'"))


@pytest.mark.parametrize("action", [("list", "benchmark"), ("show",), ("validate",)])
def test_results_without_what_they_need_exit_four(action: tuple[str, ...], tmp_path: Path) -> None:
    assert llamaburn("results", *action, cwd=tmp_path, check=4).stderr.startswith("llamaburn: ")


def test_list_shows_a_file_it_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "results" / "benchmarks").mkdir(parents=True)
    (tmp_path / "results" / "benchmarks" / "x.json").write_text("{")
    assert "unreadable" in llamaburn("results", "list", cwd=tmp_path).stdout


@pytest.mark.parametrize("kind", [*results.kinds(), "eval_set", "prompts", "settings"])
def test_schema_of_each_kind_of_file_is_json_schema(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", kind]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_version_is_the_packages(tmp_path: Path) -> None:
    assert llamaburn("--version", cwd=tmp_path).stdout == f"llamaburn {__version__}\n"


@pytest.mark.parametrize("name", registry.names("commands"))
def test_help_of_each_command_has_an_example_and_the_exit_codes(name: str, tmp_path: Path) -> None:
    text = llamaburn(name, "--help", cwd=tmp_path).stdout
    assert f"example:\n  llamaburn {name}" in text
    assert "exit codes:" in text


def test_no_command_exits_four(tmp_path: Path) -> None:
    assert "command" in llamaburn(cwd=tmp_path, check=4).stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom pytest_llamaburn.commands import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'httpx', 'msgspec', 'numpy', 'pydantic', 'pytest', 'rich', 'asyncio'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m pytest_llamaburn schema | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr

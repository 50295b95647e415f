"""`llamaburn status`: what a server and a machine say, and what they do not."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from support.command_line import COMMAND, run_cli
from support.processes import Process
from support.scripted import LlamaCppFacade, OllamaFacade, Request, ScriptedServer, Steps, sized

from pytest_llamaburn import environment
from pytest_llamaburn.commands import _look, main, status

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = "127.0.0.1:1"


class NoPs(OllamaFacade):
    """An imitation of Ollama that cannot say what is in memory."""

    def __call__(self, request: Request) -> Steps:
        return [sized(404)] if request.path == "/api/ps" else super().__call__(request)


class OddSize(OllamaFacade):
    """An Ollama that writes a model's size in words."""

    def __call__(self, request: Request) -> Steps:
        odd = {"models": [{"name": "tiny", "size": "large"}]}
        return [sized(200, odd)] if request.path == "/api/ps" else super().__call__(request)


def vllm(request: Request) -> Steps:
    """A server that lists a model and nothing about it."""
    if request.path == "/v1/models":
        return [sized(200, {"data": [{"id": "m", "owned_by": "vllm"}]})]
    return [sized(404)]


def lm_studio(request: Request) -> Steps:
    """A server with OpenAI's list of models, and one of its own."""
    ours = request.path in ("/v1/models", "/api/v1/models")
    return [sized(200, {"data": [{"id": "m"}]}) if ours else sized(404)]


def status_document(host: str, cwd: Path) -> dict[str, Any]:
    text = run_cli("status", f"--host={host}", "--output=json", cwd=cwd).stdout
    found: dict[str, Any] = json.loads(text)
    return found


def rows(text: str) -> dict[str, str]:
    return {line[:16].strip(): line[16:] for line in text.splitlines()}


def test_table_names_the_server_and_what_it_holds(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade(loaded=True)) as server:
        found = rows(run_cli("status", f"--host={server.host}", cwd=tmp_path).stdout)
        assert found["server"] == f"ollama 0.32.15 at {server.host}"
    assert found["in memory"] == "tiny:latest: 98.4 MB, on the GPU: 100%, context: 4096"
    assert found["CPU"].endswith(" %")
    assert found["RAM"].endswith(" MB used")
    assert list(found)[3:] == ["other programs", "RAM", "GPUs", "sensors", ""]


def test_server_that_holds_nothing_says_none(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        found = rows(run_cli("status", f"--host={server.host}", cwd=tmp_path).stdout)
    assert found["in memory"] == "none"


def test_llama_cpp_says_in_its_list_what_it_holds(tmp_path: Path) -> None:
    with ScriptedServer(LlamaCppFacade(model="m")) as server:
        found = status_document(server.host, tmp_path)
        about = {"version": "b0-unknown", "host": f"{server.host}/v1", "local": True}
    assert found["server"] == {"kind": "llama.cpp", **about}
    (held,) = found["loaded"]
    assert held == {"name": "m", "size_mb": 98.362432, "gpu_share": None, "context_length": 2048}


def test_what_a_server_does_not_say_is_null_with_its_reason(tmp_path: Path) -> None:
    with ScriptedServer(vllm) as server:
        found = status_document(server.host, tmp_path)
    assert (found["server"]["kind"], found["loaded"]) == ("vllm", None)
    assert found["null_reasons"]["loaded"] == "this kind of server does not say"


def test_lm_studio_is_known_by_its_own_list(tmp_path: Path) -> None:
    with ScriptedServer(lm_studio) as server:
        assert status_document(server.host, tmp_path)["server"]["kind"] == "lmstudio"


def test_server_that_is_not_of_the_named_kind_exits_four(tmp_path: Path) -> None:
    with ScriptedServer(vllm) as server:
        words = ("status", "--backend=ollama", f"--host={server.host}")
        done = run_cli(*words, cwd=tmp_path, check=4)
        told = f"{server.host} does not answer like Ollama: try --backend openai"
    assert done.stderr == f"llamaburn: {told}\n"


def test_listing_that_is_missing_is_a_reason(tmp_path: Path) -> None:
    with ScriptedServer(NoPs()) as server:
        found = status_document(server.host, tmp_path)
    assert found["server"]["kind"] == "ollama"
    assert "/api/ps has no model list in Ollama's format" in found["null_reasons"]["loaded"]


def test_an_odd_value_is_null_with_a_note(tmp_path: Path) -> None:
    with ScriptedServer(OddSize()) as server:
        found = status_document(server.host, tmp_path)
        text = run_cli("status", f"--host={server.host}", cwd=tmp_path).stdout
    (loaded,) = found["loaded"]
    assert (loaded["name"], loaded["size_mb"]) == ("tiny", None)
    note = "/api/ps: models: 'size' is \"large\", not a number of at least 0"
    assert found["server_notes"] == [note]
    assert f"cannot be read: {note}" in text


def test_no_server_is_no_error_unless_it_was_named(tmp_path: Path) -> None:
    done = run_cli("status", cwd=tmp_path, OLLAMA_HOST=NOWHERE)
    assert rows(done.stdout)["server"].startswith(f"– (no server at http://{NOWHERE}")
    assert rows(done.stdout)["in memory"] == "– (there is no server)"
    assert done.stderr == ""
    named = run_cli("status", f"--host={NOWHERE}", cwd=tmp_path, check=4)
    assert named.stderr.startswith(f"llamaburn: no server at http://{NOWHERE}")
    assert named.stderr.count("\n") == 1


def test_embedded_engine_runs_only_while_it_measures(tmp_path: Path) -> None:
    done = run_cli("status", "--backend=embedded", cwd=tmp_path)
    assert rows(done.stdout)["server"] == "– (the embedded engine runs only while it measures)"


def test_watch_shows_one_state_a_line_until_ctrl_c(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade(loaded=True)) as server:
        flags = (f"--host={server.host}", "--watch", "--interval=10ms", "-o", "json")
        running = Process(
            [*COMMAND, "status", *flags],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert running.stdout is not None
        states = [json.loads(running.stdout.readline()) for _ in range(3)]
        running.send_signal(signal.SIGINT)
        _, stderr = running.communicate(timeout=300)
    assert [state["loaded"][0]["name"] for state in states] == ["tiny:latest"] * 3
    assert (running.returncode, stderr) == (0, "")


def test_watched_table_clears_a_terminal_only(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [*COMMAND, "status", f"--host={NOWHERE}", "--watch", "--interval=10ms"]
    env = {**os.environ, "TERM": "xterm", "NO_COLOR": ""}
    running = Process[bytes](
        command, cwd=tmp_path, env=env, stdout=theirs, stderr=subprocess.DEVNULL
    )
    seen = b""
    while seen.count(b"\x1b[H\x1b[2Jserver") < 2:
        seen += os.read(ours, 4096)
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 0
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("plain", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_watched_table_is_plain_lines_on_a_terminal_that_shows_plain_text(
    plain: dict[str, str], tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    command = [*COMMAND, "status", f"--host={NOWHERE}", "--watch", "--interval=10ms"]
    env = {**os.environ, "TERM": "xterm", "NO_COLOR": "", **plain}
    running = Process[bytes](
        command, cwd=tmp_path, env=env, stdout=theirs, stderr=subprocess.DEVNULL
    )
    seen = b""
    while seen.count(b"in memory") < 3:
        seen += os.read(ours, 4096)
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 0
    assert seen.count(b"\r\n\r\nserver") >= 2
    assert b"\x1b" not in seen
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_interval_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    done = run_cli("status", "--watch", f"--interval={text}", cwd=tmp_path, check=4)
    assert f"'{text}' is refused: write a time" in done.stderr


def test_busiest_other_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([{(1, "calm"): 5.0, (2, "busy"): 1.0}, {(1, "calm"): 5.0, (2, "busy"): 1.1}])
    monkeypatch.setattr(_look, "cpu_seconds", lambda: next(used))
    monkeypatch.setattr(psutil, "cpu_count", lambda: 2)
    monkeypatch.setattr(environment.OtherLoad, "share", lambda _: 0.25)
    monkeypatch.setattr(psutil, "cpu_percent", lambda seconds: 30.0)
    cpu, others, busiest = _look.load(0.5)
    assert (cpu, others) == (30.0, 25.0)
    assert busiest is not None
    assert (busiest[0], round(busiest[1], 6)) == ("busy", 10.0)


def test_neither_we_nor_servers_are_other_programs() -> None:
    programs = _look.cpu_seconds()
    assert os.getpid() not in {pid for pid, _ in programs}
    assert not [name for _, name in programs if name.startswith(environment.OtherLoad.SERVERS)]


def test_unreadable_counters_are_null_and_never_zero(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment.OtherLoad, "share", lambda _: None)
    monkeypatch.setattr(status, "WINDOW_S", 0.01)
    arguments = ["status", "--backend=embedded"]
    assert main(arguments) == 0
    found = rows(capsys.readouterr().out)
    assert found["CPU"] == found["other programs"] == "– (this system has no counters)"
    assert main([*arguments, "-o", "json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert state["cpu_percent"] is state["others_percent"] is state["busiest"] is None


def test_gpus_are_those_that_drivers_show(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = [{"vendor": "nvidia", "name": "Example RTX"}, {"vendor": "amd", "name": None}]
    monkeypatch.setattr(environment, "facts", lambda: {"gpus": gpus})
    state = status.machine_state(_look.Load(1.0, 12.4, ("make", 11.6)))
    assert state["gpus"] == gpus
    found = dict(status.machine_rows(state))
    assert found["GPUs"] == "Example RTX, amd"
    assert found["other programs"] == "12 %, most by make (12 %)"


def test_what_a_container_leaves_of_the_machine_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"gpus": [], "cores_logical": 2, "ram_mb": 25_300, "cpu_quota": 0.5, "cpus_allowed": 2}
    monkeypatch.setattr(environment, "facts", lambda: {**known, "ram_limit_mb": 512})
    state = status.machine_state(_look.Load(1.0, 0.0, None))
    assert state["machine"]["cpu_quota"] == 0.5
    found = dict(status.machine_rows({**state, "null_reasons": {"gpus": "none", "busiest": ""}}))
    assert found["may be used"] == "0.5 of 2 cores, 512 MB of 25.3 GB"


def test_no_gpu_seen_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "facts", lambda: {"gpus": []})
    assert status.machine_state(_look.Load(1.0, 0.0, None))["gpus"] is None

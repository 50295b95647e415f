"""`llamaburn tune` as a child process: over Ollama's wire, and with a server that it starts."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from support.command_line import run_cli
from support.scripted import Request, ScriptedServer, Steps
from support.tuned_server import WordCounting

from pytest_llamaburn.store.results import check

SMALL = ("--iterations=3", "--answers=1", "--isl=40", "--osl=4", "--warmup=1")
PREFILL = "--objective=prefill"  # an answer of a server that answers at once may come in one read
LLAMA = str(Path(__file__).parents[1] / "support" / "small_llama.py")


class Tuning(WordCounting):
    """An Ollama that keeps the options of each load."""

    def __call__(self, request: Request) -> Steps:
        asked = request.json if request.path == "/api/chat" else {}
        if "options" in asked and not asked["messages"]:
            seen.append({name: asked["options"].get(name) for name in ("num_batch", "num_thread")})
        return super().__call__(request)


seen: list[dict[str, Any]] = []


def file_of(tmp_path: Path) -> dict[str, Any]:
    (path,) = (tmp_path / "results" / "tunings").glob("*.json")
    document: dict[str, Any] = json.loads(path.read_text())
    check(document)
    return document


def test_every_round_loads_every_setting_with_its_options(tmp_path: Path) -> None:
    seen.clear()
    options = ("--option=num_batch=128,512", "--option=num_thread=1,2")
    with ScriptedServer(Tuning()) as server:
        done = run_cli("tune", f"--host={server.host}", *options, *SMALL, PREFILL, cwd=tmp_path)
    document = file_of(tmp_path)
    assert document["status"] == "complete"
    assert document["results"]["totals"]["planned"] == 4 * 3
    rounds = [seen[1:][n : n + 4] for n in range(0, 12, 4)]
    every = [{"num_batch": b, "num_thread": t} for b in (128, 512) for t in (1, 2)]
    assert all(sorted(map(str, one)) == sorted(map(str, every)) for one in rounds)
    assert "4 settings in 3 rounds, 12 answers" in done.stderr
    assert "to keep it\n  FROM tiny:latest\n  PARAMETER num_batch" in done.stdout


def test_options_that_the_server_would_ignore_are_refused(tmp_path: Path) -> None:
    with ScriptedServer(Tuning()) as server:
        args = ("tune", f"--host={server.host}", "--option=threads=1,2")
        done = run_cli(*args, cwd=tmp_path, check=4)
    assert "--option: unknown option of ollama 'threads'" in done.stderr
    done = run_cli("tune", "tiny", "--option=threads", cwd=tmp_path, check=4)
    assert done.stderr.startswith("llamaburn: --option: 'threads' is refused: write an option")


def test_a_server_that_the_run_starts_has_the_options_and_is_stopped(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    command = f"{shlex.quote(sys.executable)} {shlex.quote(LLAMA)} --log {log} {{args}}"
    args = ("tune", "tiny", "--option=delay=1,20,none", f"--server-command={command}")
    run_cli(*args, *SMALL, cwd=tmp_path)
    document = file_of(tmp_path)
    found = document["results"]
    assert found["best"]["name"] == "delay=1"
    assert found["best"]["keep"] == [command.replace("{args}", "--delay 1")]
    (failed,) = (one for one in found["settings"] if one["name"] == "delay=none")
    assert "ended with 2: " in failed["reason"]
    assert "invalid int value" in failed["reason"]
    lines = log.read_text().split()
    assert lines.count("begin") == lines.count("end") == 2 * 3 + 1
    assert document["server"]["kind"] == "llama.cpp"


def test_a_command_that_cannot_be_started_is_one_sentence(tmp_path: Path) -> None:
    args = ("tune", "tiny", "--option=a=1,2", "--server-command=no-such-program {args}")
    done = run_cli(*args, cwd=tmp_path, check=4)
    assert done.stderr.strip() == (
        "llamaburn: --server-command: no-such-program cannot be started: No such file or directory"
    )

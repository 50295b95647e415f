"""`llamaburn serve` as a process: how it begins, what it survives, how it ends."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import webbrowser
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from support.command_line import run_cli
from support.scripted import OllamaFacade, ScriptedServer
from support.served import serving
from support.web_api import WAITS_S

from pytest_llamaburn.commands import main, serve
from pytest_llamaburn.errors import installing
from pytest_llamaburn.web import bundle, server

if TYPE_CHECKING:
    from pathlib import Path

LOAD = {"model": ["tiny"], "iterations": 5000, "warmup": 0, "profile": False}


def test_the_first_line_is_the_address_with_a_random_token(tmp_path: Path) -> None:
    with serving(tmp_path, LLAMABURN_TOKEN="") as one:
        assert one.url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{one.url}/health").json()["status"] == "ok"
        assert one.client.get("/jobs").status_code == 401
    assert len({server.token() for _ in range(3)}) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_a_page_open_and_a_run_going_on_and_leaves_no_child(
    number: int, tmp_path: Path
) -> None:
    with ScriptedServer(OllamaFacade()) as ollama, serving(tmp_path) as served:
        body = {**LOAD, "host": ollama.host}
        job = served.client.post("/benchmark/run", json=body).json()
        link = f"/jobs/{job['id']}"
        pid = served.wait(link, lambda job: (job["progress"] or {}).get("done"))["pid"]
        with served.client.stream("GET", "/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.iter_lines()
            next(line for line in lines if line.startswith("event: "))
            served.process.send_signal(number)
            for _ in lines:  # until the server ends the stream
                pass
        assert served.process.wait(WAITS_S) == 0
        assert served.process.stderr is not None
        assert served.process.stderr.read() in ("", f"llamaburn: {bundle.HOW}\n")
    assert not psutil.pid_exists(pid)
    kept = [*(tmp_path / "results").glob("benchmarks/*.json"), *tmp_path.glob("results/.journal/*")]
    assert kept


def test_a_killed_server_finds_its_run_again(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as ollama:
        with serving(tmp_path) as first:
            body = {**LOAD, "host": ollama.host}
            link = f"/jobs/{first.client.post('/benchmark/run', json=body).json()['id']}"
            first.wait(link, lambda job: (job["progress"] or {}).get("done"))
            first.process.kill()
        with serving(tmp_path) as second:
            job = second.wait(link, lambda job: (job["progress"] or {}).get("done"))
            assert job["state"] == "running"
            assert second.client.delete(link).status_code == 202
            over = second.wait(link, lambda job: job["state"] == "lost")
            (row,) = second.client.get("/results/benchmarks").json()["rows"]
            (cut,) = second.client.get("/jobs").json()["unfinished"]
    assert over["wrote"] == [{"type": "benchmarks", "id": row["id"]}]
    assert row["status"] == "interrupted"
    assert cut["command"] == f"llamaburn benchmark --resume {row['run_id']}"


def test_an_upload_of_a_hundred_megabytes_is_refused_with_a_sentence(tmp_path: Path) -> None:
    headers = {"content-type": "application/json"}
    with serving(tmp_path) as served:
        answer = served.client.post("/compare", content=b" " * 100_000_000, headers=headers)
        assert answer.status_code == 413
        assert "is larger than" in answer.json()["detail"]
        assert served.client.get("/health").status_code == 200


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_cli("serve", f"--port={port}", cwd=tmp_path, check=4)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"llamaburn: --port: {port} at 127.0.0.1 cannot be used")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port=x"], "'x' is refused: give a number from 0 to 65535"),
        (["--port=65536"], "'65536' is refused"),
        (["--bind=0.0.0.0"], "--bind: 0.0.0.0 is refused"),
        (["--bind=::"], "--unsafe-bind"),
        (["--bind=example.org"], "--bind: example.org is refused"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(words: list[str], said: str, tmp_path: Path) -> None:
    done = run_cli("serve", *words, cwd=tmp_path, check=4)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("given", ["short", "with spaces in the token", "x" * 15, "é" * 20])
def test_a_token_that_can_be_guessed_is_refused(
    given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLAMABURN_TOKEN", given)
    assert main(["serve", "--port=0"]) == 4
    said = capsys.readouterr().err
    assert said.startswith("llamaburn: LLAMABURN_TOKEN: it is refused")
    assert given not in said


def test_without_the_extra_the_install_line_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda _: None)
    assert main(["serve"]) == 4
    needed = "llamaburn: llamaburn serve needs the extra [web]: "
    assert capsys.readouterr().err == f"{needed}{installing('web')}\n"


@pytest.mark.parametrize(
    ("bind", "address"),
    [("0.0.0.0", "http://127.0.0.1:"), ("::1", "http://[::1]:")],  # noqa: S104
)
def test_an_address_is_told_and_opened(
    bind: str, address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    monkeypatch.setattr(asyncio, "run", lambda work: work.close())
    monkeypatch.setattr(bundle, "ensure", lambda: None)
    assert main(["serve", "--port=0", f"--bind={bind}", "--unsafe-bind", "--open"]) == 0
    said = capsys.readouterr()
    told = said.out.splitlines()
    assert told == opened
    assert "other machines are refused: add --trusted-host" in said.err
    assert told[0].startswith(address)


@pytest.mark.parametrize(
    ("bind", "alone"), [("127.0.0.9", True), ("localhost", True), ("10.0.0.1", False)]
)
def test_loopback_is_told_from_other_addresses(bind: str, alone: bool) -> None:
    assert server.is_loopback(bind) is alone


def test_other_commands_and_the_plugin_import_no_web_framework() -> None:
    code = (
        "import sys, pytest_llamaburn.plugin\n"
        "from pytest_llamaburn.commands import build_parser\n"
        "build_parser()\n"
        "assert not {'fastapi', 'starlette', 'uvicorn'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""`llamaburn chat` as a child process, against a loopback server with llama.cpp's wire."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.command_line import run_cli
from support.rated_server import Rated, RatedFacade
from support.scripted import ScriptedServer

from pytest_llamaburn.store.results import check

if TYPE_CHECKING:
    from pathlib import Path

ASKED = ("--turns=3", "--isl=16", "--osl=4", "--warmup=0", "--gpu-provider=host")


def test_the_file_has_each_turn_and_the_end_of_the_context(tmp_path: Path) -> None:
    with ScriptedServer(RatedFacade(rated=Rated(context=2048))) as server:
        done = run_cli("chat", f"--host={server.host}", *ASKED, cwd=tmp_path)
    (path,) = (tmp_path / "results" / "chats").glob("*.json")
    document = json.loads(path.read_text())
    check(document)
    found = document["results"]
    assert document["status"] == "complete"
    assert found["totals"] == {"requests": 15, "succeeded": 15, "failed": 0, "planned": 15}
    assert [turn["turn"] for turn in found["turns"]] == [1, 2, 3]
    assert found["overflow"]["prompt"]["behaviour"] == "refuses"
    assert found["overflow"]["answer"]["behaviour"] == "stops"
    assert "17 requests to tiny:latest: " in done.stderr
    assert "the server refuses it: context_overflow: request (" in done.stdout


def test_bad_input_is_refused_before_a_server_is_asked(tmp_path: Path) -> None:
    done = run_cli("chat", "tiny", "--turns=0", cwd=tmp_path, check=4)
    assert "--turns: '0' is refused" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1

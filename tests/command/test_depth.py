"""`llamaburn depth` as a child process, against a loopback server with llama.cpp's wire."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.command_line import run_cli
from support.rated_server import Rated, RatedFacade
from support.scripted import ScriptedServer

from pytest_llamaburn.store.results import check

if TYPE_CHECKING:
    from pathlib import Path

ASKED = ("--depths=0,128,2k", "--isl=16,32,48", "--osl=4", "--warmup=0", "--gpu-provider=host")


def test_the_file_has_the_rates_of_each_depth_that_fits(tmp_path: Path) -> None:
    with ScriptedServer(RatedFacade(rated=Rated(context=2048))) as server:
        args = ("depth", f"--host={server.host}", *ASKED, "--iterations=3")
        done = run_cli(*args, cwd=tmp_path)
    (path,) = (tmp_path / "results" / "depths").glob("*.json")
    document = json.loads(path.read_text())
    check(document)
    found = document["results"]
    assert document["status"] == "complete"
    assert found["totals"]["planned"] == found["totals"]["succeeded"] == 3 * 2 * 4
    assert [at["depth"] for at in found["depths"]] == [0, 128, 2048]
    assert "past the loaded context of 2048 tokens: it needs 2112" in done.stdout
    assert "24 requests to tiny:latest: " in done.stderr
    assert "chunk_gaps_ms" not in found["runs"][0]


def test_bad_depths_are_refused_before_a_server_is_asked(tmp_path: Path) -> None:
    done = run_cli("depth", "tiny", "--depths=1x", cwd=tmp_path, check=4)
    assert done.stderr.strip() == (
        "llamaburn: --depths: '1x' is refused: write numbers of tokens, as 0,512,2k"
    )

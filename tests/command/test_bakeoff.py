"""`llamaburn bakeoff` as a child process, against a loopback server with Ollama's wire."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.command_line import run_cli
from support.fleet import OllamaFleet
from support.scripted import ScriptedServer

from pytest_llamaburn.store.results import check

if TYPE_CHECKING:
    from pathlib import Path

ASKED = ("--warmup=0", "--gpu-provider=host", "--iterations=2", "--rounds=2", "--no-early-stop")


def kept(directory: Path) -> Any:
    (path,) = (directory / "results" / "bakeoffs").glob("*.json")
    document = json.loads(path.read_text())
    assert check(document) is None
    return document


def test_models_are_loaded_asked_and_unloaded_in_turn(tmp_path: Path) -> None:
    facade = OllamaFleet()
    with ScriptedServer(facade) as server:
        done = run_cli("bakeoff", "a", "b", f"--host={server.host}", *ASKED, cwd=tmp_path)
    document = kept(tmp_path)
    assert document["status"] == "complete"
    assert document["config"]["model"] == ["a", "b"]
    assert {one["name"] for one in document["results"]["candidates"]} == {"a", "b"}
    assert document["results"]["totals"]["succeeded"] == 8
    assert [one for one in facade.events if not one.startswith("ask")] == [
        *("load a:latest", "unload a:latest", "load b:latest"),
        *("unload b:latest", "load a:latest"),
    ]
    assert done.stdout.startswith("bake-off of ")
    sizes = {one["size_mb"] for one in document["results"]["candidates"]}
    assert 98.362745 in sizes


@pytest.mark.parametrize("name", ["a", "b"])
def test_model_that_does_not_fit_is_out(name: str, tmp_path: Path) -> None:
    with ScriptedServer(OllamaFleet(unloadable=f"{name}:latest")) as server:
        done = run_cli("bakeoff", "a", "b", f"--host={server.host}", *ASKED, cwd=tmp_path)
    document = kept(tmp_path)
    first, out = document["results"]["candidates"]
    assert document["model"] == first["model"]
    assert (out["name"], out["rank"]) == (name, None)
    assert "model requires more system memory" in out["out"]
    assert f"{name}: not_loaded: " in done.stdout
    assert "8 requests to a, b" in done.stderr


def test_bad_input_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFleet()) as server:
        host = f"--host={server.host}"
        done = run_cli("bakeoff", "a", host, cwd=tmp_path, check=4)
        assert "bakeoff: name two or more different models; named: a" in done.stderr
        done = run_cli("bakeoff", "a", "c", host, cwd=tmp_path, check=4)
        assert "'c'" in done.stderr
        done = run_cli("bakeoff", "a", "a:latest", host, cwd=tmp_path, check=4)
    assert "bakeoff: a and a:latest are the same model: name it once" in done.stderr
    assert not (tmp_path / "results").exists()


def test_bake_off_in_which_every_model_is_out_fails_and_says_why(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFleet()) as server:
        host = f"--host={server.host}"
        words = ("--require=ttft_ms.mean<0.001", "-o", "json")
        done = run_cli("bakeoff", "a", "b", host, *ASKED, *words, cwd=tmp_path, check=1)
    assert kept(tmp_path)["results"]["winner"] is None
    assert "llamaburn: no model is ranked: " in done.stderr
    assert "a: does not keep --require ttft_ms.mean<0.001" in done.stderr
    assert "b: does not keep --require ttft_ms.mean<0.001" in done.stderr

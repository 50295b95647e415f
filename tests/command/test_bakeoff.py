"""`llamaburn bakeoff` as a child process, against a loopback server with Ollama's wire."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.command_line import COMMAND, run_cli
from support.fleet import OllamaFleet
from support.judge_servers import KEY, OpenAI, judge_server, verdict_json
from support.processes import Process
from support.scripted import Hang, Request, ScriptedServer, Steps, ollama_stream
from support.single_runs import IDENTITY

from pytest_llamaburn.commands import main
from pytest_llamaburn.kinds.bakeoff.evals import Evals
from pytest_llamaburn.kinds.bakeoff.settings import Bakeoff
from pytest_llamaburn.option import model_of
from pytest_llamaburn.progress import Silent
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
        words = (f"--host={server.host}", *ASKED, "--judge=openai:m")
        done = run_cli("bakeoff", "a", "b", *words, cwd=tmp_path)
    document = kept(tmp_path)
    assert "--judge is not used without --set: there are no answers to judge" in done.stderr
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


class Answering(OllamaFleet):
    """Two models: a knows the colour of the sky, b does not."""

    def __call__(self, request: Request) -> Steps:
        """Return the steps for a request."""
        asked = request.json["messages"] if request.path == "/api/chat" else []
        if asked and "sky" in asked[-1]["content"]:
            said = "It is blue." if request.json["model"].startswith("a") else "It is green."
            return ollama_stream([said], done_reason="stop")
        return super().__call__(request)


def sky(directory: Path, count: int = 4, **fields: str) -> str:
    questions = [
        {"id": f"q{i}", "prompt": f"Which colour has the sky, {i}?", "reference": "blue", **fields}
        for i in range(count)
    ]
    (directory / "sky.json").write_text(json.dumps({"name": "sky", "questions": questions}))
    return "--set=sky.json"


def test_models_are_evaluated_after_the_rounds_and_judged(tmp_path: Path) -> None:
    def honest(system: str, user: str) -> str:
        return verdict_json(5 if "It is blue" in user else 2)

    fake, about = OpenAI([honest]), sky(tmp_path)
    with ScriptedServer(Answering(token_s=0.002)) as server, judge_server(fake, "m") as judge:
        words = (f"--host={server.host}", *ASKED, about, f"--judge={judge}", "-o", "report.html")
        done = run_cli("bakeoff", "a", "b", *words, cwd=tmp_path, OPENAI_API_KEY=KEY)
    made = kept(tmp_path)
    found = {one["name"]: one["quality"] for one in made["results"]["candidates"]}
    assert {name: one["value"] for name, one in found.items()} == {"a": 5, "b": 2}
    assert found["a"]["measure"] == "accuracy"
    assert found["a"]["ci95"][0] < 5
    for one in found.values():
        document = json.loads((tmp_path / one["path"]).read_text())
        assert check(document) is None
        assert (document["schema"], document["status"]) == ("llamaburn/eval", "complete")
        assert document["session_id"] == made["session_id"]
        assert f"wrote {one['path']}" in done.stderr
    assert len(fake.calls) == 2 * 4 * 3  # two models, four questions, three criteria
    assert not [*(tmp_path / "results" / ".journal").glob("*")]
    assert "quality, sky.json" in (tmp_path / "report.html").read_text()


def test_eval_without_a_judge_shows_what_scorers_find_and_leaves_out_who_is_out(
    tmp_path: Path,
) -> None:
    about = sky(tmp_path, scorer="includes")
    with ScriptedServer(Answering(unloadable="b:latest")) as server:
        words = (f"--host={server.host}", *ASKED, about, "--limit=2")
        done = run_cli("bakeoff", "a", "b", *words, cwd=tmp_path)
    first, out = kept(tmp_path)["results"]["candidates"]
    assert (first["quality"]["value"], first["quality"]["measure"]) == (1, "correct")
    assert out["quality"]["reason"] == "it failed in the rounds"
    (path,) = (tmp_path / "results" / "evals").glob("*.json")
    assert len(json.loads(path.read_text())["results"]["items"]) == 2
    assert "quality (sky.json)" in done.stdout


def test_cut_eval_of_a_bake_off_is_continued_with_it(tmp_path: Path) -> None:
    reached, facade, fake = threading.Event(), Answering(), OpenAI()

    def judged(system: str, user: str) -> str | Steps:
        if len(fake.calls) == 5:
            reached.set()
            return [Hang()]
        return verdict_json(4)

    fake.answers = [judged]
    env = {**os.environ, "OPENAI_API_KEY": KEY}
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with ScriptedServer(facade) as server, judge_server(fake, "m") as judge:
        words = (f"--host={server.host}", *ASKED, sky(tmp_path), f"--judge={judge}")
        limits = ("--judge-concurrency=1",)
        command = [*COMMAND, "bakeoff", "a", "b", *words, *limits]
        with Process[str](command, cwd=tmp_path, env=env, **pipes) as running:
            assert reached.wait(60)
            running.send_signal(signal.SIGINT)
            running.communicate(timeout=60)
        asked = sum(event.startswith("ask") for event in facade.events)
        run_cli("bakeoff", "--resume=last", cwd=tmp_path, OPENAI_API_KEY=KEY)
    assert running.returncode == 2
    made = kept(tmp_path)
    assert made["status"] == "complete"
    values = [one["quality"]["value"] for one in made["results"]["candidates"]]
    assert values == [4, 4]
    assert len(fake.calls) == 2 * 4 * 3 + 1
    again = sum(event.startswith("ask") for event in facade.events) - asked
    assert again == 0, "the timed requests were sent again"
    assert not [*(tmp_path / "results" / ".journal").glob("*")]


def test_eval_without_time_or_server_has_a_reason_and_no_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sky(tmp_path, scorer="includes")

    def quality(*, over: bool, **asked: Any) -> Any:
        settings: Any = model_of(Bakeoff)(model=("a", "b"), set="sky.json", warmup=0, **asked)
        held = Evals(settings, IDENTITY, Silent(), lambda: over)
        return asyncio.run(held.score("a", 1))

    with ScriptedServer(Answering()) as server:
        late = quality(over=True, host=server.host, gpu_provider="host")
        in_time = quality(over=False, host=server.host, gpu_provider="host")
    gone = quality(over=False, host="http://127.0.0.1:1")
    assert late["reason"].startswith("--budget was used up before it was evaluated")
    assert (late["value"], late["path"]) == (None, None)
    assert (in_time["value"], in_time["measure"]) == (1, "correct")
    assert gone["reason"].startswith("no server at http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--set=nowhere",), "--set: unknown eval set 'nowhere'"),
        (("--set=math", "--quality=math"), "--quality: 'math' is refused: --set math"),
        (("--set=math", "--judge=nobody"), "unknown provider 'nobody'"),
        (("--set=math", "--judge=ollama:a"), "a would judge itself"),
        (("--dry-run",), "--dry-run: a bake-off has none"),
    ],
)
def test_evals_that_cannot_be_are_refused_before_a_request(
    words: tuple[str, ...],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bakeoff", "a", "b", "--host=127.0.0.1:1", *words]) == 4
    assert sentence in capsys.readouterr().err

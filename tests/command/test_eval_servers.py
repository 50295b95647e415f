"""llamaburn eval on several servers: the same scores, each server its share, nothing lost."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.command_line import COMMAND, run_cli
from support.eval_servers import evals_in
from support.processes import Process
from support.scripted import ScriptedServer
from support.shared_evals import (
    COUNT,
    OPTIONS,
    ORDER,
    Both,
    alone_and_shared,
    environment,
    journalled,
    own_places,
    pupil,
    scored,
    until,
    written_set,
)

if TYPE_CHECKING:
    from pathlib import Path


def running(cwd: Path, *servers: ScriptedServer) -> Process[str]:
    """Return the command that asks the questions of these servers, started."""
    own = [f"--host={server.host}" for server in servers]
    command = [*COMMAND, "eval", "tiny", f"--set={written_set(cwd)}", *OPTIONS, *own]
    pipe, env = subprocess.PIPE, environment(**own_places(cwd))
    return Process(command, cwd=cwd, env=env, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Both:
    """Return an eval by one server, and the same by two."""
    return alone_and_shared(tmp_path_factory.mktemp("servers"), "--output=csv")


def test_scores_and_rows_are_those_of_one_server(done: Both) -> None:
    assert scored(done.shared) == scored(done.alone)
    assert [item["question"]["id"] for item in done.shared["results"]["items"]] == ORDER


def test_each_server_got_its_share(done: Both) -> None:
    assert done.asked == [COUNT // 2, COUNT // 2]
    for host, entry in zip(done.hosts, done.shared["results"]["hosts"], strict=True):
        assert (entry["host"], entry["answers"], entry["failed"]) == (host, COUNT // 2, 0)
        assert entry["total_generation_ms"]["n"] == COUNT // 2
        assert entry["total_generation_ms"]["p50"] > 0


def test_each_answer_names_its_server(done: Both) -> None:
    named = [item["host"] for item in done.shared["results"]["items"]]
    assert {host: named.count(host) for host in done.hosts} == dict.fromkeys(done.hosts, COUNT // 2)
    assert not any("host" in item for item in done.alone["results"]["items"])
    assert done.alone["results"]["hosts"] is None


def test_the_energy_of_answers_at_the_same_time_is_not_known(done: Both) -> None:
    for item in done.shared["results"]["items"]:
        assert item["timing"]["energy_wh"] is None
        assert item["null_reasons"]["energy_wh"] == "not_alone"


def test_tables_and_spreadsheets_show_the_servers(done: Both) -> None:
    assert "by server" in done.stdout
    for host in done.hosts:
        assert f"\n{host} " in done.stdout
        assert f",{host}," in done.stdout  # of a row of CSV


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_cut_asks_only_what_is_missing(
    tmp_path: Path, number: signal.Signals
) -> None:
    pupils = [pupil(3), pupil(3)]
    with ScriptedServer(pupils[0]) as first, ScriptedServer(pupils[1]) as second:
        with running(tmp_path, first, second) as cut:
            until(lambda: [len(one.asked) for one in pupils] == [4, 4])
            cut.send_signal(number)
        before = journalled(tmp_path)
        assert len(before) == 6
        for one in pupils:
            one.asked.clear()
            one.at_once = COUNT
        other = run_cli("eval", "--resume=last", "--nodes=3", cwd=tmp_path, check=4)
        assert "--nodes 3 is refused: it needs --ray" in other.stderr  # a resumed run may have it
        run_cli("eval", "--resume=last", cwd=tmp_path, **own_places(tmp_path))
    asked = [body["messages"][-1]["content"] for one in pupils for body in one.asked]
    assert sorted(asked) == sorted(f"What is {name}?" for name in ORDER if name not in before)
    (document,) = evals_in(tmp_path / "results")
    assert document["status"] == "complete"
    assert [item["question"]["id"] for item in document["results"]["items"]] == ORDER
    assert document["results"]["correct"]["right"] == 8


def test_a_server_that_is_gone_leaves_its_questions_to_the_others(tmp_path: Path) -> None:
    pupils = [pupil(), pupil(1)]
    with ScriptedServer(pupils[0]) as first:
        with ScriptedServer(pupils[1]) as second:
            command = running(tmp_path, first, second)
            until(lambda: len(pupils[1].asked) == 3)  # both questions in flight are with it
        with command as cut:
            shown, told = cut.communicate(timeout=60)
    assert cut.returncode == 0, told
    (document,) = evals_in(tmp_path / "results")
    items = document["results"]["items"]
    gone = document["results"]["hosts"][1]
    assert len(items) == COUNT
    assert not any(item["error"] for item in items)
    assert document["results"]["correct"]["right"] == 8
    assert gone["answers"] == 1
    assert gone["asked_elsewhere"]["server_crash"] == 2  # what it was answering when it died
    assert gone["asked_elsewhere"]["connect_refused"] >= 1
    assert f"{gone['host']} did not answer" in shown


REFUSED = {
    ("--nodes=2",): "--nodes 2 is refused: it needs --ray",
    ("--ray=nowhere",): "--ray: 'nowhere' is refused: write HOST:PORT",
    ("--ray=local", "--set=tts"): "this machine itself asks the questions of tts",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_shared_is_refused_before_anything_is_sent(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    with ScriptedServer(pupil()) as server:
        own = (f"--host={server.host}", f"--set={written_set(tmp_path)}", *words)
        ended = run_cli("eval", "tiny", *own, cwd=tmp_path, check=4)
    assert REFUSED[words] in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "results" / "evals").exists()


def test_stored_answers_need_no_machine(done: Both) -> None:
    (stored,) = (done.cwd / "results" / "evals").glob("*.json")
    ended = run_cli("eval", f"--rescore={stored}", "--ray=local", cwd=done.cwd, check=4)
    assert "--ray is refused with --rescore: no model is asked" in ended.stderr

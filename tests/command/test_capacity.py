"""llamaburn stress --mode twin and llamaburn capacity, the real commands on a loopback server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support.command_line import run_cli
from support.slot_server import SlotServer

from pytest_llamaburn.store import results

if TYPE_CHECKING:
    import subprocess

GOLDEN = Path(__file__).parents[1] / "golden" / "journals"
GATES = {"predicted_ttft_ms.p95<60s": "pass", "predicted_itl_ms.p50>1s": "fail"}


class Twin(NamedTuple):
    """A twin that has ended: what it said, and its file."""

    ended: subprocess.CompletedProcess[str]
    path: Path
    document: dict[str, Any]
    server: SlotServer


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """Return a twin of six users on two slots."""
    cwd = tmp_path_factory.mktemp("twin")
    gates = [f"--threshold={expression}" for expression in GATES]
    load = ("--users=6", "--think-time=20ms-60ms", "--duration=3s", "--requests=24")
    own = {"TMPDIR": str(cwd), "XDG_CONFIG_HOME": str(cwd / "no-config")}
    with SlotServer(2, lambda n: 0.03 + 0.01 * (n % 3)) as server:
        words = ("stress", "tiny", f"--host={server.host}", "--mode=twin", "--allow-parallel")
        ended = run_cli(*words, *load, *gates, cwd=cwd, check=1, **own)
    (path,) = (cwd / "results" / "stress").glob("tiny_twin_*.json")
    return Twin(ended, path, json.loads(path.read_text()), server)


def capacity(twin: Twin, *args: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    return run_cli("capacity", twin.path.name, *args, cwd=twin.path.parent, check=check)


def test_a_twin_predicts_users_and_then_sends_them(twin: Twin) -> None:
    assert results.check(twin.document) is None
    found = twin.document["results"]
    assert [level["concurrency"] for level in found["levels"]] == [1, 2, 4]
    assert (found["service"]["slots"], found["service"]["slots_known"]) == (2, True)
    users = found["twin"]
    assert users["measured"]["ttft_ms.p95"]["n"] == users["requests"] > 20
    assert users["holds"] is not None
    assert "6 users, think time 20ms-60ms" in twin.ended.stdout
    assert "the levels and 6 users: about " in twin.ended.stderr.partition("load of")[0]
    assert "the measured TTFT p95 is" in twin.ended.stdout


def test_the_fit_sends_without_pauses_and_the_users_with_them(twin: Twin) -> None:
    steps = [step for step in twin.document["results"]["levels"] if step["requests"]]
    assert [step["requests"] for step in steps] == [24, 24, 24]
    assert twin.server.served >= 10 + 3 * 24 + twin.document["results"]["twin"]["requests"]


def test_gates_are_on_the_prediction(twin: Twin) -> None:
    found = {gate["expression"]: gate["verdict"] for gate in twin.document["results"]["gates"]}
    assert found == GATES


def test_a_stored_run_answers_without_a_server(twin: Twin) -> None:
    load = ("--users=6", "--think-time=20ms-60ms", "--slo=ttft_ms<150")
    found = json.loads(capacity(twin, *load, "-o", "json").stdout)
    assert (found["users"], found["model"]) == (6, "tiny")
    low, high = found["predicted"]["ttft_ms.p95"]["ci95"]
    assert low <= found["predicted"]["ttft_ms.p95"]["value"] <= high
    most = found["most_users"]
    assert 2 < most["interval"][0] <= most["users"] <= most["interval"][1] < 40
    shown = capacity(twin, *load).stdout
    assert "TTFT p95 ms" in shown
    assert f"with up to {most['users']} users" in shown


def test_more_users_are_predicted_to_wait_longer(twin: Twin) -> None:
    waits = [
        json.loads(capacity(twin, f"--users={n}", "-o", "json").stdout)["predicted"]["ttft_ms.p95"]
        for n in (2, 12)
    ]
    assert waits[1]["ci95"][0] > 3 * waits[0]["ci95"][1]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--users=0"], "--users: '0' is refused"),
        (["--users=9999999"], "--users: '9999999' is refused"),
        (["--users=2", "--think-time=soon"], "--think-time: 'soon' is refused: write 2s, or 1s-3s"),
        (["--slo=queue_ms<3"], "--slo: 'queue_ms<3' is refused: it is not predicted"),
        ([], "capacity: nothing is asked: add --users 20, or --slo"),
    ],
)
def test_users_that_cannot_be_are_refused_in_one_sentence(
    args: list[str], words: str, twin: Twin
) -> None:
    ended = capacity(twin, *args, check=4)
    assert ended.stderr.startswith(f"llamaburn: {words}")
    assert ended.stderr.count("\n") == 1


def test_other_files_are_refused_in_one_sentence(twin: Twin, tmp_path: Path) -> None:
    shutil.copy(GOLDEN / "benchmark-complete" / "result.json", tmp_path / "benchmark.json")
    document = json.loads(twin.path.read_text())
    document["results"] |= {"service": None, "service_reason": "the run has fewer than two levels"}
    (tmp_path / "level.json").write_text(json.dumps(document))
    del document["results"]["service"], document["results"]["service_reason"]
    (tmp_path / "old.json").write_text(json.dumps(document))
    for name, words in {
        "benchmark.json": "is not of kind stress: its schema is llamaburn/benchmark",
        "level.json": "has no model of the server: the run has fewer than two levels",
        "old.json": "has no model of the server: an earlier version wrote it: measure again",
        "none.json": "no result 'none.json'",
    }.items():
        ended = run_cli("capacity", name, "--users=2", cwd=tmp_path, check=4)
        assert words in ended.stderr
        assert ended.stderr.count("\n") == 1

"""llamaburn stress on several servers: the real command, and servers of different speeds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support.command_line import run_cli
from support.scripted import OllamaFacade, ScriptedServer
from support.slot_server import SlotServer

from pytest_llamaburn.kinds.stress import measures
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

QUICK, SLOW, DIES_AFTER = 0.02, 0.2, 36  # in the second level, with up to 8 idle probes


class Done(NamedTuple):
    ended: subprocess.CompletedProcess[str]
    hosts: tuple[str, str]
    served: tuple[int, int]
    document: dict[str, Any]

    @property
    def found(self) -> dict[str, Any]:
        results: dict[str, Any] = self.document["results"]
        return results


@pytest.fixture(scope="module")
def unequal(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a sweep over a quick server and a slow one, which dies at the second level."""
    cwd = tmp_path_factory.mktemp("unequal")
    own = {"TMPDIR": str(cwd), "XDG_CONFIG_HOME": str(cwd / "no-config")}
    load = ("--mode=sweep", "--levels=2,4", "--requests=40", "--no-profile", "--warmup=1")
    gates = ("--threshold=worst_host_error_rate@2<1%", "--threshold=host_latency_ratio@2>3")
    with (
        SlotServer(9, lambda _: QUICK) as quick,
        SlotServer(9, lambda _: SLOW, dies_after=DIES_AFTER) as slow,
    ):
        words = ("stress", "tiny", f"--host={quick.host}", f"--host={slow.host}", *load, *gates)
        ended = run_cli(*words, "--output=table", "--allow-parallel", cwd=cwd, check=1, **own)
    (path,) = (cwd / "results" / "stress").glob("*.json")
    document = json.loads(path.read_text())
    assert results.check(document) is None
    hosts = (f"{quick.host}/v1", f"{slow.host}/v1")
    return Done(ended, hosts, (quick.served, slow.served), document)


def test_each_server_has_its_own_numbers(unequal: Done) -> None:
    level = unequal.found["levels"][0]
    quick, slow = level["hosts"]
    assert (quick["host"], slow["host"]) == unequal.hosts
    assert (quick["requests"], slow["requests"]) == (20, 20)
    assert quick["failed"] == slow["failed"] == 0
    assert slow["total_generation_ms"]["p50"] >= 1000 * SLOW
    assert level["host_latency_ratio"] == pytest.approx(
        slow["total_generation_ms"]["p50"] / quick["total_generation_ms"]["p50"]
    )


def test_together_they_are_the_whole_level(unequal: Done) -> None:
    for level in unequal.found["levels"]:
        assert (
            sum(one["requests"] for one in level["hosts"]) == level["requests"] - level["excluded"]
        )
        assert sum(one["failed"] for one in level["hosts"]) == level["failed"]
        rates = [one["requests_per_sec"] for one in level["hosts"]]
        assert sum(rates) == pytest.approx(level["requests_per_sec"])


def test_a_server_that_dies_is_named_and_has_its_failures(unequal: Done) -> None:
    quick, slow = unequal.found["hosts"]
    assert (quick["gone"], quick["failed"]) == (False, 0)
    assert slow["gone"]
    assert slow["failed"] == unequal.found["totals"]["failed"] >= 3
    assert f"{unequal.hosts[1]} is gone: it died during the load" in unequal.ended.stderr
    assert (
        f"is gone: its last {slow['not_reached']} requests found no server" in unequal.ended.stdout
    )
    assert "by server" in unequal.ended.stdout


def test_the_load_goes_on_with_the_server_that_is_left(unequal: Done) -> None:
    assert unequal.found["stop_reason"] == "all levels were measured"
    assert unequal.found["totals"]["requests"] == 10 + 2 * 40


def test_gates_read_the_worst_server_and_the_ratio(unequal: Done) -> None:
    verdicts = {gate["expression"]: gate["verdict"] for gate in unequal.found["gates"]}
    assert [*verdicts.values()] == ["pass", "pass"]
    worst = measures.MEASURES["worst_host_error_rate"]
    assert worst.observed(unequal.document, None, 4.0).value == pytest.approx(
        unequal.found["levels"][1]["hosts"][1]["error_rate"]
    )


def test_the_file_names_all_servers(unequal: Done) -> None:
    assert unequal.document["server"]["host"] == ", ".join(unequal.hosts)


REFUSED = {
    ("http://127.0.0.1:9,",): "there is no address beside a comma",
    ("http://127.0.0.1:9", "127.0.0.1:9"): "http://127.0.0.1:9 is given twice",
    ("http://127.0.0.1:9", "ftp://x"): "only http and https are supported",
}


@pytest.mark.parametrize("hosts", REFUSED)
def test_invalid_lists_of_servers_are_refused(hosts: tuple[str, ...], tmp_path: Path) -> None:
    words = [f"--host={host}" for host in hosts]
    ended = run_cli("stress", "tiny", *words, cwd=tmp_path, check=4)
    assert REFUSED[hosts] in ended.stderr


def test_other_kinds_of_run_refuse_several_servers(tmp_path: Path) -> None:
    hosts = ("--host=http://127.0.0.1:9", "--host=http://127.0.0.1:8")
    ended = run_cli("benchmark", "tiny", *hosts, cwd=tmp_path, check=4)
    assert "names several servers: only llamaburn stress sends to several" in ended.stderr


def test_a_server_without_the_model_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with SlotServer(1, lambda _: QUICK) as server, ScriptedServer(OllamaFacade()) as other:
        hosts = (f"--host={server.host}", f"--host={other.host}")
        ended = run_cli("stress", "tiny", *hosts, cwd=tmp_path, check=4)
        assert server.served == 0
    assert "has another model than" in ended.stderr
    assert not (tmp_path / "results" / "stress").exists()

"""llamaburn stress --ray local: the command starts a real cluster of two nodes, and ends it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support.command_line import run_cli
from support.slot_server import SlotServer

from pytest_llamaburn.store import results

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator


SECRET = "a-key-that-stays-here"  # noqa: S105 - it opens nothing


class Done(NamedTuple):
    ended: subprocess.CompletedProcess[str]
    cwd: Path
    document: dict[str, Any]
    logs: str  # where Ray writes them


@pytest.fixture(scope="module")
def logs() -> Iterator[str]:
    """Yield a folder for what Ray writes; the paths of its sockets must be short."""
    with tempfile.TemporaryDirectory(prefix="r-", dir="/tmp") as folder:
        yield folder


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, logs: str) -> Done:
    """Return a sweep that two nodes of Ray sent, with an API key in the environment."""
    pytest.importorskip("ray", reason="it needs the extra [ray]")
    cwd = tmp_path_factory.mktemp("nodes")
    own = {"TMPDIR": str(cwd), "RAY_TMPDIR": logs, "XDG_CONFIG_HOME": str(cwd / "no")}
    own["LLAMABURN_API_KEY"] = SECRET
    load = ("--mode=sweep", "--levels=2,4", "--requests=24", "--no-profile", "--save-requests")
    with SlotServer(8, lambda _: 0.02) as server:
        words = ("stress", "tiny", f"--host={server.host}", *load, "--ray=local", "--nodes=2")
        shown = ("--allow-parallel", "--output=table")
        ended = run_cli(*words, *shown, cwd=cwd, check=0, **own)
    (path,) = (cwd / "results" / "stress").glob("*.json")
    document = json.loads(path.read_text())
    assert results.check(document) is None
    return Done(ended, cwd, document, logs)


def test_both_nodes_send_and_their_requests_are_one_level(swept: Done) -> None:
    found = swept.document["results"]
    assert swept.document["status"] == "complete"
    assert found["totals"]["requests"] == 10 + 2 * 24
    for level in found["levels"]:
        nodes = level["client_health"]["nodes"]
        counted = level["requests"] - level["excluded"] - level["client_health"]["not_counted"]
        assert [one["requests"] > 0 for one in nodes] == [True, True]
        assert sum(one["requests"] for one in nodes) == counted
        assert level["client_health"]["unsent"] == 0


def test_the_clock_of_each_node_is_known_within_a_bound(swept: Done) -> None:
    for node in swept.document["results"]["nodes"]:
        assert node["lost"] is None
        for name in ("offset_before_ms", "offset_after_ms"):  # both are this machine's own clock
            assert abs(node[name]) <= node["offset_bound_ms"]
    assert "clocks of 2 machines" in swept.ended.stdout


def test_a_key_is_in_no_argument_log_or_file(swept: Done) -> None:
    trees = [swept.cwd.rglob("*"), Path(swept.logs).rglob("*")]
    places = [path for tree in trees for path in tree if path.is_file()]
    assert any(path.suffix == ".log" for path in places)
    assert not [path for path in places if SECRET.encode() in path.read_bytes()]
    assert SECRET not in swept.ended.stdout + swept.ended.stderr
    assert all(node["has_key"] for node in swept.document["results"]["nodes"])

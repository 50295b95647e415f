"""llamaburn stress, the real command against a loopback server with a known number of slots."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support.command_line import COMMAND, run_cli
from support.processes import Process
from support.slot_server import SlotServer

from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def fast(_: int) -> float:
    return 0.02


def is_probe(body: Any) -> bool:
    """Return whether a request only asks whether the server is idle."""
    return bool(body["max_tokens"] == 2)


def stress(server: SlotServer, cwd: Path, *args: str, check: int | None = 0, **env: str) -> Any:
    words = ("stress", "tiny", f"--host={server.host}", *args)
    return run_cli(*words, cwd=cwd, check=check, **env)


def own_directories(factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what keeps a run that outlives a test from other runs, as each test's own is kept."""
    base = factory.getbasetemp()
    return {"TMPDIR": str(base), "XDG_CONFIG_HOME": str(base / "no-config")}


def stored(cwd: Path) -> dict[str, Any]:
    (path,) = (cwd / "results" / "stress").glob("*.json")
    document: dict[str, Any] = json.loads(path.read_text())
    assert results.check(document) is None
    return document


class Running(NamedTuple):
    """A long run that goes on beside the other tests, which judge no speed."""

    process: Process[str]
    cwd: Path

    def end(self) -> tuple[str, dict[str, Any]]:
        """Wait for its end; return what it said and its result."""
        said, wrong = self.process.communicate(timeout=300)
        assert self.process.returncode == 0, wrong
        return said, stored(self.cwd)


@contextmanager
def running_stress(slots: int, factory: pytest.TempPathFactory, *args: str) -> Iterator[Running]:
    cwd, pipe = factory.mktemp("beside"), subprocess.PIPE
    env = {**os.environ, **own_directories(factory)}
    with SlotServer(slots, fast) as server:
        words = ("stress", "tiny", f"--host={server.host}", "--allow-parallel", *args)
        with Process(
            [*COMMAND, *words], cwd=cwd, env=env, stdout=pipe, stderr=pipe, text=True
        ) as process:
            yield Running(process, cwd)
            process.kill()


@pytest.fixture(scope="module", autouse=True)
def spiked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    args = ("--mode=spike", "--rate=10", "--spike-rate=60", "--spike-duration=1s", "--spikes=1")
    with running_stress(4, tmp_path_factory, *args) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def sustained_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    args = ("--mode=sustained", "--concurrency=2", "--duration=12s")
    with running_stress(2, tmp_path_factory, *args) as running:
        yield running


class Done(NamedTuple):
    """A command that has ended, where it ran, its server and its result."""

    ended: subprocess.CompletedProcess[str]
    cwd: Path
    server: SlotServer
    document: dict[str, Any]

    @property
    def found(self) -> dict[str, Any]:
        """The results."""
        results: dict[str, Any] = self.document["results"]
        return results


GATES = {
    "error_rate<0.5": "pass",
    "ttft_ms.mean@8<1ms": "fail",
    "failure_point.concurrency>=8": "pass",
    "failure_point.concurrency>=400": "undecided",
    "goodput_share>0.5": "pass",
    "ttft_ms.p99<1s": "undecided",
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return a sweep of three levels on two slots, with gates and a page."""
    cwd = tmp_path_factory.mktemp("swept")
    gates = [f"--threshold={expression}" for expression in GATES]
    shown = ("--output=table", f"--output={cwd / 'page.html'}")
    levels = ("--mode=sweep", "--levels=1,2,8", "--requests=24", "--slo=ttft_ms<60000")
    with SlotServer(2, lambda _: 0.08) as server:  # far more than a busy machine adds to it
        ended = stress(
            server, cwd, *levels, *gates, *shown, check=1, **own_directories(tmp_path_factory)
        )
    return Done(ended, cwd, server, stored(cwd))


def test_a_sweep_measures_each_level_and_judges_it(swept: Done) -> None:
    found, said = swept.found, swept.ended.stdout
    assert swept.document["status"] == "complete"
    assert [level["concurrency"] for level in found["levels"]] == [1, 2, 8]
    assert [level["requests"] for level in found["levels"]] == [24, 24, 24]
    assert swept.server.most_waiting >= 6
    assert found["levels"][2]["state"] == "degraded"
    assert found["failure_point"]["reached"] is False
    assert found["stop_reason"] == "all levels were measured"
    assert found["totals"]["requests"] == 10 + 3 * 24
    assert "8 clients" in said
    assert "failure point (over 5% fail, deadline 10 s): not reached" in said
    assert "clock error, 8 streams: TTFT error p50" in said


def test_the_file_is_named_after_model_and_mode_and_is_listed(swept: Done) -> None:
    (path,) = (swept.cwd / "results" / "stress").iterdir()
    assert path.name.startswith("tiny_sweep_20")
    assert path.stem in run_cli("results", "list", "stress", cwd=swept.cwd).stdout
    shown = run_cli("results", "show", path.stem, "-o", "csv", cwd=swept.cwd).stdout
    assert "total_generation_ms.p95" in shown.splitlines()[0]
    markdown = run_cli("results", "show", path.stem, "-o", "markdown", cwd=swept.cwd)
    assert markdown.stdout.count("|")


def test_the_page_holds_the_chart_with_states_and_points(swept: Done) -> None:
    text = (swept.cwd / "page.html").read_text()
    assert "<figcaption>Throughput by level</figcaption>" in text
    assert 'class="band s-degraded"' in text
    point = swept.document["results"]["degradation_point"]  # a bracket has no mark
    assert ("degradation point</text>" in text) == (point["concurrency"] is not None)
    assert len(text) < 150_000


def test_gates_are_on_the_optimal_level_unless_another_is_named(swept: Done) -> None:
    verdicts = {gate["expression"]: gate["verdict"] for gate in swept.found["gates"]}
    assert verdicts == GATES


def test_a_sweep_is_compared_with_a_sweep_and_with_nothing_else(
    swept: Done, tmp_path: Path
) -> None:
    (path,) = (swept.cwd / "results" / "stress").iterdir()
    names = (str(path), str(shutil.copy(path, tmp_path / "again.json")))
    gate = "--fail-if=tps.mean@8:-5%"
    gated = run_cli("compare", *names, "--columns=tps.mean", gate, cwd=tmp_path, check=1)
    assert "tps.mean@8:-5%: B: undecided: one run does not show the noise between" in gated.stderr
    assert "Traceback" not in gated.stderr
    assert "2 stress runs, compared with A" in gated.stdout
    assert "8 clients" in gated.stdout
    (written,) = (tmp_path / "results" / "stress_comparisons").glob("*.json")
    assert results.check(json.loads(written.read_text())) is None
    mixed = run_cli("compare", str(path), str(written), cwd=tmp_path, check=4)
    assert (
        f"{written} has the schema llamaburn/stress-comparison, {path} has llamaburn/stress"
        in mixed.stderr
    )


def test_a_run_is_compared_with_the_last_of_its_mode_and_gated(tmp_path: Path) -> None:
    load = ("--mode=sweep", "--levels=1,2", "--requests=6", "--compare")
    with SlotServer(2, fast) as server:
        first = stress(server, tmp_path, *load)
        second = stress(server, tmp_path, *load, "--fail-if=error_rate@2:+99%")
        third = stress(server, tmp_path, *load, "--fail-if=requests_per_sec@2:-5%", check=1)
        (compared, _) = sorted((tmp_path / "results" / "stress_comparisons").glob("*.json"))
        asked = server.served
        fourth = stress(server, tmp_path, f"--compare={compared}", check=4)
        gate = "--fail-if=requests_per_sec@7:-5%"
        fifth = stress(server, tmp_path, *load, gate, check=4)
    assert "compared with A" not in first.stdout
    assert "2 stress runs, compared with A" in second.stdout
    assert "gate error_rate@2:+99%: B: pass" in second.stdout
    assert "requests_per_sec@2:-5%: B: undecided: one run does not show" in third.stderr
    assert (
        "is not the result of a stress run: its schema is llamaburn/stress-comparison"
        in fourth.stderr
    )
    assert "'requests_per_sec@7:-5%' is refused: this load has no level 7" in fifth.stderr
    assert server.served == asked


def test_a_ramp_brackets_the_failure_point(tmp_path: Path) -> None:
    with SlotServer(1, fast, queue=3) as server:
        done = stress(server, tmp_path, "--max-concurrency=16", "--requests=160")
    point = stored(tmp_path)["results"]["failure_point"]
    if point["reason"] == "client_limited":  # beside other load our own process may be the limit
        return
    assert server.refused, point
    assert "failed: queue_full" in done.stdout
    assert point["reached"]
    assert point["passing"] <= 4 < point["failing"]


def test_what_a_file_says_for_other_loads_is_left_out(tmp_path: Path) -> None:
    text = '[defaults]\nspikes = 5\nlevel_duration = "1h"\nmax_concurrency = 500\n'
    (tmp_path / "llamaburn.toml").write_text(text)
    with SlotServer(2, fast) as server:
        stress(server, tmp_path, "--mode=sweep", "--levels=1,2", "--requests=6")
    config = stored(tmp_path)["config"]
    found = [config[name] for name in ("spikes", "level_duration", "max_concurrency", "levels")]
    assert found == [3, None, 32, "1,2"]


def test_a_spike_that_turns_out_below_its_load_ends_the_run(tmp_path: Path) -> None:
    with SlotServer(1, fast) as server:
        done = stress(server, tmp_path, "--mode=spike", "--spike-rate=0.5", check=4)
    assert "--spike-rate 0.5 is refused: it is below the steady load of" in done.stderr
    assert "Traceback" not in done.stderr
    assert server.served == 2 + 10 + 1


def test_a_schedule_sends_whatever_the_server_does(tmp_path: Path) -> None:
    args = ("--mode=sweep", "--arrival=static", "--levels=20,100", "--requests=30")
    with SlotServer(1, fast) as server:
        stress(server, tmp_path, *args)
    slow, quick = stored(tmp_path)["results"]["levels"]
    assert (slow["rate"], quick["rate"]) == (20, 100)
    late = quick["total_generation_from_schedule_ms"]["max"]
    assert late > slow["total_generation_from_schedule_ms"]["max"]
    assert server.most_waiting > 5


@pytest.mark.parametrize("workers", ["1", "2"])
def test_each_request_is_sent_and_counted_once_whoever_sends_it(
    tmp_path: Path, workers: str
) -> None:
    args = ("--mode=sweep", "--levels=1,3,4", "--requests=13", f"--workers={workers}")
    windows = ("--warmup-window=4", "--cooldown-window=2")
    with SlotServer(4, fast) as server:
        stress(server, tmp_path, *args, *windows, "--save-requests")
    (packed,) = (tmp_path / "results" / "stress").glob("*.requests.jsonl.gz")
    rows = [json.loads(line) for line in gzip.decompress(packed.read_bytes()).splitlines()]
    numbers = sorted((row["step"], row["number"]) for row in rows)
    asked = [(0, range(10)), (1, range(13)), (2, range(13)), (3, range(13))]
    assert numbers == [(step, number) for step, count in asked for number in count]
    assert all(row["scheduled_ns"] <= row["sent_ns"] < row["first_ns"] for row in rows)
    for level in stored(tmp_path)["results"]["levels"]:  # what the windows leave out is kept
        assert level["requests"] == 13
        assert level["excluded"] - level["not_held"] == 6  # a busy machine may not hold the level
        assert level["total_generation_ms"]["n"] == 13 - level["excluded"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--concurrency=4", "--rate=2"), "--concurrency 4 is refused"),
        (("--mode=storm",), "must be one of ramp, spike, sustained, sweep"),
        (("--arrival=never",), "must be one of static, poisson"),
        (("--concurrency=0",), "--concurrency: '0' is refused"),
        (("--rate=-1",), "--rate: '-1' is refused"),
        (("--max-concurrency=2", "--concurrency=4"), "--max-concurrency 2 is refused"),
        (("--mode=sweep", "--levels=1,inf"), "--levels: '1,inf' is refused"),
        (("--think-time=inf",), "--think-time: 'inf' is refused"),
        (("--mode=sweep", "--concurrency=4"), "--concurrency: 4 is refused: --mode sweep"),
        (("--slo=nonsense<5",), "unknown metric 'nonsense'"),
        (("--threshold=failure_point.rate>=5",), "write failure_point.concurrency"),
        (("--threshold=failure_point<=",), "is refused: write METRIC"),
        (("--threshold=failure_point.width>3",), "unknown statistic 'width'"),
        (("--isl=4096",), "--isl 4096: the server counts"),
    ],
)
def test_what_cannot_be_sent_is_one_sentence_and_writes_nothing(
    tmp_path: Path, args: tuple[str, ...], words: str
) -> None:
    with SlotServer(1, fast) as server:
        done = stress(server, tmp_path, *args, check=4)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "results").rglob("*.json"))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_results_directory_that_is_removed_costs_no_request(tmp_path: Path, workers: str) -> None:
    def losing(number: int) -> float:
        if number == 40:  # in the second level
            shutil.rmtree(tmp_path / "results")
        return 0.02

    args = ("--mode=sweep", "--levels=1,3,4", "--requests=13", f"--workers={workers}")
    with SlotServer(4, losing) as server:
        done = stress(server, tmp_path, *args, check=4)
    document = stored(tmp_path)
    assert document["status"] == "complete"
    assert [level["requests"] for level in document["results"]["levels"]] == [13, 13, 13]
    assert "results was removed or moved while the run went on" in done.stderr


@pytest.mark.parametrize("answers", [30, 12])  # in a level; after the warm-up and the baseline
def test_a_server_that_dies_ends_the_run_with_its_file(answers: int, tmp_path: Path) -> None:
    with SlotServer(1, fast, dies_after=answers) as server:
        load = ("--mode=sweep", "--levels=1,2,4", "--requests=40")
        done = stress(server, tmp_path, *load, check=1)
    document = stored(tmp_path)
    assert document["status"] == "partial"
    assert "stopped before the end: the server is gone" in done.stdout
    assert "the load stopped before its end: the server is gone" in done.stderr
    assert document["results"]["stop_reason"] == "the server is gone"
    assert document["results"]["levels"][-1]["state"] == "failure"
    assert document["results"]["errors"].keys() & {"connect_refused", "server_crash", "reset"}
    assert "failed: connect_refused" in done.stdout


def test_server_with_the_prompts_in_its_cache_is_idle_all_the_same(tmp_path: Path) -> None:
    def slow_when_probed(_: int) -> float:
        return 0.2 if is_probe(server.bodies[-1]) else 0.02

    with SlotServer(1, slow_when_probed) as server:
        done = stress(server, tmp_path, "--mode=sweep", "--levels=1", "--level-requests=3")
    assert stored(tmp_path)["results"]["levels"][0]["began_busy"] is False
    assert "was not idle before" not in done.stdout


def test_no_answer_to_one_client_alone_measures_nothing(tmp_path: Path) -> None:
    with SlotServer(1, fast, queue=0) as server:
        done = stress(server, tmp_path, "--warmup=0", check=5)
    assert "a single client got no answer: queue_full" in done.stderr


class Stalls:
    """Service times that never end from the n-th request of the load on; it tells when that is.

    Probes do not count: the busier the machine, the more of them look whether the server is idle.
    """

    def __init__(self, server: SlotServer, number: int) -> None:
        self.server, self.number, self.reached = server, number, threading.Event()

    def __call__(self, number: int) -> float:
        if sum(not is_probe(body) for body in self.server.bodies) < self.number:
            return fast(number)
        self.reached.set()
        return 3600.0


def started_stress(server: SlotServer, cwd: Path, *args: str) -> Process[str]:
    words = ("stress", "tiny", f"--host={server.host}", "--mode=sweep", "--levels=1,2")
    return Process(
        [*COMMAND, *words, "--requests=12", "--warmup=0", *args],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_file_and_the_run_can_go_on(
    number: signal.Signals, workers: str, tmp_path: Path
) -> None:
    with SlotServer(4, fast) as server:
        server.service = stalls = Stalls(server, 10 + 12 + 5)
        running = started_stress(server, tmp_path, f"--workers={workers}")
        assert stalls.reached.wait(60)
        running.send_signal(number)
        _, said = running.communicate(timeout=300)
        assert running.returncode == 2, said
        cut = stored(tmp_path)
        server.service = fast
        run_cli("stress", "--resume=last", cwd=tmp_path)
    whole = stored(tmp_path)
    assert (cut["status"], whole["status"]) == ("interrupted", "complete")
    assert cut["run_id"] == whole["run_id"]
    assert [level["requests"] for level in whole["results"]["levels"]] == [12, 12]
    assert cut["results"]["levels"][0]["requests"] == 12
    assert 0 < cut["results"]["levels"][1]["requests"] < 12
    assert cut["results"]["failure_point"]["reason"] == "interrupted"
    assert "Traceback" not in said


def test_a_killed_run_is_recovered_from_its_rows(tmp_path: Path) -> None:
    with SlotServer(4, fast) as server:
        server.service = stalls = Stalls(server, 10 + 12 + 5)
        running = started_stress(server, tmp_path)
        assert stalls.reached.wait(60)
        running.kill()
        running.communicate(timeout=300)
    run_cli("results", "recover", cwd=tmp_path)
    found = stored(tmp_path)
    assert found["status"] == "interrupted"
    assert found["results"]["totals"]["requests"] >= 10 + 12


def test_the_equal_pytest_command_loads_the_same(tmp_path: Path) -> None:
    with SlotServer(1, fast) as server:
        line = stress(server, tmp_path, "--mode=sweep", "--print-pytest").stdout
    assert "-m llm_stress" in line
    assert "--llamaburn-stress-mode=sweep" in line


def test_bursts_come_on_top_of_a_load_that_never_stops(spiked: Running) -> None:
    said, document = spiked.end()
    found = document["results"]
    assert len(found["recovery"]["spikes"]) == 1
    assert found["recovery"]["steady_rate"] == 10
    assert found["recovery"]["spikes"][0]["burst"]["requests"] > 30
    # On a machine that is busy with more the latency may not come back: that is told, too.
    assert (found["recovery_time_ms"] is None) == bool(found["recovery"]["reason"])
    assert re.search("recovery( after a spike)?: ", said)


def test_a_sustained_load_is_judged_for_drift(sustained_run: Running) -> None:
    said, document = sustained_run.end()
    sustained = document["results"]["sustained"]
    assert sustained["tokens_per_sec"]["batches"] >= 8
    assert sum(minute["seconds"] for minute in sustained["per_minute"]) >= 12
    assert "tokens_per_sec over time:" in said


def test_progress_of_a_level_ends_with_all_of_its_requests(tmp_path: Path) -> None:
    levels = ("--mode=sweep", "--levels=2", "--level-requests=20", "--allow-parallel")
    with SlotServer(4, fast) as server:
        told = stress(server, tmp_path, *levels, "--progress=json").stderr.splitlines()
    events = [json.loads(line) for line in told if line.startswith("{")]
    baseline, level = (
        [one for one in events if one.get("stage") == stage][-1]
        for stage in ("baseline", "sending")
    )
    assert baseline["done"] == baseline["planned"]
    assert (level["done"], level["planned"], level["failed"]) == (20, 20, 0)

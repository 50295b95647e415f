"""Gates, stopping rules and correctness on the real command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_line import results_in, run_cli
from support.scripted import (
    Close,
    OllamaFacade,
    Request,
    Reset,
    ScriptedServer,
    Steps,
    ollama_stream,
    sized,
)

from pytest_llamaburn import gates
from pytest_llamaburn.kinds.benchmark import number_words
from pytest_llamaburn.kinds.benchmark.measures import MEASURES

BROKEN: Steps = [sized(500, {"error": "boom"}), Close()]


class Scholar(OllamaFacade):
    """Writes numbers in words, all but the first it is asked for."""

    def __call__(self, request: Request) -> Steps:
        asked = request.json["messages"] if request.path == "/api/chat" else []
        if not asked or "Write the number" not in asked[0]["content"]:
            return super().__call__(request)
        number = asked[0]["content"].partition("Write the number ")[2].split()[0]
        item = next(i for i in number_words.numbers(7, 0) if i.number == number)
        words = number_words.expected(item, "en") if item.id != "number-001" else "no idea"
        return ollama_stream([f"The answer is: {words.upper()}."])


def test_gate_that_holds_passes_and_is_in_the_file(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade(token_s=0.002)) as server:
        gate = ("--threshold", "ttft_ms.mean<60s")
        args = ("benchmark", "tiny", f"--host={server.host}", *gate)
        done = run_cli(*args, cwd=tmp_path)
    assert "gate ttft_ms.mean<60s: pass: " in done.stdout
    (verdict,) = results_in(tmp_path / "results")[0]["results"]["gates"]
    assert verdict["verdict"] == "pass"
    assert verdict["margin"] == pytest.approx(60_000 - verdict["value"])


@pytest.mark.parametrize("forms", [("-o", "rows.csv"), ("-o", "json")])
def test_gate_that_fails_is_told_where_no_table_shows_it(
    forms: tuple[str, ...], tmp_path: Path
) -> None:
    gates = ("--threshold=osl.mean>9", "--threshold=ttft_ms.mean<60s")
    with ScriptedServer(OllamaFacade(token_s=0.002)) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", *gates, *forms)
        done = run_cli(*args, cwd=tmp_path, check=1)
    assert "llamaburn: gate osl.mean>9: fail: 4" in done.stderr
    assert "gate ttft_ms" not in done.stderr


@pytest.mark.parametrize(
    ("gate", "verdict"),
    [("osl.mean>9", "fail"), ("ttft_ms.p99<60s", "undecided"), ("energy_wh<1", "undecided")],
)
def test_gate_that_does_not_hold_or_decide_exits_one(
    gate: str, verdict: str, tmp_path: Path
) -> None:
    with ScriptedServer(OllamaFacade(token_s=0.002)) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--threshold", gate)
        done = run_cli(*args, cwd=tmp_path, check=1)
    assert f"gate {gate}: {verdict}" in done.stdout
    assert "Traceback" not in done.stderr


def test_gates_come_from_the_configuration_file_too(tmp_path: Path) -> None:
    (tmp_path / "llamaburn.toml").write_text(
        '[thresholds]\n"error_rate" = "<50%"\nttft_ms.p50 = "<60s"\n'
    )
    with ScriptedServer(OllamaFacade()) as server:
        run_cli("benchmark", "tiny", f"--host={server.host}", cwd=tmp_path)
    gates = results_in(tmp_path / "results")[0]["results"]["gates"]
    assert {g["expression"]: g["verdict"] for g in gates} == {
        "error_rate<50%": "pass",
        "ttft_ms.p50<60s": "pass",
    }


def test_gate_of_a_file_that_cannot_be_read_is_told_by_the_file(tmp_path: Path) -> None:
    path = tmp_path / "llamaburn.toml"
    path.write_text('[thresholds]\nttft_ms.p50 = "<fast"\nerror_rate = "<1%"\n')
    done = run_cli("benchmark", "tiny", cwd=tmp_path, check=4)
    assert done.stderr.startswith(f"llamaburn: {path}: thresholds: 'ttft_ms.p50<fast' is refused: ")


def test_certain_gates_want_the_whole_interval(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade(faults={3: BROKEN})) as server:
        gate = ("--threshold", "error_rate<50%", "--gate-mode=certain")
        args = ("benchmark", "tiny", f"--host={server.host}", *gate)
        done = run_cli(*args, cwd=tmp_path, check=1)
    assert "error_rate<50%: undecided: 0.2" in done.stdout


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ("ttf_ms.p50<1", "unknown metric 'ttf_ms'; did you mean 'ttft_ms'?"),
        ("ttft_ms.p51<1", "unknown statistic 'p51'; did you mean 'p5"),
        ("ttft_ms.p50<1parsec", "unit 'parsec' is unknown"),
        ("fast please", "write METRIC.STATISTIC<NUMBER"),
    ],
)
def test_gate_that_cannot_be_read_exits_four(gate: str, words: str, tmp_path: Path) -> None:
    done = run_cli("benchmark", "tiny", "--threshold", gate, cwd=tmp_path, check=4)
    assert words.removesuffix("p5") in done.stderr
    assert not (tmp_path / "results").exists()


def test_github_gets_a_summary_and_an_error_line(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade(token_s=0.002)) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--threshold", "osl.mean>9")
        summary = tmp_path / "summary.md"
        done = run_cli(*args, cwd=tmp_path, check=1, GITHUB_STEP_SUMMARY=str(summary))
    assert summary.read_text().startswith("### tiny:latest")
    assert "::error file=results/benchmarks/tiny_latest_" in done.stderr


def test_run_stops_after_too_many_failures_of_one_kind(tmp_path: Path) -> None:
    faults = dict.fromkeys(range(4, 99), BROKEN)
    with ScriptedServer(OllamaFacade(faults=faults)) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--iterations=20")
        done = run_cli(*args, "--max-failures=3", cwd=tmp_path, check=1)
    assert "stopped after 3 requests in a row failed with server_error" in done.stderr
    (document,) = results_in(tmp_path / "results")
    assert document["status"] == "partial"
    assert document["results"]["totals"]["succeeded"] == 2
    assert document["results"]["errors"] == {"server_error": 3}


def test_precision_goes_on_until_it_is_reached_or_the_limit_is(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade(token_s=0.002)) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--iterations=3")
        limit = ("--precision=0.000001", "--max-iterations=8")
        known = ("--precision=0.01", "--precision-metric=osl")
        missed = run_cli(*args, *limit, "--results-dir=a", cwd=tmp_path)
        met = run_cli(*args, *known, "--results-dir=b", cwd=tmp_path)
    assert "not to the ± 1e-06 of --precision: --max-iterations or" in missed.stdout
    assert "--precision" not in met.stdout
    (long,), (short,) = results_in(tmp_path / "a"), results_in(tmp_path / "b")
    assert (long["status"], long["results"]["totals"]["requests"]) == ("complete", 8)
    assert (short["status"], short["results"]["totals"]["requests"]) == ("complete", 3)


def test_unknown_precision_metric_exits_four(tmp_path: Path) -> None:
    args = ("benchmark", "tiny", "--precision=0.1", "--precision-metric=speed")
    assert "unknown metric 'speed'" in run_cli(*args, cwd=tmp_path, check=4).stderr


def test_spent_budget_ends_the_run_complete(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade(token_s=0.03)) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--iterations=24", "--budget=1s")
        run_cli(*args, cwd=tmp_path)
    (document,) = results_in(tmp_path / "results")
    assert document["status"] == "complete"
    assert 1 <= document["results"]["totals"]["requests"] < 24


def test_left_budget_is_used_for_more_requests_and_progress_counts_them(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--iterations=2", "--budget=10m")
        done = run_cli(*args, "--max-iterations=5", "--progress=json", cwd=tmp_path)
    (document,) = results_in(tmp_path / "results")
    assert document["status"] == "complete"
    assert document["results"]["totals"]["requests"] == 5
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    counts = [(e["done"], e["planned"]) for e in events if e["event"] == "progress"]
    assert counts == [(1, 2), (2, 2), (3, 3), (4, 4), (5, 5)]


def test_every_run_says_first_how_long_it_may_take(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade(token_s=0.002)) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--iterations=3")
        said = run_cli(*args, cwd=tmp_path).stderr
        unsaid = run_cli(*args, "--warmup=0", cwd=tmp_path).stderr
    assert said.index("3 requests to tiny:latest: about ") < said.index("wrote ")
    assert "no estimate, the warm-up failed" in unsaid


def test_budget_limits_the_estimate(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade(token_s=0.02)) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--iterations=3", "--budget=1s")
        said = run_cli(*args, "--progress=json", cwd=tmp_path).stderr.splitlines()
    first = next(json.loads(line) for line in said if line.startswith("{"))
    assert first["text"] == "3 requests to tiny:latest: about 1 s"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--iterations=30", "--precision=0.5"), "30 requests of --iterations"),
        (("--start=both", "--iterations=3", "--budget=1s"), "6 requests of --iterations"),
        (("--mode=correctness", "--budget=1s"), "35 requests of --numbers"),
    ],
)
def test_more_requests_than_the_limit_exit_four(
    args: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    done = run_cli("benchmark", "tiny", "--max-iterations=4", *args, cwd=tmp_path, check=4)
    assert f"--max-iterations: 4 is less than the {words}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_repeats_say_whether_they_vary_by_less_than_five_percent(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--repeats=3")
        done = run_cli(*args, cwd=tmp_path)
    found = results_in(tmp_path / "results")[0]["results"]["between_runs"]["time_to_first_token_ms"]
    assert found["runs"] == 3
    assert found["under_5_percent"] in ("met", "not met", "undecided")
    assert "between 3 runs, time_to_first_token_ms has CV" in done.stdout


def test_correctness_judges_each_answer_and_times_it_too(tmp_path: Path) -> None:
    with ScriptedServer(Scholar()) as server:
        mode = ("--mode=correctness", "--numbers=7", "--threshold", "number_accuracy>0.5")
        args = ("benchmark", "tiny", f"--host={server.host}", *mode)
        done = run_cli(*args, cwd=tmp_path)
    found = results_in(tmp_path / "results")[0]["results"]
    assert (found["correctness"]["n"], found["correctness"]["correct"]) == (7, 6)
    assert "numbers written correctly: 6 of 7, 86%" in done.stdout
    wrong = [item for item in found["correctness"]["items"] if not item["correct"]]
    assert [(item["id"], item["reason"]) for item in wrong] == [
        ("number-001", "no number in words")
    ]
    assert all(item["answer"].startswith("The answer is") for item in found["correctness"]["items"])
    assert found["summary"]["time_to_first_token_ms"]["n"] == 7
    assert found["gates"][0]["verdict"] == "pass"


def test_repeats_and_precision_make_no_more_numbers_of_correctness(tmp_path: Path) -> None:
    more = ("--repeats=2", "--precision=0.0001", "--max-iterations=9")
    with ScriptedServer(Scholar()) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--mode=correctness", "--numbers=7")
        run_cli(*args, *more, cwd=tmp_path)
    found = results_in(tmp_path / "results")[0]["results"]["correctness"]
    assert (len(found["items"]), found["n"], found["correct"]) == (18, 7, 6)


def test_silence_is_a_wrong_answer_of_correctness_and_no_failed_request(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade(texts=[], final={"eval_count": None})) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--mode=correctness", "--numbers=2")
        run_cli(*args, cwd=tmp_path)
    found = results_in(tmp_path / "results")[0]["results"]
    assert [item["reason"] for item in found["correctness"]["items"]] == ["empty", "empty"]
    assert found["totals"]["failed"] == 0


@pytest.mark.parametrize(("fault", "mark", "n"), [(BROKEN, False, 4), ([Reset()], None, 3)])
def test_failed_requests_of_correctness_are_wrong_where_the_connection_held(
    tmp_path: Path, fault: Steps, mark: bool | None, n: int
) -> None:
    with ScriptedServer(OllamaFacade(faults={3: fault})) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--mode=correctness", "--numbers=4")
        run_cli(*args, "-o", "json", cwd=tmp_path)
    found = results_in(tmp_path / "results")[0]["results"]["correctness"]
    assert (found["n"], found["correct"]) == (n, 0)
    assert [i["correct"] for i in found["items"] if i["reason"] == "failed"] == [mark]


def test_unknown_language_exits_four(tmp_path: Path) -> None:
    args = ("benchmark", "tiny", "--mode=correctness", "--lang=klingon")
    done = run_cli(*args, cwd=tmp_path, check=4)
    assert "unknown language 'klingon'" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        ("ttft_ms.std<1s", "too few requests gave a value"),
        ("run_energy_wh<1", "no power sensor is read"),
    ],
)
def test_undecided_gate_says_in_words_why_there_is_no_value(gate: str, reason: str) -> None:
    golden = Path(__file__).parents[1] / "golden" / "benchmark-1.json"
    document = json.loads(golden.read_text(encoding="utf-8"))
    document["telemetry"]["reason"] = "no_provider"
    document["results"]["totals"]["energy_wh"] = None
    document["results"]["summary"]["time_to_first_token_ms"]["std"] = None
    (found,) = gates.judged(document, MEASURES, [gate], "point")
    assert (found["verdict"], found["reason"]) == ("undecided", reason)

"""A session is compared with earlier ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.plugin_sessions import SUITES, benchmark_session, result_files
from support.scripted import (
    OllamaFacade,
    ScriptedServer,
)


def comparisons(pytester: pytest.Pytester) -> list[dict[str, Any]]:
    paths = sorted((pytester.path / "results" / "comparisons").glob("*.json"))
    return [json.loads(path.read_text()) for path in paths]


def test_session_is_compared_with_the_newest_earlier_benchmark_of_its_model(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    gate = "--llamaburn-fail-if=osl.mean:-50%"
    first = benchmark_session(pytester, server, str(SUITES), "--llamaburn-compare")
    assert first.ret == 0
    assert comparisons(pytester) == []
    second = benchmark_session(pytester, server, str(SUITES), "--llamaburn-compare=last", gate)
    assert second.ret == 0
    second.stdout.fnmatch_lines(["2 files, compared with A", "  gate osl.mean:-50%: B: pass*"])
    (document,) = comparisons(pytester)
    before, after = sorted(result_files(pytester), key=lambda d: str(d["timestamp"] + d["run_id"]))
    compared = {file["run_id"]: file["baseline"] for file in document["results"]["files"]}
    assert sorted(compared) == sorted([before["run_id"], after["run_id"]])
    assert sorted(compared.values()) == [False, True]


def test_an_unfinished_run_is_no_baseline(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    benchmark_session(pytester, server, str(SUITES))
    (whole,) = result_files(pytester)
    cut = {**whole, "run_id": "cut", "status": "interrupted", "timestamp": "2099-01-01T00:00:00Z"}
    (pytester.path / "results" / "benchmarks" / "zz.json").write_text(json.dumps(cut))
    benchmark_session(pytester, server, str(SUITES), "--llamaburn-compare")
    (document,) = comparisons(pytester)
    assert whole["run_id"] in [file["run_id"] for file in document["results"]["files"]]


def test_sessions_of_several_workers_are_compared_too(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    benchmark_session(pytester, server, str(SUITES))
    gate = "--llamaburn-fail-if=osl.mean:-50%"
    result = benchmark_session(
        pytester, server, str(SUITES), "-n2", "--llamaburn-compare=last", gate
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(["2 files, compared with A", "  gate osl.mean:-50%: B: pass*"])
    assert len(comparisons(pytester)) == 1


def test_regression_against_a_stored_baseline_fails_the_session(
    pytester: pytest.Pytester, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark_session(pytester, server, str(SUITES), "--llamaburn-output=baseline.json")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    options = ("--llamaburn-compare=baseline.json", "--llamaburn-fail-if=osl.mean:-5%")
    with ScriptedServer(OllamaFacade(final={"eval_count": 2})) as shorter:
        result = benchmark_session(
            pytester, shorter, str(SUITES), *options, "--llamaburn-results-dir=new"
        )
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "llamaburn: osl.mean:-5%: B: fail: -50.0%*",
            "::error file=new/comparisons/comparison_*::osl.mean:-5%25: B: fail: -50.0%25*",
        ]
    )
    assert "### 2 files, compared with A" in (pytester.path / "summary.md").read_text()


def test_gate_on_a_change_without_an_earlier_benchmark_is_undecided(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    options = ("--llamaburn-compare=last", "--llamaburn-fail-if=tps:-5%")
    result = benchmark_session(pytester, server, str(SUITES), *options)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*tps:-5%: undecided: no earlier benchmark of tiny:latest in*"])


def test_only_benchmarks_of_the_same_mode_are_a_baseline(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    benchmark_session(pytester, server, str(SUITES), "--llamaburn-benchmark-mode=correctness")
    benchmark_session(pytester, server, str(SUITES), "--llamaburn-compare")
    assert comparisons(pytester) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--llamaburn-compare=nowhere.json"], "no result 'nowhere.json' in results*"),
        (["--llamaburn-fail-if=tps:-5%"], "--fail-if needs a comparison: name the baseline*"),
        (["--llamaburn-compare", "--llamaburn-fail-if=tps"], "--fail-if: 'tps' is refused*"),
    ],
)
def test_baseline_or_gate_that_cannot_be_read_exits_four_before_anything_is_measured(
    options: list[str], words: str, pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    result = benchmark_session(pytester, server, str(SUITES), *options)
    assert result.ret == 4
    result.stdout.fnmatch_lines([words])
    assert server.requests == []
    assert not (pytester.path / "results").exists()


def test_baseline_that_is_gone_when_it_is_needed_is_told(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    benchmark_session(pytester, server, str(SUITES), "--llamaburn-output=baseline.json")
    pytester.makepyfile(
        """
        from pathlib import Path

        def test_one(measure):
            measure("Hi?", iterations=1)
            Path("baseline.json").unlink()
        """
    )
    result = benchmark_session(pytester, server, "--llamaburn-compare=baseline.json")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["llamaburn: --compare: no result 'baseline.json'*"])

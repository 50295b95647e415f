"""`llamaburn trend`: stored results over time, its file, its gates and its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.benchmark_documents import header, record, row, trace_of
from support.command_line import run_cli

from pytest_llamaburn.commands import main
from pytest_llamaburn.store import results


@pytest.fixture
def slower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with ten benchmarks; the last four have tokens a fifth further apart."""
    monkeypatch.chdir(tmp_path)
    for day in range(1, 11):
        gap_ms = (10.0 if day < 7 else 12.0) + day % 2 / 10
        made = [row(trace_of([100 + gap_ms * i for i in range(5)]))]
        about = header("tiny", timestamp=f"2026-01-{day:02}T10:30:00Z", run_id=f"r{day}")
        about["server"] = {**about["server"], "version": "0.12.0" if day < 7 else "0.13.0"}
        results.write(tmp_path / "results", results.build(record(made, header=about)))
    return tmp_path


def test_trend_is_shown_filed_listed_and_gated(slower: Path) -> None:
    done = run_cli("trend", "tiny", "--fail-if", "tps:-5%", cwd=slower, check=1)
    assert done.stdout.startswith("tiny, benchmark standard, 10 runs, 2026-01-01 to 2026-01-10")
    assert "2026-01-07 10:30: server version 0.13.0, before 0.12.0: " in done.stdout
    assert "tps:-5%: tiny, benchmark: fail: -1" in done.stderr
    (path,) = (slower / "results" / "trends").iterdir()
    assert path.name.startswith("tiny_20")
    run_cli("results", "validate", str(path), cwd=slower)
    (entry,) = json.loads(run_cli("results", "list", "trends", "-o", "json", cwd=slower).stdout)
    assert (entry["kind"], entry["model"], entry["status"]) == ("trends", "tiny", "complete")


def test_gate_within_its_bound_passes(slower: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trend", "--columns=ttft_ms", "--fail-if=ttft_ms:+5%", "-o", "csv"]) == 0
    header_, *rows = capsys.readouterr().out.splitlines()
    assert header_.startswith("model,kind,of,machine,column,unit")
    assert len(rows) == 10


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--since=yesterday", "--since: 'yesterday' is refused: write a date"),
        ("--margin=120%", "--margin: '120%' is refused: write a percentage"),
        ("--fail-if=tps", "--fail-if: 'tps' is refused"),
        ("--kind=comparison", "unknown kind 'comparison'"),
        ("--columns=tps.p51", "unknown statistic 'p51'"),
        ("--columns=tokns_per_sec", "did you mean 'tokens_per_sec'?"),
        ("--fail-if=ttft_mss:+5%", "did you mean 'ttft_ms'?"),
        ("--kind=audit", "unknown kind 'audit'"),
        ("--results-dir=nowhere", "no complete run in nowhere"),
    ],
)
def test_bad_input_is_one_sentence(
    argument: str, words: str, slower: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trend", argument]) == 4
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_audits_of_judges_are_no_runs_of_a_trend(
    slower: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = slower / "results" / "audits"
    folder.mkdir()
    golden = Path(__file__).parents[1] / "golden" / "audit" / "result.json"
    (folder / "a.json").write_text(golden.read_text("utf-8"), "utf-8")
    assert main(["trend", "-o", "csv"]) == 0
    assert "audit" not in capsys.readouterr().out

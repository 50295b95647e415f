"""`llamaburn compare`, and `results` over comparisons and over very many files."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
from typing import TYPE_CHECKING, Any

import pytest
from support.benchmark_documents import header, record
from support.command_line import run_cli
from support.scripted import OllamaFacade, ScriptedServer
from support.virtual_benchmarks import Machine, dice, rows

from pytest_llamaburn.commands import main
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from pathlib import Path

QUIET = Machine(jitter=0.002, first_noise=0.001, gap_noise=0.001)


def measured(
    directory: Path, name: str, speed: float = 1.0, runs: int = 5, model: str = "llama3.1:q4"
) -> str:
    """Save a benchmark below a working directory; return its path there."""
    made = rows(QUIET, runs, dice(sum(name.encode())), speed)
    stamp = f"2026-01-{10 + len(list(directory.glob('results/benchmarks/*')))}T10:30:00Z"
    about = header(model, run_id=name, timestamp=stamp)
    path = results.write(directory / "results", results.build(record(made, header=about)))
    return str(path.relative_to(directory))


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return two benchmarks below the working directory; the second is a tenth slower."""
    monkeypatch.chdir(tmp_path)
    return [measured(tmp_path, "before"), measured(tmp_path, "after", 0.9)]


def kept(directory: Path) -> list[dict[str, Any]]:
    paths = sorted((directory / "results" / "comparisons").iterdir())
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def test_comparison_is_shown_filed_and_named(pair: list[str], tmp_path: Path) -> None:
    done = run_cli("compare", *pair, cwd=tmp_path)
    assert done.stdout.startswith("2 files, compared with A\nA (baseline): llama3.1:q4, ollama")
    assert done.stdout.count(" slower\n") == 4
    (path,) = (tmp_path / "results" / "comparisons").iterdir()
    assert path.name.startswith("comparison_20")
    assert done.stderr == f"wrote {path.relative_to(tmp_path)}\n"
    run_cli("results", "validate", str(path), cwd=tmp_path)
    assert run_cli("results", "show", path.stem, cwd=tmp_path).stdout == done.stdout
    listed = run_cli("results", "list", "comparisons", "-o", "json", cwd=tmp_path).stdout
    (entry,) = json.loads(listed)
    assert (entry["id"], entry["kind"], entry["model"]) == (path.stem, "comparisons", "llama3.1:q4")


def test_json_on_standard_output_is_the_file(
    pair: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *pair, "-o", "json"]) == 0
    assert [json.loads(capsys.readouterr().out)] == kept(tmp_path)


def test_first_file_named_is_the_baseline_and_time_is_the_order_of_the_others(
    pair: list[str], tmp_path: Path
) -> None:
    third = measured(tmp_path, "third", 1.2)
    assert main(["compare", pair[1], third, pair[0]]) == 0
    files = kept(tmp_path)[0]["results"]["files"]
    assert [(file["label"], file["path"], file["baseline"]) for file in files] == [
        ("A", pair[1], True),
        ("B", pair[0], False),
        ("C", third, False),
    ]


@pytest.mark.parametrize("how", ["named twice", "named once", "id"])
def test_baseline_may_be_any_file(how: str, pair: list[str], tmp_path: Path) -> None:
    third = measured(tmp_path, "third", 1.2)
    names = {"named twice": [*pair, third], "named once": pair, "id": pair}[how]
    assert main(["compare", *names, "--baseline", "third" if how == "id" else third]) == 0
    files = kept(tmp_path)[0]["results"]["files"]
    assert [file["path"] for file in files if file["baseline"]] == [third]
    assert len(files) == 3


def test_one_file_and_a_baseline_are_two(pair: list[str], tmp_path: Path) -> None:
    assert main(["compare", pair[1], "--baseline", pair[0]]) == 0
    assert kept(tmp_path)[0]["results"]["changes"][0]["verdict"] == "slower"


@pytest.mark.parametrize("arguments", [[0], [0, "--baseline", 0]])
def test_one_file_is_too_few(
    arguments: list[Any], pair: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [pair[word] if isinstance(word, int) else word for word in arguments]
    assert main(["compare", *words]) == 4
    assert "name at least two files" in capsys.readouterr().err


def test_columns_sort_and_margin_are_taken(
    pair: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--columns", "ttft_ms.p50,osl", "--sort", "tps", "--margin", "20", "-o", "csv"]
    assert main(["compare", *pair, *words]) == 0
    found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["metric"], row["statistic"]) for row in found] == [
        ("time_to_first_token_ms", "p50"),
        ("output_sequence_length", "mean"),
    ]
    assert found[0]["verdict"] == "same"
    config = kept(tmp_path)[0]["config"]
    assert (config["sort"], config["margin"]) == ("tokens_per_sec", 0.2)


@pytest.mark.parametrize(
    ("gate", "code", "words"),
    [
        ("tokens_per_sec.mean:-5%", 1, "tokens_per_sec.mean:-5%: B: fail: -1"),
        ("tokens_per_sec.mean:-15%", 0, ""),
        ("tokens_per_sec.mean:-10%", 1, "undecided: "),
        ("ttft_ms.p99:+50%", 1, "undecided: +11"),
    ],
)
def test_gates_decide_the_exit_code(
    gate: str, code: int, words: str, pair: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *pair, "--fail-if", gate]) == code
    captured = capsys.readouterr()
    assert ("llamaburn: " in captured.err) == bool(code)
    assert words in captured.err
    assert f"gate {gate}: B: " in captured.out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--fail-if", "tokens_per_second:-5%"], "unknown metric 'tokens_per_second'; did you"),
        (["--fail-if", "tps.p42:-5%"], "unknown statistic 'p42'"),
        (["--fail-if", "tps.mean"], "write METRIC.STATISTIC:±x%"),
        (["--columns", "ttft"], "unknown metric 'ttft'; did you mean 'ttft_ms'?"),
        (["--sort", "size"], "--sort: 'size': unknown metric"),
        (["--margin", "wide"], "--margin: 'wide' is refused"),
        (["--margin", "-3%"], "--margin: '-3%' is refused"),
        (["--baseline", "nowhere"], "no result 'nowhere'"),
        (["-o", "tabel"], "unknown format 'tabel'"),
    ],
)
def test_wrong_words_exit_four_and_write_nothing(
    words: list[str],
    reason: str,
    pair: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [words[0] + "=" + words[1]] if words[0].startswith("--") else words
    assert main(["compare", *pair, *words]) == 4
    captured = capsys.readouterr()
    assert captured.err.startswith("llamaburn: ")
    assert captured.err.count("\n") == 1
    assert reason in captured.err
    assert not (tmp_path / "results" / "comparisons").exists()


def test_noise_is_learnt_from_the_results_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    two = [measured(tmp_path, "before", runs=1), measured(tmp_path, "after", 0.9, runs=1)]
    assert main(["compare", *two, "--columns", "tps"]) == 0
    assert "3 % assumed, for want of earlier runs" in capsys.readouterr().out
    measured(tmp_path, "earlier", runs=8)
    assert main(["compare", *two, "--columns", "tps"]) == 0
    captured = capsys.readouterr().out
    assert "learnt from 8 earlier runs" in captured
    assert " slower\n" in captured


def test_page_and_benchstat_are_made_of_benchmarks_and_comparisons(
    pair: list[str], tmp_path: Path
) -> None:
    outputs = ["-o", "out.html", "-o", "out.bench"]
    for words in (["compare", *pair], ["results", "show", pair[0]]):
        assert main([*words, *outputs]) == 0
        assert (tmp_path / "out.html").read_text().startswith("<!doctype html>")
        assert (tmp_path / "out.bench").read_text().count("BenchmarkRun\t") >= 5


def test_results_directory_that_cannot_be_written_exits_four(
    pair: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["compare", *pair, "--results-dir", "file"]) == 4
    assert "cannot be written" in capsys.readouterr().err


def test_benchmark_is_compared_and_judged_in_one_command(tmp_path: Path) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--iterations=3")
        run_cli(*args, "-o", "baseline.json", cwd=tmp_path)
        more = ("--compare=baseline.json", "--fail-if=osl.mean:-50%")
        done = run_cli(*args, *more, cwd=tmp_path)
        assert "2 files, compared with A" in done.stdout
        assert "gate osl.mean:-50%: B: pass" in done.stdout
        assert "wrote results/comparisons/comparison_" in done.stderr
    with ScriptedServer(OllamaFacade(final={"eval_count": 1})) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--iterations=3")
        done = run_cli(*args, *more, "-o", "json", cwd=tmp_path, check=1)
    assert json.loads(done.stdout)["schema"] == "llamaburn/benchmark"
    assert "llamaburn: osl.mean:-50%: B: fail: -75.0%" in done.stderr


def test_ten_thousand_files_are_listed_and_compared_in_ten_seconds(tmp_path: Path) -> None:
    """Seconds of processor time, which a busy machine does not stretch."""
    first = tmp_path / measured(tmp_path, "first", runs=1)
    for number in range(9_998):
        os.link(first, first.with_name(f"{number}.json"))
    measured(tmp_path, "second", runs=1)
    listed, seconds = timed("results", "list", cwd=tmp_path)
    assert len(listed.splitlines()) == 10_002
    assert seconds < 10
    compared, seconds = timed("compare", "first", "second", cwd=tmp_path)
    assert compared.startswith("2 files, compared with ")
    assert seconds < 10


def timed(*words: str, cwd: Path) -> tuple[str, float]:
    """Return what a command says, and the processor time it took in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = run_cli(*words, cwd=cwd).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return said, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_list_follows_files_that_change(tmp_path: Path) -> None:
    first = tmp_path / measured(tmp_path, "first")
    assert " complete " in run_cli("results", "list", cwd=tmp_path).stdout
    stat = first.stat()
    first.write_text(first.read_text().replace('"complete"', '"failed00"'))
    os.utime(first, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # same name, size and time
    assert " failed00 " in run_cli("results", "list", cwd=tmp_path).stdout

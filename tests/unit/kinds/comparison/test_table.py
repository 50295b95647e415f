"""Comparisons in every format, pages that stand alone, and what reads many files at once."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from support.benchmark_documents import (
    benchmark_document,
    failed_trace,
    header,
    row,
    rows,
    saved_benchmark,
)
from support.comparisons import comparison_document
from support.virtual_benchmarks import Machine, dice, virtual_benchmark
from support.virtual_benchmarks import rows as virtual_rows

from pytest_llamaburn import registry
from pytest_llamaburn.errors import MissingExtraError, ResultsError
from pytest_llamaburn.kinds.benchmark.frame import to_frame
from pytest_llamaburn.kinds.comparison.table import noise_text
from pytest_llamaburn.store import results

GOLDEN = Path(__file__).parents[3] / "golden" / "benchmark-1.json"


def rendered(name: str, *paths: Path) -> str:
    text: str = registry.load("reports", name).render(paths)
    return text


def comparison(
    directory: Path,
    runs: int = 5,
    models: tuple[str, ...] = ("x", "x"),
    speed: float = 0.9,
    **asked: Any,
) -> Path:
    """Save a comparison; each file is a tenth slower than the one before."""
    luck = dice(0)
    made = [
        virtual_benchmark(
            virtual_rows(Machine(), runs, luck, speed**index), f"run-{index}", 1, model
        )
        for index, model in enumerate(models)
    ]
    found = {**comparison_document("benchmark", *made, **asked), "run_id": "cmp"}
    return results.write(directory, {**found, "timestamp": "2026-01-14T10:30:00Z"})


# Comparisons


def test_a_comparison_is_a_result_file_of_its_own_folder(tmp_path: Path) -> None:
    path = comparison(tmp_path)
    assert path == tmp_path / "comparisons" / "comparison_2026-01-14T10-30-00.json"
    assert results.load(path)["schema"] == "llamaburn/comparison"
    assert results.find(tmp_path, "cmp") == results.find(tmp_path, path.stem) == path
    with pytest.raises(
        ResultsError, match="is not of kind benchmark: its schema is llamaburn/comparison"
    ):
        results.load_of(path, "benchmark")


def test_a_table_groups_files_by_model_and_gives_each_change_its_verdict(tmp_path: Path) -> None:
    lines = rendered("table", comparison(tmp_path, models=("x", "x", "y", "x"))).splitlines()
    assert lines[0] == "4 files, compared with A"
    assert lines[1].startswith("A (baseline): x, ollama 0.12.0, 2026-01-01T10:30:00Z, 5 runs of 30")
    start = lines.index(next(line for line in lines if line.startswith("───"))) + 1
    table = lines[start : start + 12]
    assert [line.split()[:2] for line in table[::4]] == [["x", "B"], ["C", "time"], ["y", "D"]]
    assert all(line.endswith("slower") for line in table)
    found = results.load(tmp_path / "comparisons" / "comparison_2026-01-14T10-30-00.json")
    change = found["results"]["changes"][2]
    low, high = (f"{100 * end:+.1f}" for end in change["interval"])
    shown = f"{100 * change['change']:+.1f} % [{low}, {high}] % slower"
    assert " ".join(table[2].split()).endswith(shown.replace("-", "−"))


def test_what_the_numbers_rest_on_is_below_the_table(tmp_path: Path) -> None:
    text = rendered("table", comparison(tmp_path, speed=1.0))
    assert re.search(r"N = 6\d tokens, the smallest median length of the files' answers\n", text)
    assert "intervals: 99.75 % each (Student's t" in text
    assert "so that all 4 hold in 99 of 100 reports (Bonferroni)\n" in text
    assert "noise between runs" not in text


def test_a_single_run_a_side_says_which_noise_was_taken(tmp_path: Path) -> None:
    text = rendered("table", comparison(tmp_path, runs=1))
    assert "one run a side, noise between runs 3 % assumed, for want of earlier runs: time" in text
    assert "inconclusive is not same: more runs a side decide" in text
    assert ": x, ollama 0.12.0, 2026-01-01T10:30:00Z, 1 run of 6 requests" in text


@pytest.mark.parametrize(
    ("noise", "text"),
    [
        (("learnt", 9, 0.012), "1.2 %, learnt from 9 earlier runs"),
        (("assumed", 3, 0.011), "1.2 % assumed (3 earlier runs show 1.1 %, too few to be sure)"),
        (("assumed", 2, 0.011), "1.2 % assumed, for want of earlier runs"),
    ],
)
def test_noise_is_told_with_where_it_comes_from(noise: tuple[str, int, float], text: str) -> None:
    source, runs, seen = noise
    facts = {"share": 0.012, "source": source, "runs": runs, "seen": seen}
    assert noise_text(facts) == text


def test_gates_and_reasons_are_told(tmp_path: Path) -> None:
    columns = ["energy_wh", "tokens_per_sec.p50"]
    text = rendered("table", comparison(tmp_path, columns=columns, fail_if=["tps:-5%"]))
    assert "gate tps:-5%: B: fail: -1" in text
    assert "B, energy: no request of A gave a value\n" in text
    assert "tokens per second, p50" in text


def test_a_change_within_the_margin_is_called_the_same(tmp_path: Path) -> None:
    path = comparison(tmp_path, 10, speed=1.0, columns=["tokens_per_sec"], margin="5%")
    assert "same within 5 %" in rendered("table", path)


def test_markdown_has_a_line_a_change(tmp_path: Path) -> None:
    text = rendered("markdown", comparison(tmp_path, models=("x|y", "x|y")))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 4
    assert lines[2].startswith("| x\\|y | B | time to first token | ms | ")


# benchstat


def test_benchstat_gets_one_line_a_run_in_go_s_format(tmp_path: Path) -> None:
    made = [{**r, "repeat": repeat} for repeat in (0, 1) for r in rows(3)]
    lines = rendered("benchstat", saved_benchmark(tmp_path, made)).splitlines()
    assert lines[:3] == [
        "Unit time_to_first_token_ms better=lower",
        "Unit inter_token_latency_ms better=lower",
        "Unit tokens_per_sec better=higher",
    ]
    assert lines[3] == "model: llama3.1:q4"
    expected = "BenchmarkRun\t3\t101 time_to_first_token_ms\t12.5 inter_token_latency_ms\t80 tok"
    assert [line.startswith(expected) for line in lines[4:]] == [True, True]


def test_benchstat_tells_the_files_of_a_comparison_apart(tmp_path: Path) -> None:
    columns = ["output_sequence_length.p50", "energy_wh"]
    lines = rendered("benchstat", comparison(tmp_path, 2, columns=columns)).splitlines()
    assert lines[:2] == ["Unit output_sequence_length.p50", "Unit energy_wh better=lower"]
    assert [line.split("\t")[0] for line in lines[2:]] == [
        *("file: A", "BenchmarkRun", "BenchmarkRun"),
        *("file: B", "BenchmarkRun", "BenchmarkRun"),
    ]
    assert "energy" not in lines[3]


def test_a_comparison_of_nothing_is_a_sentence(tmp_path: Path) -> None:
    found = results.load(comparison(tmp_path))
    found["results"]["changes"] = []
    path = tmp_path / "none.json"
    path.write_text(json.dumps(found), encoding="utf-8")
    for name in ("table", "markdown", "html"):
        text = rendered(name, path)
        assert "the files have no measure in common that both could give" in text
        assert "baseline   value" not in text


# Old files


def test_a_file_of_the_first_schema_is_still_read_shown_and_compared(tmp_path: Path) -> None:
    assert results.load(GOLDEN)["schema_version"] == 1
    assert results.brief(GOLDEN).models == ["tiny:latest"]
    for name in registry.names("reports"):
        assert "tiny:latest" in rendered(name, GOLDEN)
    first = results.load(GOLDEN)
    found = comparison_document("benchmark", first, {**first, "run_id": "again"})
    assert results.check(found) is None
    assert [change["change"] for change in found["results"]["changes"]] == [0.0] * 4
    assert found["results"]["changes"][0]["runs"] == [3, 3]


# Many files


def test_a_cut_run_shows_how_many_requests_were_planned(tmp_path: Path) -> None:
    def requests(kind: str, **totals: int | None) -> tuple[int, int] | None:
        found = {"schema": kind, "run_id": "a", "status": "interrupted"}
        counts = {"requests": 1, "succeeded": 1, **totals}
        path = tmp_path / "a.json"
        path.write_text(json.dumps({**found, "results": {"totals": counts} if totals else {}}))
        shown: tuple[int, int] | None = results.brief(path).results.requests
        return shown

    assert requests("llamaburn/benchmark", planned=10) == (1, 10)
    assert requests("llamaburn/eval", planned=12, planned_answers=6) == (1, 6)
    assert requests("llamaburn/eval", planned=12, planned_answers=None) == (1, 1)
    assert requests("llamaburn/stress", failed=0) == (1, 1)
    assert requests("llamaburn/comparison") is None


def test_a_brief_has_what_lists_show(tmp_path: Path) -> None:
    path = saved_benchmark(tmp_path)
    about, whole = results.brief(path), results.load(path)
    assert (about.status, about.models) == ("complete", ["llama3.1:q4"])
    for name in ("tokens_per_sec", "time_to_first_token_ms"):
        assert getattr(about.results.summary, name).p50 == whole["results"]["summary"][name]["p50"]
    assert about.results.totals is not None
    assert (about.results.totals.requests, about.results.totals.succeeded) == (5, 5)
    assert about.fingerprint == "f" * 16
    assert results.brief(comparison(tmp_path, models=("x", "y", "x"))).models == ["x", "y"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not JSON: "),
        ("\ud800", "is not JSON: "),
        ("[]", "is not a result file: Expected `object`"),
        ("{}", "is not a result file: Object missing required field `schema`"),
    ],
)
def test_a_brief_of_a_damaged_file_says_why(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(ResultsError) as caught:
        results.brief(path)
    assert str(caught.value).startswith(f"{path} {reason}")


def test_a_brief_of_another_schema_or_of_nothing_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**benchmark_document(), "schema": "other/thing"}))
    with pytest.raises(ResultsError, match="schema 'other/thing' is unknown"):
        results.brief(path)
    with pytest.raises(ResultsError, match="cannot be read: No such file"):
        results.brief(tmp_path / "nowhere.json")


def test_earlier_files_are_those_of_the_machine_and_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(4):
        saved_benchmark(tmp_path, header=header(run_id=f"mine-{index}"))
    saved_benchmark(tmp_path, header=header("other", run_id="other"))
    elsewhere = {**header()["environment"], "fingerprint": "e" * 16}
    saved_benchmark(tmp_path, header=header(run_id="elsewhere", environment=elsewhere))
    (tmp_path / "benchmarks" / "damaged.json").write_text("{")
    wanted = {("f" * 16, "llama3.1:q4")}

    def found() -> set[str]:
        return {d["run_id"] for d in results.earlier(tmp_path, wanted, "benchmark")}

    assert found() == {f"mine-{index}" for index in range(4)}
    monkeypatch.setattr(results, "EARLIER_FILES", 2)
    assert len(found()) == 2


# Data frames


def test_a_data_frame_has_a_row_a_request(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    made = [*rows(2), row(failed_trace("oom", "x"), iteration=9)]
    paths = [
        saved_benchmark(tmp_path, made),
        saved_benchmark(tmp_path, rows(1), header=header("b", run_id="b")),
    ]
    frame: Any = to_frame(paths)
    assert list(frame["model"]) == ["llama3.1:q4"] * 3 + ["b"]
    assert list(frame["file"]) == [str(paths[0])] * 3 + [str(paths[1])]
    assert frame["time_to_first_token_ms"].isna().tolist() == [False, False, True, False]
    assert frame["error"].iloc[2] == "oom"
    assert frame["error"].isna().tolist() == [True, True, False, True]
    assert "null_reasons" not in frame
    with pytest.raises(ResultsError, match="is not of kind benchmark"):
        to_frame([comparison(tmp_path)])


def test_without_pandas_the_install_line_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pytest-llamaburn\[pandas\]'"):
        to_frame([])

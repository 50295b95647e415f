"""Tables and files are made from result files alone, and make up nothing."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import stress_documents
from support.benchmark_documents import (
    benchmark_document,
    failed_trace,
    header,
    row,
    rows,
    saved_benchmark,
    trace_of,
)

from pytest_llamaburn import registry, reports, tables
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.measures import REASONS
from pytest_llamaburn.metrics import REQUEST
from pytest_llamaburn.reports import _github
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FORMATS = {
    "benchstat": ".bench",
    "csv": ".csv",
    "html": ".html",
    "json": ".json",
    "jsonl": ".jsonl",
    "markdown": ".md",
    "table": ".txt",
}
every_format = pytest.mark.parametrize("name", FORMATS)
HOSTILE = 'model <b>"x"</b> | **bold** `code` [link](http://evil) \\* &amp;\n# heading\x1b[2J\x07'


def rendered(name: str, *paths: Path) -> str:
    text: str = registry.load("reports", name).render(paths)
    return text


def report_lines(paths: Iterable[Path], *outputs: str) -> list[str]:
    told: list[str] = []
    reports.show(list(paths), outputs, told.append)
    return told


def cells(table: str, label: str) -> list[str]:
    """Return the cells of a table's line, which begins with a label."""
    line = next(line for line in table.splitlines() if line.startswith(f"{label}  "))
    return re.split(r" {2,}", line.strip())


# Formats


def test_the_formats_are_the_folder_s_modules_each_with_a_suffix_of_its_own() -> None:
    assert registry.names("reports") == tuple(FORMATS)
    assert {name: registry.load("reports", name).SUFFIX for name in FORMATS} == FORMATS


@every_format
def test_a_word_is_written_to_the_terminal(tmp_path: Path, name: str) -> None:
    path = saved_benchmark(tmp_path)
    assert report_lines([path], name) == [rendered(name, path)]


@every_format
def test_a_suffix_names_the_format_of_a_file(tmp_path: Path, name: str) -> None:
    path, target = saved_benchmark(tmp_path), tmp_path / f"OUT{FORMATS[name].upper()}"
    assert report_lines([path], str(target)) == []
    assert target.read_text(encoding="utf-8") == rendered(name, path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [target.name, "benchmarks"]


def test_a_table_is_shown_where_nothing_is_asked_for(tmp_path: Path) -> None:
    path = saved_benchmark(tmp_path)
    assert report_lines([path]) == [rendered("table", path)]


def test_several_outputs_are_made_in_their_order(tmp_path: Path) -> None:
    path = saved_benchmark(tmp_path)
    told = report_lines([path], "csv", str(tmp_path / "out.md"), "json")
    assert told == [rendered("csv", path), rendered("json", path)]
    assert (tmp_path / "out.md").exists()


@pytest.mark.parametrize("output", ["tabel", "out.pdf", "out", ".", "markdown.", ""])
def test_an_unknown_format_is_refused_with_all_known_ones(output: str) -> None:
    with pytest.raises(SettingsError) as caught:
        reports.check(["table", output])
    message = str(caught.value)
    assert message.startswith(f"--output: unknown format '{output}'")
    for known in (*FORMATS, *(f"FILE{suffix}" for suffix in FORMATS.values())):
        assert known in message


def test_known_formats_are_not_refused() -> None:
    reports.check([*FORMATS, *(f"file{suffix}" for suffix in FORMATS.values())])


def test_each_file_that_was_written_is_told_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "a.md"
    reports.show([saved_benchmark(tmp_path)], ["json", str(target)], lambda _: None)
    assert capsys.readouterr() == ("", f"wrote {target}\n")


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path, target = saved_benchmark(tmp_path), tmp_path / "out.json"
    target.write_text("x" * 1_000_000)
    report_lines([path], str(target))
    assert json.loads(target.read_text(encoding="utf-8")) == results.load(path)


@pytest.mark.parametrize(("place", "reason"), [("file/out.md", "Not a directory"), ("no/x.md", "")])
def test_an_output_that_cannot_be_written_is_told(tmp_path: Path, place: str, reason: str) -> None:
    path = saved_benchmark(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError) as caught:
        report_lines([path], str(tmp_path / place))
    assert str(caught.value).startswith(f"--output: {tmp_path / place} cannot be written: {reason}")


def test_a_failed_output_leaves_no_temporary_file(tmp_path: Path) -> None:
    path, target = saved_benchmark(tmp_path), tmp_path / "out.md"
    target.mkdir()
    with pytest.raises(ResultsError, match="Is a directory"):
        report_lines([path], str(target))
    assert {entry.name for entry in tmp_path.iterdir()} == {"out.md", "benchmarks"}


# Tables


def test_a_table_shows_every_headline_and_wraps_nothing(tmp_path: Path) -> None:
    path = saved_benchmark(tmp_path, rows(60), header=header("x" * 300))
    text = rendered("table", path)
    for label in tables.HEADLINES.values():
        assert sum(line.startswith(f"{label}  ") for line in text.splitlines()) == 1
    assert text.startswith("x" * 300 + " (Q4_1, 8B, llama)\n")
    assert text.endswith(f"file {path}\n")


def test_a_table_shows_the_summary_s_numbers(tmp_path: Path) -> None:
    made = [row(trace_of([100 + 10 * i, 1240])) for i in range(5)]
    text = rendered("table", saved_benchmark(tmp_path, made))
    # 100 110 120 130 140: deviation 15.81, half an interval 2.776 · 15.81 / √5
    assert cells(text, "time to first token") == [
        "time to first token",
        "ms",
        "120",
        "120 ± 19.6",
        "100",
        "140",
        "138*",
        "5",
    ]
    assert cells(text, "total generation")[2:4] == ["1,240", "1,240 ± 0.000"]
    assert "* fewer than 59 samples: too few for this p95" in text


def test_enough_samples_certify_the_p95(tmp_path: Path) -> None:
    text = rendered("table", saved_benchmark(tmp_path, rows(59)))
    assert not cells(text, "time to first token")[6].endswith("*")
    assert "too few for this p95" not in text


def test_what_is_absent_is_a_dash_with_its_reason_below_and_never_a_zero(tmp_path: Path) -> None:
    text = rendered(
        "table", saved_benchmark(tmp_path, [row(trace_of(usage=None, timings=None))] * 2)
    )
    assert cells(text, "tokens per second") == ["tokens per second", "tokens/s", *"–––––", "0"]
    assert cells(text, "power draw") == ["power draw", "W", *"–––––", "0"]
    assert f"– power draw, energy: {REASONS['no_provider']}\n" in text
    lengths = "tokens per second, end to end, input length, output length"
    assert f"– inter-token latency, tokens per second, {lengths}: {REASONS['no_usage']}\n" in text


def test_a_reason_is_told_in_words(tmp_path: Path) -> None:
    text = rendered("table", saved_benchmark(tmp_path, [row(trace_of([100]))]))
    assert "– gap between chunks: no request gave a value\n" in text
    assert f"– inter-token latency, tokens per second: {REASONS['one_read']}\n" in text


def test_failures_are_told_with_the_server_s_words(tmp_path: Path) -> None:
    made = [*rows(1), row(failed_trace("oom", "out of\n  memory")), row(failed_trace("oom", "x"))]
    text = rendered("table", saved_benchmark(tmp_path, made))
    assert "complete: 1 of 3 requests" in text
    assert "failed: oom × 2: out of memory\n" in text


def test_a_server_s_words_cannot_steer_a_terminal(tmp_path: Path) -> None:
    text = rendered("table", saved_benchmark(tmp_path, [row(failed_trace(message=HOSTILE))]))
    assert not {c for c in text if not c.isprintable()} - {"\n"}
    assert "[link](http://evil) \\* &amp; # heading [2J\n" in text


def test_a_table_names_server_machine_and_settings(tmp_path: Path) -> None:
    made = header(config={"temperature": 0.5, "max_tokens": 64, "seed": 7, "cache": "warm"})
    text = rendered("table", saved_benchmark(tmp_path, rows(2), header=made))
    assert "server ollama 0.12.0 at http://127.0.0.1:11434\n" in text
    assert "machine Example CPU, 8 cores, 16.0 GB, GPUs: amd\n" in text
    assert "1 of 24 prompts (default), temperature 0.5, up to 64 tokens, cache warm, seed 7" in text


def test_a_table_of_little_is_a_table(tmp_path: Path) -> None:
    made = header()
    made["model"].update(quantization=None, family=None, parameter_size=None)
    made["server"]["version"] = None
    made["environment"]["gpus"] = []
    made["prompts"] = {"sets": [], "available": 0}
    text = rendered("table", saved_benchmark(tmp_path, rows(1), header=made))
    assert text.startswith("llama3.1:q4 (no details)\nserver ollama at http")
    assert "GPUs: none\n" in text
    assert "1 prompt from tests" in text


def test_what_readers_must_know_is_below_the_table(tmp_path: Path) -> None:
    made = benchmark_document(header=header(contended=True))
    made["insights"] = [{"id": "x", "text": "Look for a proxy."}]
    text = rendered("table", results.write(tmp_path, made))
    assert "contended: other measurements were allowed to run at the same time\n" in text
    assert "Look for a proxy.\n" in text


def test_a_run_with_both_starts_has_two_tables(tmp_path: Path) -> None:
    made = [row(start="cold"), row()]
    path = saved_benchmark(tmp_path, made, header=header(config={"start": "both"}))
    for name in ("table", "markdown"):
        text = rendered(name, path)
        assert text.count("llama3.1:q4 (Q4_1, 8B, llama)") == 1
        assert text.count("llama3.1:q4, cold start (Q4_1, 8B, llama)") == 1


def test_several_files_have_a_table_each(tmp_path: Path) -> None:
    paths = [saved_benchmark(tmp_path, header=header(model)) for model in ("one", "two")]
    titles = [line for line in rendered("markdown", *paths).splitlines() if line.startswith("#")]
    assert titles == ["### one (Q4_1, 8B, llama)", "### two (Q4_1, 8B, llama)"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0.000"),
        (0.12345, "0.123"),
        (1.2345, "1.23"),
        (12.345, "12.3"),
        (123.45, "123"),
        (1234567.8, "1,234,568"),
        (-12.345, "-12.3"),
    ],
)
def test_a_number_has_at_least_three_digits(value: float | None, text: str) -> None:
    assert tables.number(value) == text


# Markdown


def test_markdown_has_a_line_a_headline_with_as_many_cells_as_columns(tmp_path: Path) -> None:
    lines = [
        line
        for line in rendered("markdown", saved_benchmark(tmp_path)).splitlines()
        if line.startswith("|")
    ]
    assert len(lines) == 2 + len(tables.HEADLINES)
    assert {line.count("|") for line in lines} == {len(tables.COLUMNS) + 1}
    assert lines[1].startswith("| --- | --- | --: |")


def test_markdown_shows_a_server_s_words_literally(tmp_path: Path) -> None:
    made = [*rows(1), row(failed_trace("oom", HOSTILE))]
    text = rendered("markdown", saved_benchmark(tmp_path, made, header=header("evil\n# <img>|x")))
    assert "<" not in text
    assert text.splitlines()[0] == "### evil # &lt;img>|x (Q4_1, 8B, llama)"
    words = next(line for line in text.splitlines() if line.startswith("- failed"))
    assert words == (
        '- failed: oom × 1: model &lt;b>"x"&lt;/b> | \\*\\*bold\\*\\* \\`code\\` '
        "\\[link](http://evil) \\\\\\* &amp;amp; # heading \\[2J"
    )


@given(st.text(max_size=40))
def test_text_in_markdown_is_one_line_without_active_signs(text: str) -> None:
    markdown = registry.load("reports", "markdown")
    plain: str = markdown._plain(text)
    assert len(plain.splitlines()) <= 1
    assert "<" not in plain
    shown_as = re.sub(r"\\([\\`*\[])", r"\1", plain)
    assert shown_as.replace("&lt;", "<").replace("&amp;", "&") == " ".join(text.split())
    assert not re.search(r"[`*\[]", re.sub(r"\\[\\`*\[]", "", plain))


def test_a_bar_in_a_cell_ends_no_cell() -> None:
    markdown = registry.load("reports", "markdown")
    assert markdown._line(["a|b", "c"]) == "| a\\|b | c |"


# Data


def test_csv_gives_the_requests_back(tmp_path: Path) -> None:
    refused = failed_trace("oom", 'a "word",\nanother')
    made = [*rows(2), row(refused, flags=["coalesced", "early_stop"], iteration=2)]
    path = saved_benchmark(tmp_path, made)
    found = list(csv.DictReader(io.StringIO(rendered("csv", path))))
    runs = results.load(path)["results"]["runs"]
    assert len(found) == len(runs) == 3
    for line, run in zip(found, runs, strict=True):
        assert line["model"] == "llama3.1:q4"
        assert line["run_id"] == header()["run_id"]
        for name in REQUEST:
            assert line[name] == ("" if run[name] is None else str(run[name]))
    assert [line["error"] for line in found] == ["", "", "oom"]
    assert found[2]["flags"] == "coalesced early_stop"
    assert "null_reasons" not in found[0]


def test_csv_of_several_files_has_one_header(tmp_path: Path) -> None:
    paths = [saved_benchmark(tmp_path, rows(2), header=header(model)) for model in ("one", "two")]
    found = list(csv.DictReader(io.StringIO(rendered("csv", *paths))))
    assert [line["model"] for line in found] == ["one", "one", "two", "two"]


def test_json_is_the_file_itself(tmp_path: Path) -> None:
    path = saved_benchmark(tmp_path)
    assert rendered("json", path) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("count", [2, 3])
def test_json_of_several_files_is_an_array_of_them(tmp_path: Path, count: int) -> None:
    paths = [
        saved_benchmark(tmp_path, rows(n + 1), header=header(run_id=f"run-{n}"))
        for n in range(count)
    ]
    assert json.loads(rendered("json", *paths)) == [results.load(path) for path in paths]


def test_jsonl_is_an_object_a_request(tmp_path: Path) -> None:
    paths = [saved_benchmark(tmp_path, [*rows(1), row(failed_trace(message="gr\u00fcn\n"))])] * 2
    lines: list[dict[str, Any]] = [json.loads(x) for x in rendered("jsonl", *paths).splitlines()]
    runs = results.load(paths[0])["results"]["runs"]
    about = {"model": "llama3.1:q4", "run_id": header()["run_id"]}
    assert lines == [{**about, **run, "energy_of": None} for run in runs * 2]


@every_format
def test_a_run_without_a_single_request_can_be_shown(tmp_path: Path, name: str) -> None:
    text = rendered(name, saved_benchmark(tmp_path, []))
    assert "0.000" not in text


@pytest.mark.parametrize("name", ["csv", "jsonl", "markdown", "table"])
def test_what_is_no_result_file_is_not_rendered(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.json"
    path.write_text("{}")
    with pytest.raises(ResultsError, match="is not a result file"):
        rendered(name, path)


# GitHub


def broken() -> dict[str, Any]:
    """Return a gate that failed, its words unfit for a workflow command."""
    numbers = {"value": 0.5, "ci95": None, "margin": -0.49, "reason": None}
    return {"expression": "error_rate<1%\n", "verdict": "fail", **numbers}


def test_a_workflow_s_summary_has_the_tables_and_its_log_the_broken_gates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv(_github.SUMMARY_VARIABLE, str(summary))
    passed = {**broken(), "verdict": "pass"}
    path = saved_benchmark(tmp_path, gates=[passed, broken()])
    assert _github.annotate([path]) == [
        f"::error file={path}::error_rate<1%25%0A: fail: 0.5, margin -0.49"
    ]
    assert summary.read_text(encoding="utf-8") == "before\n" + rendered("markdown", path)
    assert "gate error_rate&lt;1% : fail: 0.5" in rendered("markdown", path)


def test_a_broken_gate_of_a_stress_run_is_an_error_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_github.SUMMARY_VARIABLE, str(tmp_path / "summary.md"))
    path = stress_documents.saved_stress(
        tmp_path,
        [stress_documents.baseline(), stress_documents.level(2)],
        threshold=("error_rate@2<0",),
    )
    (line,) = _github.annotate([path])
    assert line == f"::error file={path}::error_rate@2<0: fail: 0 [0, 0.138], margin 0"


@pytest.mark.parametrize("room", [1, 60, 500, 1000])
def test_a_summary_too_long_is_cut_with_a_word_about_it(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_bytes(b"x" * (900_000 - room))
    monkeypatch.setenv(_github.SUMMARY_VARIABLE, str(summary))
    path = saved_benchmark(tmp_path, gates=[broken()])
    assert len(_github.annotate([path])) == 1
    assert summary.stat().st_size <= 900_000
    added = summary.read_text(encoding="utf-8").lstrip("x")
    kept, _, rest = added.partition("\n(cut: ")
    assert rendered("markdown", path).startswith(kept)
    whole = len(rendered("markdown", path).splitlines())
    if room > 100:
        assert rest == f"{whole - kept.count(chr(10))} more lines; the result files have all)\n"


def test_a_summary_that_cannot_be_written_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(_github.SUMMARY_VARIABLE, str(tmp_path))
    error, warning = _github.annotate([saved_benchmark(tmp_path, gates=[broken()])])
    assert error.startswith("::error ")
    assert warning == "::warning::GITHUB_STEP_SUMMARY cannot be written: Is a directory"


def test_outside_a_workflow_nothing_is_annotated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(_github.SUMMARY_VARIABLE, raising=False)
    assert _github.annotate([saved_benchmark(tmp_path, gates=[broken()])]) == []
    monkeypatch.setenv(_github.SUMMARY_VARIABLE, str(tmp_path / "summary.md"))
    assert _github.annotate([]) == []


# Repeats


def test_how_much_independent_runs_vary_is_told_below_the_table(tmp_path: Path) -> None:
    made = [row(trace_of([100 + n, 110 + n]), repeat=n) for n in range(3)]
    text = rendered("table", saved_benchmark(tmp_path, made))
    assert "between 3 runs, time_to_first_token_ms has CV 1.0%: under 5 %: " in text
    assert " runs, time_to_first" not in rendered(
        "table", saved_benchmark(tmp_path / "one", rows(3))
    )

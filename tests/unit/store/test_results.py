"""Result files: made from rows alone, kept for good, and checked against one contract."""

from __future__ import annotations

import copy
import errno
import json
import math
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.benchmark_documents import (
    benchmark_document,
    failed_trace,
    header,
    record,
    row,
    rows,
    saved_benchmark,
    trace_of,
)

from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.kinds.benchmark import result
from pytest_llamaburn.metrics import REQUEST
from pytest_llamaburn.store import results
from pytest_llamaburn.trace import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

KNOWN = ", ".join(results.kinds())
SHIPPED = Path(results.__file__).parents[1] / "schemas" / "benchmark.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SHIPPED.read_text(encoding="utf-8")))
Steps = tuple[str | int, ...]


def both_starts() -> dict[str, Any]:
    """Return a document in which nothing is missing: both starts, a failure, a fact."""
    made = [
        *rows(2),
        *(row(start="cold", iteration=i) for i in range(2)),
        row(failed_trace(), iteration=2),
    ]
    return benchmark_document(
        made, header=header(config={"start": "both"}), facts={"loaded_before": []}
    )


# Building


def test_the_summary_is_over_successful_warm_requests() -> None:
    made = [*rows(3), row(failed_trace())]
    found = benchmark_document(made)["results"]
    ttft = found["summary"]["time_to_first_token_ms"]
    assert (ttft["n"], ttft["min"], ttft["mean"], ttft["max"]) == (3, 100, 101, 102)
    assert found["summary"].keys() == {*REQUEST, "chunk_gap_ms"}
    assert found["summary_cold"] is None


def test_chunk_gaps_of_all_requests_are_pooled_and_not_kept() -> None:
    found = benchmark_document(rows(2))["results"]
    gaps = found["summary"]["chunk_gap_ms"]
    assert (gaps["n"], gaps["min"], gaps["max"]) == (8, 10, 20)
    assert all("chunk_gaps_ms" not in run for run in found["runs"])


def test_cold_requests_are_the_summary_of_a_cold_run() -> None:
    made = [row(trace_of([500, 510]), start="cold")]
    found = benchmark_document(made, header=header(config={"start": "cold"}))["results"]
    assert found["summary"]["time_to_first_token_ms"]["mean"] == 500
    assert found["summary_cold"] is None


def test_both_starts_have_a_summary_each() -> None:
    made = [row(trace_of([500, 510]), start="cold"), row(trace_of([100, 110]))]
    found = benchmark_document(made, header=header(config={"start": "both"}))["results"]
    assert found["summary"]["time_to_first_token_ms"]["mean"] == 100
    assert found["summary_cold"]["time_to_first_token_ms"]["mean"] == 500


def test_runs_are_in_the_order_in_which_they_were_made() -> None:
    made = [
        row(repeat=1, timestamp="2026-01-13T10:30:03Z", iteration=7),
        row(repeat=0, timestamp="2026-01-13T10:30:09Z", iteration=6),
        row(repeat=0, timestamp="2026-01-13T10:30:01Z", iteration=5),
    ]
    runs = benchmark_document(made)["results"]["runs"]
    assert [run["iteration"] for run in runs] == [5, 6, 7]


def test_totals_count_requests_and_tokens() -> None:
    made = [*rows(2), row(failed_trace())]
    totals = benchmark_document(made, planned=4)["results"]["totals"]
    assert (totals["requests"], totals["succeeded"], totals["failed"]) == (3, 2, 1)
    assert (totals["input_tokens"], totals["output_tokens"]) == (40, 10)
    assert totals["requests_ms"] == pytest.approx(152 + 153)
    # five tokens each: four intervals in 50 ms
    assert totals["tokens_per_sec"] == pytest.approx(1000 * 8 / 100)


def test_tokens_that_took_no_measured_time_do_not_raise_the_total_speed() -> None:
    in_one_read = row(trace_of([100], Usage(completion=500)))
    totals = benchmark_document([*rows(1), in_one_read])["results"]["totals"]
    assert totals["output_tokens"] == 505
    assert totals["tokens_per_sec"] == pytest.approx(1000 * 4 / 50)


def test_a_total_of_which_a_part_is_not_known_is_null_with_its_reason() -> None:
    unknown = row(trace_of(usage=Usage(prompt=-1, completion=-1)))
    results = benchmark_document([*rows(1), unknown])["results"]
    assert (results["totals"]["input_tokens"], results["totals"]["output_tokens"]) == (None, None)
    assert results["tokens_reason"] == "only 1 of 2 answers came with a token count"
    assert benchmark_document()["results"]["tokens_reason"] is None


def test_without_any_success_totals_are_absent_and_not_zero() -> None:
    totals = benchmark_document([row(failed_trace())])["results"]["totals"]
    absent = ("input_tokens", "output_tokens", "requests_ms", "tokens_per_sec")
    assert [totals[name] for name in absent] == [None] * 4


def test_failures_are_counted_by_kind() -> None:
    made = [row(failed_trace(kind)) for kind in ("oom", "reset", "oom")]
    assert benchmark_document(made)["results"]["errors"] == {"oom": 2, "reset": 1}
    assert benchmark_document(rows(1))["results"]["errors"] == {}


def test_a_metric_without_values_gives_its_most_frequent_reason() -> None:
    made = [
        row(trace_of(usage=None)),
        row(trace_of(usage=None)),
        row(trace_of([100], Usage(1, 1, 1))),
    ]
    summary = benchmark_document(made)["results"]["summary"]
    assert summary["tokens_per_sec"]["reason"] == "no_usage"
    assert summary["power_draw_watts"]["reason"] == "no_provider"
    assert "reason" not in summary["time_to_first_token_ms"]


def test_where_all_failed_every_reason_is_the_failure() -> None:
    summary = benchmark_document([row(failed_trace())])["results"]["summary"]
    assert {summary[name]["reason"] for name in REQUEST} == {"failed"}


@pytest.mark.parametrize(("rate", "reason"), [(None, "no_kwh_rate"), (0.12, "no_provider")])
def test_a_cost_is_null_for_a_reason(rate: float | None, reason: str) -> None:
    cost = benchmark_document(header=header(config={"kwh_rate": rate}))["results"]["cost"]
    assert (cost["kwh_rate"], cost["reason"]) == (rate, reason)
    assert cost["cost_per_run"] is None


def test_facts_of_the_journal_are_telemetry() -> None:
    telemetry = benchmark_document(facts={"loaded_after": []})["telemetry"]
    assert (telemetry["loaded_after"], telemetry["provider"]) == ([], None)


@pytest.mark.parametrize(
    ("made", "planned", "interrupted", "expected"),
    [
        (rows(3), 3, False, "complete"),
        ([*rows(2), row(failed_trace())], 3, False, "complete"),
        (rows(3), 4, False, "partial"),
        (rows(3), 3, True, "interrupted"),
        ([], 3, True, "interrupted"),
        ([], 3, False, "failed"),
        ([row(failed_trace())], 1, False, "failed"),
    ],
)
def test_a_status_says_how_the_run_ended(
    made: list[dict[str, Any]], planned: int, interrupted: bool, expected: str
) -> None:
    assert benchmark_document(made, planned=planned, interrupted=interrupted)["status"] == expected


# Names and places


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("llama3.1:q4", "llama3.1_q4"),
        ("hf.co/org/Model-GGUF:Q4_K_M", "hf.co_org_Model-GGUF_Q4_K_M"),
        ("../x", "x"),
        ("/etc/passwd", "etc_passwd"),
        ("..", "model"),
        ("...", "model"),
        ("", "model"),
        (" ", "model"),
        (".hidden", "hidden"),
        ("a\x00b\nc", "a_b_c"),
        ("C:\\models\\x.gguf", "C_models_x.gguf"),
        ("mod\u00e8le", "mod\u00e8le"),
        ("mode\u0300le", "mod\u00e8le"),
        ("\u6a21\u578b:7b", "\u6a21\u578b_7b"),
        ("\U0001f999", "model"),
    ],
)
def test_a_model_s_id_becomes_a_file_name(model: str, name: str) -> None:
    assert results.safe_name(model) == name


def test_long_ids_that_differ_at_the_end_keep_different_names() -> None:
    one, two = (results.safe_name("\u6a21" * 200 + end) for end in "ab")
    assert one != two
    assert one.startswith("\u6a21")
    assert max(len(one.encode()), len(two.encode())) <= 120


@given(st.text(max_size=400))
def test_any_id_is_one_plain_path_component(model: str) -> None:
    name = results.safe_name(model)
    assert Path(name).name == name
    assert name not in ("", ".", "..")
    assert not name.startswith(".")
    assert not set(name) & set('/\\:*?"<>|\x00\n')
    assert len(f"{name}_2026-01-13T10-30-00_99.json".encode()) <= 200


def test_a_file_is_named_after_model_and_time_and_holds_the_document(tmp_path: Path) -> None:
    made = benchmark_document()
    path = results.write(tmp_path, made)
    assert path == tmp_path / "benchmarks" / "llama3.1_q4_2026-01-13T10-30-00.json"
    assert json.loads(path.read_text(encoding="utf-8")) == results.load(path) == made


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    paths = [
        saved_benchmark(tmp_path, rows(count), header=header(run_id=f"run-{count}"))
        for count in (1, 2, 3)
    ]
    stem = "llama3.1_q4_2026-01-13T10-30-00"
    assert [path.name for path in paths] == [f"{stem}.json", f"{stem}_2.json", f"{stem}_3.json"]
    kept = [len(results.load(path)["results"]["runs"]) for path in paths]
    assert kept == [1, 2, 3]


def test_a_run_that_is_continued_replaces_its_own_file_and_no_other(tmp_path: Path) -> None:
    other = saved_benchmark(tmp_path, rows(1), header=header(run_id="run-1"))
    paths = [saved_benchmark(tmp_path, rows(n), header=header(run_id="run-2")) for n in (1, 2)]
    assert paths[0] == paths[1] != other
    assert results.of_run(tmp_path, header(run_id="run-2")) == paths[1]
    assert [len(results.load(path)["results"]["runs"]) for path in (other, paths[1])] == [1, 2]
    assert sorted(other.parent.iterdir()) == [other, paths[1]]


def test_a_file_system_without_links_overwrites_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    paths = [saved_benchmark(tmp_path, rows(n), header=header(run_id=f"run-{n}")) for n in (1, 2)]
    assert [len(results.load(path)["results"]["runs"]) for path in paths] == [1, 2]
    assert paths[1].name.endswith("_2.json")


def test_no_temporary_file_is_left(tmp_path: Path) -> None:
    path = saved_benchmark(tmp_path)
    assert list(path.parent.iterdir()) == [path]


def test_a_document_that_is_not_json_writes_nothing(tmp_path: Path) -> None:
    made = benchmark_document()
    made["results"]["totals"]["tokens_per_sec"] = math.nan
    with pytest.raises(ValueError, match="not JSON compliant"):
        results.write(tmp_path, made)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    place = tmp_path / "results"
    place.write_text("not a directory")
    with pytest.raises(ResultsError) as caught:
        saved_benchmark(place)
    assert str(caught.value) == f"{place / 'benchmarks'} cannot be written: Not a directory"


def test_a_full_disk_is_told_and_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(ResultsError, match="benchmarks cannot be written: No space left"):
        saved_benchmark(tmp_path)
    assert list((tmp_path / "benchmarks").iterdir()) == []


# Finding


def kept(directory: Path, count: int) -> list[Path]:
    """Save several results, each a minute newer than the one before."""
    paths = [saved_benchmark(directory, header=header(run_id=f"run-{i}")) for i in range(count)]
    for minute, path in enumerate(paths):
        os.utime(path, (60 * minute, 60 * minute))
    return paths


def test_results_are_listed_newest_first(tmp_path: Path) -> None:
    made = kept(tmp_path, 3)
    assert list(results.paths(tmp_path)) == list(reversed(made))
    assert list(results.paths(tmp_path, "benchmarks")) == list(reversed(made))
    assert list(results.paths(tmp_path / "nowhere")) == []


def test_a_result_is_found_by_path_file_stem_or_run_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = kept(tmp_path, 3)
    for index, path in enumerate(made):
        for name in (str(path), f"benchmarks/{path.name}", path.stem, f"run-{index}"):
            assert results.find(tmp_path, name) == path
    monkeypatch.chdir(tmp_path / "benchmarks")
    assert results.find(tmp_path, made[1].name) == Path(made[1].name)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "\ud800"])
def test_a_damaged_file_beside_it_hides_no_result(tmp_path: Path, content: str) -> None:
    path = kept(tmp_path, 1)[0]
    damaged = tmp_path / "benchmarks" / "damaged.json"
    damaged.write_text(content, encoding="utf-8", errors="surrogatepass")
    assert results.find(tmp_path, "run-0") == path
    assert results.find(tmp_path, "damaged") == damaged


def test_an_unknown_result_is_told(tmp_path: Path) -> None:
    kept(tmp_path, 1)
    with pytest.raises(ResultsError, match=r"no result 'nosuch' in .*: llamaburn results list"):
        results.find(tmp_path, "nosuch")


# Checking


@pytest.mark.parametrize(
    "made",
    [
        benchmark_document(),
        benchmark_document(rows(1)),
        benchmark_document([]),
        benchmark_document([row(failed_trace())]),
        benchmark_document([row(trace_of(usage=None, timings=None))]),
        both_starts(),
    ],
    ids=["five", "one", "none", "failed", "uncounted", "both"],
)
def test_what_is_built_is_valid_to_us_and_to_the_shipped_schema(made: dict[str, Any]) -> None:
    assert results.check(made) is None
    VALIDATOR.validate(made)


def test_the_shipped_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)
    assert VALIDATOR.schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def changed(change: Any, *steps: str | int) -> dict[str, Any]:
    """Return the sample document with the value at a place replaced, or removed by `del`."""
    made: Any = both_starts()
    place = made
    for step in steps[:-1]:
        place = place[step]
    if change is REMOVED:
        del place[steps[-1]]
    else:
        place[steps[-1]] = change
    found: dict[str, Any] = made
    return found


REMOVED = object()


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        (REMOVED, ("status",)),
        ("done", ("status",)),
        (2, ("schema_version",)),
        ("1", ("schema_version",)),
        (True, ("schema_version",)),
        (None, ("contended",)),
        (REMOVED, ("model", "digest")),
        ("true", ("server", "local")),
        (REMOVED, ("results", "runs", 0, "time_to_first_token_ms")),
        ("fast", ("results", "runs", 0, "tokens_per_sec")),
        ("lukewarm", ("results", "runs", 1, "start")),
        (REMOVED, ("results", "runs", 4, "error", "message")),
        ("3", ("results", "summary", "queue_ms", "n")),
        ([1.0], ("results", "summary", "queue_ms", "ci95")),
        ("0", ("results", "totals", "failed")),
        (0.5, ("results", "errors", "oom")),
        ({}, ("results", "gates")),
        ([], ("telemetry",)),
    ],
)
def test_a_changed_file_is_refused_by_the_name_of_the_field(change: Any, steps: Steps) -> None:
    made = changed(change, *steps)
    problem = results.check(made)
    assert problem is not None
    assert problem.startswith(".".join(map(str, steps)))
    assert not VALIDATOR.is_valid(made)


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        ([], "it has no 'schema'"),
        ({}, "it has no 'schema'"),
        (None, "it has no 'schema'"),
        ({"schema": "other/thing"}, f"schema 'other/thing' is unknown (known: {KNOWN})"),
        ({"schema": ["x"]}, f"schema '['x']' is unknown (known: {KNOWN})"),
    ],
)
def test_what_is_no_result_file_at_all_is_told(made: Any, problem: str) -> None:
    assert results.check(made) == problem


def test_fields_of_a_newer_version_are_no_fault() -> None:
    made = changed("later", "results", "runs", 0, "invented_later")
    assert results.check(made) is None
    assert VALIDATOR.is_valid(made)


SOUND = both_starts()


def places(value: Any, steps: Steps = ()) -> Iterator[Steps]:
    if steps:
        yield steps
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for step, child in inner:
        yield from places(child, (*steps, step))


replacements = st.sampled_from([REMOVED, None, True, 7, -1.5, "word", "", [], ["x"], {}, {"x": 1}])


@given(st.sampled_from(list(places(SOUND))), replacements)
def test_our_check_and_the_shipped_schema_judge_any_change_alike(steps: Steps, change: Any) -> None:
    made: Any = copy.deepcopy(SOUND)
    place = made
    for step in steps[:-1]:
        place = place[step]
    if change is REMOVED:
        del place[steps[-1]]
    else:
        place[steps[-1]] = change
    assert (results.check(made) is None) == VALIDATOR.is_valid(made), results.check(made)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is not JSON: "),
        (b"{", "is not JSON: "),
        (b"\xff", "is not JSON: "),
        (b"[" * 100_000, "is not JSON: "),
        (b"{}", "is not a result file: it has no 'schema'"),
        (b'{"schema": "llamaburn/benchmark"}', "is not a result file: schema_version: field requ"),
    ],
)
def test_loading_what_is_no_result_says_why(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ResultsError, match=re.escape(f"{path} {problem}")):
        results.load(path)


def test_loading_what_does_not_exist_says_so(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    with pytest.raises(ResultsError) as caught:
        results.load(path)
    assert str(caught.value) == f"{path} cannot be read: No such file or directory"


def test_building_changes_nothing_in_the_record() -> None:
    made = record()
    before = copy.deepcopy(made)
    results.build(made)
    assert made == before


def test_equal_rows_give_equal_documents() -> None:
    assert all(a == b for a, b in pairwise(benchmark_document(rows(3)) for _ in range(3)))


# Repeats


@pytest.mark.parametrize(
    ("means", "verdict"),
    [
        ((100, 100, 100), "met"),
        ((100, 101, 100, 99, 100), "met"),
        ((100, 105, 97), "undecided"),
        ((100, 300, 20, 500, 40), "not met"),
        ((100,), None),
    ],
)
def test_independent_runs_vary_by_less_than_a_twentieth_or_not(
    means: tuple[float, ...], verdict: str | None
) -> None:
    made = [
        row(trace_of([mean + shift, mean + shift + 40]), repeat=repeat)
        for repeat, mean in enumerate(means)
        for shift in (-10, 10)
    ]
    found = benchmark_document(made)["results"]["between_runs"]
    if verdict is None:
        assert found == {}
    else:
        assert found.keys() == set(result.REPEATABLE)
        ttft = found["time_to_first_token_ms"]
        assert (ttft["runs"], ttft["under_5_percent"]) == (len(means), verdict)


def test_a_run_in_which_all_failed_says_nothing_of_its_variation() -> None:
    made = [
        row(repeat=0),
        row(trace_of(usage=None), repeat=1),
        row(failed_trace(), repeat=2),
    ]
    found = benchmark_document(made)["results"]["between_runs"]
    assert found["tokens_per_sec"]["runs"] == 1
    assert found["tokens_per_sec"]["under_5_percent"] == "undecided"
    assert found["time_to_first_token_ms"]["runs"] == 2

"""Comparing and showing very many files takes work in proportion to their number."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from support.benchmark_documents import benchmark_document, row, saved_benchmark

from pytest_llamaburn import registry, reports
from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.kinds.benchmark.comparable import FIXED_N, Comparison
from pytest_llamaburn.kinds.comparison import engine
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHOICE = engine.chosen(Comparison, engine.Asked())


def sources(count: int) -> Iterator[tuple[str, Any]]:
    """Yield files of two runs each, every file with a run id and every second with a model."""
    for number in range(count):
        made = benchmark_document([row(), row(iteration=1), row(repeat=1)])
        model = {**made["model"], "id": f"m{number // 2}"}
        yield f"{number}.json", {**made, "run_id": f"r{number}", "model": model}


def lines_run(work: Callable[[], Any]) -> int:
    """Return how many lines of this package some work runs: its time, whatever the machine."""
    count = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace if "pytest_llamaburn" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def comparison_of_many(count: int) -> Any:
    made = Comparison(list(sources(count)), CHOICE)
    return engine.document(made, "comparison")


def test_comparing_takes_work_in_proportion_to_the_files() -> None:
    comparison_of_many(2)
    few, many = (lines_run(lambda n=n: comparison_of_many(n)) for n in (20, 120))  # type: ignore[misc]
    assert many < 6.6 * few


def test_files_are_read_one_after_another_and_only_what_is_compared_is_kept() -> None:
    (side,) = Comparison(islice(sources(1), 1), CHOICE).subjects
    fields = {"prompt", "time_to_first_token_ms", "inter_token_latency_ms", "tokens_per_sec"}
    kept = set(side.runs[0][0])
    assert kept == fields | {"output_sequence_length", FIXED_N}
    assert "runs" not in side.document["results"]


def test_directory_is_read_once_for_all_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [saved_benchmark(tmp_path / "results") for _ in range(3)]
    asked: list[Path] = []
    whole = results.paths

    def counted(directory: Path, folder: str | None = None) -> Iterator[Path]:
        asked.append(directory)
        return whole(directory, folder)

    monkeypatch.setattr(results, "paths", counted)
    known = results.Finder(tmp_path / "results")
    assert [known.find(path.stem) for path in paths] == paths
    assert len(asked) == 1


@pytest.mark.parametrize("form", ["table", "markdown", "jsonl"])
def test_first_file_is_shown_before_the_next_is_read(form: str, tmp_path: Path) -> None:
    good, bad = saved_benchmark(tmp_path / "results"), tmp_path / "bad.json"
    bad.write_text("{}")
    shown: list[str] = []
    with pytest.raises(ResultsError):
        reports.show([good, bad], [form], shown.append)
    assert shown == [registry.load("reports", form).render([good])]


@pytest.mark.parametrize("form", ["table", "markdown", "jsonl", "csv", "json"])
def test_many_files_read_the_same_one_by_one_and_at_once(form: str, tmp_path: Path) -> None:
    paths = [saved_benchmark(tmp_path / "results") for _ in range(2)]
    shown: list[str] = []
    reports.show(paths, [form], shown.append)
    target = tmp_path / f"out{registry.load('reports', form).SUFFIX}"
    reports.show(paths, [str(target)], shown.append)
    whole = registry.load("reports", form).render(paths)
    assert "".join(shown) == target.read_text(encoding="utf-8") == whole

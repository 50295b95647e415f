"""The rows of a load, on disk."""

from __future__ import annotations

import gzip
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from support.benchmark_documents import failed_trace, trace_of

from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.load import rows
from pytest_llamaburn.load.rows import Rows, row_of
from pytest_llamaburn.trace import Usage

if TYPE_CHECKING:
    from pathlib import Path


def test_a_row_comes_back_as_it_was_written(tmp_path: Path) -> None:
    trace = trace_of()
    made = row_of((3, 1, 7), "prompt-1", trace.sent_ns - 5, trace)
    file = Rows(tmp_path, "main")
    file.write(made)
    file.close()
    (found,) = rows.read(tmp_path)
    assert (found.values, list(found.gaps_ms)) == (made.values, made.gaps_ms)
    assert (found.step, found.attempt, found.number, found.error) == (3, 1, 7, None)
    assert found.scheduled_ns == trace.sent_ns - 5
    assert found.values["output_sequence_length"] == trace.usage.completion


def test_a_number_that_could_not_be_believed_keeps_its_reason(tmp_path: Path) -> None:
    file = Rows(tmp_path, "main")
    for number, count in enumerate((-1, 5)):
        file.write(row_of((0, 0, number), "p", 0, trace_of(usage=Usage(20, 4, count))))
    file.close()
    doubted, good = rows.read(tmp_path)
    assert doubted.doubts is not None
    assert doubted.doubts["output_sequence_length"] == "implausible"
    assert good.doubts is None


def test_a_failure_keeps_its_kind_and_the_servers_words(tmp_path: Path) -> None:
    made = row_of((0, 0, 0), "p", 0, failed_trace("oom", "no memory"))
    assert made.error == {
        "kind": "oom",
        "phase": failed_trace().failure.phase,  # type: ignore[union-attr]
        "status": failed_trace().failure.status,  # type: ignore[union-attr]
        "message": "no memory",
    }
    assert made.values["time_to_first_token_ms"] is None


def test_all_workers_rows_are_merged_and_a_cut_line_is_passed_over(tmp_path: Path) -> None:
    for worker, number in (("a", 0), ("b", 1)):
        file = Rows(tmp_path, worker)
        file.write(row_of((0, 0, number), "p", 0, trace_of()))
        file.close()
    with (tmp_path / "b.rows").open("ab") as cut:
        cut.write(b'{"step": 0, "attem')
    assert [row.number for row in rows.read(tmp_path)] == [0, 1]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot be written"):
        Rows(tmp_path / "none", "main")


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path) -> None:
    file = Rows(tmp_path, "main")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, file._ledger._fd)
    os.close(full)
    with pytest.raises(ResultsError, match=r"No space left.*--resume last"):
        file.write(row_of((0, 0, 0), "p", 0, trace_of()))
    file.close()


def test_exported_rows_are_the_files_own_lines(tmp_path: Path) -> None:
    file = Rows(tmp_path, "main")
    file.write(row_of((0, 0, 0), "p", 0, trace_of()))
    file.close()
    rows.export(tmp_path, tmp_path / "out.jsonl.gz")
    assert (
        gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes())
        == (tmp_path / "main.rows").read_bytes()
    )


def test_rows_go_on_with_all_of_them_where_their_folder_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    file = Rows(folder, "main")
    file.write(row_of((0, 0, 1), "p", 0, trace_of()))
    file.settle(folder)  # it is where it was
    shutil.rmtree(folder)
    file.settle(folder)
    file.write(row_of((0, 0, 2), "p", 0, trace_of()))
    assert [row.number for row in rows.read(folder)] == [1, 2]
    shutil.rmtree(folder)
    folder.write_text("in the way")
    with pytest.raises(ResultsError, match="run cannot be written: "):
        file.settle(folder)
    file.close()


def test_rows_that_cannot_be_exported_are_told_and_leave_no_half_file(tmp_path: Path) -> None:
    Rows(tmp_path, "main").close()
    with pytest.raises(ResultsError, match=r"there.gz cannot be written: No such file"):
        rows.export(tmp_path, tmp_path / "not" / "there.gz")

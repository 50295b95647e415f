"""The journal keeps what was finished, whatever ended the process."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.benchmark_documents import failed_trace, header, row, trace_of

from pytest_llamaburn import files
from pytest_llamaburn.errors import ResultsError
from pytest_llamaburn.store import finish, journal, results, resume
from pytest_llamaburn.store.journal import Journal, Record

RUN = "run-1"
PLAN = {"prompt-1": 3}
ROWS = [
    row(trace_of([100 + i, 120 + i]), iteration=i, prompt_id=f"gr\u00fcn {i}\n\u2028")
    for i in range(3)
]


def written(
    directory: Path, worker: str = "main", *, end: str | None = "finished", rows: Any = ROWS
) -> Path:
    """Write a journal as a run does and return its file."""
    made = Journal(directory, RUN, worker)
    made.write("header", **header())
    made.write("planned", items=PLAN)
    for one in rows:
        made.write("request", **one)
    if end is not None:
        made.write("end", reason=end)
    made.close()
    return journal.directory(directory, RUN) / f"{worker}.jsonl"


def read(directory: Path) -> Record:
    return journal.read(journal.directory(directory, RUN))


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    written(tmp_path)
    folder = journal.directory(tmp_path, RUN)
    assert read(tmp_path) == Record(header(), 3, ROWS, {}, [], interrupted=False, folder=folder)


with tempfile.TemporaryDirectory() as scratch:
    WHOLE = written(Path(scratch)).read_bytes()
    UNENDED = len(written(Path(scratch) / "other", end=None).read_bytes())


@given(st.integers(0, len(WHOLE)))
def test_a_journal_cut_at_any_byte_gives_its_first_rows_and_says_so(cut: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = journal.directory(Path(name), RUN)
        folder.mkdir(parents=True)
        (folder / "main.jsonl").write_bytes(WHOLE[:cut])
        found = journal.read(folder)
    finished = len(WHOLE[:cut].splitlines()) - 2
    assert found.rows == ROWS[: len(found.rows)]
    assert max(0, finished - 1) <= len(found.rows) <= max(0, finished)
    assert found.header in (None, header())
    assert found.interrupted == (cut < len(WHOLE) - 1)
    if found.header:
        status = results.build(found)["status"]
        assert status == ("interrupted" if cut < len(WHOLE) - 1 else "complete")


@given(st.integers(1, len(WHOLE)))
def test_what_one_worker_lost_costs_no_other_worker_a_row(cut: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = written(Path(name), "gw0").parent
        (folder / "gw1.jsonl").write_bytes(WHOLE[:cut])
        found = journal.read(folder)
    assert found.rows[:3] == ROWS
    assert found.rows[3:] == ROWS[: len(found.rows) - 3]


def test_every_byte_before_the_end_row_is_an_interruption() -> None:
    assert len(WHOLE) > UNENDED  # or the property above says nothing


@pytest.mark.parametrize(
    ("end", "interrupted"),
    [("finished", False), ("interrupted", True), ("stopped", True), (None, True)],
)
def test_only_a_finished_run_was_not_interrupted(
    tmp_path: Path, end: str | None, interrupted: bool
) -> None:
    written(tmp_path, end=end)
    assert read(tmp_path).interrupted is interrupted


def test_one_killed_worker_interrupts_the_run(tmp_path: Path) -> None:
    written(tmp_path, "gw0")
    written(tmp_path, "gw1", end=None)
    assert read(tmp_path).interrupted


def test_workers_are_merged(tmp_path: Path) -> None:
    for worker, share in (("gw0", ROWS[:1]), ("gw1", ROWS[1:])):
        made = Journal(tmp_path, RUN, worker)
        made.write("header", **header(contended=worker == "gw1"))
        made.write("planned", items={worker: 2, "both": 1})
        made.write("facts", **{worker: [1], "last": worker})
        for one in share:
            made.write("request", **one)
        made.write("end", reason="finished")
        made.close()
    found = read(tmp_path)
    assert found.header == header()
    assert found.rows == ROWS
    assert found.planned == 5  # gw0's, gw1's, and what both planned only once
    assert found.facts == {"gw0": [1], "gw1": [1], "last": "gw1"}
    assert not found.interrupted


def test_a_later_plan_replaces_an_earlier_one_of_the_same_item(tmp_path: Path) -> None:
    made = Journal(tmp_path, RUN, "main")
    made.write("planned", items={"a": 5, "b": 5})
    made.write("planned", items={"a": 2})
    made.close()
    assert read(tmp_path).planned == 7


def test_what_another_worker_expects_replaces_no_plan(tmp_path: Path) -> None:
    for worker, planned in (("gw0", {"a": 2}), ("gw1", {"b": 1})):
        made = Journal(tmp_path, RUN, worker)
        made.write("expected", items={"a": 5, "b": 5, "c": 5})
        made.write("planned", items=planned)
        made.close()
    assert read(tmp_path).planned == 8


def test_a_row_is_with_the_kernel_when_write_returns(tmp_path: Path) -> None:
    made = Journal(tmp_path, RUN, "main")
    made.write("request", **ROWS[0])
    assert read(tmp_path).rows == ROWS[:1]
    made.sync()
    made.close()


def test_closing_twice_is_closing(tmp_path: Path) -> None:
    made = Journal(tmp_path, RUN, "main")
    made.close()
    made.close()
    folder = journal.directory(tmp_path, RUN)
    assert read(tmp_path) == Record(None, 0, [], {}, [], interrupted=True, folder=folder)


def test_reopening_appends(tmp_path: Path) -> None:
    written(tmp_path, end=None, rows=ROWS[:2])
    made = Journal(tmp_path, RUN, "main")
    made.write("request", **ROWS[2])
    made.write("end", reason="finished")
    made.close()
    assert read(tmp_path).rows == ROWS
    assert not read(tmp_path).interrupted


def test_a_row_after_a_line_that_was_cut_is_a_line_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path, end=None, rows=ROWS[:2])
    path.write_bytes(path.read_bytes()[:-5])
    made = Journal(tmp_path, RUN, "main")
    made.write("request", **ROWS[2])
    made.write("end", reason="finished")
    made.close()
    assert read(tmp_path).rows == [ROWS[0], ROWS[2]]


def test_a_run_that_is_continued_is_unfinished_until_it_ends_again(tmp_path: Path) -> None:
    written(tmp_path)
    made = Journal(tmp_path, RUN, "main")
    made.write("header", **header(contended=True))
    assert read(tmp_path).interrupted
    made.write("end", reason="finished")
    made.close()
    folder = journal.directory(tmp_path, RUN)
    assert read(tmp_path) == Record(header(), 3, ROWS, {}, [], interrupted=False, folder=folder)


def test_verdicts_are_kept(tmp_path: Path) -> None:
    made = Journal(tmp_path, RUN, "main")
    made.write("gate", expression="ttft_ms<1", verdict="fail")
    made.close()
    (gate,) = read(tmp_path).gates
    assert (gate["expression"], gate["verdict"]) == ("ttft_ms<1", "fail")


def test_only_runs_that_nobody_writes_any_more_are_left_over(tmp_path: Path) -> None:
    assert journal.leftovers(tmp_path) == []
    first, second, third = (Journal(tmp_path, f"run-{n}", "main") for n in (1, 2, 3))
    first.close()
    third.close()
    left = [folder.name for folder in journal.leftovers(tmp_path)]
    second.close()
    assert left == ["run-1", "run-3"]


def test_a_number_that_is_not_json_is_never_written(tmp_path: Path) -> None:
    made = Journal(tmp_path, RUN, "main")
    with pytest.raises(ValueError, match="not JSON compliant"):
        made.write("facts", value=float("nan"))
    made.close()
    assert read(tmp_path).facts == {}


def test_a_server_s_words_of_any_kind_are_one_line(tmp_path: Path) -> None:
    words = 'line\nfeed\r\u2028\u0085 "quoted" \x1b[31m \U0001f525'
    refused = row(failed_trace(message=words))
    written(tmp_path, rows=[refused])
    assert read(tmp_path).rows == [refused]


def test_the_reserve_takes_space_once_and_gives_it_back(tmp_path: Path) -> None:
    folder = written(tmp_path).parent
    reserve = folder / "reserve"
    assert reserve.stat().st_size == journal.RESERVE_BYTES
    assert reserve.read_bytes().count(0) < journal.RESERVE_BYTES / 2  # no hole can hold it
    before = reserve.stat().st_mtime_ns
    written(tmp_path, "gw1")
    assert reserve.stat().st_mtime_ns == before
    journal.release(folder)
    assert not reserve.exists()
    journal.release(folder)


def test_a_file_in_place_of_the_results_directory_is_told(tmp_path: Path) -> None:
    place = tmp_path / "results"
    place.write_text("not a directory")
    with pytest.raises(ResultsError) as caught:
        Journal(place, RUN, "main")
    assert str(caught.value) == (
        f"--results-dir: {place} cannot be written: Not a directory; "
        "name another directory with --results-dir"
    )


def test_a_journal_that_was_only_begun_is_no_result_and_goes(tmp_path: Path) -> None:
    Journal(tmp_path, RUN, "main").close()
    assert finish.write_result(tmp_path, RUN) is None
    assert [*tmp_path.iterdir()] == []


def test_a_discarded_journal_leaves_no_empty_folder(tmp_path: Path) -> None:
    folder = written(tmp_path).parent
    journal.discard(folder)
    assert list(tmp_path.iterdir()) == []
    journal.discard(folder)


def test_a_discarded_journal_leaves_those_of_other_runs(tmp_path: Path) -> None:
    folder = written(tmp_path).parent
    other = Journal(tmp_path, "run-2", "main")
    journal.discard(folder)
    assert not folder.exists()
    assert other.directory.is_dir()
    other.close()


# Directories that go away


def test_journal_goes_on_where_its_directory_was_and_says_so(tmp_path: Path) -> None:
    made = Journal(tmp_path / "results", RUN, "main")
    made.write("header", **header())
    (tmp_path / "results").rename(tmp_path / "moved")
    made.write("request", **ROWS[0])
    made.close()
    shutil.rmtree(tmp_path / "results")
    made.settle()  # also after it was closed, its lock given back
    assert journal.leftovers(tmp_path / "results") == [made.directory]
    found = read(tmp_path / "results")
    assert (found.header, found.rows) == (header(), ROWS[:1])
    assert made.lost == (
        f"{tmp_path / 'results'} was removed or moved while the run went on: what was measured is "
        f"kept in {tmp_path / 'results'}"
    )
    made.forget()


def test_current_directory_that_changes_or_moves_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir()
    other.mkdir()
    monkeypatch.chdir(home)
    made = Journal(Path("results"), RUN, "main")
    monkeypatch.chdir(other)
    made.write("header", **header())
    monkeypatch.chdir(home)
    home.rename(tmp_path / "renamed")
    made.write("request", **ROWS[0])
    assert made.lost is None
    made.forget()
    assert not list(other.iterdir())


def test_journal_whose_place_is_taken_finds_a_refuge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, here = tmp_path / "results", tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    made = Journal(place, RUN, "main")
    made.write("header", **header())
    shutil.rmtree(place)
    place.write_text("in the way")
    made.settle()
    assert made.results_dir == here / "llamaburn-rescued"
    assert journal.read(made.directory).header == header()
    assert str(made.lost).endswith(f"kept in {here / 'llamaburn-rescued'}")
    made.forget()


def test_without_any_place_it_is_said_of_each_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(place: Path) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    at_home, temporary = journal.refuges()  # without a current directory
    why = os.strerror(errno.ENOSPC)
    with pytest.raises(ResultsError) as caught:
        journal.first_that_works(full, [at_home, *journal.refuges()])
    assert str(caught.value) == f"no place to write to: {at_home}: {why}; {temporary}: {why}"


@pytest.mark.parametrize("has_home", [True, False])
def test_refuge_is_the_same_before_and_after_pytest_leaves_a_removed_directory(
    has_home: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, home = tmp_path / "gone", tmp_path / "home"
    gone.mkdir()
    if has_home:
        home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(gone)
    gone.rmdir()
    before = next(journal.refuges())
    monkeypatch.chdir(files.lasting())
    assert next(journal.refuges()) == before
    assert before.parent == (home if has_home else files.temporary())


def test_journal_that_finds_no_room_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    made = Journal(tmp_path / "results", RUN, "main")
    made.write("header", **header())
    shutil.rmtree(tmp_path / "results")
    monkeypatch.setattr(journal, "refuges", lambda: iter(()))
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(ResultsError, match=r"no place to write to: .*: No space left on"):
            made.settle()
    made.settle()
    assert read(tmp_path / "results").header == header()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResultsError, match=r"main\.jsonl cannot be written to disk: No space left"):
        made.sync()
    made.forget()  # which tells it no more


def test_result_that_its_directory_does_not_take_is_written_elsewhere_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "results")
    (tmp_path / "results" / "benchmarks").write_text("in the way")
    told: list[str] = []
    path = finish.write_result(tmp_path / "results", RUN, tell=told.append)
    assert path is not None
    assert path.parent == tmp_path / "llamaburn-rescued" / "benchmarks"
    (line,) = told
    assert line.startswith(f"{tmp_path / 'results' / 'benchmarks'} cannot be written: ")
    assert line.endswith(f"; the file is {path}")


def test_result_that_no_place_takes_leaves_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path)
    (tmp_path / "benchmarks").write_text("in the way")
    monkeypatch.setattr(journal, "refuges", lambda: iter([tmp_path]))
    with pytest.raises(ResultsError, match=r"its journal is kept in .*; no place to write to: "):
        finish.write_result(tmp_path, RUN)
    assert read(tmp_path).rows == ROWS


@pytest.fixture
def vanishing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run's journals be removed by their run just as another process lists them."""
    listed = os.scandir

    def scandir(path: Any = ".") -> Any:
        if not isinstance(path, int) and Path(path).name == RUN:
            shutil.rmtree(path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.usefixtures("vanishing")
@pytest.mark.parametrize("look", [resume.unfinished, resume.left_alone, resume.unfiled])
def test_a_journal_that_its_run_removes_meanwhile_is_of_no_unfinished_run(
    look: Any, tmp_path: Path
) -> None:
    written(tmp_path)
    assert not look(tmp_path)


@pytest.mark.usefixtures("vanishing")
def test_a_journal_that_its_run_removes_meanwhile_reads_as_empty(tmp_path: Path) -> None:
    written(tmp_path)
    assert read(tmp_path).header is None

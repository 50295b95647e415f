"""What others left in a results directory is passed over and named; it stops no command."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import pytest
from support.benchmark_documents import header, row, saved_benchmark

from pytest_llamaburn.commands import main
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.load import turn
from pytest_llamaburn.store import journal, results, resume
from pytest_llamaburn.store.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable


FUTURE = (
    "a-future is the journal of a run of kind 'llamaburn/later', which this version of LlamaBurn "
    "does not know"
)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


FOREIGN: dict[str, Callable[[Path], Any]] = {
    "dangling": lambda path: path.symlink_to("nowhere"),
    "loop": lambda path: path.symlink_to(path.name),
    "pipe": os.mkfifo,
    "socket": _socket,
    "folder": Path.mkdir,
    "number": lambda path: path.write_text("5"),
    "noise": lambda path: path.write_bytes(b"\x1f\x8b\x00\xff"),
    "future": lambda path: path.write_text('{"schema": "llamaburn/later", "run_id": "x"}'),
}


@pytest.fixture
def crowded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a result file that lies, and whose journal lay, among foreign things."""
    monkeypatch.chdir(tmp_path)
    kept = saved_benchmark(Path("results"))
    for name, make in FOREIGN.items():
        make(kept.parent / f"{name}.json")
        folder = Path("results", ".journal", name)
        folder.mkdir(parents=True)
        make(folder / "main.jsonl")
        make(folder / "main.lock")
    Path("results", ".journal", "stray").symlink_to("stray")
    Path("results", "stress").symlink_to("nowhere")
    return kept


def test_foreign_files_are_listed_with_what_they_are(
    crowded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["results", "list", "-o", "json"]) == 0
    found = {entry["id"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert found.keys() == {crowded.stem, *FOREIGN}
    states = {name: entry["status"] for name, entry in found.items()}
    assert states == {crowded.stem: "complete", **dict.fromkeys(FOREIGN, "unreadable")}
    assert found["loop"]["model"].endswith("cannot be read: Too many levels of symbolic links")


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("action", ["show", "validate"])
def test_foreign_file_is_refused_by_name(
    action: str, name: str, crowded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["results", action, name]) == 4
    said = capsys.readouterr().err
    assert said.startswith(f"llamaburn: {crowded.parent / name}.json ")
    assert said.count("\n") == 1
    assert main(["results", action, crowded.stem]) == 0


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_file_can_be_removed(name: str, crowded: Path) -> None:
    code = main(["results", "rm", name])
    assert code == (4 if name == "folder" else 0)
    assert os.path.lexists(crowded.parent / f"{name}.json") == (name == "folder")
    assert crowded.is_file()


def test_earlier_runs_are_found_among_foreign_files(crowded: Path) -> None:
    assert [*results.of_model(Path("results"), "benchmark", "llama3.1:q4")] == [crowded]


def test_journals_of_other_versions_are_left_alone_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = {
        "a-future": {"type": "header", "schema": "llamaburn/later", "run_id": "a-future"},
        "b-damaged": {"type": "header", "schema": "llamaburn/benchmark"},
        "c-typeless": {"schema": "llamaburn/benchmark"},
        "d-number": 5,
    }
    for name, line in lines.items():
        folder = Path("results", ".journal", name)
        folder.mkdir(parents=True)
        (folder / "main.jsonl").write_text(json.dumps(line) + "\n")
    made = Journal(Path("results"), "e-mine", "main")
    made.write("header", **header(run_id="e-mine"))
    made.write("request", **row())
    made.close()
    with (made.directory / "main.jsonl").open("a") as file:
        file.write('7\n[]\n{"no": "type"}\n{"type": 3}\n{"type": "planned"}\n{"type": "end"}\n')
    assert resume.unfiled(Path("results")) == ["e-mine"]
    assert resume.header_of(Path("results"), "last")["run_id"] == "e-mine"
    assert main(["results", "recover"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("results/benchmarks/")
    assert err.splitlines() == [
        f"llamaburn: results/.journal/{words}: it is left alone"
        for words in (FUTURE, "b-damaged is a journal with a damaged header")
    ]
    with pytest.raises(ResultsError, match="does not know"):
        resume.header_of(Path("results"), "a-future")
    with pytest.raises(ResultsError, match="there is no unfinished run 'd-number'"):
        resume.header_of(Path("results"), "d-number")


def test_journal_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = journal.directory(tmp_path, "run")
    folder.mkdir(parents=True)
    (folder / "main.jsonl").touch()

    def refuse(*args: Any, **more: Any) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(Path, "open", refuse)
    (said,) = resume.left_alone(tmp_path)
    assert said == f"{folder / 'main.jsonl'} cannot be read: Permission denied"


@pytest.mark.parametrize(("error", "left"), [(PermissionError(13, "x"), 0), (OSError(5, "x"), 1)])
def test_run_of_another_user_is_not_taken_for_one_to_continue(
    error: OSError, left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = journal.directory(tmp_path, "run")
    folder.mkdir(parents=True)
    (folder / "main.lock").touch()

    def refuse(*args: Any, **more: Any) -> None:
        raise error

    monkeypatch.setattr(filelock, "FileLock", refuse)
    assert len(journal.leftovers(tmp_path)) == left


@pytest.mark.parametrize("name", ["folder", "loop"])
def test_lock_that_cannot_be_taken_is_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    FOREIGN[name](tmp_path / "llamaburn-measuring.lock")

    words = r"the lock file .* cannot be used: .*allow-parallel"
    holder = turn.Holder(1, "now")
    with pytest.raises(SettingsError, match=words), turn.alone(holder, str):
        pass


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in a directory that was deleted."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()


@pytest.mark.usefixtures("nowhere")
def test_what_needs_no_current_directory_works_in_a_deleted_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["results", "list"]) == 0
    assert main(["config", "show"]) == 0
    assert main(["benchmark", "tiny", "--host=127.0.0.1:1"]) == 4
    said = capsys.readouterr().err
    assert said == "llamaburn: the current directory was deleted: change to another one\n"


@pytest.mark.parametrize("action", ["list", "recover"])
def test_results_directory_that_no_system_can_have_is_empty(
    action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["results", action, "--results-dir", "a" * 300]) == 0

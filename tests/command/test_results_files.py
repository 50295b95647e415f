"""`llamaburn results rm` and `export`: files that go, and files that are written."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.benchmark_documents import header, row, saved_benchmark
from support.command_line import run_cli

from pytest_llamaburn.commands import main
from pytest_llamaburn.store.journal import Journal


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return a result file below the working directory."""
    return saved_benchmark(tmp_path / "results")


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "results" / "benchmarks").iterdir())


@pytest.mark.parametrize("how", ["id", "path", "path below the results directory", "run id"])
def test_removed_file_is_the_one_that_was_named(how: str, kept: Path, tmp_path: Path) -> None:
    other = saved_benchmark(tmp_path / "results", header=header("other", run_id="another"))
    below = kept.relative_to(tmp_path)
    names = {"id": kept.stem, "path": str(kept), "run id": "2026-01-13T10-30-00-abcdef-01234567"}
    name = names.get(how, str(below.relative_to("results")))
    done = run_cli("results", "rm", name, cwd=tmp_path)
    assert done.stdout == f"removed {below}\n"
    assert files(tmp_path) == [other.name]


def test_file_named_twice_is_removed_once(kept: Path, tmp_path: Path) -> None:
    done = run_cli("results", "rm", kept.stem, str(kept), cwd=tmp_path)
    assert done.stdout.count("removed") == 1
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["elsewhere.json", "results/notes.txt", "results/benchmarks/../../elsewhere.json"]
)
def test_what_is_no_result_of_this_directory_is_left_alone(
    name: str, kept: Path, tmp_path: Path
) -> None:
    for path in ("elsewhere.json", "results/notes.txt"):
        (tmp_path / path).write_text("mine")
    done = run_cli("results", "rm", kept.stem, name, cwd=tmp_path, check=4)
    assert (
        done.stderr
        == f"llamaburn: results rm: {name} is not a result file in results and is not removed\n"
    )
    assert (tmp_path / name).read_text() == "mine"
    assert files(tmp_path) == [kept.name]


def test_nothing_is_removed_when_one_name_is_unknown(kept: Path, tmp_path: Path) -> None:
    done = run_cli("results", "rm", kept.stem, kept.stem[:-1], cwd=tmp_path, check=4)
    assert "no result" in done.stderr
    assert files(tmp_path) == [kept.name]


def test_link_is_removed_and_what_it_points_at_is_not(tmp_path: Path) -> None:
    target = saved_benchmark(tmp_path / "archive")
    link = tmp_path / "results" / "benchmarks" / "link.json"
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    run_cli("results", "rm", "link", cwd=tmp_path)
    assert target.exists()
    assert not link.is_symlink()


def test_file_that_cannot_be_removed_is_one_sentence(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(1, os.strerror(1))

    monkeypatch.setattr(Path, "unlink", refuse)
    assert main(["results", "rm", kept.stem, f"--results-dir={tmp_path / 'results'}"]) == 4
    assert (
        capsys.readouterr().err == f"llamaburn: {kept} cannot be removed: Operation not permitted\n"
    )


@pytest.mark.parametrize("output", ["csv", "x.csv", "foo"])
def test_list_in_a_form_it_has_not_is_refused(output: str, kept: Path, tmp_path: Path) -> None:
    done = run_cli("results", "list", "-o", output, cwd=tmp_path, check=4)
    assert done.stdout == ""
    assert done.stderr == (f"llamaburn: results list: -o {output} is refused: use table or json\n")


def test_names_are_needed_to_remove(tmp_path: Path) -> None:
    assert "no file or id given" in run_cli("results", "rm", cwd=tmp_path, check=4).stderr


def test_exported_files_are_what_show_shows(kept: Path, tmp_path: Path) -> None:
    flags = ("-o", "a.md", "-o", "b.csv")
    done = run_cli("results", "export", kept.stem, *flags, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("", "wrote a.md\nwrote b.csv\n")
    for form, name in (("markdown", "a.md"), ("csv", "b.csv")):
        shown = run_cli("results", "show", kept.stem, "-o", form, cwd=tmp_path).stdout
        assert (tmp_path / name).read_text() == shown


@pytest.mark.parametrize("flags", [(), ("-o", "json"), ("-o", "a.md", "-o", "table")])
def test_export_without_a_file_is_refused(
    flags: tuple[str, ...], kept: Path, tmp_path: Path
) -> None:
    done = run_cli("results", "export", kept.stem, *flags, cwd=tmp_path, check=4)
    assert done.stderr == "llamaburn: results export: no output file given: write -o report.md\n"
    assert not (tmp_path / "a.md").exists()


def test_export_to_an_unknown_suffix_is_refused(kept: Path, tmp_path: Path) -> None:
    done = run_cli("results", "export", kept.stem, "-o", "a.xml", cwd=tmp_path, check=4)
    assert "unknown format 'a.xml'" in done.stderr


@pytest.fixture
def bad_and_good(tmp_path: Path) -> Path:
    """Return a results directory with a run that makes no file and a later one that does."""
    for run_id, rows in (("a-run", [{"start": "warm"}]), ("b-run", [row()])):
        made = Journal(tmp_path / "results", run_id, "main")
        made.write("header", **header(run_id=run_id))
        for one in rows:
            made.write("request", **one)
        made.close()
    return tmp_path / "results"


def test_journal_that_makes_no_file_does_not_stop_the_others(
    bad_and_good: Path, tmp_path: Path
) -> None:
    done = run_cli("results", "recover", cwd=tmp_path, check=4)
    assert "llamaburn: run a-run cannot be recovered: its journal is damaged (KeyErr" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / done.stdout.strip()).read_text())["run_id"] == "b-run"
    assert [path.name for path in (bad_and_good / ".journal").glob("a-*")] == ["a-run"]


def test_journal_whose_file_could_not_be_read_makes_none(tmp_path: Path) -> None:
    made = Journal(tmp_path / "results", "a-run", "main")
    made.write("header", **header(run_id="a-run"))
    made.write("request", **{**row(), "chunks": "many"})
    made.close()
    done = run_cli("results", "recover", cwd=tmp_path, check=4)
    assert (
        "cannot be recovered: its journal is damaged: results.runs.0.chunks: input" in done.stderr
    )
    assert not list(tmp_path.glob("results/benchmarks/*"))
    assert (tmp_path / "results" / ".journal" / "a-run").exists()


def test_recovering_nothing_is_said(tmp_path: Path) -> None:
    assert run_cli("results", "recover", cwd=tmp_path).stderr == "no run was left unfinished\n"

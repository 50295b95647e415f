"""All subjects of MMLU at once: a directory of its makers' files becomes one set."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from support.refusals import refusal

from pytest_llamaburn import evalsets
from pytest_llamaburn.commands import evalset
from pytest_llamaburn.converters import mmlu
from pytest_llamaburn.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TARBALL = {
    "auxiliary_train/race.csv": "Trained?,w,x,y,z,A\n",
    "dev/law_dev.csv": "Solved law?,w,x,y,z,B\nSolved again?,w,x,y,z,A\n",
    "dev/virology_dev.csv": "Solved virus?,w,x,y,z,C\n",
    "test/law_test.csv": "Law 1?,w,x,y,z,A\nLaw 2?,w,x,y,z,D\n",
    "test/virology_test.csv": "Virus?,w,x,y,z,C\n",
    "val/law_val.csv": "Law 3?,w,x,y,z,A\n",
    "README.txt": "Not rows.\n",
}


def tarball(directory: Path, **more: str) -> Path:
    for name, text in {**TARBALL, **more}.items():
        path = directory / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory / "data"


def imported(*names: Any, output: Path | None = None, form: str | None = "mmlu") -> int:
    asked = {"files": [str(name) for name in names], "format": form, "answers": None, "name": None}
    return evalset.run(argparse.Namespace(action="import", output=output and str(output), **asked))


def import_refusal(*names: Any, form: str | None = "mmlu") -> str:
    return refusal(DatasetError, imported, *names, form=form)


def test_a_directory_of_subjects_is_one_set_with_its_dev_files_as_examples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, written = tarball(tmp_path), tmp_path / "mmlu.json"
    assert imported(data, output=written) == 0
    found = evalsets.load_eval_set(written)
    assert found.name == "mmlu"
    assert {q.id: q.category for q in found.questions} == {
        "mmlu-law-1": "law",
        "mmlu-law-2": "law",
        "mmlu-virology-1": "virology",
    }
    assert [(e.category, e.answer) for e in found.examples] == [
        ("law", "B"),
        ("law", "A"),
        ("virology", "C"),
    ]
    assert found.examples[0].prompt.startswith("Solved law?\n\nA) w\nB) x\n")
    left, wrote = capsys.readouterr().err.splitlines()
    assert left == f"llamaburn: 2 files left out: {mmlu.LEFT_OUT}"
    assert wrote == f"wrote {written}: 3 examples and 3 questions"


def test_several_files_are_one_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tarball(tmp_path)
    assert imported(data / "test" / "virology_test.csv", data / "test" / "law_test.csv") == 0
    content = json.loads(capsys.readouterr().out)
    assert [q["category"] for q in content["questions"]] == ["virology", "law", "law"]
    assert "examples" not in content


def test_a_column_of_subjects_makes_one_set_with_ids_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"question": "Q?", "choices": ["x", "y"], "answer": 1}
    subjects = ("law", "virology", "law")
    path = tmp_path / "all.jsonl"
    path.write_text("".join(json.dumps({**row, "subject": s}) + "\n" for s in subjects))
    assert imported(path) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["name"] == "all"
    assert [q["id"] for q in content["questions"]] == [
        "mmlu-law-1",
        "mmlu-virology-1",
        "mmlu-law-2",
    ]


def test_dev_files_alone_are_the_questions(tmp_path: Path) -> None:
    data = tarball(tmp_path)
    assert imported(data / "dev", output=tmp_path / "dev.json") == 0
    assert len(evalsets.load_eval_set(tmp_path / "dev.json").questions) == 3


def test_a_val_file_without_a_test_file_has_questions(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.csv" for name in ("law_val", "law_test", "art_val", "mine")]
    assert mmlu.parts(paths) == (paths[1:], [], paths[:1])


def test_a_bad_row_is_named_with_its_file(tmp_path: Path) -> None:
    data = tarball(tmp_path, **{"test/law_test.csv": "Law 1?,w,x,y,z,A\nLaw 2?,w,x,y,z,E\n"})
    place = f"mmlu: {data}/test/law_test.csv: line 2: answer: "
    assert import_refusal(data).startswith(f"{place}'E' is none of its 4 choices")
    tarball(tmp_path, **{"test/law_test.csv": "x,y\n"})
    place = f"mmlu: {data}/test/law_test.csv: line 1: "
    assert import_refusal(data).startswith(f"{place}has 2 columns instead of 6")


def test_what_cannot_be_imported_at_once_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert import_refusal(tmp_path / "empty").endswith("has no .csv, .json, .jsonl file")
    assert import_refusal("a.jsonl", "b.jsonl", form="gsm8k") == (
        "evalset import: gsm8k takes one file at a time"
    )
    assert import_refusal() == import_refusal("a.csv", form=None)

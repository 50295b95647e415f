"""All subjects of MMLU at once: a directory of its makers' files becomes one set."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from support.refusals import refusal

from pytest_llamaburn import evalsets
from pytest_llamaburn.commands import evalset
from pytest_llamaburn.converters import mmlu
from pytest_llamaburn.errors import DatasetError, MissingExtraError, installing

if TYPE_CHECKING:
    from pathlib import Path

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


HUGGING_FACE = {
    "all": ("auxiliary_train", "dev", "test", "validation"),
    "auxiliary_train": ("train",),
    "law": ("dev", "test", "validation"),
    "virology": ("dev", "test", "validation"),
}


def hugging_face(directory: Path, *, with_subject: bool = True) -> Path:
    """Write the layout of the data set at Hugging Face; each split of a subject has two rows."""
    for folder, splits in HUGGING_FACE.items():
        subjects = [name for name in HUGGING_FACE if folder in (name, "all") and name[0] != "a"]
        for split in splits:
            rows = [
                {
                    "question": f"{name} {split} {n}?",
                    **({"subject": name} if with_subject or folder == "all" else {}),
                    "choices": ["w", "x", "y", "z"],
                    "answer": n,
                }
                for name in subjects or [""]
                for n in range(2)
            ]
            path = directory / "mmlu" / folder / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            parquet.write_table(pa.Table.from_pylist(rows), path)
    return directory / "mmlu"


@pytest.mark.parametrize("with_subject", [True, False])
def test_the_parquet_files_of_hugging_face_are_one_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, with_subject: bool
) -> None:
    """The folder `all` repeats the subjects; a subject is in the rows or is the folder's name."""
    data, written = hugging_face(tmp_path, with_subject=with_subject), tmp_path / "mmlu.json"
    assert imported(data, output=written) == 0
    found = evalsets.load_eval_set(written)
    told = [(q.id, q.category, q.reference) for q in found.questions]
    assert told == [
        ("mmlu-law-1", "law", "A"),
        ("mmlu-law-2", "law", "B"),
        ("mmlu-virology-1", "virology", "A"),
        ("mmlu-virology-2", "virology", "B"),
    ]
    assert [e.category for e in found.examples] == ["law", "law", "virology", "virology"]
    assert "7 files left out" in capsys.readouterr().err


def test_the_folder_of_all_subjects_may_be_imported_alone(tmp_path: Path) -> None:
    data = hugging_face(tmp_path)
    assert imported(data / "all", output=tmp_path / "all.json") == 0
    found = evalsets.load_eval_set(tmp_path / "all.json")
    assert [q.id for q in found.questions] == [
        *("mmlu-law-1", "mmlu-law-2", "mmlu-virology-1", "mmlu-virology-2")
    ]
    assert len(found.examples) == 4


def test_jsonl_files_named_by_their_split_have_questions_and_examples(tmp_path: Path) -> None:
    for split in ("test", "dev", "validation"):
        row = {"question": f"{split}?", "choices": ["x", "y"], "answer": 1, "subject": "law"}
        (tmp_path / f"{split}.jsonl").write_text(json.dumps(row))
    assert imported(tmp_path, output=tmp_path / "law.json") == 0
    found = evalsets.load_eval_set(tmp_path / "law.json")
    (question,), (example,) = found.questions, found.examples
    assert (question.category, question.prompt[:5], example.prompt[:4]) == ("law", "test?", "dev?")


def test_a_pattern_is_the_files_that_it_matches(tmp_path: Path) -> None:
    """A shell that expands none passes it on, as does one that is given quotes."""
    data, written = tarball(tmp_path), tmp_path / "law.json"
    assert imported(data / "*" / "law_[td]e*.csv", data / "test", output=written) == 0
    found = evalsets.load_eval_set(written)
    assert [q.category for q in found.questions] == ["law", "law", "virology"]
    assert len(found.examples) == 2
    nothing = data / "*.parquet"
    assert import_refusal(nothing) == f"evalset import: {nothing} matches no file"


def test_a_file_that_is_not_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "law_test.parquet"
    path.write_bytes(b"PAR1 is how it begins")
    assert import_refusal(path).startswith(f"{path}: is not Parquet: ")


def test_without_pyarrow_a_parquet_file_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "law_test.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    said = refusal(MissingExtraError, imported, tmp_path)
    assert said == (
        f"{tmp_path}/law_test.parquet needs the extra [parquet]: {installing('parquet')}"
    )


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
    assert import_refusal(tmp_path / "empty").endswith("has no .csv, .json, .jsonl, .parquet file")
    assert import_refusal("a.jsonl", "b.jsonl", form="gsm8k") == (
        "evalset import: gsm8k takes one file at a time"
    )
    assert import_refusal() == import_refusal("a.csv", form=None)

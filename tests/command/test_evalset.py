"""`llamaburn evalset`: what there is, whether it is sound, and what others' files become."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.command_line import run_cli

from pytest_llamaburn.commands import main
from pytest_llamaburn.converters import gsm8k
from pytest_llamaburn.evalsets import builtin_eval_sets, builtin_media_sets, load_eval_set

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SUM = {"question": "1 + 1?", "answer": "Two.\n#### 2"}


def jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def evalset_refusal(*args: str, cwd: Path, **env: str) -> str:
    done = run_cli("evalset", *args, cwd=cwd, check=4, **env)
    assert done.stdout == ""
    assert done.stderr.startswith("llamaburn: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_the_built_in_sets_are_listed(tmp_path: Path) -> None:
    header, _, *rows = run_cli("evalset", "list", cwd=tmp_path).stdout.splitlines()
    assert header.split() == ["name", "version", "questions", "categories", "scorers"]
    names = [*builtin_eval_sets(), *builtin_media_sets()]
    assert [row.split()[0] for row in rows] == names
    assert rows[0].split()[-3:] == ["dates", "code", "37"]


def test_the_list_as_json_counts_categories_and_scorers(tmp_path: Path) -> None:
    found = json.loads(run_cli("evalset", "list", "-o", "json", cwd=tmp_path).stdout)
    for about in found:
        assert sum(about["categories"].values()) == about["questions"]
        assert sum(about["scorers"].values()) == about["questions"]
    assert {about["name"]: about["scorers"] for about in found}["summarization"] == {"judge": 33}


def test_sound_files_and_built_in_names_are_valid(tmp_path: Path) -> None:
    jsonl(tmp_path / "a.jsonl", {"id": "q", "prompt": "Who?"})
    done = run_cli("evalset", "validate", "a.jsonl", "math", cwd=tmp_path)
    assert done.stdout == "a.jsonl: valid, 1 question\nmath: valid, 41 questions\n"


def test_each_unsound_file_is_named_and_the_others_are_still_looked_at(tmp_path: Path) -> None:
    jsonl(tmp_path / "a.jsonl", {"id": "q", "prompt": ""})
    done = run_cli("evalset", "validate", "a.jsonl", "maths", "math", cwd=tmp_path, check=4)
    assert done.stdout == "math: valid, 41 questions\n"
    first, second = done.stderr.splitlines()
    assert first.startswith("llamaburn: a.jsonl: line 1 (id 'q'): prompt: ")
    assert "did you mean 'math'?" in second


def test_a_scorer_must_be_known_and_have_what_its_module_needs(tmp_path: Path) -> None:
    """Another distribution's scorer, which is found through its entry point."""
    about = tmp_path / "theirs-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[llamaburn.scorers]\nloudness = loud\n")
    (tmp_path / "loud.py").write_text("NEEDS = ('volume',)\n")
    asked = {"id": "q", "prompt": "Hm?", "scorer": "loudness"}
    jsonl(tmp_path / "good.jsonl", {**asked, "options": {"volume": 11}})
    jsonl(tmp_path / "lacking.jsonl", asked)
    jsonl(tmp_path / "unknown.jsonl", {**asked, "scorer": "lowdness"})
    path = str(tmp_path)
    run_cli("evalset", "validate", "good.jsonl", cwd=tmp_path, PYTHONPATH=path)
    said = evalset_refusal("validate", "lacking.jsonl", cwd=tmp_path, PYTHONPATH=path)
    assert "line 1 (id 'q'): volume: the scorer loudness needs it" in said
    said = evalset_refusal("validate", "unknown.jsonl", cwd=tmp_path, PYTHONPATH=path)
    assert "scorer: unknown scorer 'lowdness'; did you mean 'loudness'?" in said


def test_an_imported_set_is_written_and_valid(tmp_path: Path) -> None:
    jsonl(tmp_path / "test.jsonl", SUM, SUM)
    args = ("import", "test.jsonl", "--format", "gsm8k", "--name", "sums", "-o", "out.json")
    done = run_cli("evalset", *args, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("", "wrote out.json: 2 questions\n")
    found = load_eval_set(tmp_path / "out.json")
    assert (found.name, found.questions[1].id) == ("sums", "gsm8k-2")
    assert (found.questions[0].reference, found.questions[0].scorer) == ("2", "number")


def test_without_a_file_to_write_an_import_is_printed(tmp_path: Path) -> None:
    (tmp_path / "test.json").write_text(json.dumps([SUM]))
    done = run_cli("evalset", "import", "test.json", "--format=gsm8k", cwd=tmp_path)
    assert json.loads(done.stdout)["name"] == "test"


@pytest.mark.parametrize(
    "head", ["", "\ufeffquestion,A,B,C,D,answer\n", "answer,A,B,C,D,question\n"]
)
def test_a_csv_file_may_lack_the_header_that_its_format_fixes(tmp_path: Path, head: str) -> None:
    row = '"Which, then?\nThis?",w,x,y,z,C\n\n'
    if head.startswith("answer"):
        row = 'C,w,x,y,z,"Which, then?\nThis?"\n'
    (tmp_path / "law.csv").write_text(head + row, encoding="utf-8")
    done = run_cli("evalset", "import", "law.csv", "--format=mmlu", cwd=tmp_path)
    (question,) = json.loads(done.stdout)["questions"]
    assert question["prompt"].startswith("Which, then?\nThis?\n\nA) w\n")
    assert question["reference"] == "C"


def test_a_csv_file_with_a_header_is_read_by_its_names(tmp_path: Path) -> None:
    (tmp_path / "qa.csv").write_text("metadata,problem,answer\n{},Who?,Ada\n")
    done = run_cli("evalset", "import", "qa.csv", "--format=simpleqa", cwd=tmp_path)
    assert json.loads(done.stdout)["questions"][0]["reference"] == "Ada"


@pytest.mark.parametrize(
    ("name", "content", "form", "said"),
    [
        ("a.jsonl", "{}\n", "gsm8k", "a.jsonl: line 1: answer: gsm8k needs it"),
        ("a.jsonl", "\n[]\n", "gsm8k", "a.jsonl: line 2: should have fields, but is []"),
        ("a.jsonl", '{"question": "?", "answer": "2"}', "gsm8k", "'#### NUMBER'"),
        ("a.jsonl", '{"question": "?", "answer": "#### x"}', "gsm8k", "line 1 (id 'gsm8k-1'): ref"),
        ("a.jsonl", "", "gsm8k", "a.jsonl: questions: there is none"),
        ("a.jsonl", "{", "gsm8k", "a.jsonl: line 1: is not JSON: "),
        ("a.json", "{}", "alpaca", "a.json: the whole file: should be a list"),
        ("a.json", "[{}]", "alpaca", "a.json: [0]: instruction: alpaca needs it"),
        ("a.json", '[{"instruction": ""}]', "alpaca", "a.json: [0] (id 'alpaca-1'): prompt: "),
        ("a.csv", "", "mmlu", "a.csv: questions: there is none"),
        ("a.csv", "x,y\n", "mmlu", "a.csv: line 1: has 2 columns instead of 6"),
        ("a.csv", 'x,"y\n', "mmlu", "a.csv: line 1: is not CSV: "),
        ("a.csv", "question,answer\nWho?,\n", "simpleqa", "a.csv: line 2 (id 'simpleqa-1'): ref"),
        ("a.csv", "x,1,2,3,4,1\n", "mmlu", "line 1: answer: '1' can be read as index or number or"),
        (
            "a.jsonl",
            '{"question":"?","choices":["x","y"],"answer":2}',
            "mmlu",
            "answer: '2' is none of its 2",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_place(
    tmp_path: Path, name: str, content: str, form: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    args = ("import", name, "--format", form, "-o", "out.json")
    assert said in evalset_refusal(*args, cwd=tmp_path)
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["validate"], "evalset validate: name the files to check"),
        (
            ["import", "a.jsonl"],
            "evalset import: name a file and its --format",
        ),
        (
            ["import", "--format=gsm8k"],
            "evalset import: name a file and its --format",
        ),
        (["import", "a.jsonl", "--format=gsm9k"], "invalid choice: 'gsm9k'"),
        (["import", "b.jsonl", "--format=gsm8k"], "b.jsonl: cannot be read: "),
        (["import", "a.jsonl", "--format=gsm8k", "-o", "x.txt"], "-o x.txt does not end in .json"),
        (["import", "a.jsonl", "--format=gsm8k", "-o", "no/x.json"], "no/x.json cannot be written"),
        (["list", "-o", "yaml"], "evalset list: -o yaml is refused: the only other format is json"),
    ],
)
def test_what_is_missing_or_wrong_in_the_command_is_said(
    tmp_path: Path, args: list[str], said: str
) -> None:
    jsonl(tmp_path / "a.jsonl", SUM)
    assert said in evalset_refusal(*args, cwd=tmp_path)


def test_option_says_how_answers_are_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Who?,w,x,y,z,1\n")
    args = ("import", "a.csv", "--format", "mmlu", "-o", "out.json", "--answers")
    run_cli("evalset", *args, "number", cwd=tmp_path)
    assert load_eval_set(tmp_path / "out.json").questions[0].reference == "A"
    assert "--answers: unknown form of answers of mmlu 'roman'" in evalset_refusal(
        *args, "roman", cwd=tmp_path
    )


def test_module_of_another_distribution_that_fails_tells_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def careless(rows: Iterable[Any]) -> Iterator[Any]:
        for row in rows:
            yield {"id": row["question"].upper()}

    monkeypatch.setattr(gsm8k, "convert", careless)
    source = jsonl(tmp_path / "a.jsonl", {"question": None})
    assert main(["evalset", "import", str(source), "--format", "gsm8k"]) == 4
    said = capsys.readouterr().err
    assert said == f"llamaburn: {source}: line 1: is not a row of gsm8k, which has {gsm8k.HELP}\n"

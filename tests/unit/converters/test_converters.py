"""Rows in the formats of others, and the questions they become."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_llamaburn import registry
from pytest_llamaburn.errors import DatasetError


def converted(name: str, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    return list(registry.load("converters", name).convert(rows))


def test_there_are_eight_each_with_a_line_of_help() -> None:
    formats = ("alpaca", "arena-hard", "gsm8k", "humaneval", "mmlu", "mtbench", "ragas", "simpleqa")
    assert registry.own("converters") == formats
    assert all("\n" not in registry.load("converters", name).HELP for name in formats)


def test_of_a_worked_answer_the_number_is_kept() -> None:
    row = {"question": "How many?", "answer": "Half of 2,468 is 1,234.\n#### 1,234"}
    (question,) = converted("gsm8k", row)
    assert question == {
        "id": "gsm8k-1",
        "prompt": "How many?",
        "reference": " 1234",
        "category": "math",
        "scorer": "number",
    }
    with pytest.raises(DatasetError, match="answer: does not end in '#### NUMBER'"):
        converted("gsm8k", {"question": "How many?", "answer": "1"})


def test_choices_are_lettered_from_a_list_or_from_columns() -> None:
    listed = {"question": "Which?", "choices": ["x", "y", "z"], "answer": 2, "subject": "law"}
    columns = {"question": "Which?", "A": "p", "B": "q", "C": "r", "D": "s", "answer": "b"}
    first, second = converted("mmlu", listed, columns)
    assert first["prompt"].startswith("Which?\n\nA) x\nB) y\nC) z\n\nReply")
    assert (first["reference"], first["category"]) == ("C", "law")
    assert (second["id"], second["reference"], second["category"]) == ("mmlu-2", "B", "knowledge")
    assert second["choices"] == ["p", "q", "r", "s"]


def answered(*answers: Any, choices: Any = ("1", "2", "0")) -> list[dict[str, Any]]:
    return [{"question": "?", "choices": [*choices], "answer": answer} for answer in answers]


def references(rows: list[dict[str, Any]], how: str | None = None) -> list[str]:
    return [one["reference"] for one in registry.load("converters", "mmlu").convert(rows, how)]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (answered(0, 2), ["A", "C"]),
        (answered("b", "A"), ["B", "A"]),
        (answered("0", "2", choices="xyz"), ["A", "C"]),
        (answered("1", "3", choices="xyz"), ["A", "C"]),
        (answered("x", " z ", choices="xyz"), ["A", "C"]),
        (answered("A", "B", choices="AB"), ["A", "B"]),
    ],
)
def test_how_answers_are_written_is_found_where_it_is_clear(
    rows: list[dict[str, Any]], expected: list[str]
) -> None:
    assert references(rows) == expected


@pytest.mark.parametrize(
    ("how", "expected"), [("index", "B"), ("number", "A"), ("text", "A"), (None, None)]
)
def test_answers_that_can_be_read_in_several_ways_need_the_option(
    how: str | None, expected: str | None
) -> None:
    rows = answered("1", choices=("1", "x"))
    if expected:
        assert references(rows, how) == [expected]
        return
    words = "answer: '1' can be read as index or number or text: choose one with --answers"
    with pytest.raises(DatasetError, match=words):
        references(rows)


@pytest.mark.parametrize(
    ("rows", "how", "said"),
    [
        (answered("Q"), None, "answer: 'Q' is none of its 3 choices; set the notation"),
        (answered(3), None, "answer: '3' is none of its 3 choices; set the notation"),
        (answered("D"), "letter", "answer: 'D' is none of its 3 choices; set the notation"),
        (answered("B", "A", "2"), None, "'2' is not written as most answers are .letter"),
        (answered(None), None, "answer: should be a text, but is null"),
        (answered(True), None, "answer: should be a text, but is true"),
        (answered("A", choices="x"), None, "choices: has 1 choices, but 2 to 10 are allowed"),
        (answered("A", choices=["x", {}]), None, r"choices\[1\]: should be a text, but is {}"),
    ],
)
def test_what_is_wrong_with_an_answer_is_told_by_its_field(
    rows: list[dict[str, Any]], how: str | None, said: str
) -> None:
    with pytest.raises(DatasetError, match=said):
        references(rows, how)


def test_list_is_expected_where_a_format_has_one() -> None:
    row = {"question_id": 1, "category": "c", "turns": "Write."}
    with pytest.raises(DatasetError, match=r'turns: should be a list, but is "Write\."'):
        converted("mtbench", row)
    with pytest.raises(DatasetError, match="turns: is empty"):
        converted("mtbench", {**row, "turns": []})
    (question,) = converted("mtbench", {**row, "turns": ["Write."], "reference": ["", "b"]})
    assert question["reference"] is None


def test_only_the_first_turn_is_taken() -> None:
    row = {"question_id": 81, "category": "writing", "turns": ["Write.", "Rewrite."]}
    empty = {**row, "question_id": 121, "reference": ["", "b"]}  # as in the file of its makers
    given = {**row, "question_id": 101, "reference": ["a", "b"]}
    first, second, third = converted("mtbench", row, given, empty)
    assert third["reference"] is None
    assert (first["id"], first["prompt"], first["reference"]) == ("mtbench-81", "Write.", None)
    assert second["reference"] == "a"


def test_open_questions_have_no_reference() -> None:
    row = {"uid": "x1", "category": "hard", "prompt": "Explain.", "cluster": "c"}
    expected = {"id": "x1", "prompt": "Explain.", "category": "hard"}
    assert converted("arena-hard", row) == [expected]


def test_an_instruction_is_followed_by_its_input() -> None:
    (question,) = converted("alpaca", {"instruction": "Add.", "input": "1, 2", "output": "3"})
    assert (question["prompt"], question["reference"]) == ("Add.\n\n1, 2", "3")


def test_what_another_model_wrote_is_no_reference() -> None:
    row = {"instruction": "Hi?", "output": "Ho.", "generator": "some-model", "dataset": "koala"}
    (question,) = converted("alpaca", row)
    assert (question["reference"], question["category"]) == (None, "koala")


def test_hidden_tests_are_called_on_the_entry_point() -> None:
    row = {
        "task_id": "HumanEval/0",
        "prompt": "def f(x):\n",
        "entry_point": "f",
        "canonical_solution": "    return x\n",
        "test": "def check(candidate):\n    assert candidate(1) == 1\n",
    }
    (question,) = converted("humaneval", row)
    names: dict[str, Any] = {}
    exec("\n".join([question["reference"], *question["tests"]]), names)  # noqa: S102 - ours
    assert names["f"](2) == 2
    assert "def f(x):" in question["prompt"]
    assert question["options"] == {}


def test_what_precedes_the_function_is_the_programs_preamble() -> None:
    preamble = "import math\n\ndef half(x):\n    return math.floor(x / 2)\n\n\n"
    row = {
        "task_id": "HumanEval/32",
        "prompt": f'{preamble}def f(x):\n    """Use half, as in def f."""\n',
        "entry_point": "f",
        "canonical_solution": "    return half(x)\n",
        "test": "def check(candidate):\n    assert candidate(3) == half(3)\n",
    }
    (question,) = converted("humaneval", row)
    assert question["options"] == {"preamble": preamble}


def test_short_answers_have_to_be_in_the_reply() -> None:
    problem = {"metadata": "{}", "problem": "Who?", "answer": "Ada"}
    asked = {"question": "Where?", "answer": "Here", "topic": "places"}
    first, second = converted("simpleqa", problem, asked)
    assert (first["prompt"], first["scorer"], first["category"]) == ("Who?", "includes", "factual")
    assert (second["prompt"], second["category"]) == ("Where?", "places")
    assert first["allow_web_search"]
    assert first["criteria"] == ["grade"]


def test_a_question_of_ragas_keeps_its_documents_and_reference() -> None:
    first, second = converted(
        "ragas",
        {
            "user_input": "Where?",
            "retrieved_contexts": ["a", "b"],
            "response": "In c.",
            "reference": "In a.",
        },
        {"question": "When?", "contexts": ["c"], "answer": "Now.", "ground_truth": ""},
    )
    assert first == {
        "id": "ragas-1",
        "prompt": "Where?",
        "reference": "In a.",
        "category": "rag",
        "context": ["a", "b"],
        "criteria": ["faithfulness", "context_recall"],
    }
    assert (second["prompt"], second["context"], second["reference"]) == ("When?", ["c"], None)
    assert second["criteria"] == ["faithfulness"]
    with pytest.raises(DatasetError, match="retrieved_contexts: is empty"):
        converted("ragas", {"user_input": "Where?", "retrieved_contexts": []})
    with pytest.raises(DatasetError, match="retrieved_contexts: should be a list"):
        converted("ragas", {"user_input": "Where?", "retrieved_contexts": "a"})

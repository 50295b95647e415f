"""The shipped set of whole programs: balanced, solvable, and its cases tell right from wrong."""
# ruff: noqa: E501 - changes of programs, a task a line

from __future__ import annotations

import json
from collections import Counter

import jsonschema
import pytest
import write_code_set
from support.containment import contained, needs

from pytest_llamaburn.commands import schema
from pytest_llamaburn.evalsets import load_eval_set
from pytest_llamaburn.scorers import code

SET = load_eval_set("code_exec")
LANGUAGES = ("python", "javascript", "c")
# Of each solution, what to change so that it is wrong: for Python, JavaScript and C.
MUTATIONS = {
    "reverse_words": (("reversed(", "sorted("), (".reverse()", ".sort()"), ("count--;", "--count;\n            if (count == 1) continue;")),
    "run_lengths": (("len([*run])", "1"), ("run.length", "1"), ("length++;", "")),
    "palindrome": ((">= 0", "> 0"), (">= 0", "> 0"), (">= 0", "> 0")),
    "digit_sum": (("int(digit)", "1"), ("Number(digit)", "1"), ("letter - '0'", "1")),
    "primes": (("isqrt(number) + 1", "isqrt(number)"), ("factor * factor <= number", "factor * factor < number"), ("factor * factor <= number", "factor * factor < number")),
    "fibonacci": (("2 * b - a", "2 * b + a"), ("2n * b - a", "2n * b + a"), ("MODULUS - x)", "x)")),
    "most_frequent": (("-counts[number]", "counts[number]"), ("n - m", "m - n"), ("run > most", "run >= most")),
    "maze": (("(x, y - 1)", "(x - 1, y)"), ("[x, y - 1]", "[x - 1, y]"), ("{0, 1}", "{1, 0}")),
    "arithmetic": (("-factor()", "factor()"), ("-factor()", "factor()"), ("-factor()", "factor()")),
}  # fmt: skip


def test_the_set_is_what_its_script_makes() -> None:
    assert json.loads(write_code_set.SET.read_text("utf-8")) == write_code_set.code_exec()


def test_the_set_keeps_the_shipped_schema() -> None:
    text = (schema.SCHEMAS / "eval_set.schema.json").read_text(encoding="utf-8")
    jsonschema.validate(json.loads(SET.path.read_text(encoding="utf-8")), json.loads(text))


def test_languages_and_topics_are_balanced() -> None:
    questions = SET.questions
    assert len(questions) == 27
    assert {*Counter(q.category for q in questions).values()} == {3}
    assert len({q.category for q in questions}) == 9
    assert Counter(q.options["language"] for q in questions) == dict.fromkeys(LANGUAGES, 9)
    assert len({q.prompt for q in questions}) == 27
    for question in questions:
        name = write_code_set.LANGUAGES[question.options["language"]][0]
        assert f"in {name} only" in question.prompt
        assert len(question.options["cases"]) >= 4
        assert len({case["output"] for case in question.options["cases"]}) > 1
    by_task = [tuple(c["output"] for c in q.options["cases"]) for q in questions]
    assert {*Counter(by_task).values()} == {3}  # the same cases in every language


@contained
@needs("javascript")
@needs("c")
@pytest.mark.parametrize("question", SET.questions, ids=lambda q: q.id)
def test_a_solution_passes_and_a_broken_one_fails(question: object) -> None:
    language, _, task = question.id.partition("-")  # type: ignore[attr-defined]
    old, new = MUTATIONS[task][LANGUAGES.index(language)]
    solution = question.reference  # type: ignore[attr-defined]
    assert old in solution
    right = code.score(f"```{language}\n{solution}\n```", question)  # type: ignore[arg-type]
    assert (right.correct, right.reason) == (True, "")
    wrong = code.score(f"```{language}\n{solution.replace(old, new)}\n```", question)  # type: ignore[arg-type]
    assert (wrong.correct, wrong.details["happened"]) == (False, "assertion"), wrong

"""The sets of tool calls and of structured output: each reference is right, all else is wrong."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from pytest_llamaburn.evalsets import load_eval_set
from pytest_llamaburn.scorers import json_schema, tool_call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.evalsets import Question

CALLS = load_eval_set("tool_calls").questions
SHAPES = load_eval_set("structured_output").questions


def of(question: Question) -> Any:
    return json.loads(str(question.reference))


def made(calls: list[Any]) -> list[Any]:
    return [{**call, "fault": None} for call in calls]


def answer(question: Question) -> str:
    """Return the shortest text of a right answer without calls."""
    return str(question.options.get("says", ["You are welcome."])[0])


def other(value: Any) -> Any:
    """Return another value of the same type; None for one that has no other."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}x" if isinstance(value, str) else None


def broken(value: Any) -> Iterator[Any]:
    """Yield copies of a value: each with one value changed, one entry more or one less."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield {k: v for k, v in value.items() if k != name or v in (None, [])} | (
                {name: 1} if inner in (None, []) else {}
            )
            yield from ({**value, name: one} for one in broken(inner))
    elif isinstance(value, list):
        if value:
            yield value[:-1]
            yield [*value, value[-1]]
        for at, inner in enumerate(value):
            yield from ([*value[:at], one, *value[at + 1 :]] for one in broken(inner))
    elif (changed := other(value)) is not None:
        yield changed


@pytest.mark.parametrize("questions", [CALLS, SHAPES], ids=["tool_calls", "structured_output"])
def test_a_set_has_sixty_tasks_balanced_by_category_and_difficulty(
    questions: tuple[Question, ...],
) -> None:
    counts = Counter((q.category, q.options["difficulty"]) for q in questions)
    assert len(questions) == 60
    assert set(counts.values()) == {4}
    assert len(counts) == 5 * 3
    levels = [("easy", "medium", "hard").index(q.options["difficulty"]) for q in questions]
    assert levels == [*[0] * 4, *[1] * 4, *[2] * 4] * 5


@pytest.mark.parametrize("question", CALLS, ids=[q.id for q in CALLS])
def test_the_right_calls_are_right_and_any_broken_ones_are_wrong(question: Question) -> None:
    calls = of(question)
    text = "" if calls else answer(question)
    assert tool_call.score(text, question, made(calls)).correct is True
    first = question.options["tools"][0]
    extra = {"name": first["name"], "arguments": {}}
    wrong: list[list[Any]] = [[*calls, extra]]
    for at, call in enumerate(calls):
        rest = [*calls[:at], *calls[at + 1 :]]
        wrong.append(rest)
        wrong.append([*rest, {**call, "name": "no_such_tool"}])
        wrong += [[*rest, {**call, "arguments": one}] for one in broken(call["arguments"])]
    assert [one for one in wrong if tool_call.score(text, question, made(one)).correct] == []


@pytest.mark.parametrize("question", CALLS, ids=[q.id for q in CALLS])
def test_calls_keep_the_schema_of_their_tool(question: Question) -> None:
    schemas = {tool["name"]: tool["parameters"] for tool in question.options["tools"]}
    for call in of(question):
        jsonschema.validate(call["arguments"], schemas[call["name"]])


def test_calls_are_due_in_three_categories_and_several_in_one() -> None:
    counts = {q.id: (q.category, len(of(q))) for q in CALLS}
    for category, count in counts.values():
        expected = {"parallel_calls": range(2, 6), "no_call": [0], "missing_argument": [0]}
        assert count in expected.get(category, [1])


def test_a_missing_argument_is_required_by_a_tool_and_asked_for() -> None:
    asked = [q for q in CALLS if q.category == "missing_argument"]
    assert all(q.options["says"] for q in asked)
    assert all(q.options["tools"][0]["parameters"]["required"] for q in asked)
    for question in asked:
        assert not tool_call.score("Done.", question, []).correct


@pytest.mark.parametrize("question", SHAPES, ids=[q.id for q in SHAPES])
def test_the_right_json_is_right_and_any_broken_one_is_wrong(question: Question) -> None:
    right = of(question)
    found = json_schema.score(str(question.reference), question)
    assert (found.correct, found.details) == (True, {"schema_valid": 1})
    wrong = [one for one in broken(right) if one != right]
    assert len(wrong) >= 1
    passed = [one for one in wrong if json_schema.score(json.dumps(one), question).correct]
    assert passed == []
    assert not json_schema.score(question.prompt, question).correct


def test_the_prompt_of_structured_output_has_the_schema() -> None:
    for question in SHAPES:
        _, _, text = question.prompt.rpartition("JSON Schema:\n")
        assert json.loads(text) == question.options["schema"], question.id


def test_structured_output_has_what_makes_schemas_hard() -> None:
    schemas = [json.dumps(q.options["schema"]) for q in SHAPES]
    keywords = ("$ref", "anyOf", "enum", '"null"', "default", "minItems", "additionalProperties")
    assert [word for word in keywords if not any(word in text for text in schemas)] == []
    lists = [one for q in SHAPES for one in of(q).values() if isinstance(one, list)]
    assert max(map(len, lists)) == 40

"""`json-schema` against the shapes that answers have."""

from __future__ import annotations

from typing import Any

import pytest
from support.questions import Asked

from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.scorers import (
    json_schema,
)

PERSON = {
    "type": "object",
    "required": ["age"],
    "properties": {"age": {"type": "integer", "minimum": 0}},
}


@pytest.mark.parametrize(
    ("answer", "correct"),
    [
        ('{"age": 5}', True),
        ('Here you are:\n```json\n{"age": 5}\n```\nEnjoy!', True),
        ('As [you said]: {"age": 5} {"age": "no"}', True),
        ('<think>{"age": -1}</think>{"age": 5}', True),
        ('{"age": -5}', False),
        ('{"name": "x"}', False),
        ("[1]", False),
        ("5", False),
        ('{"age": NaN}', None),
        ('{"age": 5', None),
        ("I am five.", None),
        ("{" * 5000, None),
        ("[" * 50_000, None),
    ],
)
def test_json_schema(answer: str, correct: bool | None) -> None:
    verdict = json_schema.score(answer, Asked(options={"schema": PERSON}))
    assert verdict.correct is bool(correct)
    assert verdict.state == ("unparsable" if correct is None else "scored")


def test_json_fault_is_named_with_its_place() -> None:
    verdict = json_schema.score('so: {"age": -5}.', Asked(options={"schema": PERSON}))
    assert verdict.reason == "$.age: -5 is less than the minimum of 0"
    assert verdict.extracted == '{"age": -5}'


@pytest.mark.parametrize("schema", [{"type": "number-ish"}, {"$ref": "https://example.com/x"}])
def test_faulty_schema_is_the_sets_fault(schema: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match="'schema' "):
        json_schema.score("{}", Asked(options={"schema": schema}))


@pytest.mark.parametrize(
    ("answer", "correct", "reason"),
    [
        ('{"age": 5}', True, ""),
        ('{"age": 5.0}', True, ""),
        ('{"age": 6}', False, "$.age is 6, not 5"),
        ('{"age": -5}', False, "$.age: -5 is less than the minimum of 0"),
    ],
)
def test_with_values_the_json_must_also_be_that_of_the_reference(
    answer: str, correct: bool, reason: str
) -> None:
    question = Asked('{"age": 5}', {"schema": PERSON, "values": True})
    found = json_schema.score(answer, question)
    assert (found.correct, found.reason) == (correct, reason)
    assert found.details == {"schema_valid": int("minimum" not in reason)}
    assert json_schema.score(answer, Asked('{"age": 1}', {"schema": PERSON})).correct == (
        "minimum" not in reason
    )


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("five", "should be JSON, because the option 'values' is set"),
        (None, "should be JSON, because the option 'values' is set"),
        ('{"age": -5}', "does not keep the schema: $.age: -5 is less than the minimum of 0"),
    ],
)
def test_a_reference_without_the_values_is_told(reference: str | None, reason: str) -> None:
    question = Asked(reference, {"schema": PERSON, "values": True})
    assert [*json_schema.faults(question)] == [("reference", reason)]

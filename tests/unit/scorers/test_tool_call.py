"""The scorer of tool calls, and the comparison of JSON values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.questions import Asked

from pytest_llamaburn.scorers import _values, tool_call

WEATHER = {
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
            "days": {"type": "array", "items": {"type": "integer"}},
        },
    },
}
TIMER = {"name": "set_timer", "parameters": {"properties": {"minutes": {"type": "number"}}}}


def made(name: str | None, fault: str | None = None, **arguments: Any) -> Any:
    return {"name": name, "arguments": None if fault else arguments, "fault": fault}


def asked(*calls: Any, **options: Any) -> Asked:
    reference = [{"name": c["name"], "arguments": c["arguments"]} for c in calls]
    return Asked(json.dumps(reference), {"tools": [WEATHER, TIMER], **options})


OSLO, ROME, TEN = (
    made("get_weather", city="Oslo"),
    made("get_weather", city="Rome"),
    made("set_timer", minutes=10),
)


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        ([OSLO], ""),
        ([made("get_weather", city=" oslo ", unit="celsius", days=[])], ""),
        ([made("get_weather", city="Oslo", unit=None)], ""),
        ([made("get_weather", city="Oslo", unit="Celsius")], "$.unit is 'Celsius'"),
        ([made("get_weather", city="Oslo", unit="fahrenheit")], "nobody asked for it"),
        ([made("get_weather", city="Oslo", town="x")], "$.town is 'x', and nobody asked"),
        ([ROME], "get_weather: $.city is 'Rome', not 'Oslo'"),
        ([made("get_weather")], "$.city is missing"),
        ([TEN], "set_timer was called, not get_weather"),
        ([OSLO, TEN], "get_weather, set_timer was called, not get_weather"),
        ([OSLO, OSLO], "get_weather, get_weather was called, not get_weather"),
        ([], 'no tool was called; right is get_weather({"city": "Oslo"})'),
        ([made("get_weather", fault="the arguments are not JSON")], "the arguments are not JSON"),
        ([made(None, fault="the call names no tool")], "the call names no tool"),
    ],
)
def test_a_call_is_right_if_tool_and_arguments_are(calls: list[Any], reason: str) -> None:
    found = tool_call.score("" if calls else "Hm.", asked(OSLO), calls)
    assert (found.correct, reason in found.reason) == (not reason, True)
    assert found.state == ("unparsable" if calls and calls[0]["fault"] else "scored")


def test_parallel_calls_may_come_in_any_order() -> None:
    for calls in ([OSLO, ROME, TEN], [TEN, ROME, OSLO]):
        assert tool_call.score("", asked(OSLO, ROME, TEN), calls).correct
    assert not tool_call.score("", asked(OSLO, ROME), [OSLO, OSLO]).correct


def test_an_alternative_list_of_calls_is_right_too() -> None:
    other = json.dumps([{"name": "set_timer", "arguments": {"minutes": 10}}])
    assert tool_call.score("", asked(OSLO, accept=[other]), [TEN]).correct


def test_no_call_is_right_where_none_is_due_and_the_answer_says_something() -> None:
    assert tool_call.score("It is 56.", asked(), []).correct
    assert not tool_call.score("It is 56.", asked(), [OSLO]).correct
    assert tool_call.score("", asked(), []).state == "empty"


def test_a_missing_argument_must_be_asked_for() -> None:
    question = asked(says=["city", "where"])
    assert tool_call.score("In which city?", question, []).correct
    found = tool_call.score("It is sunny.", question, [])
    assert (found.correct, found.reason) == (False, "the answer has none of: city, where")


def test_a_call_in_the_text_does_not_count_as_a_call() -> None:
    text = '<tool_call>{"name": "get_weather", "arguments": {"city": "Oslo"}}</tool_call>'
    found = tool_call.score(text, asked(OSLO), [])
    assert found.correct is False
    assert found.reason.startswith(
        "the call stands in the text of the answer, which does not count"
    )
    assert found.details["calls_in_text"] == 1
    assert tool_call.score(text, asked(OSLO)).correct  # where calls are read from the text


@pytest.mark.parametrize(
    ("calls", "counts"),
    [
        ([OSLO], (1, 1, 1)),
        ([ROME], (1, 1, 0)),
        ([TEN], (0, 0, 0)),
        ([], (0, 0, 0)),
    ],
)
def test_tools_and_arguments_are_counted_apart(calls: list[Any], counts: tuple[int, ...]) -> None:
    details = tool_call.score("Hm.", asked(OSLO), calls).details
    assert tuple(details[n] for n in ("tools_right", "arguments_due", "arguments_right")) == counts


@pytest.mark.parametrize(
    ("reference", "options", "where"),
    [
        ("no", {"tools": [TIMER]}, ("reference", "should be a list of calls, as JSON")),
        ("[1]", {"tools": [TIMER]}, ("reference", "should be a list of objects with a name")),
        ('[{"name": "x", "arguments": {}}]', {"tools": [TIMER]}, ("reference", "calls 'x', which")),
        ("[]", {"tools": ["clock"]}, ("tools", "the set defines no tool 'clock'")),
        ("[]", {"tools": "clock"}, ("tools", "should be a list")),
        ("[]", {"tools": [TIMER], "says": "x"}, ("says", "should be a list of texts")),
    ],
)
def test_an_unsound_question_is_told(
    reference: str, options: dict[str, Any], where: tuple[str, str]
) -> None:
    field, reason = next(tool_call.faults(Asked(reference, options)))
    assert (field, reason.startswith(where[1])) == (where[0], True)


leaves = st.booleans() | st.integers(-99, 99) | st.floats(-9, 9) | st.text("abc", min_size=1)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz"), inner)
)


@given(values)
def test_a_value_is_the_same_as_itself(value: Any) -> None:
    assert _values.difference(value, json.loads(json.dumps(value))) == ""


@given(values, values)
def test_a_difference_has_two_sides(one: Any, other: Any) -> None:
    assert bool(_values.difference(one, other)) == bool(_values.difference(other, one))


@pytest.mark.parametrize(
    ("right", "given_", "reason"),
    [
        (5, 5.0, ""),
        (0.1 + 0.2, 0.3, ""),
        (5, "5", "$ is '5', not 5"),
        (1, True, "$ is True, not 1"),
        ("Straße  1", "STRASSE 1", ""),
        ([1, 2], [2, 1], "$[0] is 2, not 1"),
        ([1, 2], [1], "$ has 1 entries, not 2"),
        ({"a": {"b": [1]}}, {"a": {"b": [2]}}, "$.a.b[0] is 2, not 1"),
        ({"a": 1}, {"a": 1, "b": None}, ""),
        ({"a": 1}, [1], "$ is [1], not {'a': 1}"),
        (None, 0, "$ is 0, not None"),
    ],
)
def test_the_first_difference_is_told_with_its_place(right: Any, given_: Any, reason: str) -> None:
    assert _values.difference(right, given_) == reason

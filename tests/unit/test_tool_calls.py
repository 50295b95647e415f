"""Calls of tools as servers send them, and as models write them into their answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llamaburn.tool_calls import in_text, merged, written

OSLO = {"name": "get_weather", "arguments": {"city": "Oslo"}, "fault": None}
ROME = {"name": "get_weather", "arguments": {"city": "Rome"}, "fault": None}
TEXT = {"Oslo": '{"city": "Oslo"}', "Rome": '{"city": "Rome"}'}


def part(name: str | None = None, arguments: Any = None, **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {**more, "function": {k: v for k, v in function.items() if v is not None}}


def read(*pieces: Any) -> list[Any]:
    return [*merged(map(json.dumps, pieces))]


ONE = part("get_weather", TEXT["Oslo"], index=0, id="a")


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([[part("get_weather", {"city": "Oslo"})]], id="whole, as an object"),
        pytest.param([[ONE]], id="whole, as text"),
        pytest.param([ONE], id="not in a list"),
        pytest.param([{"name": "get_weather", "arguments": TEXT["Oslo"]}], id="function_call"),
        pytest.param(
            [[part("get_weather", "", index=0, id="a")], [part(None, TEXT["Oslo"], index=0)]],
            id="name first",
        ),
        pytest.param(
            [
                [part("get_weather", '{"city": ', index=0)],
                [part("get_weather", '"Oslo"}', index=0)],
            ],
            id="the name with each piece",
        ),
        pytest.param(
            [[part("get_weather", '{"city": ', id="a")], [part(None, '"Oslo"}', id="a")]],
            id="an id instead of an index",
        ),
        pytest.param([[part("get_weather", '{"city": ')], [part(None, '"Oslo"}')]], id="neither"),
    ],
)
def test_one_call_is_read_however_it_is_sent(pieces: list[Any]) -> None:
    assert read(*pieces) == [OSLO]


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(
            [[part("get_weather", {"city": c})] for c in ("Oslo", "Rome")], id="objects, no index"
        ),
        pytest.param(
            [[part("get_weather", {"city": c}, index=0)] for c in ("Oslo", "Rome")],
            id="objects, all of index 0",
        ),
        pytest.param(
            [[part("get_weather", TEXT[c], index=0, id=c)] for c in ("Oslo", "Rome")],
            id="texts of index 0 with ids",
        ),
        pytest.param(
            [[part("get_weather", TEXT[c], index=0)] for c in ("Oslo", "Rome")],
            id="texts of index 0 without ids",
        ),
        pytest.param([[part("get_weather", TEXT[c]) for c in ("Oslo", "Rome")]], id="one list"),
        pytest.param(
            [[part("get_weather", TEXT[c], index=n)] for c, n in (("Oslo", 2), ("Rome", 7))],
            id="gaps in the index",
        ),
        pytest.param(
            [
                [part("get_weather", '{"city": ', index=0), part("get_weather", "{", index=1)],
                [part(None, '"city": "Rome"}', index=1), part(None, '"Oslo"}', index=0)],
            ],
            id="interleaved",
        ),
    ],
)
def test_two_calls_are_kept_apart(pieces: list[Any]) -> None:
    assert read(*pieces) == [OSLO, ROME]


@pytest.mark.parametrize(
    ("pieces", "fault"),
    [
        ([[part("f", '{"city": "Os', index=0)]], "the arguments are not JSON"),
        ([[part("f", "[1]", index=0)]], "the arguments are no object"),
        ([[part("f", 5)]], "the arguments are neither an object nor text"),
        ([[part(None, "{}", index=0)]], "the call names no tool"),
        ([[part(7, "{}", index=0)]], "the call names no tool"),  # type: ignore[arg-type]
        ([["f"]], "the call is not an object"),
        ([None], "the call is not an object"),
        (
            [[part("f", '{"a": NaN}')]],
            "the arguments have a number",
        ),
    ],
)
def test_an_unreadable_call_is_kept_with_its_fault(pieces: list[Any], fault: str) -> None:
    (call,) = read(*pieces)
    assert (call["arguments"] is None, call["fault"].startswith(fault)) == (
        "names no tool" not in fault,
        True,
    )


def test_a_call_without_arguments_has_none() -> None:
    (call,) = read([part("now", "", index=0)])
    assert call == {"name": "now", "arguments": {}, "fault": None}


def test_a_piece_that_is_no_json_is_a_fault() -> None:
    assert [call["fault"] for call in merged(["{", "[]"])] == ["the call is not JSON"]


def test_half_a_surrogate_pair_can_be_written() -> None:
    (call,) = read([part("f", '{"a": "\\ud83d"}')])
    assert call["arguments"] is not None
    assert json.dumps(call).encode()


leaves = st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text()
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6
)
arguments = st.dictionaries(st.text(), values, max_size=4)


@given(st.lists(arguments, min_size=1, max_size=3), st.data())
def test_arguments_are_the_same_wherever_their_text_is_cut(
    every: list[dict[str, Any]], data: st.DataObject
) -> None:
    pieces: list[list[Any]] = []
    for index, given_ in enumerate(every):
        text = json.dumps(given_)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        pieces.append([part("f", "", index=index, id=f"c{index}")])
        pieces += [[part(None, one, index=index)] for one in parts]
    found = read(*pieces)
    assert [call["fault"] for call in found] == [None] * len(every)
    assert [json.dumps(call["arguments"]) for call in found] == [
        json.dumps(json.loads(json.dumps(one).encode())) for one in every
    ]


@given(st.lists(values, max_size=4), st.text())
def test_no_json_and_no_text_raises(pieces: list[Any], text: str) -> None:
    json.dumps(read(*pieces))
    json.dumps(in_text(text))


@pytest.mark.parametrize(
    "text",
    [
        '[{"name": "get_weather", "arguments": {"city": "Oslo"}}]',
        '{"name": "get_weather", "parameters": {"city": "Oslo"}}',
        '{"name": "get_weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}',
        '```json\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n```',
        'I call it: {"name": "get_weather", "arguments": {"city": "Oslo"}} Done.',
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>',
        '<tool_call>{"name": "get_weather", "arguments": {"city": "Oslo"}}',
        '{"tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": "Oslo"}}}]}',
    ],
)
def test_a_written_call_is_read(text: str) -> None:
    assert in_text(text) == [OSLO]


def test_several_written_calls_are_read() -> None:
    one, two = ({"name": c["name"], "arguments": c["arguments"]} for c in (OSLO, ROME))
    tagged = "".join(f"<tool_call>{json.dumps(call)}</tool_call>\n" for call in (one, two))
    for text in (json.dumps([one, two]), f"{json.dumps(one)}\n{json.dumps(two)}", tagged):
        assert in_text(text) == [OSLO, ROME]


@pytest.mark.parametrize("text", ["", "No.", "[]", '{"city": "Oslo"}', '{"name": "Ada"}', "[1, 2]"])
def test_other_text_has_no_call(text: str) -> None:
    assert in_text(text) == []


def test_half_a_call_in_tags_is_a_fault() -> None:
    (call,) = in_text('<tool_call>{"name": "get_weather", "arg')
    assert call["fault"] == "the call in tags is not JSON"


def test_an_answer_is_written_with_its_calls() -> None:
    unreadable = {"name": None, "arguments": None, "fault": "why"}
    assert written("Hm.", [OSLO, unreadable]) == 'Hm.\nget_weather({"city": "Oslo"})\n?(?)'

"""Calls of tools: the right tools, each with the right arguments, in any order, and no others.

The reference is the list of calls as JSON; `accept` has other lists. With an empty list no call is
due, and the answer must be text: it must have one of the texts of the option `says`, if it is set,
such as the name of an argument that it should ask for.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import tool_calls
from pytest_llamaburn.scorers import _base, _text, _values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_llamaburn.documents import ToolCall
    from pytest_llamaburn.scorers._base import Question, Score

NEEDS = ("reference", "tools")
RATES = ("right_tools", "right_arguments")
ADVICE = "Raise --max-tokens if calls are cut"
READS_CALLS = True  # `score` takes the calls of an answer besides its text


def score(answer: str, question: Question, calls: Sequence[ToolCall] | None = None) -> Score:
    """Return the score of an answer and its calls; without `calls` they are read from the text.

    Its details count whether the tools are right, and the arguments of right tools.
    """
    said = _text.spoken(answer)
    written = tool_calls.in_text(said)
    made = written if calls is None else calls
    choices = [_listed(text) for text in _base.accepted(question)]
    faults = [_fault(said, made, right, question) for right in choices]
    named = any(_names(made) == _names(right) for right in choices)
    is_due = any(choices)
    details = {
        "tools_right": int(named),
        "arguments_due": int(named and is_due),
        "arguments_right": int(named and is_due and "" in faults),
        "calls_in_text": int(bool(written and not made)),
    }
    unreadable = next((call["fault"] for call in made if call["fault"]), None)
    if unreadable:
        return _base.unparsable(unreadable)._replace(details=details)
    if not (made or said):
        return _base.empty()._replace(details={**details, "tools_right": 0, "arguments_right": 0})
    extracted = tool_calls.written("" if made else said, made)
    reason = "" if "" in faults else faults[0]
    if reason and written and not made:
        reason = f"the call stands in the text of the answer, which does not count: {reason}"
    return _base.scored(not reason, extracted, reason, **details)


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason of tools or calls that cannot be used."""
    tools = question.options["tools"]
    if not isinstance(tools, list):
        yield "tools", "should be a list"
        return
    for tool in tools:
        if not isinstance(tool, dict):
            yield "tools", f"the set defines no tool '{tool}'"
    known = {tool.get("name") for tool in tools if isinstance(tool, dict)}
    for text in _base.accepted(question):
        yield from (("reference", why) for why in _wrong(text, known))
    says = question.options.get("says", [])
    if not (isinstance(says, list) and all(isinstance(one, str) and one for one in says)):
        yield "says", "should be a list of texts"


def _wrong(text: str, known: set[Any]) -> Iterator[str]:
    """Yield why a text is not a list of calls of known tools."""
    try:
        calls = json.loads(text)
    except (ValueError, RecursionError):
        yield "should be a list of calls, as JSON"
        return
    is_list = isinstance(calls, list) and all(
        isinstance(call, dict) and isinstance(call.get("arguments"), dict) for call in calls
    )
    if not is_list:
        yield "should be a list of objects with a name and arguments"
        return
    for call in calls:
        if call.get("name") not in known:
            yield f"calls '{call.get('name')}', which is not among the tools of the question"


def _listed(text: str) -> list[Any]:
    calls: list[Any] = json.loads(text)
    return calls


def _names(calls: Sequence[Any]) -> list[str]:
    return sorted(str(call["name"]) for call in calls)


def _fault(said: str, made: Sequence[ToolCall], right: Sequence[Any], question: Question) -> str:
    """Return why a text and calls are not the right ones; empty if they are."""
    if not right and made:
        return f"no call was due, but {_names(made)[0]} was called"
    if not right:
        return _unsaid(said, question.options.get("says", []))
    if not made:
        return f"no tool was called; right is {tool_calls.written('', right)}"
    if _names(made) != _names(right):
        return f"{', '.join(_names(made))} was called, not {', '.join(_names(right))}"
    schemas = {tool["name"]: tool.get("parameters") for tool in question.options["tools"]}
    left = [*made]
    for call in right:
        schema = schemas.get(call["name"])
        alike = [one for one in left if one["name"] == call["name"]]
        reasons = [_difference(call, one, schema) for one in alike]
        if "" not in reasons:
            return f"{call['name']}: {reasons[0]}"
        left.remove(alike[reasons.index("")])
    return ""


def _difference(right: Mapping[str, object], call: ToolCall, schema: object) -> str:
    return call["fault"] or _values.difference(right["arguments"], call["arguments"], schema)


def _unsaid(said: str, wanted: Sequence[str]) -> str:
    """Return why the text of an answer without calls is wrong; empty if it is right."""
    if not wanted or any(_text.contains(said, one) for one in wanted):
        return ""
    return f"the answer has none of: {', '.join(wanted)}"

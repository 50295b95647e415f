"""A request's events fold into one record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llamaburn.trace import (
    Delta,
    Event,
    Failed,
    Finished,
    Headers,
    Sent,
    ServerTimings,
    Trace,
    Usage,
    answered,
    fold,
)


def test_no_events_make_an_empty_trace() -> None:
    trace = fold([])
    assert trace == Trace()
    assert trace.last_ns is None


def test_every_event_has_its_place() -> None:
    usage, timings = Usage(3, 1, 2, 0), ServerTimings(prompt_ms=4.0)
    events: list[Event] = [
        Sent(1),
        Headers(2, 200),
        Delta(3, "content", "a"),
        Delta(5, "content", "b"),
    ]
    trace = fold([*events, usage, timings, Finished(7, "length")], connect_ms=0.5)
    assert (trace.sent_ns, trace.headers_ns, trace.end_ns) == (1, 2, 7)
    assert (trace.first_ns, trace.first_answer_ns, trace.last_ns) == (3, 3, 5)
    assert (trace.usage, trace.timings, trace.connect_ms) == (usage, timings, 0.5)
    assert (trace.text, trace.thinking, trace.finish_reason) == ("ab", "", "length")
    assert trace.failure is None


def test_the_answer_begins_when_thinking_is_over() -> None:
    thoughts = [Delta(2, "thinking", "hm"), Delta(3, "thinking", "m")]
    trace = fold([Sent(1), *thoughts, Delta(4, "content", "yes"), Delta(5, "thinking", "?")])
    assert (trace.first_ns, trace.first_answer_ns, trace.last_ns) == (2, 4, 5)
    assert (trace.text, trace.thinking) == ("yes", "hmm?")


def test_a_tool_call_is_an_answer_but_no_text() -> None:
    trace = fold([Sent(1), Delta(2, "tool", '{"name": "f"}'), Finished(3, "tool_calls")])
    assert (trace.first_ns, trace.first_answer_ns) == (2, 2)
    assert (trace.text, trace.thinking) == ("", "")


def test_a_failure_ends_the_request_and_keeps_what_came_before() -> None:
    failure = Failed(9, "reset", "stream", 200, "connection reset")
    trace = fold([Sent(1), Delta(4, "content", "half"), failure])
    assert (trace.failure, trace.end_ns, trace.text) == (failure, 9, "half")
    assert trace.finish_reason is None


@given(st.lists(st.tuples(st.sampled_from(["content", "thinking"]), st.text(min_size=1))))
def test_no_text_is_lost_or_mixed(pieces: list[tuple[str, str]]) -> None:
    trace = fold([Delta(at, kind, text) for at, (kind, text) in enumerate(pieces)])
    assert trace.delta_ns == list(range(len(pieces)))
    assert trace.text == "".join(text for kind, text in pieces if kind == "content")
    assert trace.thinking == "".join(text for kind, text in pieces if kind == "thinking")


@pytest.mark.parametrize("counted", [None, 0])
def test_a_timed_request_that_ends_without_an_answer_failed(counted: int | None) -> None:
    trace = answered(fold([Sent(1), Usage(completion=counted), Finished(7, "stop")]))
    assert trace.failure is not None
    assert (trace.failure.kind, trace.end_ns) == ("empty_answer", 7)


def test_an_answer_whose_first_token_is_its_end_is_one_where_the_server_counted_it() -> None:
    assert answered(fold([Sent(1), Usage(completion=1), Finished(7, "stop")])).failure is None


def test_a_failure_of_its_own_kind_stays_what_it_is() -> None:
    trace = answered(fold([Sent(1), Failed(9, "reset", "stream")]))
    assert trace.failure is not None
    assert trace.failure.kind == "reset"

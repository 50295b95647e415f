"""What the server-sent events of OpenAI-compatible servers mean, and what they are asked."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import (
    LLAMA_TIMINGS,
    OPENAI_USAGE,
    ScriptedServer,
    ask,
    chunk,
    chunked,
    events_of,
    head,
    openai_chunk,
    openai_stream,
    replay,
    settings_for,
    sized,
    sse,
)

from pytest_llamaburn.backends import openai
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.kinds.stress.settings import Stress
from pytest_llamaburn.option import model_of
from pytest_llamaburn.trace import Delta, Failed, ServerTimings, Trace, Usage, fold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.settings import Run

BACKEND = openai.Backend(settings_for("127.0.0.1:1"))
ROLE = sse(openai_chunk({"role": "assistant", "content": None}))
RED = sse(openai_chunk({"content": "Red"}))
STOP = sse(openai_chunk({}, finish="stop"))
DONE = sse("[DONE]")
COMMENT = b":\n\n"


def trace_of(reads: Sequence[bytes]) -> Trace:
    return fold(events_of(BACKEND, asyncio.run(replay(reads))))


def failure_of(*payloads: bytes) -> Failed:
    failure = trace_of(chunked(*payloads)).failure
    assert failure is not None
    return failure


def test_texts_add_up_to_the_answer() -> None:
    trace = trace_of(openai_stream(["One", " tw\u00f6", " \U0001f7e2"]))
    assert trace.text == "One tw\u00f6 \U0001f7e2"
    assert len(trace.delta_ns) == 3
    assert (trace.finish_reason, trace.failure) == ("stop", None)


@pytest.mark.parametrize("content", [None, ""])
def test_role_chunk_is_not_the_first_token(content: str | None) -> None:
    role = sse(openai_chunk({"role": "assistant", "content": content}))
    exchange = asyncio.run(replay(chunked(role, RED, STOP, DONE)))
    trace = fold(events_of(BACKEND, exchange))
    assert trace.headers_ns == exchange.stamps[0]
    assert trace.first_ns == exchange.stamps[2]
    assert len(trace.delta_ns) == 1


def test_a_comment_is_not_the_first_token() -> None:
    exchange = asyncio.run(replay(chunked(COMMENT, COMMENT, ROLE, COMMENT, RED, STOP, DONE)))
    assert fold(events_of(BACKEND, exchange)).delta_ns == [exchange.stamps[5]]


def test_role_and_text_in_one_chunk_are_a_first_token() -> None:
    both = sse(openai_chunk({"role": "assistant", "content": "Red"}))
    assert trace_of(chunked(both, STOP, DONE)).text == "Red"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_thinking_is_the_first_token_under_each_of_its_names(name: str) -> None:
    reads = openai_stream([{name: "Hm"}, {name: "m", "content": None}, "Four"])
    exchange = asyncio.run(replay(reads))
    trace = fold(events_of(BACKEND, exchange))
    assert (trace.thinking, trace.text) == ("Hmm", "Four")
    assert trace.first_ns == exchange.stamps[1]
    assert trace.first_answer_ns == exchange.stamps[3]


def test_thinking_under_two_names_counts_once() -> None:
    both = {"reasoning": "Hm", "reasoning_content": "Hm"}
    assert trace_of(openai_stream([both])).thinking == "Hm"


def test_a_tool_call_is_a_piece_of_the_answer() -> None:
    calls = [{"index": 0, "function": {"name": "add", "arguments": '{"a":'}}]
    events = events_of(BACKEND, asyncio.run(replay(openai_stream([{"tool_calls": calls}]))))
    [delta] = [event for event in events if isinstance(event, Delta)]
    assert delta.kind == "tool"
    assert json.loads(delta.text) == calls
    assert fold(events).failure is None


@pytest.mark.parametrize("calls", [None, []])
def test_no_tool_call_is_no_piece(calls: list[Any] | None) -> None:
    trace = trace_of(openai_stream([{"tool_calls": calls}, "text"]))
    assert (len(trace.delta_ns), trace.failure) == (1, None)


def test_usage_and_timings_are_the_servers() -> None:
    usage = {**OPENAI_USAGE, "completion_tokens_details": {"reasoning_tokens": 5}}
    exchange = asyncio.run(replay(openai_stream(["Red"], usage=usage)))
    trace = fold(events_of(BACKEND, exchange))
    assert trace.usage == Usage(prompt=34, cached=4, completion=12, reasoning=5)
    assert exchange.headers_ns is not None
    assert trace.timings == ServerTimings(
        prompt_ms=9.15023,
        prompt_tokens=30,
        eval_ms=7.26547,
        eval_tokens=12,
        queue_ms=(exchange.headers_ns - exchange.sent_ns) / 1e6,  # a slot was free
    )


def test_timings_alone_tell_the_counts() -> None:
    trace = trace_of(openai_stream(["Red"], usage=None, timings=LLAMA_TIMINGS))
    assert trace.usage == Usage(prompt=34, cached=4, completion=12)


def test_timings_may_ride_on_the_chunk_that_finishes() -> None:
    last = sse({**openai_chunk({}, finish="length"), "timings": LLAMA_TIMINGS})
    trace = trace_of(chunked(RED, last, DONE))
    assert trace.finish_reason == "length"
    assert trace.timings.eval_tokens == 12


def test_usage_alone_leaves_the_servers_clock_unknown() -> None:
    trace = trace_of(openai_stream(["Red"], timings=None))
    assert trace.usage.completion == 12
    assert trace.timings == ServerTimings()


def test_usage_may_be_missing() -> None:
    trace = trace_of(openai_stream(["Red"], usage=None, timings=None))
    assert trace.failure is None
    assert trace.usage == Usage()


def test_the_last_of_several_usages_counts() -> None:
    growing = [
        sse({**openai_chunk({"content": "x"}), "usage": {"completion_tokens": n}})
        for n in (1, 2, 3)
    ]
    assert trace_of(chunked(*growing, STOP, DONE)).usage.completion == 3


@pytest.mark.parametrize("extra", [{"choices": None}, {"choices": []}, {"choices": [{}]}, {}])
def test_an_event_without_choices_is_harmless(extra: Mapping[str, Any]) -> None:
    trace = trace_of(chunked(RED, sse({"id": "1", **extra}), STOP, DONE))
    assert (trace.text, trace.failure) == ("Red", None)


def test_events_may_end_their_lines_as_on_windows() -> None:
    events = [openai_chunk({"content": "Red"}), openai_chunk({}, finish="stop")]
    trace = trace_of(chunked(*(sse(event, "\r\n") for event in events), sse("[DONE]", "\r\n")))
    assert (trace.text, trace.finish_reason, trace.failure) == ("Red", "stop", None)


def test_data_of_several_lines_is_one_event() -> None:
    spread = sse(json.dumps(openai_chunk({"content": "Red"}), indent=1))
    assert spread.count(b"data:") > 3
    trace = trace_of(chunked(spread, STOP, DONE))
    assert (trace.text, trace.failure) == ("Red", None)


def test_names_ids_and_comments_are_skipped() -> None:
    decorated = b": hello\nevent: message\nid: 7\nretry: 10\n" + RED
    assert trace_of(chunked(decorated, STOP, DONE)).text == "Red"


def test_the_blank_after_the_colon_may_be_missing() -> None:
    tight = [event.replace(b"data: ", b"data:") for event in (RED, STOP, DONE)]
    assert trace_of(chunked(*tight)).text == "Red"


@pytest.mark.parametrize(
    "event",
    [b"data:\n\n", b"data: \n\n", b"data\n\n", b"data:\ndata: \n\n"],
    ids=["none", "blank", "no colon", "two lines"],
)
def test_an_event_with_nothing_as_data_is_skipped(event: bytes) -> None:
    trace = trace_of(chunked(event, RED, event, STOP, event, DONE))
    assert (trace.text, trace.finish_reason, trace.failure) == ("Red", "stop", None)


@pytest.mark.parametrize("done", [b"  [DONE]", b" [DONE] ", b"\t[DONE]\t"])
def test_done_may_have_blanks_around_it(done: bytes) -> None:
    trace = trace_of(chunked(RED, b"data:" + done + b"\n\n"))
    assert (trace.text, trace.failure) == ("Red", None)


@pytest.mark.parametrize("cut", range(5))
def test_a_byte_order_mark_before_the_first_line_is_no_part_of_it(cut: int) -> None:
    body = b"\xef\xbb\xbf" + RED + STOP + DONE
    trace = trace_of([head(200), body[:cut], body[cut:]])
    assert (trace.text, trace.finish_reason, trace.failure) == ("Red", "stop", None)


@given(end=st.sampled_from([b"\n", b"\r", b"\r\n"]), cuts=st.sets(st.integers(1, 500)))
def test_lines_end_with_lf_or_cr_or_both_however_they_are_cut(end: bytes, cuts: set[int]) -> None:
    body = b"".join((COMMENT, RED, ROLE, RED, STOP, DONE)).replace(b"\n", end)
    places = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    pieces = [body[a:b] for a, b in pairwise(places)]
    for reads in ([head(200), *pieces], chunked(*pieces)):
        trace = trace_of(reads)
        assert (trace.text, trace.finish_reason, trace.failure) == ("RedRed", "stop", None)


def test_a_line_that_ends_with_cr_alone_has_the_stamp_of_its_read() -> None:
    cr = [event.replace(b"\n", b"\r") for event in (ROLE, RED, RED)]
    exchange = asyncio.run(replay(chunked(*cr, DONE)))
    assert fold(events_of(BACKEND, exchange)).delta_ns == exchange.stamps[2:4]


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_stream_may_come_with_any_status_of_success(status: int) -> None:
    reads = [head(status, transfer_encoding="chunked"), *chunked(RED, STOP, DONE)[1:]]
    trace = trace_of(reads)
    assert (trace.text, trace.finish_reason, trace.failure) == ("Red", "stop", None)


def test_a_connection_is_kept_after_any_success() -> None:
    steps = [head(201, transfer_encoding="chunked"), *chunked(RED, STOP, DONE)[1:]]
    with ScriptedServer(steps) as server:
        backend = openai.Backend(settings_for(server.host))
        assert [trace.text for trace in asyncio.run(ask(backend, times=2))] == ["Red", "Red"]
    assert server.connections == 1


@pytest.mark.parametrize(
    "reads",
    [
        [head(200).replace(b"\r", b"") + RED + STOP + DONE],
        [step.replace(b"\r\n", b"\n") for step in chunked(RED, STOP, DONE)],
        [sized(200, RED + STOP + DONE)],
        [head(200), RED, STOP, DONE],
        [head(200, transfer_encoding="chunked") + chunk(RED + STOP, ";x=1") + b"0\r\nX: y\r\n\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n", *chunked(RED, STOP, DONE)],
    ],
    ids=["head of LF", "all of LF", "sized", "until close", "extension and trailer", "continue"],
)
def test_an_answer_may_come_in_any_framing(reads: list[bytes]) -> None:
    trace = trace_of(reads)
    assert (trace.text, trace.finish_reason, trace.failure) == ("Red", "stop", None)


def test_a_finish_reason_ends_an_answer_without_done() -> None:
    trace = trace_of(chunked(RED, STOP))
    assert (trace.finish_reason, trace.failure) == ("stop", None)


def test_an_answer_ends_at_done_even_if_the_body_never_does() -> None:
    trace = trace_of(chunked(RED, STOP, DONE)[:-1])
    assert (trace.text, trace.failure) == ("Red", None)


def test_a_cut_between_finish_reason_and_done_is_a_reset() -> None:
    trace = trace_of(chunked(RED, STOP)[:-1])
    assert trace.failure is not None
    assert trace.failure.kind == "reset"


@pytest.mark.parametrize("payloads", [[], [ROLE], [ROLE, RED]])
def test_a_clean_end_without_done_and_reason_is_truncated(payloads: list[bytes]) -> None:
    failure = failure_of(*payloads)
    assert (failure.kind, failure.phase, failure.status) == ("truncated_stream", "stream", 200)


def test_an_error_in_the_stream_fails_a_request_of_status_200() -> None:
    error = {"code": 500, "message": "Context size has been exceeded.", "type": "server_error"}
    trace = trace_of(chunked(ROLE, RED, sse({"error": error})))
    assert trace.failure is not None
    assert (trace.failure.kind, trace.failure.phase) == ("context_overflow", "stream")
    assert trace.failure.message == "Context size has been exceeded. (server_error)"
    assert trace.text == "Red"


def test_an_error_counts_although_done_follows() -> None:
    failure = failure_of(RED, sse({"error": {"message": "engine died", "code": 500}}), DONE)
    assert (failure.kind, failure.message) == ("server_error", "engine died")


def test_a_full_queue_may_come_with_status_200() -> None:
    words = "The request queue is full."
    error = {"message": words, "type": "SERVICE_UNAVAILABLE", "code": 503}
    failure = failure_of(sse({"error": error}), DONE)
    assert failure.kind == "queue_full"


def test_an_error_inside_a_string_is_decoded_twice() -> None:
    inner = json.dumps({"error": {"code": 400, "message": "does not support images"}})
    assert failure_of(sse({"error": inner})).kind == "unsupported"


def test_an_error_may_be_a_field_of_its_own() -> None:
    """Older llama.cpp builds sent it so, followed by `[DONE]`."""
    field = b'error: {"code":500,"message":"Context size has been exceeded."}\n\n'
    assert failure_of(RED, field, DONE).kind == "context_overflow"


@pytest.mark.parametrize(
    "data", [b"{nonsense}", b"[]", b'{"choices": [{"delta": {"content": "\xff"}}]}', b"{" * 9]
)
def test_data_that_is_no_chunk_is_malformed(data: bytes) -> None:
    failure = failure_of(RED, b"data: " + data + b"\n\n", STOP, DONE)
    assert (failure.kind, failure.phase, failure.status) == ("malformed_chunk", "stream", 200)
    assert repr(data) in failure.message


def test_an_event_cut_in_the_middle_is_a_reset_and_not_malformed() -> None:
    start, *events = chunked(ROLE, RED, STOP, DONE)
    trace = trace_of([start, events[0], events[1], events[2][:30]])
    assert trace.failure is not None
    assert trace.failure.kind == "reset"
    assert trace.text == "Red"


def test_a_text_whose_chunk_was_cut_after_its_line_still_counts() -> None:
    start, *events = chunked(ROLE, RED, STOP, DONE)
    assert trace_of([start, events[0], events[1][:-2]]).text == "Red"


EXTRA = {"ignore_eos", "top_k", "chat_template_kwargs"}


@pytest.mark.parametrize(("kind", "extra"), [("vllm", EXTRA), ("openai", set())])
def test_only_a_server_known_to_take_more_is_sent_more(kind: str, extra: set[str]) -> None:
    sampling = {"top_p": 0.5, "top_k": 7, "think": "off", "osl": 9}
    host = "http://127.0.0.1:1"
    backend = openai.Backend(cast("Run", model_of(Stress)(host=host, **sampling)))
    backend.connect_to({"host": host, "kind": kind})
    body = backend.body(Model("m", "m"), [])
    assert body["top_p"] == 0.5
    assert body.keys() & EXTRA == extra
    more = {"ignore_eos": True, "top_k": 7, "chat_template_kwargs": {"enable_thinking": False}}
    assert all(body[name] == more[name] for name in extra)


def test_a_model_is_never_unloaded() -> None:
    with pytest.raises(ServerError, match="cannot unload m, as --start cold requires"):
        asyncio.run(BACKEND.unload(Model("m", "m")))

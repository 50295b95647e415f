"""Answers that real servers send in shapes of their own: what fails, what is read all the same."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.scripted import (
    LLAMA_TIMINGS,
    OLLAMA_FINAL,
    OPENAI_USAGE,
    chunked,
    events_of,
    head,
    ndjson,
    ollama_line,
    ollama_stream,
    openai_chunk,
    openai_stream,
    replay,
    settings_for,
    sized,
    sse,
)

from pytest_llamaburn import metrics
from pytest_llamaburn.backends import ollama, openai
from pytest_llamaburn.trace import Trace, Usage, answered, fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    import msgspec

    from pytest_llamaburn.backends._base import Backend

OLLAMA = ollama.Backend(settings_for("127.0.0.1:1"))
OPENAI = openai.Backend(settings_for("127.0.0.1:1"))
BOTH = pytest.mark.parametrize("backend", [OLLAMA, OPENAI], ids=["ollama", "openai"])
RED = sse(openai_chunk({"content": "Red"}))
STOP = sse(openai_chunk({}, finish="stop"))
DONE = sse("[DONE]")
HTML = (
    b"<!doctype html>\n<html><head><title>\n Sign in &amp; pay</title></head><body></body></html>"
)


def trace_of(backend: Backend, reads: Sequence[bytes]) -> Trace:
    return answered(fold(events_of(backend, asyncio.run(replay(reads)))))


def failed(backend: Backend, *payloads: bytes) -> tuple[str, str]:
    """Return kind and words of the failure that a stream of these payloads is."""
    failure = trace_of(backend, chunked(*payloads)).failure
    assert failure is not None
    return failure.kind, failure.message


def reasons_of(trace: Trace) -> dict[str, str]:
    assert trace.failure is None
    return metrics.compute(trace)[1]


ERRORS = [
    ({"error": "engine died"}, "engine died"),
    ({"error": ["engine died"]}, "['engine died']"),
    ({"error": {}}, "{}"),
    ({"error": True}, "True"),
    ({"object": "error", "message": "engine died", "code": 500}, "engine died"),
    ({"type": "error", "message": "engine died"}, "engine died (error)"),
    ({"detail": "engine died"}, "engine died"),
    ({"detail": {"msg": "engine died"}}, "engine died"),
    ({"errors": {"message": "engine died"}}, "engine died"),
    ({"code": 500, "msg": "engine died"}, "engine died"),
    ({"message": "engine died", "code": 50505, "data": None}, "engine died"),
]


@BOTH
@pytest.mark.parametrize(("error", "words"), ERRORS)
def test_an_error_of_any_shape_in_a_stream_fails_with_the_servers_words(
    backend: Backend, error: dict[str, Any], words: str
) -> None:
    line = ndjson(error) if backend is OLLAMA else sse(error) + DONE
    first = ollama_line("Red") if backend is OLLAMA else RED
    assert failed(backend, first, line) == ("server_error", words)


@pytest.mark.parametrize("none", [None, "", False], ids=repr)
def test_an_error_that_says_nothing_is_none(none: object) -> None:
    trace = trace_of(
        OPENAI, chunked(sse({**openai_chunk({"content": "Red"}), "error": none}), DONE)
    )
    assert (trace.text, trace.failure) == ("Red", None)
    assert trace_of(OLLAMA, ollama_stream(["Red"], error=none)).failure is None


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b'{"message": "engine died"}', "server_error", "engine died"),
        (b'{"error": {"message": "no room", "code": 429}}', "queue_full", "no room"),
        (b"upstream died", "server_error", "upstream died"),
        (b"", "server_error", "an error without a message"),
        (b"[" * 5000, "server_error", "[" * 500),
    ],
)
def test_an_event_named_error_is_a_failure(data: bytes, kind: str, words: str) -> None:
    event = b"event: error\ndata: " + data + b"\n\n"
    assert failed(OPENAI, RED, event, STOP, DONE) == (kind, words)
    assert failed(OPENAI, RED, event.rstrip(b"\n")) == (kind, words)


def test_an_error_field_of_plain_words_is_a_failure() -> None:
    assert failed(OPENAI, b"error: upstream died\n\n", DONE) == ("server_error", "upstream died")


def test_an_error_of_a_choice_is_a_failure() -> None:
    broken = {"choices": [{"delta": {}, "error": {"message": "engine died"}}]}
    assert failed(OPENAI, sse(broken), DONE) == ("server_error", "engine died")


def test_an_event_after_one_named_error_is_an_event_again() -> None:
    named = b"event: message\n" + RED
    assert trace_of(OPENAI, chunked(named, STOP, DONE)).failure is None


@BOTH
@pytest.mark.parametrize(
    "reason", ["error", "network_error", "abort", "Cancelled", "insufficient_system_resource"]
)
@pytest.mark.parametrize("done", [True, False])
def test_an_answer_that_the_server_broke_off_failed(
    backend: Backend, reason: str, done: bool
) -> None:
    payloads = [RED, sse(openai_chunk({}, finish=reason)), *([DONE] if done else [])]
    if backend is OLLAMA:
        payloads = [ollama_line("Red"), ollama_line(done=True, done_reason=reason)]
    words = f"the server aborted the answer: finish reason '{reason}'"
    assert failed(backend, *payloads) == ("server_error", words)


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "tool_calls", "eos_token"])
def test_other_reasons_to_finish_end_an_answer(reason: str) -> None:
    trace = trace_of(OPENAI, chunked(RED, sse(openai_chunk({}, finish=reason)), DONE))
    assert (trace.failure, trace.finish_reason) == (None, reason)


def test_an_answer_of_generate_is_no_answer_to_a_chat() -> None:
    lines = [ndjson({"model": "tiny", "response": "Red", "done": False})]
    last = ndjson({"model": "tiny", "response": "", "done": True, **OLLAMA_FINAL})
    for sent in ([*lines, last], [last]):
        kind, words = failed(OLLAMA, *sent)
        assert kind == "malformed_chunk"
        assert words.startswith("this is an answer of /api/generate, not of /api/chat")


@BOTH
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (HTML, "an HTML page titled 'Sign in & pay'"),
        (b"\xef\xbb\xbf <html>moved", "a page in HTML or XML: <html>moved"),
        (b"Ollama is running", "plain text: Ollama is running"),
        (b"[1,\n 2]", "plain JSON: [1, 2]"),
    ],
)
def test_what_is_no_stream_is_told(backend: Backend, body: bytes, words: str) -> None:
    failure = trace_of(backend, [sized(200, body)]).failure
    assert failure is not None
    assert failure.kind == "not_a_stream"
    assert failure.message == f"the server sent no stream, but {words}"


def test_json_that_is_no_completion_is_told() -> None:
    kind, words = failed(OPENAI, b'{"status": "ok"}')
    assert kind == "not_a_stream"
    assert words.endswith('plain JSON: {"status": "ok"}')


@BOTH
def test_an_empty_body_is_told(backend: Backend) -> None:
    assert failed(backend) == ("truncated_stream", "an empty body")


def test_an_error_as_a_plain_object_of_status_200_is_a_failure() -> None:
    assert failed(OPENAI, b'{"error": {"message": "no room"}}') == ("server_error", "no room")
    assert failed(OLLAMA, b'{"detail": "no room"}') == ("server_error", "no room")


def test_a_role_and_done_alone_are_an_empty_answer() -> None:
    role = sse(openai_chunk({"role": "assistant", "content": None}))
    assert failed(OPENAI, role, DONE)[0] == "empty_answer"


def test_counted_tokens_of_which_no_piece_came_are_an_empty_answer() -> None:
    kind, words = failed(OPENAI, sse({"choices": [], "usage": OPENAI_USAGE}), STOP, DONE)
    assert kind == "empty_answer"
    assert words.endswith("although the server counted 12 tokens")


WHOLE = {
    "object": "chat.completion",
    "choices": [{"message": {"content": "Red", "reasoning": "Hm"}, "finish_reason": "length"}],
    "usage": OPENAI_USAGE,
}


@pytest.mark.parametrize(
    ("backend", "reads"),
    [
        (OPENAI, [sized(200, json.dumps(WHOLE, indent=1))]),
        (OPENAI, chunked(sse(WHOLE), DONE)),
        (OLLAMA, chunked(ollama_line("Red", done=True, **OLLAMA_FINAL))),
        (OLLAMA, chunked(ollama_line(), ollama_line("Red", done=True, **OLLAMA_FINAL))),
    ],
    ids=["object", "one event", "ollama", "ollama after a role"],
)
def test_a_whole_answer_at_once_has_its_length_and_its_whole_time_but_no_first_token(
    backend: Backend, reads: list[bytes]
) -> None:
    trace = trace_of(backend, reads)
    values, reasons = metrics.compute(trace)
    assert (trace.text, trace.failure, trace.flags) == ("Red", None, ["not_streamed"])
    for name in ("time_to_first_token_ms", "inter_token_latency_ms", "tokens_per_sec"):
        assert reasons[name] == "not_streamed"
    assert values["output_sequence_length"] == trace.usage.completion
    assert values["total_generation_ms"] is not None


def test_a_whole_answer_without_a_reason_to_finish_is_one() -> None:
    trace = trace_of(OPENAI, [sized(200, {"choices": [{"message": {"content": "Red"}}]})])
    assert (trace.text, trace.finish_reason, trace.failure) == ("Red", None, None)


def test_a_last_piece_on_the_last_line_of_a_stream_is_streamed() -> None:
    lines = [ollama_line("Red"), ollama_line(".", done=True, **OLLAMA_FINAL)]
    trace = trace_of(OLLAMA, chunked(*lines))
    assert (trace.text, trace.flags) == ("Red.", [])
    assert trace.first_ns is not None


CONTENTS = [
    ([{"type": "text", "text": "Red"}, {"type": "text", "text": "."}], "Red.", ""),
    (
        [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"text": "Red"}],
        "Red",
        "Hm",
    ),
    (["Red", None, {"text": "."}], "Red.", ""),
    ({"text": "Red"}, "Red", ""),
    ({"odd": 1}, '{"odd": 1}', ""),
    (7, "7", ""),
    (0, "0", ""),
    (7.5, "7.5", ""),
    (True, "true", ""),
]


@BOTH
@pytest.mark.parametrize(("content", "answer", "thinking"), CONTENTS)
def test_a_content_of_another_type_is_read(
    backend: Backend, content: Any, answer: str, thinking: str
) -> None:
    stream = ollama_stream if backend is OLLAMA else openai_stream
    trace = trace_of(backend, stream([{"content": content}]))
    assert (trace.text, trace.thinking, trace.failure) == (answer, thinking, None)
    assert trace.first_ns is not None


@BOTH
@pytest.mark.parametrize("content", [None, [], {}, False, ""], ids=repr)
def test_a_content_of_nothing_is_no_piece(backend: Backend, content: Any) -> None:
    stream = ollama_stream if backend is OLLAMA else openai_stream
    trace = trace_of(backend, stream([{"content": content}, "Red"]))
    assert (trace.text, len(trace.delta_ns), trace.failure) == ("Red", 1, None)


@pytest.mark.parametrize(
    "thought", [{"text": "Hm"}, {"content": "Hm"}, {"summary": ["Hm"]}, ["Hm"], [{"text": "Hm"}]]
)
@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_thinking_may_be_an_object(name: str, thought: Any) -> None:
    trace = trace_of(OPENAI, openai_stream([{name: thought}, "Red"]))
    assert (trace.thinking, trace.text) == ("Hm", "Red")


def test_ollama_may_send_no_content_beside_thinking() -> None:
    trace = trace_of(OLLAMA, ollama_stream([{"content": None, "thinking": "Hm"}, "Red"]))
    assert (trace.thinking, trace.text, trace.failure) == ("Hm", "Red", None)


@pytest.mark.parametrize(
    "delta", [{"function_call": {"name": "add"}}, {"tool_calls": {"name": "add"}, "content": []}]
)
def test_a_call_in_another_shape_is_a_piece(delta: dict[str, Any]) -> None:
    trace = trace_of(OPENAI, openai_stream([delta]))
    assert (len(trace.delta_ns), trace.failure) == (1, None)


def test_a_refusal_is_an_answer() -> None:
    assert trace_of(OPENAI, openai_stream([{"refusal": "I will not."}])).text == "I will not."


def test_half_a_surrogate_pair_is_read_and_two_halves_are_a_character() -> None:
    pieces = [b'"a\\ud83d"', b'"\\ude00b"', b'"\\ud83d"']
    events = [b'data: {"choices":[{"delta":{"content":' + piece + b"}}]}\n\n" for piece in pieces]
    trace = trace_of(OPENAI, chunked(*events, STOP, DONE))
    assert (trace.text, trace.failure) == ("a\U0001f600b\ufffd", None)


def test_choices_and_deltas_of_odd_types_are_passed_over() -> None:
    odd: list[Any] = [5, [7, {"delta": "x"}], [{"delta": [1]}]]
    one = {"delta": {"content": "Red"}, "finish_reason": 1}
    events = [sse({"choices": choices}) for choices in [*odd, one]]
    trace = trace_of(OPENAI, chunked(*events, STOP, DONE))
    assert (trace.text, trace.finish_reason, trace.failure) == ("Red", "stop", None)


@pytest.mark.parametrize("done", [1, "true", True], ids=repr)
def test_done_of_another_type_is_done(done: object) -> None:
    trace = trace_of(OLLAMA, chunked(ollama_line("Red"), ollama_line(done=done)))
    assert (trace.text, trace.failure) == ("Red", None)


READABLE = [20, 20.0, "20", "20.0"]
UNREADABLE = ["n/a", [], {}, True, "nan", 20.5, -1, 10**30, 10**60, "1e30", "inf"]


@pytest.mark.parametrize("count", READABLE, ids=repr)
def test_a_whole_number_is_read_however_it_is_written(count: Any) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": count}}
    usage = {"prompt_tokens": count, "completion_tokens": count, **details}
    trace = trace_of(OPENAI, openai_stream(["Red"], usage, None))
    assert trace.usage == Usage(prompt=20, cached=20, completion=20)
    trace = trace_of(OLLAMA, ollama_stream(["Red"], eval_count=count, prompt_eval_count=count))
    assert trace.usage == Usage(prompt=20, completion=20)
    assert isinstance(trace.usage.prompt, int)
    assert trace.flags == []


@BOTH
@pytest.mark.parametrize("count", UNREADABLE, ids=repr)
def test_a_count_that_cannot_be_true_is_null_with_a_reason_and_a_flag(
    backend: Backend, count: Any
) -> None:
    reads = ollama_stream(["Red"], eval_count=count, prompt_eval_count=count)
    if backend is OPENAI:
        usage = {"prompt_tokens": count, "completion_tokens": count}
        reads = openai_stream(["Red"], usage, None)
    trace = trace_of(backend, reads)
    reasons = reasons_of(trace)
    assert trace.usage == Usage()
    assert trace.flags == ["implausible_counts"]
    for name in ("input_sequence_length", "output_sequence_length", "e2e_tokens_per_sec"):
        assert reasons[name] in ("unreadable", "implausible")


def test_nan_is_no_count() -> None:
    last = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":NaN}}\n\n'
    trace = trace_of(OPENAI, chunked(RED, STOP, last, DONE))
    assert (trace.usage, trace.failure) == (Usage(prompt=5), None)
    assert reasons_of(trace)["output_sequence_length"] == "unreadable"


@pytest.mark.parametrize("usage", [[], "n/a", 5, {"prompt_tokens": None}, [{"prompt_tokens": 5}]])
def test_a_usage_of_no_shape_known_is_none_and_the_timings_still_count(usage: Any) -> None:
    last = sse({"choices": [], "usage": usage, "timings": LLAMA_TIMINGS})
    trace = trace_of(OPENAI, chunked(RED, STOP, last, DONE))
    assert (trace.usage, trace.failure) == (Usage(prompt=34, cached=4, completion=12), None)


@pytest.mark.parametrize("details", ["none", 5, [], None])
def test_details_of_no_shape_known_leave_the_counts(details: Any) -> None:
    names = ("prompt_tokens_details", "completion_tokens_details")
    usage = {"prompt_tokens": 34, "completion_tokens": 12, **dict.fromkeys(names, details)}
    trace = trace_of(OPENAI, openai_stream(["Red"], usage, None))
    assert (trace.usage, trace.flags) == (Usage(prompt=34, completion=12), [])


def test_parts_are_no_more_than_their_whole() -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": 35},
        "completion_tokens_details": {"reasoning_tokens": 13},
    }
    trace = trace_of(OPENAI, openai_stream(["Red"], {**OPENAI_USAGE, **details}, None))
    assert trace.usage == Usage(prompt=34, completion=12)
    assert trace.flags == ["implausible_counts"]
    assert reasons_of(trace)["cached_tokens"] == "implausible"
    trace = trace_of(OLLAMA, ollama_stream(["Red"], prompt_eval_cached_count=14))
    assert (trace.usage.cached, trace.timings.prompt_tokens) == (None, None)


@pytest.mark.parametrize("zero", ["eval_count", "prompt_eval_count"])
def test_zero_tokens_of_what_was_there_is_null_with_a_reason_and_a_flag(zero: str) -> None:
    trace = trace_of(OLLAMA, ollama_stream(["Red"], **{zero: 0}))
    assert trace.flags == ["implausible_counts"]
    assert "no_usage" in reasons_of(trace).values()


def test_hidden_thinking_that_is_counted_apart_is_believed() -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 20_000}}
    usage = {"prompt_tokens": 34, "completion_tokens": 20_012, **details}
    assert trace_of(OPENAI, openai_stream(["Red"], usage)).usage.completion == 20_012
    usage = {"prompt_tokens": 34, "completion_tokens": 20_012}
    assert trace_of(OPENAI, openai_stream(["Red"], usage)).usage.completion is None


@pytest.mark.parametrize("value", [-1, 10**18, "n/a", [], 3_600_000_000_000])
@pytest.mark.parametrize("name", ["load_duration", "prompt_eval_duration", "eval_duration"])
def test_a_duration_longer_than_the_request_is_null(name: str, value: Any) -> None:
    trace = trace_of(OLLAMA, ollama_stream(["Red"], **{name: value}))
    field = {"load_duration": "load_ms", "prompt_eval_duration": "prompt_ms"}.get(name, "eval_ms")
    assert getattr(trace.timings, field) is None
    assert trace.flags == ["implausible_counts"]
    assert (trace.usage.completion, trace.failure) == (4, None)


def test_parts_of_the_servers_time_that_are_more_than_all_of_it_are_all_null() -> None:
    trace = trace_of(OLLAMA, ollama_stream(["Red"], load_duration=36_000_000))
    assert trace.timings.load_ms is None
    assert trace.timings.queue_ms is None
    reasons = reasons_of(trace)
    assert {
        reasons[n] for n in ("load_duration_ms", "prompt_eval_ms", "server_tokens_per_sec")
    } == {"implausible"}


def test_more_prompt_tokens_than_the_request_can_hold_are_null() -> None:
    events = events_of(
        OLLAMA, asyncio.run(replay(ollama_stream(["Red"], prompt_eval_count=70_000)))
    )
    assert fold(events, sent_bytes=100).usage.prompt is None
    assert fold(events, sent_bytes=10_000).usage.prompt == 70_000


def test_a_time_of_the_servers_calendar_decides_nothing() -> None:
    line = {"created_at": "9999-01-01T00:00:00Z"}
    lines = [ollama_line("Red", **line), ollama_line(done=True, **OLLAMA_FINAL, **line)]
    assert trace_of(OLLAMA, chunked(*lines)).flags == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def shaped(kind: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that have the fields of a struct, with anything in them."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(kind.__struct_fields__, JSON))


CHUNKS = st.fixed_dictionaries(
    {},
    optional={
        "choices": JSON | st.lists(st.fixed_dictionaries({"delta": shaped(openai._Delta)})),
        "usage": JSON | shaped(openai._Usage),
        "timings": JSON | shaped(openai._Timings),
    },
)
LINES = st.tuples(shaped(ollama._Line), JSON | shaped(ollama._Message)).map(
    lambda both: {**both[0], "message": both[1]}
)


@given(chunk=CHUNKS, line=LINES)
@example(chunk={"choices": [{"delta": {"content": [[[]]]}}], "usage": 10**400}, line={})
def test_whatever_a_server_says_every_number_is_finite_or_has_a_reason(
    chunk: dict[str, Any], line: dict[str, Any]
) -> None:
    for backend, payloads in ((OPENAI, [sse(chunk), STOP, DONE]), (OLLAMA, [ndjson(line)])):
        trace = trace_of(backend, chunked(*payloads))
        values, reasons = metrics.compute(trace)
        json.dumps(values, allow_nan=False)
        assert {name for name, value in values.items() if value is None} == reasons.keys()
        assert all(value >= 0 for value in values.values() if value is not None)
        (trace.text + trace.thinking).encode()


def test_a_redirect_says_where_it_leads() -> None:
    moved = head(302, location="http://127.0.0.1:1/v1", content_length="0")
    failure = trace_of(OPENAI, [moved]).failure
    assert failure is not None
    assert failure.kind == "not_found"
    assert failure.message == "it redirects to http://127.0.0.1:1/v1: set --host to that address"

"""What Ollama's lines mean, and what it is asked."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from support.scripted import (
    OLLAMA_FINAL,
    OllamaFacade,
    Request,
    ScriptedServer,
    Steps,
    chunked,
    events_of,
    head,
    ollama_line,
    ollama_stream,
    replay,
    settings_for,
    sized,
)

from pytest_llamaburn.backends import ollama
from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.backends._ollama_client import Client
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.trace import Delta, Failed, ServerTimings, Trace, Usage, fold

if TYPE_CHECKING:
    from collections.abc import Sequence

BACKEND = ollama.Backend(settings_for("127.0.0.1:1"))


def trace_of(reads: Sequence[bytes]) -> Trace:
    return fold(events_of(BACKEND, asyncio.run(replay(reads))))


def failure_of(*lines: bytes) -> Failed:
    failure = trace_of(chunked(*lines)).failure
    assert failure is not None
    return failure


def test_texts_add_up_to_the_answer() -> None:
    trace = trace_of(ollama_stream(["One", " tw\u00f6", " \U0001f7e2"], done_reason="length"))
    assert trace.text == "One tw\u00f6 \U0001f7e2"
    assert len(trace.delta_ns) == 3
    assert (trace.finish_reason, trace.failure) == ("length", None)


def test_an_empty_text_is_not_the_first_token() -> None:
    reads = [head(200, transfer_encoding="chunked"), *ollama_stream(["", "One"])[1:]]
    assert trace_of(reads).text == "One"
    exchange = asyncio.run(replay(ollama_stream(["", "One"])))
    assert fold(events_of(BACKEND, exchange)).first_ns == exchange.stamps[1]


def test_thinking_is_the_first_token_and_not_the_first_of_the_answer() -> None:
    exchange = asyncio.run(replay(ollama_stream([{"thinking": "Hm"}, {"thinking": "m"}, "Four"])))
    trace = fold(events_of(BACKEND, exchange))
    assert (trace.thinking, trace.text) == ("Hmm", "Four")
    assert trace.first_ns == exchange.stamps[0]
    assert trace.first_answer_ns == exchange.stamps[2]


def test_a_tool_call_is_a_piece_of_the_answer() -> None:
    calls = [{"function": {"name": "add", "arguments": {"a": 1}}}]
    events = events_of(BACKEND, asyncio.run(replay(ollama_stream([{"tool_calls": calls}]))))
    [delta] = [event for event in events if isinstance(event, Delta)]
    assert delta.kind == "tool"
    assert json.loads(delta.text) == calls
    assert fold(events).failure is None


@pytest.mark.parametrize("calls", [None, []])
def test_no_tool_call_is_no_piece(calls: list[Any] | None) -> None:
    trace = trace_of(ollama_stream([{"tool_calls": calls}, "text"]))
    assert (len(trace.delta_ns), trace.failure) == (1, None)


def test_the_last_line_carries_counts_and_the_servers_clock() -> None:
    trace = trace_of(ollama_stream(["Red"], prompt_eval_cached_count=3))
    assert trace.usage == Usage(prompt=13, cached=3, completion=4)
    assert trace.timings == ServerTimings(
        load_ms=0.843199,
        prompt_ms=8.023999,
        prompt_tokens=10,
        eval_ms=24.377,
        eval_tokens=4,
        queue_ms=2.632479,  # total - load - prompt - eval
    )


def test_without_a_cached_count_the_tokens_really_processed_are_unknown() -> None:
    trace = trace_of(ollama_stream(["Red"]))
    assert trace.usage.cached is None
    assert trace.timings.prompt_tokens is None


def test_a_last_line_without_counts_gives_none() -> None:
    trace = trace_of(chunked(ollama_line("Red"), ollama_line(done=True, done_reason="stop")))
    assert trace.failure is None
    assert trace.usage == Usage()
    assert trace.timings == ServerTimings()


def test_a_prompt_of_no_tokens_is_zero_and_not_unknown() -> None:
    assert trace_of(ollama_stream(["Red"], prompt_eval_count=0)).usage.prompt == 0


def test_a_sized_answer_is_read_like_a_stream() -> None:
    body = ollama_line("Red") + ollama_line(done=True, **OLLAMA_FINAL)
    trace = trace_of([sized(200, body)])
    assert (trace.text, trace.failure) == ("Red", None)


def test_an_answer_that_ends_with_the_connection_is_whole() -> None:
    trace = trace_of([head(200), ollama_line("Red"), ollama_line(done=True)])
    assert (trace.text, trace.failure) == ("Red", None)


def test_a_last_line_without_newline_counts() -> None:
    trace = trace_of(chunked(ollama_line("Red"), ollama_line(done=True).rstrip()))
    assert (trace.text, trace.failure) == ("Red", None)


def test_blank_lines_and_windows_line_ends_are_harmless() -> None:
    line = ollama_line("Red").replace(b"\n", b"\r\n")
    trace = trace_of(chunked(b"\r\n", line, b"\n", ollama_line(done=True)))
    assert (trace.text, trace.failure) == ("Red", None)


def test_lines_need_not_match_chunks() -> None:
    raw = b"".join([ollama_line("Red"), ollama_line(", green"), ollama_line(done=True)])
    trace = trace_of(chunked(raw[:10], raw[10:200], raw[200:]))
    assert (trace.text, trace.failure) == ("Red, green", None)


def test_an_answer_ends_at_its_done_line_even_if_the_body_never_does() -> None:
    trace = trace_of(ollama_stream(["Red"])[:-1])
    assert (trace.text, trace.failure) == ("Red", None)


def test_an_error_line_fails_a_request_of_status_200() -> None:
    words = "an error was encountered while running the model: unexpected EOF"
    reads = chunked(ollama_line("Red"), json.dumps({"error": words}).encode() + b"\n")
    trace = trace_of(reads)
    assert trace.failure is not None
    assert (trace.failure.kind, trace.failure.phase) == ("runner_crash", "stream")
    assert (trace.failure.status, trace.failure.message) == (200, words)
    assert trace.text == "Red"


def test_an_error_inside_a_string_is_decoded_twice() -> None:
    inner = {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error"}}
    failure = failure_of(json.dumps({"error": json.dumps(inner)}).encode())
    assert failure.kind == "context_overflow"
    assert failure.message == "too long (exceed_context_size_error)"


def test_an_error_wins_over_done() -> None:
    assert failure_of(ollama_line(done=True, error="out of memory")).kind == "oom"


def test_a_clean_end_without_done_is_truncated() -> None:
    failure = failure_of(ollama_line("Red"), ollama_line(" green"))
    assert (failure.kind, failure.phase, failure.flag) == ("truncated_stream", "stream", None)


def test_an_empty_answer_is_truncated() -> None:
    assert failure_of().kind == "truncated_stream"


@pytest.mark.parametrize("equal", [" ha", {"thinking": " ha"}])
def test_a_clean_end_after_equal_texts_is_the_repetition_guard(equal: str) -> None:
    failure = failure_of(ollama_line("Well,"), *[ollama_line(equal)] * 31)
    assert (failure.kind, failure.flag) == ("truncated_stream", "repetition_guard")


def test_the_guard_ignores_blanks_around_a_text() -> None:
    failure = failure_of(*[ollama_line("\n"), ollama_line("\n\n")] * 16)
    assert failure.flag == "repetition_guard"


@pytest.mark.parametrize("count", [1, 29])
def test_few_equal_texts_are_no_repetition_guard(count: int) -> None:
    assert failure_of(*[ollama_line(" ha")] * count).flag is None


def test_varied_thinking_is_no_repetition_guard() -> None:
    lines = [ollama_line({"thinking": f"word {number}"}) for number in range(40)]
    assert failure_of(*lines).flag is None


def test_repetition_that_ends_with_done_is_an_answer() -> None:
    assert trace_of(ollama_stream([" ha"] * 40)).failure is None


def test_a_cut_stream_of_equal_texts_is_a_reset() -> None:
    trace = trace_of(ollama_stream([" ha"] * 40)[:35])
    assert trace.failure is not None
    assert (trace.failure.kind, trace.failure.flag) == ("reset", None)


@pytest.mark.parametrize(
    "line", [b"{nonsense}\n", b"[]\n", b'"text"\n', b'{"message": {"content": "\xff"}}\n', b"<p>\n"]
)
def test_a_line_that_is_no_object_is_malformed(line: bytes) -> None:
    failure = failure_of(ollama_line("Red"), line, ollama_line(done=True))
    assert (failure.kind, failure.phase, failure.status) == ("malformed_chunk", "stream", 200)
    assert repr(line.rstrip()) in failure.message


def test_a_malformed_chunk_size_fails_the_answer_and_keeps_what_came_before() -> None:
    start, text, *_ = chunked(ollama_line("Red"))
    trace = trace_of([start + text + b"zz\r\n" + ollama_line(done=True) + b"\r\n0\r\n\r\n"])
    assert trace.failure is not None
    assert (trace.failure.kind, trace.failure.status) == ("malformed_chunk", 200)
    assert trace.text == "Red"
    assert trace.headers_ns is not None


def test_a_response_that_is_not_http_is_malformed() -> None:
    trace = trace_of([b"SSH-2.0-OpenSSH_9.2\r\n"])
    assert trace.failure is not None
    assert (trace.failure.kind, trace.failure.status) == ("malformed_chunk", None)
    assert trace.headers_ns is None


@pytest.mark.parametrize(
    ("word", "capabilities", "sent"),
    [
        (None, (), False),
        (None, ("thinking",), True),
        ("on", (), True),
        ("off", ("thinking",), False),
        ("high", ("thinking",), "high"),
    ],
)
def test_thinking_is_asked_for_or_refused_in_so_many_words(
    word: str | None, capabilities: tuple[str, ...], sent: bool | str
) -> None:
    backend = ollama.Backend(settings_for("127.0.0.1:1", think=word))
    assert backend.body(Model("m", "m", capabilities=capabilities), [])["think"] == sent


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_may_end_with_either_or_both_and_begin_with_a_byte_order_mark(end: bytes) -> None:
    lines = (ollama_line("Red"), ollama_line(" green"), ollama_line(done=True))
    body = b"\xef\xbb\xbf" + b"".join(lines).replace(b"\n", end)
    exchange = asyncio.run(replay([head(201).replace(b"\r", b""), body[:50], body[50:]]))
    trace = fold(events_of(BACKEND, exchange))
    assert (trace.text, trace.failure) == ("Red green", None)
    assert trace.delta_ns == [exchange.stamps[2]] * 2


NAMES = [
    ("Llama3.1:8B", "llama3.1:8b"),
    ("llama3.1", "llama3.1:latest"),
    ("library/plain", "plain:latest"),
    ("registry.ollama.ai/library/plain:latest", "plain:latest"),
    ("https://registry.ollama.ai/library/Plain", "plain:latest"),
    ("https://hf.co/User/Model", "hf.co/User/Model:latest"),
    ("hf.co/user/model:q4_k_m", "hf.co/User/Model:Q4_K_M"),
    ("me/mine", "me/mine:latest"),
    ("localhost:5000/me/mine", "localhost:5000/me/mine:latest"),
]


@pytest.mark.parametrize(("asked", "installed"), NAMES)
def test_a_model_is_found_by_every_name_ollama_takes_for_it(asked: str, installed: str) -> None:
    with ScriptedServer(OllamaFacade(model=installed)) as server:
        found = asyncio.run(ollama.Backend(settings_for(server.host)).describe(asked))
    assert (found.id, found.name) == (installed, installed)


@pytest.mark.parametrize(
    ("asked", "installed"),
    [("plain", "me/plain:latest"), ("m:8b", "m:7b"), ("hf.co/a/m", "a/m:latest"), ("", "m:latest")],
)
def test_another_model_is_not_taken_for_it(asked: str, installed: str) -> None:
    assert ollama.full_name(asked) != ollama.full_name(installed)


def test_a_client_embeds_one_or_several_texts() -> None:
    with ScriptedServer([sized(200, {"embeddings": [[0.5], [0.25]]})]) as server:
        client = Client(ollama.Backend(settings_for(server.host)))
        found = asyncio.run(client.embed("tiny", ["one", "two"], truncate=False))
    assert found == {"embeddings": [[0.5], [0.25]]}
    start, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert start.startswith(b"POST /api/embed ")
    assert json.loads(body) == {"model": "tiny", "input": ["one", "two"], "truncate": False}


def test_a_model_that_stays_in_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(OllamaFacade):
        def __call__(self, request: Request) -> Steps:
            self.loaded = True
            return super().__call__(request)

    monkeypatch.setattr(ollama, "UNLOAD_WITHIN_S", -1.0)
    with ScriptedServer(Full()) as server:
        backend = ollama.Backend(settings_for(server.host))
        with pytest.raises(ServerError, match="still holds tiny:latest"):
            asyncio.run(backend.unload(Model("tiny:latest", "tiny")))


def test_an_untimed_answer_that_is_no_json_is_told_by_its_path() -> None:
    with ScriptedServer([sized(200, "<p>")]) as server:
        client = Client(ollama.Backend(settings_for(server.host)))
        with pytest.raises(ServerError, match=r"/api/show: the answer is not JSON$"):
            asyncio.run(client.show("tiny"))

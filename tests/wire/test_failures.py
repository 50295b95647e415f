"""Every failure has one kind and one phase, and leaves exactly one terminal event."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import uvloop
from hypothesis import example, given
from hypothesis import strategies as st
from support.scripted import (
    Close,
    Hang,
    Pause,
    Request,
    Reset,
    ScriptedServer,
    Step,
    Steps,
    StopListening,
    ask,
    chunk,
    chunked,
    events_of,
    head,
    ollama_line,
    ollama_stream,
    openai_chunk,
    openai_stream,
    replay,
    settings_for,
    sized,
    sse,
)

from pytest_llamaburn.backends import ollama, openai
from pytest_llamaburn.backends._address import Address
from pytest_llamaburn.backends._failures import MESSAGE_LIMIT, classify
from pytest_llamaburn.backends._http import Connection, connect_failure
from pytest_llamaburn.trace import Failed, Trace, fold

if TYPE_CHECKING:
    from pytest_llamaburn.backends._base import Backend

Runner: TypeAlias = Callable[[Coroutine[Any, Any, list[Trace]]], list[Trace]]

both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
both_dialects = pytest.mark.parametrize(
    "kind", [ollama.Backend, openai.Backend], ids=["ollama", "openai"]
)
OLLAMA = ollama.Backend(settings_for("127.0.0.1:1"))
OPENAI = openai.Backend(settings_for("127.0.0.1:1"))
STREAM = head(200, transfer_encoding="chunked")
COMMENT = chunk(b":\n\n")
ROLE = chunk(sse(openai_chunk({"role": "assistant", "content": None})))
RED = chunk(sse(openai_chunk({"content": "Red"})))
SOON = 0.05


def failure_of(trace: Trace) -> Failed:
    assert trace.failure is not None
    assert trace.end_ns == trace.failure.t_ns
    assert trace.finish_reason is None
    return trace.failure


def trace_of(steps: Steps, kind: type[Backend] = ollama.Backend, **limits: float) -> Trace:
    """Return the trace of one request that the steps answer."""
    with ScriptedServer(steps) as server:
        [trace] = asyncio.run(ask(kind(settings_for(server.host, **limits))))
        assert len(server.requests) == 1
    return trace


@pytest.fixture
def has_read(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Tell when the client has read something."""
    event = threading.Event()
    original = Connection.data_received

    def reading(self: Connection, data: bytes) -> None:
        original(self, data)
        event.set()

    monkeypatch.setattr(Connection, "data_received", reading)
    return event


@pytest.fixture
def closed_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


REPLIES = [
    (400, {"error": "invalid think value"}, "bad_request"),
    (401, {"error": {"message": "Invalid API key", "type": "auth"}}, "auth"),
    (403, b"", "host_rejected"),
    (403, {"error": "ollama cloud is disabled"}, "auth"),
    (404, {"error": "model 'nope' not found"}, "not_found"),
    (404, b"404 page not found", "not_found"),
    (405, b"405 method not allowed", "bad_request"),
    (422, {"detail": [{"msg": "field required"}]}, "bad_request"),
    (429, {"error": "Model is overloaded", "error_type": "overloaded"}, "queue_full"),
    (429, b"", "queue_full"),
    (500, {"error": 'option "num_ctx" must be of type integer'}, "bad_request"),
    (500, {"error": {"message": "image input is not supported - hint: --mmproj"}}, "unsupported"),
    (500, {"error": "llama-server process has terminated: exit status 1"}, "runner_crash"),
    (500, {"error": "unexpected EOF"}, "runner_crash"),
    (500, {"error": "llama runner process has terminated: CUDA error: out of memory"}, "oom"),
    (500, {"error": "vk::Queue::submit: VK_ERROR_OUT_OF_DEVICE_MEMORY"}, "oom"),
    (500, {"error": "ggml_cuda: cudaMalloc failed"}, "oom"),
    (
        500,
        {"error": "model requires more system memory (9.9 GiB) than is available (1.0 GiB)"},
        "oom",
    ),
    (500, b"<html>Internal Server Error</html>", "server_error"),
    (501, {"error": {"code": 501, "message": "no audio input"}}, "unsupported"),
    (502, b"Bad Gateway", "server_error"),
    (
        503,
        {"error": "server busy, please try again.  maximum pending requests exceeded"},
        "queue_full",
    ),
    (503, {"error": {"code": 503, "message": "Loading model"}}, "loading"),
    (503, b"", "server_error"),
    (400, {"error": {"message": "no", "type": "exceed_context_size_error"}}, "context_overflow"),
    (400, {"error": "this model's maximum context length is 4096 tokens"}, "context_overflow"),
]


@pytest.mark.parametrize(("status", "body", "kind"), REPLIES)
@pytest.mark.parametrize("backend", [OLLAMA, OPENAI], ids=["ollama", "openai"])
def test_a_refusal_has_the_kind_its_words_and_status_tell(
    backend: Backend, status: int, body: Any, kind: str
) -> None:
    trace = fold(events_of(backend, asyncio.run(replay([sized(status, body)]))))
    failure = failure_of(trace)
    assert (failure.kind, failure.phase, failure.status) == (kind, "response", status)
    assert trace.headers_ns is not None


def test_a_refusal_may_be_chunked() -> None:
    body = json.dumps({"error": "server busy"}).encode()
    reads = [head(503, transfer_encoding="chunked"), chunk(body), chunk(b"")]
    failure = failure_of(fold(events_of(OPENAI, asyncio.run(replay(reads)))))
    assert (failure.kind, failure.message) == ("queue_full", "server busy")


def test_a_refusal_that_was_cut_is_a_reset() -> None:
    reply = sized(404, {"error": "model 'nope' not found"})
    failure = failure_of(fold(events_of(OLLAMA, asyncio.run(replay([reply[:-5]])))))
    assert (failure.kind, failure.status) == ("reset", 404)


@pytest.mark.parametrize(
    "body",
    [
        b"plain words",
        b'{"error": "plain words"}',
        b'{"error": {"message": "plain words"}}',
        b'{"message": "plain words"}',
        {"error": '{"error": {"message": "plain words"}}'},
        '"plain words"',
    ],
)
def test_the_servers_own_words_are_found_in_any_shape(body: Any) -> None:
    assert classify(500, body) == ("server_error", "plain words")


@pytest.mark.parametrize("code", [401, 404, 429, 501])
def test_the_code_inside_an_error_counts_where_the_status_says_200(code: int) -> None:
    error = {"message": "words", "code": code}
    assert classify(200, error) == classify(code, error)
    assert classify(500, error)[0] == "server_error"


def test_a_servers_words_are_bounded() -> None:
    assert len(classify(500, "x" * 10_000)[1]) == MESSAGE_LIMIT


def test_a_servers_words_cannot_steer_a_terminal_and_fit_in_a_file() -> None:
    assert classify(500, "\x1b[2Jbad\nluck \ud800")[1] == "?[2Jbad\nluck \ufffd"


@both_loops
def test_nobody_listening_is_refused(run: Runner, closed_port: int) -> None:
    [trace] = run(ask(ollama.Backend(settings_for(f"127.0.0.1:{closed_port}"))))
    failure = failure_of(trace)
    assert (failure.kind, failure.phase, failure.status) == ("connect_refused", "connect", None)
    assert f"http://127.0.0.1:{closed_port}" in failure.message
    assert (trace.headers_ns, trace.connect_ms) == (None, None)


def test_several_addresses_that_refuse_are_refused(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{host}", closed_port))
        for host in (1, 2)
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    [trace] = asyncio.run(ask(ollama.Backend(settings_for(f"two.test:{closed_port}"))))
    assert failure_of(trace).kind == "connect_refused"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_a_process_without_an_open_file_left_is_at_fault_itself(number: int) -> None:
    alone = OSError(number, "Too many open files")
    for err in (alone, OSError(f"Multiple exceptions: {alone}, {alone}")):
        assert connect_failure(err, Address("h", 1), 0).kind == "client_files"


def test_a_name_that_does_not_resolve_is_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    [trace] = asyncio.run(ask(ollama.Backend(settings_for("nowhere.test:11434"))))
    failure = failure_of(trace)
    assert (failure.kind, failure.phase) == ("dns", "connect")
    assert "nowhere.test" in failure.message


@both_loops
def test_a_handshake_that_never_ends_is_a_connect_timeout(run: Runner) -> None:
    with ScriptedServer([Hang()]) as server:
        host = server.host.replace("http:", "https:")
        [trace] = run(ask(ollama.Backend(settings_for(host, timeout_connect=SOON))))
    failure = failure_of(trace)
    assert (failure.kind, failure.phase) == ("connect_timeout", "connect")


@both_loops
@pytest.mark.parametrize(
    ("end", "kind"),
    [
        ([Reset()], "reset"),
        ([Close()], "reset"),
        ([StopListening(), Reset()], "server_crash"),
        ([StopListening(), Close()], "server_crash"),
    ],
    ids=["rst", "fin", "rst and gone", "fin and gone"],
)
def test_a_cut_answer_is_a_crash_only_if_the_server_is_gone(
    run: Runner, end: list[Step], kind: str, has_read: threading.Event
) -> None:
    steps = [ollama_stream(["Red"])[0], Pause(has_read), *end]
    with ScriptedServer(steps) as server:
        [trace] = run(ask(ollama.Backend(settings_for(server.host))))
    failure = failure_of(trace)
    assert (failure.kind, failure.phase, failure.status) == (kind, "stream", 200)
    assert trace.text == "Red"


@pytest.mark.parametrize("end", [Reset(), Close()], ids=["rst", "fin"])
def test_a_cut_before_the_head_is_in_the_phase_of_the_first_token(end: Step) -> None:
    failure = failure_of(trace_of([end]))
    assert (failure.kind, failure.phase, failure.status) == ("reset", "first_token", None)


@both_dialects
@pytest.mark.parametrize(("start", "status"), [([], None), ([STREAM], 200), ([STREAM, ROLE], 200)])
def test_no_token_in_time_is_a_first_token_timeout(
    kind: type[Backend], start: list[bytes], status: int | None
) -> None:
    backend = kind(settings_for("127.0.0.1:1", timeout_first_token=SOON))
    trace = fold(events_of(backend, asyncio.run(replay(start, silent=backend))))
    failure = failure_of(trace)
    assert (failure.kind, failure.phase) == ("timeout_first_token", "first_token")
    assert failure.status == status
    assert failure.t_ns - trace.sent_ns >= SOON * 1e9


@pytest.mark.parametrize("noise", [COMMENT, ROLE], ids=["comment", "role"])
def test_noise_does_not_put_off_the_first_token_deadline(noise: bytes) -> None:
    noisy = [step for _ in range(400) for step in (Pause(SOON / 10), noise)]
    trace = trace_of([STREAM, *noisy, RED, Close()], openai.Backend, timeout_first_token=SOON)
    assert failure_of(trace).kind == "timeout_first_token"
    assert trace.first_ns is None


@pytest.mark.parametrize("noise", [COMMENT, ROLE], ids=["comment", "role"])
def test_noise_does_not_put_off_the_idle_deadline(noise: bytes) -> None:
    noisy = [step for _ in range(400) for step in (Pause(SOON / 10), noise)]
    trace = trace_of([STREAM, RED, *noisy, RED, Close()], openai.Backend, timeout_idle=SOON)
    assert failure_of(trace).kind == "timeout_idle"
    assert trace.text == "Red"


@both_loops
def test_silence_after_a_token_is_an_idle_timeout_long_before_the_other_deadlines(
    run: Runner,
) -> None:
    with ScriptedServer([b"".join(ollama_stream(["Red", " green"])[:2]), Hang()]) as server:
        [trace] = run(ask(ollama.Backend(settings_for(server.host, timeout_idle=SOON))))
        assert server.left.wait(10)
    failure = failure_of(trace)
    assert (failure.kind, failure.phase, failure.status) == ("timeout_idle", "stream", 200)
    assert trace.text == "Red green"
    assert trace.last_ns is not None
    assert failure.t_ns - trace.last_ns >= SOON * 1e9


def test_a_long_wait_for_the_first_token_is_not_idle() -> None:
    """The idle deadline, though far shorter, starts only with the first token."""
    answer = b"".join(ollama_stream(["Red"]))
    trace = trace_of([Pause(3 * SOON), answer], timeout_idle=SOON)
    assert trace.failure is None


def test_an_answer_that_goes_on_too_long_is_a_total_timeout() -> None:
    backend = openai.Backend(settings_for("127.0.0.1:1", timeout_total=SOON))
    trace = fold(events_of(backend, asyncio.run(replay([STREAM, RED], silent=backend))))
    failure = failure_of(trace)
    assert (failure.kind, failure.phase) == ("timeout_total", "stream")
    assert failure.t_ns - trace.sent_ns >= SOON * 1e9
    assert trace.text == "Red"


def test_steady_tokens_do_not_put_off_the_total_deadline() -> None:
    steady = [step for _ in range(400) for step in (Pause(SOON / 10), chunk(ollama_line("x")))]
    trace = trace_of([STREAM, *steady, Close()], timeout_total=SOON)
    assert failure_of(trace).kind == "timeout_total"


def test_a_total_timeout_may_come_before_the_first_token() -> None:
    failure = failure_of(trace_of([Hang()], timeout_total=SOON))
    assert (failure.kind, failure.phase) == ("timeout_total", "first_token")


def test_a_malformed_chunk_is_noticed_although_the_server_stays() -> None:
    """It is found at a deadline, not at once: nothing is parsed while an answer streams."""
    backend = ollama.Backend(settings_for("127.0.0.1:1", timeout_first_token=SOON))
    reads = [STREAM, b"zz\r\n" + ollama_line("Red")]
    failure = failure_of(fold(events_of(backend, asyncio.run(replay(reads, silent=backend)))))
    assert failure.kind == "malformed_chunk"


def test_a_failed_request_does_not_spoil_the_next() -> None:
    answer = ollama_stream(["Red"])

    def script(request: Request) -> Steps:
        return [answer[0], Hang()] if request.number == 0 else [b"".join(answer)]

    with ScriptedServer(script) as server:
        backend = ollama.Backend(settings_for(server.host, timeout_idle=SOON))
        late, good = asyncio.run(ask(backend, times=2))
    assert failure_of(late).kind == "timeout_idle"
    assert (good.text, good.failure) == ("Red", None)


SCRAPS = [
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\n",
    STREAM,
    *ollama_stream(["a", {"thinking": "b"}]),
    *openai_stream(["a", {"tool_calls": [1]}]),
    *chunked(b"data: {}\n\n", b'{"error":1}\n', b"\xff\xfe\n", b'data: "\xff"\n\n'),
    b"0\r\n",
    b"\r\n",
    b"-7;\r\n",
    b"\n",
    b"data: ",
]


@given(reads=st.lists(st.sampled_from(SCRAPS) | st.binary(max_size=20), max_size=12))
@example(reads=[STREAM, chunk(b'{"error":' + b"[" * 5000)])
@example(reads=[sized(500, b"[" * 100_000)])
def test_no_bytes_whatever_raise_or_leave_more_than_one_terminal_event(reads: list[bytes]) -> None:
    exchange = asyncio.run(replay(reads))
    for backend in (OLLAMA, OPENAI):
        trace = fold(events_of(backend, exchange))
        assert (trace.failure is None) or (trace.finish_reason is None)
        assert trace.delta_ns == sorted(trace.delta_ns)

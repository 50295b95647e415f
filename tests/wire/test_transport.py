"""The timed transport: stamps, splits, reuse of connections, one request sent once."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import (
    Close,
    Hang,
    OllamaFacade,
    Pause,
    Replaying,
    Request,
    Reset,
    ScriptedServer,
    Steps,
    StopListening,
    ask,
    chunk,
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

from pytest_llamaburn.backends import _http, ollama, openai
from pytest_llamaburn.backends._base import Backend, Model
from pytest_llamaburn.backends._http import Connection
from pytest_llamaburn.trace import Delta, Event, ServerTimings, Trace, fold

Runner: TypeAlias = Callable[[Coroutine[Any, Any, list[Trace]]], list[Trace]]

OLLAMA = ollama.Backend(settings_for("127.0.0.1:1"))
OPENAI = openai.Backend(settings_for("127.0.0.1:1"))
TEXTS = ["Red", ", then", " gr\u00fcn \U0001f7e2", ".\n"]
DIALECTS = [(OLLAMA, ollama_stream(TEXTS)), (OPENAI, openai_stream(TEXTS))]
both_dialects = pytest.mark.parametrize(("backend", "pieces"), DIALECTS, ids=["ollama", "openai"])
both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a stamp count the stamps before it: 0 is the sending, 1 the first read, and so on."""
    ticks = itertools.count()
    monkeypatch.setattr(_http, "perf_counter_ns", lambda: next(ticks))


def timeless(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return events without what depends on when they were read."""
    plain = []
    for event in events:
        fields = {"type": type(event).__name__, **msgspec.structs.asdict(event), "t_ns": 0}
        if isinstance(event, ServerTimings) and event.load_ms is None:
            fields["queue_ms"] = 0  # llama.cpp's is the time to its headers
        plain.append(fields)
    return plain


def answers() -> Iterator[tuple[Backend, bytes]]:
    """Yield whole, cut, broken and refused responses of both dialects."""
    for backend, pieces in DIALECTS:
        raw = b"".join(pieces)
        yield backend, raw
        yield backend, raw[: len(raw) // 2]
        yield backend, raw[:-5]
        yield backend, raw[:-5] + b"zz\r\nlost\r\n0\r\n\r\n"
        yield backend, b"HTTP/1.1 100 Continue\r\n\r\n" + raw
        yield backend, head(200) + b"".join([sse("nonsense"), b'{"nonsense'])
        yield backend, sized(503, {"error": "server busy, maximum pending requests exceeded"})


async def events_after(backend: Backend, reads: Sequence[bytes]) -> list[dict[str, Any]]:
    return timeless(events_of(backend, await replay(reads)))


@given(answer=st.sampled_from([*answers()]), cuts=st.sets(st.integers(1, 2000), max_size=30))
def test_any_split_of_the_same_bytes_gives_the_same_events(
    answer: tuple[Backend, bytes], cuts: set[int]
) -> None:
    backend, raw = answer
    places = [0, *sorted(cut for cut in cuts if cut < len(raw)), len(raw)]
    reads = [raw[a:b] for a, b in itertools.pairwise(places)]

    async def both() -> None:
        assert await events_after(backend, reads) == await events_after(backend, [raw])

    asyncio.run(both())


@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), max_size=6), data=st.data()
)
@both_dialects
def test_any_texts_arrive_whole_in_any_split(
    backend: Backend, pieces: list[bytes], texts: list[str], data: st.DataObject
) -> None:
    raw = b"".join(ollama_stream(texts) if backend is OLLAMA else openai_stream(texts))
    cuts = data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=10))
    reads = [raw[a:b] for a, b in itertools.pairwise([0, *sorted(cuts), len(raw)])]
    trace = fold(events_of(backend, asyncio.run(replay(reads))))
    assert trace.failure is None
    assert trace.text == "".join(texts)
    assert len(trace.delta_ns) == len(texts)


@both_dialects
def test_a_split_at_every_byte_stamps_each_text_with_the_read_that_completed_its_line(
    backend: Backend, pieces: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = b"".join(pieces)
    line_ends = [raw.index(b"\n", raw.index(mark)) for mark in (b"Red", b"then", b" gr", b".\\n")]

    async def every_cut() -> None:
        expected = await events_after(backend, [raw])
        for cut in range(1, len(raw)):
            ticks = itertools.count()
            monkeypatch.setattr(_http, "perf_counter_ns", lambda ticks=ticks: next(ticks))
            events = events_of(backend, await replay([raw[:cut], raw[cut:]]))
            stamps = [event.t_ns for event in events if isinstance(event, Delta)]
            assert stamps == [1 if end < cut else 2 for end in line_ends], cut
            assert timeless(events) == expected, cut

    asyncio.run(every_cut())


@both_dialects
def test_byte_by_byte_gives_the_same_events(backend: Backend, pieces: list[bytes]) -> None:
    raw = b"".join(pieces)
    single = [raw[at : at + 1] for at in range(len(raw))]
    assert asyncio.run(events_after(backend, single)) == asyncio.run(events_after(backend, pieces))


@pytest.mark.usefixtures("clock")
def test_texts_of_one_read_share_its_stamp() -> None:
    start, *lines = ollama_stream(TEXTS)
    trace = fold(events_of(OLLAMA, asyncio.run(replay([start, b"".join(lines)]))))
    assert trace.delta_ns == [1, 2, 2, 2]
    assert (trace.sent_ns, trace.headers_ns, trace.first_ns, trace.end_ns) == (0, 1, 1, 2)


@pytest.mark.usefixtures("clock")
def test_the_answer_ends_with_its_last_line_not_with_the_end_of_the_body() -> None:
    trace = fold(events_of(OLLAMA, asyncio.run(replay(ollama_stream(["one"])))))
    assert trace.end_ns == 2  # the third read is the chunk that ends the body


@both_loops
@both_dialects
def test_each_stamp_lies_between_its_write_and_the_next(
    run: Runner, backend: Backend, pieces: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server writes a piece only when the client has read the one before."""
    gates = [threading.Event() for _ in pieces]
    ends, received = [*itertools.accumulate(map(len, pieces))], 0
    original = Connection.data_received

    def reading(self: Connection, data: bytes) -> None:
        nonlocal received
        original(self, data)
        received += len(data)
        for gate, end in zip(gates, ends, strict=True):
            if received >= end:
                gate.set()

    monkeypatch.setattr(Connection, "data_received", reading)
    steps = [
        step for piece, gate in zip(pieces, gates, strict=True) for step in (piece, Pause(gate))
    ]
    with ScriptedServer(steps) as server:
        [trace] = run(ask(type(backend)(settings_for(server.host))))
    sent = server.sent_ns[0]
    assert len(sent) == len(pieces)
    assert trace.failure is None
    first = 0 if backend is OLLAMA else 1  # Ollama's head leaves with its first text
    assert trace.headers_ns is not None
    assert trace.sent_ns <= sent[0] <= trace.headers_ns <= sent[1]
    assert len(trace.delta_ns) == len(TEXTS)
    for number, stamp in enumerate(trace.delta_ns, start=first):
        assert sent[number] <= stamp <= sent[number + 1]


@both_loops
def test_a_fresh_connection_is_used_again(run: Runner) -> None:
    with ScriptedServer(ollama_stream(TEXTS)) as server:
        first, second = run(ask(ollama.Backend(settings_for(server.host)), times=2))
    assert (first.failure, second.failure) == (None, None)
    assert server.connections == 1
    assert first.connect_ms is not None
    assert second.connect_ms is None


@both_loops
def test_a_stream_of_llama_cpp_ends_its_connection(run: Runner) -> None:
    """It announces keep-alive and closes; a request sent meanwhile would be lost."""
    with ScriptedServer(openai_stream(TEXTS)) as server:
        traces = run(ask(openai.Backend(settings_for(server.host)), times=2))
    assert [trace.failure for trace in traces] == [None, None]
    assert all(trace.connect_ms is not None for trace in traces)
    assert server.connections == 2


def test_other_openai_servers_keep_their_connection() -> None:
    with ScriptedServer(openai_stream(TEXTS, server="uvicorn")) as server:
        asyncio.run(ask(openai.Backend(settings_for(server.host)), times=2))
    assert server.connections == 1


def test_a_connection_announced_to_close_is_not_used_again() -> None:
    answer = sized(200, ollama_line("all", done=True), connection="close")
    with ScriptedServer([answer]) as server:
        traces = asyncio.run(ask(ollama.Backend(settings_for(server.host)), times=2))
    assert [trace.text for trace in traces] == ["all", "all"]
    assert server.connections == 2


@pytest.mark.parametrize(("idle_s", "connections"), [(1.0, 1), (_http.REUSE_WITHIN_S, 2)])
def test_a_connection_is_used_again_only_while_fresh(
    idle_s: float, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_http, "perf_counter", lambda: 100.0)

    async def twice(backend: Backend) -> None:
        wire, payload = backend.wire(), backend.payload(Model("tiny", "tiny"), [])
        await backend.stream(wire, payload)
        monkeypatch.setattr(_http, "perf_counter", lambda: 100.0 + idle_s)
        await backend.stream(wire, payload)
        wire.close()

    with ScriptedServer(ollama_stream(TEXTS)) as server:
        asyncio.run(twice(ollama.Backend(settings_for(server.host))))
    assert server.connections == connections


@pytest.mark.parametrize("end", [Reset(), Close()], ids=["reset", "close"])
def test_a_timed_request_is_never_sent_twice(end: Reset | Close) -> None:
    """Not even where a reused connection dies before the first byte of the answer."""

    def script(request: Request) -> Steps:
        return [end] if request.number == 1 else ollama_stream(TEXTS)

    with ScriptedServer(script) as server:
        kept, lost, new = asyncio.run(ask(ollama.Backend(settings_for(server.host)), times=3))
    assert kept.failure is None
    assert lost.failure is not None
    assert lost.failure.kind == "reset"
    assert lost.connect_ms is None
    assert new.failure is None
    assert len(server.requests) == 3


def test_a_connection_with_bytes_nobody_asked_for_is_not_used_again() -> None:
    async def fresh() -> tuple[bool, bool]:
        connection = Connection()
        connection.connection_made(Replaying(connection, [], stays=True))
        before = connection.fresh
        connection.data_received(sized(408))
        return before, connection.fresh

    assert asyncio.run(fresh()) == (True, False)


def test_a_request_is_one_whole_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMABURN_API_KEY", "secret")
    with ScriptedServer(ollama_stream(TEXTS)) as server:
        backend = ollama.Backend(settings_for(server.host))
        asyncio.run(ask(backend))
    start, _, body = server.requests[0].partition(b"\r\n\r\n")
    line, *headers = start.decode().split("\r\n")
    fields = dict(header.split(": ", 1) for header in headers)
    assert line == "POST /api/chat HTTP/1.1"
    assert fields["Host"] == server.host.removeprefix("http://")
    assert fields["Content-Length"] == str(len(body))
    assert fields["Accept-Encoding"] == "identity"
    assert fields["Authorization"] == "Bearer secret"
    sent = json.loads(body)
    assert sent["messages"]
    assert sent == backend.body(Model("tiny", "tiny"), sent["messages"])


def test_a_cancelled_request_leaves_the_server_at_once() -> None:
    arrived = threading.Event()

    def script(_: Request) -> Steps:
        arrived.set()
        return [ollama_stream(TEXTS)[0], Hang()]

    async def cancel(backend: Backend) -> bool:
        task = asyncio.ensure_future(ask(backend))
        assert await asyncio.to_thread(arrived.wait, 10)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    with ScriptedServer(script) as server:
        assert asyncio.run(cancel(ollama.Backend(settings_for(server.host))))
        assert server.left.wait(10)
    assert len(server.requests) == 1


def test_a_server_that_stopped_listening_is_not_alive() -> None:
    async def states(backend: Backend) -> tuple[bool, list[Trace], bool]:
        return await backend.alive(), await ask(backend), await backend.alive()

    with ScriptedServer([StopListening(), *ollama_stream(TEXTS)]) as server:
        before, [trace], after = asyncio.run(states(ollama.Backend(settings_for(server.host))))
    assert trace.failure is None
    assert before
    assert not after


def test_progress_is_the_newest_text_and_neither_role_nor_comment() -> None:
    role = sse(openai_chunk({"role": "assistant", "content": None}))
    text = sse(openai_chunk({"content": "Red"}))
    comment = chunk(b":\n\n")

    async def newest(*payloads: bytes) -> tuple[int | None, list[int]]:
        start = head(200, transfer_encoding="chunked")
        exchange = await replay([start, *map(chunk, payloads), comment, comment])
        return OPENAI.last_delta(exchange), exchange.stamps

    assert asyncio.run(newest())[0] is None
    assert asyncio.run(newest(role))[0] is None
    last, stamps = asyncio.run(newest(role, text))
    assert last == stamps[2]


@pytest.mark.parametrize("steps", range(6))
def test_a_cut_is_not_lost_in_the_moment_in_which_a_connection_opens(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop takes a few steps from the connection to whoever waits for it: each is tried."""
    opening: asyncio.Task[float | None]

    async def cut() -> bool:
        for _ in range(steps):
            await asyncio.sleep(0)
        return opening.cancel()

    class Cutting(Connection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            cuts.append(asyncio.create_task(cut()))

    async def opened() -> None:
        nonlocal opening
        wire = ollama.Backend(settings_for(server.host)).wire()
        opening = asyncio.create_task(wire.open())
        await asyncio.wait([opening])
        assert opening.cancelled() is await cuts[0]
        wire.close()

    cuts: list[asyncio.Task[bool]] = []
    monkeypatch.setattr(_http, "Connection", Cutting)
    with ScriptedServer(OllamaFacade()) as server:
        asyncio.run(opened())

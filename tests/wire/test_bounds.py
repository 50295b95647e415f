"""Whatever a server sends and however long, a request ends: by a bound, a deadline or Ctrl-C."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import uvloop
from support.scripted import (
    Pause,
    Request,
    ScriptedServer,
    Step,
    Steps,
    ask,
    chunk,
    chunked,
    events_of,
    head,
    ollama_line,
    openai_chunk,
    replay,
    settings_for,
    sse,
)

from pytest_llamaburn.backends import _exchange, _untimed, ollama, openai
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.load import loop
from pytest_llamaburn.trace import Event, Trace, fold

if TYPE_CHECKING:
    from pytest_llamaburn.backends._base import Backend
    from pytest_llamaburn.backends._exchange import Exchange

Runner: TypeAlias = Callable[[Coroutine[Any, Any, list[Trace]]], list[Trace]]

both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
STREAM = head(200, transfer_encoding="chunked")
ROLE = sse(openai_chunk({"role": "assistant", "content": None}))
RED = sse(openai_chunk({"content": "Red"}))
SOON = 0.1
ENDLESS = {
    "interim heads": (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 20),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n"),
    "a chunk's size": (STREAM, b"1;more"),
    "trailers": (STREAM + chunk(RED) + b"0\r\n", b"X-More: and more\r\n"),
    "tokens": (STREAM, chunk(RED) * 500),
    "tokens without framing": (head(200), RED * 500),
    "role chunks": (STREAM, chunk(ROLE) * 500),
    "comments": (STREAM, chunk(b":\n\n") * 500),
    "data without an empty line": (STREAM, chunk(b"data: x\n") * 500),
    "a line": (STREAM + chunk(b"data: "), chunk(b"x") * 500),
    "a line in one chunk": (STREAM + b"fffffffff\r\ndata: ", b"x" * 4000),
    "a refusal": (head(500, transfer_encoding="chunked"), chunk(b"no") * 500),
}
endless = pytest.mark.parametrize("flood", ENDLESS.values(), ids=ENDLESS)


def endlessly(start: bytes, more: bytes) -> Callable[[Request], Iterator[Step]]:
    """Return a script that sends `more` for ever, as fast as it is read."""
    return lambda _: itertools.chain([start] if start else [], itertools.repeat(more))


@both_loops
@endless
def test_a_deadline_ends_what_a_server_sends_for_ever(
    run: Runner, flood: tuple[bytes, bytes]
) -> None:
    with ScriptedServer(endlessly(*flood)) as server:
        settings = settings_for(server.host, timeout_total=SOON)
        [trace] = run(ask(openai.Backend(settings)))
    assert trace.failure is not None
    assert trace.failure.kind in ("timeout_total", "oversized_answer", "malformed_chunk")


@pytest.mark.parametrize("noise", ["role chunks", "comments"])
@pytest.mark.parametrize(
    ("first", "kind"), [(b"", "timeout_first_token"), (chunk(RED), "timeout_idle")]
)
def test_a_flood_of_noise_is_no_progress(noise: str, first: bytes, kind: str) -> None:
    start, more = ENDLESS[noise]
    limits = {"timeout_first_token": SOON, "timeout_idle": SOON}
    with ScriptedServer(endlessly(start + first, more)) as server:
        [trace] = asyncio.run(ask(openai.Backend(settings_for(server.host, **limits))))
    assert trace.failure is not None
    assert trace.failure.kind == kind


def test_ctrl_c_ends_a_request_amid_a_flood() -> None:
    def flood(_: Request) -> Iterator[Step]:
        yield STREAM
        for count in itertools.count():
            if count == 50:
                signal.raise_signal(signal.SIGINT)
            yield chunk(RED) * 500

    events = uvloop.new_event_loop()
    with ScriptedServer(flood) as server:
        work = ask(openai.Backend(settings_for(server.host)))
        with pytest.raises(KeyboardInterrupt):
            loop.completed(events, work)
    events.close()


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have bounds that a test reaches at once."""
    monkeypatch.setattr(_exchange, "ANSWER_LIMIT", 2_000_000)
    monkeypatch.setattr(_exchange, "LINE_LIMIT", 500_000)
    monkeypatch.setattr(_exchange, "LINES_LIMIT", 20_000)


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize(
    ("flood", "words"),
    [
        ("a line in one chunk", "a line of the answer is longer than "),
        ("a refusal", "the answer is longer than "),
        ("tokens", "the answer came in more than 20000 lines or pieces"),
        ("tokens without framing", "the answer came in more than 20000 lines or pieces"),
        ("comments", "the answer came in more than 20000 lines or pieces"),
    ],
)
def test_more_than_an_answer_may_be_is_oversized(flood: str, words: str) -> None:
    with ScriptedServer(endlessly(*ENDLESS[flood])) as server:
        [trace] = asyncio.run(ask(openai.Backend(settings_for(server.host))))
    assert trace.failure is not None
    assert (trace.failure.kind, trace.failure.phase) == ("oversized_answer", "stream")
    assert trace.failure.message.startswith(words)


def test_an_answer_within_the_bounds_is_whole_however_long() -> None:
    text = "x" * 300_000
    steps = chunked(*[sse(openai_chunk({"content": text}))] * 4, sse("[DONE]"))
    with ScriptedServer(steps) as server:
        [trace] = asyncio.run(ask(openai.Backend(settings_for(server.host))))
    assert trace.failure is None
    assert trace.text == text * 4


def decoded(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which each decoding adds how many lines it was given."""
    given: list[int] = []
    original = backend._answer

    def counting(exchange: Exchange) -> Any:
        given.append(len([*exchange.lines()]))
        return original(exchange)

    monkeypatch.setattr(backend, "_answer", counting)
    return given


@pytest.mark.parametrize(
    ("backend", "token", "noise"),
    [
        (openai.Backend(settings_for("127.0.0.1:1")), RED, ROLE),
        (openai.Backend(settings_for("127.0.0.1:1")), b"id: 1\n" + RED, ROLE),
        (ollama.Backend(settings_for("127.0.0.1:1")), ollama_line("x"), ollama_line()),
    ],
    ids=["openai", "events of three lines", "ollama"],
)
def test_a_look_decodes_nothing_twice_and_no_more_than_it_must(
    backend: Backend, token: bytes, noise: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = asyncio.run(replay([STREAM, *[chunk(token)] * 500]))
    given = decoded(backend, monkeypatch)
    assert backend.last_delta(exchange) == exchange.stamps[500]
    assert sum(given) < 70  # the newest part has one, so the older ones are left alone
    assert backend.last_delta(exchange) is None
    assert len(given) == 1
    older = asyncio.run(replay([STREAM, chunk(token), *[chunk(noise)] * 500]))
    given.clear()
    assert backend.last_delta(older) == older.stamps[1]
    lines = (token + noise * 500).count(b"\n")
    assert sum(given) == lines


def test_an_event_is_looked_at_once_it_is_whole() -> None:
    backend = openai.Backend(settings_for("127.0.0.1:1"))

    async def looks() -> list[int | None]:
        exchange = await replay([STREAM, chunk(RED[:-1]), chunk(b"\n"), chunk(ROLE)])
        later, exchange.framing.pieces = exchange.framing.pieces, []
        found = []
        for piece in later:
            exchange.framing.pieces.append(piece)
            found.append(backend.last_delta(exchange))
        return [stamp and exchange.stamps.index(stamp) for stamp in found]

    assert asyncio.run(looks()) == [None, 1, None]


def test_looking_changes_nothing_of_what_is_read() -> None:
    backend = openai.Backend(settings_for("127.0.0.1:1"))
    reads: Steps = [STREAM, chunk(b"\xef\xbb\xbf" + RED + RED[:20]), chunk(RED[20:] + RED[:-1])]

    def events(*, looked: bool) -> list[Event]:
        exchange = asyncio.run(replay([step for step in reads if isinstance(step, bytes)]))
        if looked:
            backend.last_delta(exchange)
        return events_of(backend, exchange)

    plain, looked = (fold(events(looked=looked)) for looked in (False, True))
    assert plain.text == looked.text == "RedRedRed"


@pytest.mark.parametrize(
    ("start", "more"),
    [(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), (STREAM, chunk(b"x"))],
    ids=["interim heads", "a body"],
)
def test_an_untimed_call_ends_too(start: bytes, more: bytes) -> None:
    async def call(backend: Backend) -> None:
        async with backend.http(SOON) as client:
            await client.get("/")

    def drop(_: Request) -> Iterator[Step]:
        yield from [start] if start else []
        while True:
            yield from (Pause(SOON / 20), more)

    longer = pytest.raises(ServerError, match=f"it took longer than {SOON:g} s")
    with ScriptedServer(drop) as server, longer:
        asyncio.run(call(ollama.Backend(settings_for(server.host))))


def test_an_untimed_answer_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_untimed, "ANSWER_LIMIT", 1_000_000)
    longer = pytest.raises(ServerError, match="no complete answer: it is longer than 1 MB")
    with ScriptedServer(endlessly(*ENDLESS["tokens"])) as server, longer:
        asyncio.run(ollama.Backend(settings_for(server.host)).get("/api/tags"))

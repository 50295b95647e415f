"""The instrument is held against a server whose log says what truly happened."""

from __future__ import annotations

import asyncio
import json
import socket
from time import perf_counter_ns

import pytest
from support.benchmark_documents import failed_trace
from support.scripted import settings_for

from pytest_llamaburn.backends.openai import Backend
from pytest_llamaburn.load import _metronome, clock_error
from pytest_llamaburn.load._metronome import Schedule, Server


def test_our_stamps_are_held_against_the_servers_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_error, "SECONDS", 0.5)
    found = asyncio.run(clock_error.calibrate(3, 10_000))
    assert (found["streams"], found["requests"]) == (3, 3)
    assert found["chunks_per_sec"] == clock_error.MOST_RATE
    for name in ("ttft_error_ms", "itl_error_ms"):
        assert 0 <= found[name]["p50"] <= found[name]["p99"]


def test_where_processes_share_no_clock_there_is_a_reason_and_no_number() -> None:
    found = asyncio.run(clock_error.calibrate(3, 50, platform="darwin"))
    assert list(found) == ["reason"]


def test_requests_that_failed_have_no_error_of_the_instrument() -> None:
    server = Server(Schedule())
    server.log = {}  # it may never have come
    found = clock_error.errors_of({0: failed_trace()}, server)
    assert found == {"requests": 0, "ttft_error_ms": None, "itl_error_ms": None}


HEAD = b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"


def answer(client: socket.socket, words: bytes) -> bytes:
    """Send these bytes and return the whole answer to them."""
    client.sendall(words)
    received = b""
    while not received.endswith(b"\r\n0\r\n\r\n"):
        received += client.recv(1 << 16)
    return received


def metronome_reply(schedule: Schedule) -> tuple[bytes, Server]:
    """Return what the server answers to a request that comes in two parts, and the server."""
    with Server(schedule) as server:
        place = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        connect = socket.create_connection
        with connect(place, 10) as client, connect(place, 10) as other:
            client.sendall(HEAD)
            answer(other, HEAD + b"request 1")  # meanwhile the head was read
            received = answer(client, b"request 7")
    return received, server


@pytest.mark.parametrize("dialect", ["openai", "ollama"])
def test_the_server_keeps_its_schedule_in_either_dialect(dialect: str) -> None:
    schedule = Schedule(0.01, 200.0, 4, dialect)
    received, server = metronome_reply(schedule)
    assert received.count(b'"content":" ') == 4
    log = server.log[7]
    due_ms = [10 + 5 * i for i in range(4)]
    after_ms = [(sent - log.arrived_ns) / 1e6 for sent in log.sent_ns]
    assert all(sent >= due - 0.01 for sent, due in zip(after_ms, due_ms, strict=True))
    assert log.ttft_ms == after_ms[0]
    assert schedule.request_s == pytest.approx(0.025)


def test_the_end_counts_the_tokens() -> None:
    received, _ = metronome_reply(Schedule(0.01, 200.0, 3, "ollama"))
    last = [line for line in received.splitlines() if b'"done":true' in line]
    assert json.loads(last[0])["eval_count"] == 3


def test_the_server_lists_its_model() -> None:
    with Server(Schedule()) as server:
        (model,) = asyncio.run(Backend(settings_for(server.url)).models())
    assert model.id == "scheduled"
    assert server.log == {}


def test_a_read_that_the_kernel_did_not_stamp_arrived_now() -> None:
    before = perf_counter_ns()
    assert before <= _metronome.kernel_stamp([]) <= perf_counter_ns()

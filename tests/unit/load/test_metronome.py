"""The server of known timing goes on whatever its clients do."""

from __future__ import annotations

import socket
import struct

import pytest

from pytest_llamaburn.load._metronome import Schedule, Server

_BODY = b'{"request": 1}'
_REQUEST = b"POST /api/chat HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


def connected(url: str) -> socket.socket:
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def reset(client: socket.socket) -> None:
    """End a connection as a killed process with unread bytes does."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("sent", [b"POST", _REQUEST], ids=["in its request", "in the answer"])
def test_a_client_that_resets_its_connection_does_not_end_the_server(sent: bytes) -> None:
    with Server(Schedule(0.0, 500.0, 3, "ollama")) as server:
        gone = connected(server.url)
        gone.sendall(sent)
        reset(gone)
        with connected(server.url) as other:
            other.sendall(_REQUEST)
            answer = b""
            while b'"done":true' not in answer.replace(b" ", b""):
                answer += other.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200")

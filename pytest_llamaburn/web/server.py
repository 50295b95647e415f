"""The server: its socket, its token, and an end within two seconds whoever still listens."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import ipaddress
import os
import re
import secrets
import signal
import socket
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import uvicorn

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.web import app, security
from pytest_llamaburn.web.child import TOKEN_VARIABLE
from pytest_llamaburn.web.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

_SHORTEST_TOKEN = 16
_MOST_CONNECTIONS = 200
_GRACE_S = 1


class Place(NamedTuple):
    """Where to listen, and by which further names this machine is called."""

    bind: str
    port: int
    trusted: Sequence[str] = ()


def token() -> str:
    """Return the token of the environment, else a random one; raises SettingsError."""
    given = os.environ.get(TOKEN_VARIABLE, "")
    if not given:
        return secrets.token_urlsafe(32)
    if not re.fullmatch(rf"[A-Za-z0-9._~-]{{{_SHORTEST_TOKEN},}}", given):
        raise SettingsError(
            f"{TOKEN_VARIABLE}: it is refused: write at least {_SHORTEST_TOKEN} letters, digits "
            "or any of . _ ~ -"
        )
    return given


def is_loopback(bind: str) -> bool:
    """Return whether an address can be reached from this machine alone."""
    try:
        return bind == "localhost" or ipaddress.ip_address(bind).is_loopback
    except ValueError:
        return False


def _shown(bind: str) -> str:
    """Return how a browser here calls an address; one that means all of a machine's is no name."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 - it is compared
    return f"[{name}]" if ":" in name else name


def listening(place: Place) -> socket.socket:
    """Return a socket that listens at a place; raises SettingsError where that cannot be."""
    family = socket.AF_INET6 if ":" in place.bind else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((place.bind, place.port))
        found.listen(128)
    except OSError as err:
        found.close()
        raise SettingsError(
            f"--port: {place.port} at {place.bind} cannot be used: {err.strerror or err}; name "
            "another port with --port, or end the program that has it"
        ) from None
    return found


def serve(place: Place, results_dir: Path, begun: Callable[[str], object]) -> None:
    """Serve until SIGTERM or Ctrl-C; `begun` is told the address with the token once it listens."""
    secret = token()
    with listening(place) as listener:
        port = listener.getsockname()[1]
        service = _service(results_dir)
        gc.collect()  # what the imports left is used again, so that an idle server is smaller
        guarded = app.make(service, security.rules(place.bind, port, place.trusted, secret))
        _give_back()
        begun(f"http://{_shown(place.bind)}:{port}/#token={secret}")
        asyncio.run(_serve(guarded, service, listener))


def _give_back() -> None:
    """Give the memory that is free after the start back to the system, where glibc can."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # musl has no such function
            ctypes.CDLL(None).malloc_trim(0)


def _service(results_dir: Path) -> Service:
    """Return the service of a results directory; raises SettingsError if it cannot be read."""
    try:
        return Service(results_dir)
    except OSError as err:
        reason = err.strerror or err
        raise SettingsError(f"--results-dir: {results_dir} cannot be read: {reason}") from None


async def _serve(guarded: Callable[..., object], service: Service, listener: socket.socket) -> None:
    config = uvicorn.Config(
        guarded,
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE_S,
    )
    async with service.running():
        await _Server(config, service).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn, which ends our streams and jobs before it waits for its clients."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals that end the server; unlike uvicorn, do not raise them again."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what still streams or runs, then the connections."""
        await self._service.close()
        await super().shutdown(sockets)

"""A server that the run starts itself, with the arguments of a setting."""

from __future__ import annotations

import asyncio
import shlex
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from time import perf_counter
from typing import TYPE_CHECKING

from pytest_llamaburn.errors import ServerError, SettingsError
from pytest_llamaburn.kinds.tune import plan

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACE = "{args}"
STOP_S, _LOOK_S = 10.0, 0.05
_TOLD = 300  # characters of a server's last words


def check(command: str) -> None:
    """Raise SettingsError for a command that cannot be started, or has no place for arguments."""
    try:
        words = shlex.split(command)
    except ValueError as err:
        raise SettingsError(f"--server-command: {command!r} is refused: {err}") from None
    if PLACE not in words:
        raise SettingsError(
            f"--server-command: {command!r} is refused: write {PLACE} where the options of a "
            "setting belong, as 'llama-server -m model.gguf {args}'"
        )


class Started:
    """The server; it is stopped before another setting is tried."""

    def __init__(self, command: str, within_s: float) -> None:
        """Take the command, and the time limit of a start in seconds."""
        self._words, self._within_s = shlex.split(command), within_s
        self._child: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.host = f"http://127.0.0.1:{self._port}"

    async def start(self, setting: Mapping[str, plan.Value]) -> None:
        """Start it with a setting, and wait until it is ready; raises ServerError."""
        self.stop()
        address = ["--host", "127.0.0.1", "--port", str(self._port)]
        given = [*plan.arguments(setting), *address]
        words = [w for word in self._words for w in (given if word == PLACE else [word])]
        with tempfile.TemporaryFile() as log:
            try:
                self._child = subprocess.Popen(  # noqa: ASYNC220, S603 - the user's own command
                    words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            except OSError as err:
                raise ServerError(
                    f"--server-command: {words[0]} cannot be started: {err.strerror or err}"
                ) from None
            why = await self._ready()
            if why:
                self.stop()
                log.seek(0)
                said = " ".join(log.read().decode(errors="replace").split())[-_TOLD:]
                raise ServerError(f"{shlex.join(words)} {why}: {said or 'it said nothing'}")

    def stop(self) -> None:
        """Stop it; wait until its port is free."""
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    async def _ready(self) -> str | None:
        """Return None as soon as it answers, or why it does not."""
        assert self._child is not None  # noqa: S101 - it was started
        until = perf_counter() + self._within_s
        while perf_counter() < until:
            code = self._child.poll()
            if code is not None:
                return f"ended with {code}"
            if await asyncio.to_thread(self._answers):
                return None
            await asyncio.sleep(_LOOK_S)
        return f"was not ready within {self._within_s:g} s"

    def _answers(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"{self.host}/health", timeout=1) as reply:
                return bool(reply.status == 200)
        except (OSError, urllib.error.URLError):
            return False

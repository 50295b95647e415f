"""`llamaburn serve` as a process, with a client."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from support.command_line import COMMAND
from support.processes import Process
from support.web_api import TOKEN, WAITS_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HEADERS = {"authorization": f"Bearer {TOKEN}"}
# The server closes a connection that was idle for 5 s, perhaps just when the client uses it again.
_NOTHING_KEPT = httpx.Limits(max_keepalive_connections=0)


class Served(NamedTuple):
    """A running server: its process, its address, and a client."""

    process: Process[str]
    url: str
    client: httpx.Client

    @property
    def address(self) -> str:
        """The address with the token, as the command prints it."""
        return f"{self.url}/#token={TOKEN}"

    def wait(self, path: str, until: Callable[[Any], Any]) -> Any:
        """Return an answer once it is as it should become."""
        deadline = time.monotonic() + WAITS_S
        while not until(found := self.client.get(path).json()):
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        return found


@contextmanager
def serving(cwd: Path, *words: str, **env: str) -> Iterator[Served]:
    """Run a server on a free port."""
    known = {**os.environ, "LLAMABURN_TOKEN": TOKEN, **env}
    command = [*COMMAND, "serve", "--port=0", *words]
    process = Process(
        command, cwd=cwd, env=known, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip().partition("/#token=")[0]
        about: Any = {"headers": HEADERS, "timeout": WAITS_S, "limits": _NOTHING_KEPT}
        with httpx.Client(base_url=url, **about) as client:
            yield Served(process, url, client)
    finally:
        process.kill()
        process.communicate()

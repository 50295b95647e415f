"""A real Ollama on a free port, with the embedded model, for the tests that need no imitation.

`scripts/install_ollama.py` puts it on the machine. The server keeps its models, its home and its
log in a directory of the test's, so that nothing of the user's own Ollama is read or changed.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Self

import psutil
import pytest
from install_ollama import default_prefix, is_complete

from pytest_llamaburn.backends import _catalogue

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "smollm2:135m"
_START_S = 60.0
_CREATE_S = 120.0
_STOP_S = 15.0
_LOG_TAIL = 4000


def prefix() -> Path | None:
    """Return where the installed Ollama lies, None if there is no whole one."""
    found = default_prefix()
    return found if is_complete(found) else None


def require() -> Path:
    """Return the installed Ollama's prefix; without one, skip the test, but fail it in CI."""
    found = prefix()
    if found is None:
        words = f"no Ollama at {default_prefix()}: run scripts/install_ollama.py"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)
    return found


class RealOllama:
    """`ollama serve` with one model, MODEL, from entering to leaving the context.

    `env` adds to the server's environment, e.g. `OLLAMA_NUM_PARALLEL="4"`. The same directory may
    serve again later: the model is kept there, the log is begun anew.
    """

    def __init__(self, prefix: Path, directory: Path, **env: str) -> None:
        self.log = directory / "ollama.log"
        self.address = f"127.0.0.1:{_free_port()}"
        self.host = f"http://{self.address}"
        self._program = str(prefix / "bin" / "ollama")
        self._directory = directory
        others = {k: v for k, v in os.environ.items() if not k.startswith("OLLAMA_")}
        self._env = others | {
            "HOME": str(directory),
            "OLLAMA_HOST": self.address,
            "OLLAMA_MODELS": str(directory / "models"),
            "OLLAMA_NOPRUNE": "1",
            "OLLAMA_NO_CLOUD": "1",
            "GOMP_SPINCOUNT": "10000",  # other tests have the cores, too
            **env,
        }

    def __enter__(self) -> Self:
        with ExitStack() as undo, self.log.open("wb") as log:
            self._process = self._start("serve", stdout=log, start_new_session=True)
            undo.callback(self._stop)
            self._wait_for_version()
            self.create(MODEL, _catalogue.fetch("smollm2-135m", quiet=True))
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def runner_pids(self) -> list[int]:
        """Return the processes that hold a model: the server's `llama-server` children."""
        return [child.pid for child in self._children() if _is_runner(child)]

    def log_tail(self) -> str:
        """Return the end of the server's log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:]

    def _start(self, *arguments: str, **how: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self._program, *arguments],
            cwd=self._directory,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            **how,
        )

    def _wait_for_version(self) -> None:
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None:
                pytest.fail(f"ollama serve ended by itself:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                pytest.fail(f"ollama serve is not up after {_START_S:.0f} s:\n{self.log_tail()}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self.address, timeout=5)
        try:
            connection.request("GET", "/api/version")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def create(self, name: str, source: Path) -> None:
        """Make a model of a GGUF file."""
        (self._directory / "Modelfile").write_text(f"FROM {source}\n", encoding="utf-8")
        with self._start("create", name, "-f", "Modelfile", stdout=subprocess.PIPE) as creating:
            try:
                said, _ = creating.communicate(timeout=_CREATE_S)
            except subprocess.TimeoutExpired:
                creating.kill()
                said = b"no end in sight"
        if creating.returncode:
            words = said.decode(errors="replace")[-_LOG_TAIL:]
            pytest.fail(f"ollama create failed: {words}\n{self.log_tail()}")

    def _children(self) -> list[psutil.Process]:
        found: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            found = psutil.Process(self._process.pid).children(recursive=True)
        return found

    def _stop(self) -> None:
        children = self._children()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # a runner outlives a killed server
        self._process.wait(_STOP_S)
        psutil.wait_procs(children, timeout=_STOP_S)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def _is_runner(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        dead: bool = process.status() == psutil.STATUS_ZOMBIE
        return process.name() == "llama-server" and not dead
    return False

"""llama.cpp in a child process, with a small model from the catalogue or any GGUF file."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pytest_llamaburn import registry
from pytest_llamaburn.backends import _catalogue, _gguf, openai
from pytest_llamaburn.backends._address import parse_host
from pytest_llamaburn.backends._base import Held, Model, Server
from pytest_llamaburn.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from pytest_llamaburn.settings import Run

DEFAULT_NUM_CTX = 4096
_BUFFER = re.compile(r"(\S+) +(model|KV|compute|output|RS) buffer size = +([\d.]+) MiB")
_HOST = re.compile(r"CPU|BLAS|.*_Host$")  # buffers that are not on a GPU
_OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_MIB = 1 << 20
SERVE = (sys.executable, "-m", f"{__package__}._embedded_server")
# OpenMP's threads spin for milliseconds while they wait. If another process uses one of the cores,
# that makes tokens ten times slower. This shorter spin costs nothing.
_PATIENCE = {"GOMP_SPINCOUNT": "10000"}
_DIGEST_UP_TO_BYTES = 2_000_000_000  # hashing a larger file would take longer than loading it


class Backend(openai.Backend):
    """A llama.cpp server for one model, in a child process on a free loopback port."""

    can_unload = True

    def __init__(self, settings: Run) -> None:
        """Take the settings; the child starts in `open`."""
        super().__init__(settings)
        self._kind = "embedded"
        self._roots = []
        self._child: subprocess.Popen[str] | None = None
        self._ready: dict[str, Any] = {}
        self._log = ""
        self._path: Path | None = None

    async def open(self, model: str | None) -> None:
        """Download the model if needed and serve it; raises ModelError or MissingExtraError."""
        self._path = locate(model or _catalogue.DEFAULT_MODEL, quiet=not sys.stderr.isatty())
        await self._start()

    def close(self) -> None:
        """Stop the child."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    async def server(self) -> Server:
        """Return the engine and its version."""
        return Server("embedded", self._ready.get("version"), self.address.url, local=True)

    async def models(self) -> list[Model]:
        """Return the catalogue."""
        return [_catalogued(name) for name in _catalogue.entries()]

    async def only_model(self) -> str:
        """Return the catalogue's default."""
        return _catalogue.DEFAULT_MODEL

    async def describe(self, name: str) -> Model:
        """Return the model being served."""
        (served,) = await super().models()
        facts = _catalogued(name) if name in _catalogue.entries() else None
        path = self._path or Path(name)
        served.id = facts.id if facts else path.stem
        served.name = facts.name if facts else path.stem
        served.family = facts.family if facts else None
        served.digest = _digest(path)
        served.size_mb = path.stat().st_size / 1e6
        served.capabilities = await self._capabilities()
        return served

    async def metadata(self, name: str) -> _gguf.Header:
        """Return the metadata of the model's file; raises ModelError."""
        return _gguf.read(await asyncio.to_thread(locate, name, quiet=not sys.stderr.isatty()))

    async def held(self, model: Model) -> Held:  # noqa: ARG002 - it serves one model
        """Return the sizes of the engine's buffers, if it was started with `log_level` 4."""
        sizes = [(m[1], m[2], round(float(m[3]) * _MIB)) for m in _BUFFER.finditer(self._log)]
        if not sizes:
            return Held(reason="the engine's log has no sizes of its buffers")
        parts: dict[str, int] = {}
        for _, kind, size in sizes:
            parts[kind] = parts.get(kind, 0) + size
        on_gpu = sum(size for device, _, size in sizes if not _HOST.match(device))
        whole = any(m[1] == m[2] for m in _OFFLOADED.finditer(self._log))
        return Held(on_gpu if on_gpu and whole else sum(parts.values()), on_gpu, parts)

    async def load(self, model: Model) -> None:  # noqa: ARG002 - one child, one model
        """Start the child again, if `free` stopped it."""
        if self._child is None:
            await self._start()

    async def free(self, model: Model) -> None:  # noqa: ARG002 - one child, one model
        """Stop the child."""
        self.close()

    async def unload(self, model: Model) -> float | None:  # noqa: ARG002 - one child, one model
        """Restart the child, so that the next request meets a new process."""
        self.close()
        await self._start()
        load_ms: float = self._ready["load_ms"]
        return load_ms

    def _asked(self) -> str:
        """Return the options of the child; a run that embeds or reranks needs vectors of texts."""
        rerank = getattr(self.settings, "rerank", None)
        pooling = {} if rerank is None else {"pooling": _pooling(self._path, rerank=rerank)}
        return json.dumps({**self.options, **pooling})

    async def _start(self) -> None:
        slots = self.settings.slots
        context = slots * (self.settings.num_ctx or DEFAULT_NUM_CTX)  # the slots divide it
        with tempfile.TemporaryFile("w+", errors="replace") as log:
            projector = getattr(self.settings, "mmproj", None)
            arguments = [str(self._path), str(context), str(slots), self._asked()]
            arguments += [str(model_file(projector, "--mmproj"))] if projector else []
            self._child = subprocess.Popen(  # noqa: ASYNC220, S603 - our own interpreter and module
                [*SERVE, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**_PATIENCE, **os.environ},
                start_new_session=True,  # Ctrl-C in the terminal is ours to handle
            )
            assert self._child.stdout is not None  # noqa: S101 - it is a pipe
            try:  # in a thread: loading may take minutes, and Ctrl-C must work meanwhile
                line = await asyncio.to_thread(_ready_line, self._child.stdout)
            except asyncio.CancelledError:
                self.close()
                raise
            self._log = _written(log)
            if not line:
                self.close()
                raise ModelError(_load_failure(self._path, self._log))
        self._ready = json.loads(line)
        self.address = parse_host(f"{self._ready['url']}/v1")


def _ready_line(output: IO[str]) -> str:
    """Return the child's line of JSON, or nothing if it ended.

    If llama.cpp crashes, its debugger writes other lines before.
    """
    return next((line for line in iter(output.readline, "") if line.startswith("{")), "")


def _written(log: IO[str]) -> str:
    """Return the child's log so far; reading to its end leaves the place where the child writes."""
    log.seek(0)
    return log.read()


def locate(name: str, *, quiet: bool) -> Path:
    """Return the GGUF file for a catalogue name or a path.

    Raises ModelError if the name is unknown, or the file is missing or not GGUF.
    """
    if find_spec("xllamacpp") is None:
        raise MissingExtraError("embedded", "the embedded llama.cpp")
    if name in _catalogue.entries():
        return _catalogue.fetch(name, quiet=quiet)
    if not name.endswith(".gguf"):
        known = list(_catalogue.entries())
        raise ModelError(registry.unknown("embedded model", name, known) + ", or a path to a .gguf")
    return model_file(name)


def model_file(name: str, option: str = "--model") -> Path:
    """Return the path of a GGUF file; raises ModelError if it is missing or not GGUF."""
    path = Path(name).expanduser()
    if not path.is_file():
        raise ModelError(f"{option}: {name} does not exist")
    with path.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise ModelError(f"{option}: {name} is not a GGUF file (it does not begin with GGUF)")
    if path.suffix != ".gguf":
        raise ModelError(
            f"{option}: {name} is refused: rename the file so that its name ends in .gguf"
        )
    return path


def _catalogued(name: str) -> Model:
    entry = _catalogue.entries()[name]
    return Model(
        id=name,
        name=entry["title"],
        quantization=entry["quantization"],
        family=entry["family"],
        parameter_size=entry["parameter_size"],
        digest=entry["gguf_sha256"],
        context_length=entry["context_length"],
        size_mb=entry["size_mb"],
        loaded=False,
    )


def _pooling(path: Path | None, *, rerank: bool) -> str:
    """Return how the engine makes one vector of a text: as the model's file says, else the mean."""
    if rerank:
        return "rank"
    keys = _gguf.read(path).keys if path else {}
    said = any(key.endswith(".pooling_type") for key in keys)
    return "unspecified" if said else "mean"


def _digest(path: Path) -> str | None:
    return _catalogue.sha256(path) if path.stat().st_size <= _DIGEST_UP_TO_BYTES else None


def _load_failure(path: Path | None, log: str) -> str:
    errors = [line for line in log.splitlines() if " E " in line or "error" in line.lower()]
    crashes = [line for line in log.splitlines() if "GGML_ASSERT" in line]
    reason = (crashes or errors or log.splitlines() or ["no reason given"])[-1].strip()
    return f"llama.cpp cannot load {path}: {reason}"

"""A run of several models in turn, each of which has the machine for itself in its turn.

Before each turn the model before is unloaded, and the next one is loaded and warmed up.
"""

from __future__ import annotations

from dataclasses import asdict
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.backends._detect import connect
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds._run import RECORDED_FIELDS, WARMUP_PROMPT
from pytest_llamaburn.kinds._single import SingleRun

if TYPE_CHECKING:
    from pytest_llamaburn.backends._http import Wire
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.store.journal import Record


class SeveralRun(SingleRun):
    """A run of several models; `candidates` describes them, in the order of the settings.

    A turn is named by a text, as the name of its model.
    """

    counts_words = False

    def __init__(self, *args: object) -> None:
        """Take the arguments of Run."""
        super().__init__(*args)
        self.candidates: list[Document] = []
        self._turn: str | None = None
        self._load: Document = {}
        self._wire: Wire | None = None

    def _target(self, turn: str) -> tuple[Any, str]:
        """Return the settings of the connection, and the name of the model, of a turn."""
        return self.settings, turn

    async def described(self, turn: str) -> Document:
        """Return the facts of the model of a turn; raises UsageError if there is none."""
        settings, name = self._target(turn)
        backend = await connect(settings, name)
        try:
            server, model = await backend.server(), asdict(await backend.describe(name))
        finally:
            backend.close()
        facts = {field: model[field] for field in RECORDED_FIELDS}
        return {"name": name, "model": facts, "server": server.kind}

    def _about(self) -> Document:
        return {"candidates": self.candidates}

    def _header(self, asked: str | None, extra: Document) -> Document:
        header = super()._header(asked, extra)
        return {**header, "config": {**header["config"], "model": [*self.settings.model]}}

    def take_over(self, record: Record) -> None:
        """Take over the rows; raises SettingsError if a model is not the same any more."""
        super().take_over(record)
        header: Any = record.header or {}
        for was, now in zip(header.get("candidates", ()), self.candidates, strict=False):
            if was["model"] != now["model"]:
                raise SettingsError(
                    f"--resume: {now['name']} is not the model that it was: begin a new run"
                )

    async def _wire_of(self, turn: str) -> Wire:
        """Return the connection to the model of a turn; load the model if it is not its turn yet.

        Afterwards `_load` has the facts of the load, nothing if there was none. Raises ModelError
        or ServerError if the model cannot be loaded.
        """
        self._load = {}
        if turn != self._turn:
            self._load = await self._switch(turn)
        if self._wire is None:
            self._wire = self.backend.wire()
        return self._wire

    async def _switch(self, turn: str) -> Document:
        """Unload the model in memory, load another one and warm it up; return facts of the load.

        Raises ModelError or ServerError if it cannot be loaded.
        """
        await self._leave()
        settings, name = self._target(turn)
        began = perf_counter()
        with self.profiler.phase("load"):
            self.backend = await connect(settings, name)
            self.model = await self.backend.describe(name)
            await self.backend.load(self.model)
        load_ms = 1e3 * (perf_counter() - began) if self.backend.can_unload else None
        for _ in range(max(1, self.settings.warmup)):
            self._last = await self.send_untimed(WARMUP_PROMPT)
        self._turn = turn
        return {"load_ms": load_ms, **await self._memory()}

    async def _memory(self) -> Document:
        """Return the size and the GPU share of the loaded model, None if the server tells none."""
        entries = (one for one in await self._loaded() or () if one["name"] == self.model.id)
        about = next(entries, None)
        return {
            "size_mb": about and about["size_mb"],
            "gpu_share": about and about["gpu_share"],
        }

    async def _leave(self) -> None:
        """Unload the model in memory, if its server can, and close the connections to it."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None
        if self._turn is not None and self.backend.can_unload and not self._ends_with_it():
            await self.backend.unload(self.model)
        self._turn = None
        self.backend.close()

    def _ends_with_it(self) -> bool:
        """Return whether the server is ours, and ends as its connection is closed."""
        return "embedded" in type(self.backend).__module__

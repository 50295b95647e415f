"""A run that finds the largest context which fits in memory.

At each step the model is loaded with another context, and the server is asked for its size. A few
short answers then show what it costs if a part of it is not on the GPU. No step takes the memory
that must stay free.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.backends._base import Held
from pytest_llamaburn.energy import timeline
from pytest_llamaburn.errors import ModelError, ServerError, SettingsError
from pytest_llamaburn.kinds._limits import Limits
from pytest_llamaburn.kinds._single import Question, SingleRun
from pytest_llamaburn.kinds.fit import KIND, foresight, memory, plan
from pytest_llamaburn.kinds.fit.plan import At, Search
from pytest_llamaburn.load.prompts import conversation
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.backends._base import Message
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.store.journal import Record

_MANY = 10**9  # failures in a row: none ends the run
_STORY = "Tell a long story about a ship, its crew and a storm. Do not stop early."
_LOG_LEVEL = 4  # at which the embedded engine logs the sizes of its buffers
_REMOTE = (
    "the server is on another machine, whose memory cannot be watched: set --max-ctx to try more"
)
_FIXED = "the server loads the model with one context only, at its start"


class FitRun(SingleRun):
    """The run of a model whose memory is measured by context."""

    kind = KIND
    keys = (*At._fields, "iteration")

    def __init__(self, *args: Any) -> None:
        """Take the arguments of Run."""
        super().__init__(*args)
        self._limits = Limits(self.settings.budget, _MANY)  # a step that fails is a finding
        self._asked = self.settings  # the steps change the context in `settings`
        self.steps: list[Document] = []
        self.foreseen: foresight.Sight
        self.room: memory.Room
        self._at: At | None = None
        self._known: dict[At, Document] = {}
        self.ends = (0, 0, 0)
        self._load_s: float | None = None
        self._started = perf_counter()

    async def prepare(self, model: str | None, planned: dict[str, int], extra: Document) -> None:
        """Predict before anything is loaded; then load with the first context.

        Raises UsageError before anything is written.
        """
        self.foreseen = await foresight.of(self.settings, model)
        self._progress.say("; ".join(foresight.said(self.foreseen["facts"])))
        first, _ = plan.ends(self.settings, self.foreseen["facts"]["context_length"])
        self.settings = self.settings.model_copy(update={"num_ctx": first})
        await super().prepare(model, planned, extra)

    async def measure(self, key: str) -> list[Document]:
        """Find the edge for each type of the KV cache; return the rows of all answers.

        `key` is the name of this call in the journal's plan; a second call finds the same steps.
        """
        first, longest = self._ends()
        self.ends = (first, longest, self.settings.edge)
        self.write("facts", {"prediction": {**self.foreseen["facts"]}, "ends": self.ends})
        steps = plan.most(first, longest, self.settings.edge) * len(self.settings.kv_type)
        self._progress.say(self.estimate(steps))
        self.write("planned", {"items": {key: 0}})
        self._started, began, self.steps = perf_counter(), len(self.rows), []
        for kv_type in self.settings.kv_type:
            await self._search(kv_type, Search(first, longest, self.settings.edge))
        if self.backend.can_unload:
            await self.backend.free(self.model)
            self._at = None
        return self.rows[began:]

    async def _search(self, kv_type: str, search: Search) -> None:
        longest_s = 0.0
        while (num_ctx := search.next()) is not None:
            at = At(kv_type, num_ctx)
            spent = perf_counter() - self._started
            if spent + longest_s > (self.settings.budget or math.inf):
                return
            step = self._known.get(at) or await self._step(at)
            if step["place"] not in (plan.FAILED, plan.REFUSED):
                step = self._known.get(at, await self._answered(at, step))
            self.steps.append(step)
            if at not in self._known:
                self._known[at] = step
                self.write("step", step)
                longest_s = max(longest_s, perf_counter() - self._started - spent)
            search.tell(num_ctx, step["place"])

    async def _step(self, at: At) -> Document:
        """Load the model anew and return what the server says of its size."""
        started_ns = time.time_ns()
        why, held = await self._load(at), Held()
        if why is None:
            held = await self.backend.held(self.model)
        return {
            **at._asdict(),
            "place": why[0] if why else _place(held),
            "reason": why[1] if why else held.reason,
            "load_ms": self._load_s and self._load_s * 1e3,
            "total_bytes": held.total_bytes,
            "gpu_bytes": held.gpu_bytes,
            "parts": dict(held.parts),
            "foreseen": self._need(at)._asdict(),
            "left_bytes": self.room.left() if self.server.local else None,
            "started_ns": started_ns,
            "ended_ns": time.time_ns(),
        }

    async def _load(self, at: At) -> tuple[str, str] | None:
        """Load the model with a context; return why it was not, or None."""
        if at == self._at or not self.backend.can_unload:
            return None
        self._at = self._load_s = None
        await self.backend.free(self.model)
        refused = self.room.refusal(self._wanted(at))
        if refused:
            return plan.REFUSED, refused
        self._use(at)
        began = perf_counter()
        try:
            await self.room.watched(self.backend.load(self.model))
        except (ModelError, ServerError) as err:
            with suppress(ServerError):
                await self.backend.free(self.model)
            return plan.REFUSED if isinstance(err, memory.TooFullError) else plan.FAILED, str(err)
        self._at, self._load_s = at, perf_counter() - began
        return None

    def _wanted(self, at: At) -> float | None:
        """Return the RAM that a step will take, predicted or from the steps before.

        The memory of a GPU counts only if it is known to be its own.
        """
        own = self._need(at)
        known = [s for s in self.steps if s["kv_type"] == at.kv_type and s["total_bytes"]]
        facts = self.foreseen["facts"]
        on_gpu = (facts["memory_bytes"] or 0) if facts["memory"] == "gpu" else 0
        if own.total is not None:
            return float(own.total - on_gpu)
        if len(known) < 2:
            return None
        one, two = sorted(known, key=lambda step: int(step["num_ctx"]))[-2:]
        slope = (two["total_bytes"] - one["total_bytes"]) / (two["num_ctx"] - one["num_ctx"])
        more: float = slope * (at.num_ctx - two["num_ctx"]) - on_gpu
        return more + float(two["total_bytes"])

    async def _answered(self, at: At, step: Document) -> Document:
        """Return the step after its answers; it failed if all of them failed."""
        number = self.settings.iterations
        rows = await self.take(f"{at.kv_type}/{at.num_ctx}", self._questions(at), number, number)
        self._done.update({self._named(row): [row] for row in rows})
        errors = [row["error"] for row in rows if row["error"]]
        if errors and len(errors) == len(rows):
            words = f"failed with {errors[0]['kind']}: {errors[0]['message']}"
            step = {**step, "place": plan.FAILED, "reason": words}
        return {**step, "ended_ns": time.time_ns()}

    def _questions(self, at: At) -> Iterator[Question]:
        """Yield the requests of a step; the first token of the first one is not timed."""
        for iteration in range(self.settings.iterations):
            about = {**at._asdict(), "iteration": iteration}
            yield Question(about, self._story(), self.settings.osl, at, self._story())

    def _story(self) -> list[Message]:
        return conversation(_STORY, self._random)

    def _need(self, at: At) -> Any:
        return foresight.need(self.settings, self.foreseen["shape"], at)

    def _ends(self) -> tuple[int, int]:
        """Return the first and the longest context to try."""
        trained = self.foreseen["facts"]["context_length"] or self.model.context_length
        first, longest = plan.ends(self._asked, trained)
        if not self.backend.can_unload:
            self.write("facts", {"limit": _FIXED})
            only = self.model.context_length or first
            return only, only
        if not self.server.local and self.settings.max_ctx is None:
            self.write("facts", {"limit": _REMOTE})
            return first, first
        return first, longest

    def _use(self, at: At) -> None:
        """Let all requests, and the next load, have the context and the cache of a step."""
        self.settings = self.settings.model_copy(update={"num_ctx": at.num_ctx})
        self.backend.settings = self.settings
        if self.server.kind == "embedded":
            self.backend.options |= {"kv_type": at.kv_type, "log_level": _LOG_LEVEL}

    def check(self) -> None:
        """Raise SettingsError for several types of the KV cache where the server has only one."""
        if len(self.settings.kv_type) > 1 and self.server.kind != "embedded":
            raise SettingsError(
                f"--kv-type: {self.server.kind} takes the type of its KV cache at its start (for "
                "Ollama: OLLAMA_KV_CACHE_TYPE): give the one that it was started with"
            )
        self.room = memory.Room(self.settings.reserve, local=self.server.local)

    async def _warm_up(self) -> None:
        """Load with the first context and warm up."""
        first, _ = self._ends()
        at = At(self.settings.kv_type[0], first)
        if self.backend.can_unload:
            await self.backend.free(self.model)
            await self._idle(timeline.IDLE_BEFORE_LOAD)
        with self.profiler.phase("load"):
            why = await self._load(at)
        if why is None:
            with self.profiler.phase("warmup"):
                for _ in range(self.settings.warmup):
                    self._last = await self.send_untimed(_STORY)

    def estimate(self, steps: int) -> str:
        """Return a sentence with the estimated time of the run, which --budget limits."""
        answers = steps * self.settings.iterations
        what = f"at most {counted(steps, 'load')} and {counted(answers, 'answer')}"
        token_ms = self.token_ms()
        if token_ms is None:
            return f"{what}: no estimate, the warm-up showed no speed"
        seconds = steps * (self._load_s or 0.0) + answers * self.settings.osl * token_ms / 1e3
        return f"{what}: about {min(seconds, self.settings.budget or math.inf):.0f} s"

    def take_over(self, record: Record) -> None:
        """Take over the rows and the steps."""
        super().take_over(record)
        for step in record.others.get("step", ()):
            self._known[At(step["kv_type"], step["num_ctx"])] = step


def _place(held: Held) -> str:
    """Return where a model was loaded."""
    if held.total_bytes is None or held.gpu_bytes is None:
        return plan.LOADED
    if not held.gpu_bytes:
        return plan.RAM
    return plan.GPU if held.gpu_bytes >= held.total_bytes else plan.SPILLS

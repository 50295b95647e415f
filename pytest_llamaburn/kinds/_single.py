"""Runs that make their own requests and send each once, one at a time: the base, and the file.

Such a run yields its requests. What they have in common is here: `--budget`, the journal, resuming,
and the content of the result file that does not depend on the kind.
"""

from __future__ import annotations

import math
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import documents, metrics
from pytest_llamaburn.energy import timeline
from pytest_llamaburn.kinds import _energy
from pytest_llamaburn.kinds._file import by_kind, opening, status, totals
from pytest_llamaburn.kinds._limits import Limits
from pytest_llamaburn.kinds._run import Run, row_of
from pytest_llamaburn.load import prompts
from pytest_llamaburn.load.driver import closed_loop
from pytest_llamaburn.progress import of_request
from pytest_llamaburn.stats import samples
from pytest_llamaburn.texts import counted
from pytest_llamaburn.trace import answered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_llamaburn.backends._base import Message
    from pytest_llamaburn.backends._http import Wire
    from pytest_llamaburn.documents import Distribution, Document
    from pytest_llamaburn.store.journal import Record
    from pytest_llamaburn.trace import Trace


class Question(NamedTuple):
    """A request to send and time: its key in the run, its conversation, its longest answer.

    `primer` is a conversation that must be in the server's prompt cache. It is sent before, without
    being timed, unless the last request had the same `place`.
    """

    key: Document
    messages: list[Message]
    max_tokens: int
    place: Any = None
    primer: list[Message] | None = None


class SingleRun(Run):
    """A run that sends each of its own requests once."""

    keys: tuple[str, ...]  # the fields of a row that name its request
    counts_words = True  # whether it must know how many tokens its words are
    most_failures = 5  # in a row, all of one kind, after which it stops

    def __init__(self, *args: Any) -> None:
        """Take the arguments of Run."""
        super().__init__(*args)
        self.rows: list[Document] = []
        self._done: dict[tuple[Any, ...], list[Document]] = {}
        self._place: Any = None
        self._ruler: prompts.Ruler
        self._limits = Limits(self.settings.budget, self.most_failures)

    async def _warm_up(self) -> None:
        """Warm up, and find out how the server counts our words."""
        await super()._warm_up()
        if not self.counts_words:
            return

        async def brief(text: str) -> Trace:
            wire = self.backend.wire()
            try:
                return await self._ask(wire, prompts.conversation(text, None), 1)
            finally:
                wire.close()

        self._ruler = await prompts.ruler(brief)

    async def take(
        self, key: str, questions: Iterable[Question], planned: int, foreseen: int
    ) -> list[Document]:
        """Send the requests that an earlier part of the run did not send; return all their rows.

        `key` is the name of this call in the journal's plan. `planned` requests are sent, where
        `foreseen` were expected before the server was known. Raises StoppedError after too many
        equal failures in a row.
        """
        self.write("planned", {"items": {key: planned}})
        self._progress.plan(planned - foreseen)
        self._limits.begin()
        first = len(self.rows)
        await closed_loop(self._left(questions), 1, self.backend.wire, self._send, self._note)
        self.write("planned", {"items": {key: len(self.rows) - first}})
        return self.rows[first:]

    def budgeted(self, seconds: float | None, requests: int, models: Sequence[str] = ()) -> str:
        """Return a sentence with the estimated time of the run, which --budget limits."""
        what = f"{counted(requests, 'request')} to {', '.join(models) or self.model.id}"
        if seconds is None:
            return f"{what}: no estimate, the warm-up showed no speed"
        return f"{what}: about {min(seconds, self.settings.budget or math.inf):.0f} s"

    def token_ms(self) -> float | None:
        """Return the time between two tokens of the last warm-up request, or None."""
        return metrics.compute(self._last)[0]["inter_token_latency_ms"] if self._last else None

    async def context(self) -> int | None:
        """Return the context length with which the model is loaded, in tokens, or None."""
        for entry in await self._loaded() or ():
            if entry["name"] == self.model.id and entry["context_length"]:
                return int(entry["context_length"])
        return self.model.context_length

    def take_over(self, record: Record) -> None:
        for row in record.rows:
            self._done.setdefault(self._named(row), []).append(row)

    def _named(self, key: Document) -> tuple[Any, ...]:
        """Return what names a request, from its key or its row.

        A prompt that a round sends twice has the same name twice.
        """
        return tuple(key[name] for name in self.keys)

    def _left(self, questions: Iterable[Question]) -> Iterator[Question]:
        """Yield the requests to send; the rows of the others are taken from the journal."""
        met: Counter[tuple[Any, ...]] = Counter()
        for question in questions:
            name = self._named(question.key)
            known = self._done.get(name, ())[met[name] :]
            met[name] += 1
            if known:
                self.rows.append(known[0])
                self._progress.resume(1)
                continue
            self._limits.check_failures()
            if self._limits.over_budget():
                return
            yield question

    async def _send(self, wire: Wire, question: Question) -> Trace:
        if question.primer is not None and question.place != self._place:
            await self._ask(wire, question.primer, 1)
        self._place = question.place
        return answered(await self._ask(wire, question.messages, question.max_tokens))

    async def _ask(self, wire: Wire, messages: list[Message], max_tokens: int) -> Trace:
        fixed = {"osl": max_tokens} if hasattr(self.settings, "osl") else {}
        backend = self._backend_with({"max_tokens": max_tokens, **fixed})
        return await backend.stream(wire, backend.payload(self.model, messages))

    def _note(self, question: Question, trace: Trace) -> None:
        asked = "".join(str(message["content"]) for message in question.messages)
        timed = {"clock": self.clock(trace), **row_of(trace, asked)}
        row = {**question.key, **self._more(trace), **timed}
        self.rows.append(row)
        self._limits.count(row["error"])
        self.write("request", row)
        self._progress.step(of_request(row))

    def _more(self, trace: Trace) -> Document:  # noqa: ARG002 - subclasses use it
        """Return the fields that this kind of run adds to a row."""
        return {}


def content(
    record: Record, found: Document, counts: Callable[[Document], bool] = lambda _: True
) -> Document:
    """Return the content of a result file; `found` is the part of `results` that is the kind's.

    Totals and failures are those of the rows that `counts` selects.
    """
    rows = record.rows
    errors = [row["error"] for row in rows if counts(row)]
    windows = [_window(row["clock"]) for row in rows]
    watched = _energy.seen(record.profile, windows)
    header, planned = record.opened, record.planned - (len(rows) - len(errors))
    return {
        **opening(header, status(record, errors.count(None), done=len(rows) >= record.planned)),
        "results": {
            **found,
            "runs": [_written(row) for row in rows],
            "totals": {**totals(errors), "planned": planned},
            "errors": by_kind(errors),
            "gates": [],
        },
        **watched,
        "telemetry": {**watched["telemetry"], **record.facts},
        "insights": [],
    }


def good(rows: Sequence[Document]) -> list[Document]:
    """Return the requests that succeeded."""
    return [row for row in rows if row["error"] is None]


def middle(rows: Sequence[Document], name: str) -> float | None:
    """Return the median of a metric over the rows that have it, or None."""
    values = documents.values(rows, name)
    return float(median(values)) if values else None


def spread(rows: Sequence[Document], name: str, reason: str | None) -> Distribution:
    """Return the distribution of a metric of a request.

    Without values its reason is that of the first row that has one, or else `reason`.
    """
    missing = next((why for row in rows if (why := row["null_reasons"].get(name))), reason)
    return samples.distribution(documents.values(rows, name), metrics.REQUEST[name].unit, missing)


def _window(clock: Document) -> timeline.Window:
    return timeline.Window(clock["sent_ns"], clock["first_ns"], clock["end_ns"])


def _written(row: Document) -> Document:
    return {name: value for name, value in row.items() if name not in ("chunk_gaps_ms", "clock")}

"""The result file of a run that holds conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_llamaburn import gates, metrics
from pytest_llamaburn.documents import Distribution, Document
from pytest_llamaburn.kinds import _single
from pytest_llamaburn.kinds._file import Part, RequestFacts, Results, RunFile, request_model
from pytest_llamaburn.kinds.chat import insights, overflow
from pytest_llamaburn.kinds.chat.comparable import Comparison
from pytest_llamaburn.kinds.chat.measures import MEASURES
from pytest_llamaburn.kinds.chat.plan import MISS, TURNS, WARM
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.kinds.chat.settings import Chat
    from pytest_llamaburn.store.journal import Record

_TTFT = "time_to_first_token_ms"


class Turn(Part):
    """A turn, over all conversations.

    `context_tokens` and `cached_tokens` are medians. `miss_cost_ms` is how much later the first
    token of the same turn is if the server has none of it in its prompt cache.
    """

    turn: int
    context_tokens: float | None
    cached_tokens: float | None
    ttft_ms: Distribution
    miss_ttft_ms: Distribution
    miss_cost_ms: Distribution
    inter_token_latency_ms: Distribution


class Probe(Part):
    """What the server does with something that leaves the context; `reason` if it is not known."""

    behaviour: Literal["refuses", "truncates", "accepts", "stops", "shifts", "breaks off"] | None
    prompt_tokens: float | None
    answer_tokens: float | None
    reason: str | None


class Overflow(Part):
    """The end of the context: the turn that reaches it, and what the server does there.

    `turn_measured` is whether a conversation reached it; else the turn is computed.
    """

    context: int | None
    turn: int | None
    turn_measured: bool
    prompt: Probe
    answer: Probe


class _Facts(RequestFacts):
    conversation: int
    turn: int
    part: Literal["warm", "miss", "beyond", "crossing"]
    answer: str


ChatRequest = request_model("ChatRequest", _Facts)


class ChatResults(Results):
    """The results by turn."""

    turns: list[Turn]
    overflow: Overflow
    runs: list[ChatRequest]  # type: ignore[valid-type]


class File(RunFile):
    """A result file of `llamaburn chat`."""

    schema_: Literal["llamaburn/chat"] = Field(alias="schema")
    results: ChatResults


def check(settings: Chat) -> None:
    """Raise SettingsError for a gate that has no meaning."""
    for expression in settings.threshold:
        gates.parse(expression, MEASURES)
    Comparison.check_asked(settings)


def build(record: Record) -> Document:
    """Return the content of a result file, made from its journal."""
    config = record.opened["config"]
    results = found(record.rows, record.facts.get("context"), overflow=config["overflow"])
    document = _single.content(record, results, _of_turn)
    document["results"]["gates"] = gates.of_run(document, MEASURES, record.gates)
    document["insights"] = insights.find(document)
    return document


def found(rows: Sequence[Any], context: int | None, *, overflow: bool) -> Document:
    """Return the times of each turn, and what the server does when the context is full.

    `overflow` is whether the run was to find that out.
    """
    own = [row for row in rows if _of_turn(row)]
    warm: list[Any] = [row for row in _single.good(own) if row["part"] == WARM]
    turns = sorted({row["turn"] for row in own})
    return {
        "turns": [_turn(turn, [row for row in own if row["turn"] == turn]) for turn in turns],
        "overflow": _overflow(rows, context, asked=overflow),
        "summary": metrics.summary(warm, own),
    }


_overflow = overflow.found


def _of_turn(row: Document) -> bool:
    """Return whether a request is a turn of a conversation, not one that fills the context."""
    return row["part"] in TURNS


def _turn(turn: int, rows: Sequence[Document]) -> Document:
    warm, missed = ([r for r in _single.good(rows) if r["part"] == part] for part in (WARM, MISS))
    late = {row["conversation"]: row[_TTFT] for row in missed}
    pairs = [(row[_TTFT], late.get(row["conversation"])) for row in warm]
    costs = [miss - hit for hit, miss in pairs if None not in (hit, miss)]
    first = "the first turn has nothing in the cache" if turn == 1 else None
    failed = next((row["error"]["kind"] for row in rows if row["error"]), None)
    why = first or (failed and f"failed with {failed}")
    return {
        "turn": turn,
        "context_tokens": _single.middle(warm, "input_sequence_length"),
        "cached_tokens": _single.middle(warm, "cached_tokens"),
        "ttft_ms": _single.spread(warm, _TTFT, why),
        "miss_ttft_ms": _single.spread(missed, _TTFT, why),
        "miss_cost_ms": samples.distribution(costs, "ms", why),
        "inter_token_latency_ms": _single.spread(warm, "inter_token_latency_ms", why),
    }

"""The metrics of one request: one function defines each.

TTFT is defined here (`time_to_first_token_ms`); `backends/_http.py` takes its timestamps. A
function returns the value in the metric's unit, or a `Missing` with the reason. Its decorator
makes the `Measure` (`measures.py`).
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import documents
from pytest_llamaburn.measures import CHUNK_GAP, STATISTICS, Measure
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_llamaburn.documents import Distribution, RequestRow
    from pytest_llamaburn.trace import Trace

    Compute = Callable[[Trace], "float | Missing"]


class Missing(NamedTuple):
    """The reason why a number is null."""

    reason: str


REQUEST: dict[str, Measure] = {}  # the measures of a single request, by name
_COMPUTE: dict[str, Compute] = {}
# States of a scorer's verdict that the model did not cause. No share counts such an answer.
NO_VERDICT = ("unavailable", "skipped_sut_error", "unfinished")
# Reasons that concern single answers; the other reasons concern every answer of a server.
DOUBTS = ("unreadable", "implausible", "not_streamed")


def metric(name: str, **fields: Any) -> Callable[[Compute], Compute]:
    """Register a function as the definition of a metric; `fields` are those of its Measure."""
    measure = Measure(name, statistics=STATISTICS, **fields)

    def register(compute: Compute) -> Compute:
        REQUEST[name], _COMPUTE[name] = measure, compute
        return compute

    return register


def compute(trace: Trace) -> tuple[dict[str, float | None], dict[str, str]]:
    """Return the values of one request by metric, and the reasons of those that are null.

    All metrics of a failed request are null.
    """
    if trace.failure:
        return dict.fromkeys(REQUEST), dict.fromkeys(REQUEST, "failed")
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for name, of_trace in _COMPUTE.items():
        value = of_trace(trace)
        if isinstance(value, Missing):
            values[name], reasons[name] = None, value.reason
        else:
            values[name] = value
    return values, reasons


def chunk_gaps_ms(trace: Trace) -> list[float]:
    """Return the times between successive deltas in ms; deltas of one read have the same time."""
    stamps = trace.delta_ns
    return [(b - a) / 1e6 for a, b in pairwise(stamps)]


def summary(
    rows: Sequence[RequestRow], every: Sequence[RequestRow] = ()
) -> dict[str, Distribution]:
    """Return the distribution of each metric over successful requests, and of the chunk gaps.

    A metric without values has the most frequent reason of its requests.
    """
    distributions = {}
    for name, measure in REQUEST.items():
        values = documents.values(rows, name)
        reasons = Counter(r["null_reasons"].get(name) for r in rows or every)
        reason = reasons.most_common(1)[0][0] if reasons else None
        distributions[name] = samples.distribution(values, measure.unit, reason)
    gaps = [gap for row in rows for gap in row["chunk_gaps_ms"]]
    distributions[CHUNK_GAP.name] = samples.distribution(gaps, CHUNK_GAP.unit)
    return distributions


@metric(
    "time_to_first_token_ms",
    unit="ms",
    better="lower",
    alias="ttft_ms",
    label="time to first token",
    formula="first non-empty content or thinking delta − request sent",
)
def time_to_first_token_ms(trace: Trace) -> float | Missing:
    """Return TTFT. A thinking token counts; a role chunk or a keep-alive does not."""
    return _since_first(trace.first_ns, trace.sent_ns, trace)


@metric(
    "inter_token_latency_ms",
    unit="ms",
    better="lower",
    alias="itl_ms",
    label="inter-token latency",
    formula="(total_generation_ms − time_to_first_token_ms) / (output_sequence_length − 1)",
)
def inter_token_latency_ms(trace: Trace) -> float | Missing:
    """Return the mean time between two successive tokens of this request."""
    tokens = output_sequence_length(trace)
    if isinstance(tokens, Missing):
        return tokens
    if tokens < 2:
        return Missing("below_two_tokens")
    span = _since_first(trace.last_ns, trace.first_ns, trace)
    if isinstance(span, Missing):
        return span
    return span / (tokens - 1) if span else Missing("one_read")


@metric(
    "tokens_per_sec",
    unit="tokens/s",
    better="higher",
    alias="tps",
    label="tokens per second",
    formula="1000 / inter_token_latency_ms",
)
def tokens_per_sec(trace: Trace) -> float | Missing:
    """Return the generation speed after the first token."""
    gap = inter_token_latency_ms(trace)
    return gap if isinstance(gap, Missing) else 1000 / gap


@metric(
    "e2e_tokens_per_sec",
    unit="tokens/s",
    better="higher",
    label="tokens per second, end to end",
    formula="1000 · output_sequence_length / total_generation_ms",
)
def e2e_tokens_per_sec(trace: Trace) -> float | Missing:
    """Return the tokens per second over the whole request, the time to first token included."""
    tokens, total = output_sequence_length(trace), total_generation_ms(trace)
    if isinstance(tokens, Missing):
        return tokens
    if isinstance(total, Missing):
        return total
    return 1000 * tokens / total


@metric(
    "total_generation_ms",
    unit="ms",
    better="lower",
    alias="e2e_ms",
    label="total generation",
    formula="last content or thinking delta − request sent",
)
def total_generation_ms(trace: Trace) -> float | Missing:
    """Return the time from sending the request to the end of the answer."""
    return _span_ms(trace.last_ns, trace.sent_ns)


@metric(
    "prompt_eval_ms",
    unit="ms",
    better="lower",
    source="server",
    label="prompt evaluation",
    formula="the server's processing time of the uncached part of the prompt",
)
def prompt_eval_ms(trace: Trace) -> float | Missing:
    """Return the time in which the server processed the prompt."""
    return _given(trace, "prompt_ms", trace.timings.prompt_ms)


@metric(
    "load_duration_ms",
    unit="ms",
    better="lower",
    source="server",
    label="load duration",
    formula="the server's time to load the model into memory",
)
def load_duration_ms(trace: Trace) -> float | Missing:
    """Return the server's time to load the model: about 1 ms if it was loaded already."""
    return _given(trace, "load_ms", trace.timings.load_ms)


@metric(
    "input_sequence_length",
    unit="tokens",
    better="none",
    alias="isl",
    source="server",
    label="input length",
    formula="the server's count of prompt tokens, cached ones included",
)
def input_sequence_length(trace: Trace) -> float | Missing:
    """Return the length of the prompt."""
    return _counted(trace, "prompt", trace.usage.prompt, there=True)


@metric(
    "output_sequence_length",
    unit="tokens",
    better="none",
    alias="osl",
    source="server",
    label="output length",
    formula="the server's count of generated tokens, thinking included",
)
def output_sequence_length(trace: Trace) -> float | Missing:
    """Return the length of the answer. Chunks are never counted as tokens."""
    return _counted(trace, "completion", trace.usage.completion, there=bool(trace.delta_ns))


@metric(
    "power_draw_watts",
    unit="W",
    better="lower",
    source="sensor",
    label="power draw",
    formula="time-weighted mean power during the request",
)
def power_draw_watts(trace: Trace) -> float | Missing:  # noqa: ARG001
    """Return Missing: `timeline.powered` sets the value later, from the sensor's readings."""
    return Missing("no_provider")


@metric(
    "energy_wh",
    unit="Wh",
    better="lower",
    source="sensor",
    label="energy",
    formula="integral of power over the request / 3600",
)
def energy_wh(trace: Trace) -> float | Missing:  # noqa: ARG001
    """Return Missing: `timeline.powered` sets the value later, from the sensor's readings."""
    return Missing("no_provider")


@metric(
    "stream_ms",
    unit="ms",
    better="lower",
    formula="end of the stream − request sent",
)
def stream_ms(trace: Trace) -> float | Missing:
    """Return the time from sending the request to the end of the stream."""
    return (trace.end_ns - trace.sent_ns) / 1e6


@metric(
    "time_to_first_answer_token_ms",
    unit="ms",
    better="lower",
    formula="first delta that is not thinking − request sent",
)
def time_to_first_answer_token_ms(trace: Trace) -> float | Missing:
    """Return the time from sending the request to the first token after thinking."""
    if trace.first_answer_ns is None and trace.first_ns is not None:
        return Missing("no_thinking_end")
    return _since_first(trace.first_answer_ns, trace.sent_ns, trace)


@metric(
    "queue_ms",
    unit="ms",
    better="lower",
    source="server",
    label="queueing",
    formula="Ollama: total − load − prompt − generation; llama.cpp: response head − request sent",
)
def queue_ms(trace: Trace) -> float | Missing:
    """Return how long the request waited in the server's queue."""
    return _given(trace, "queue_ms", trace.timings.queue_ms)


@metric(
    "prompt_tokens_per_sec",
    unit="tokens/s",
    better="higher",
    source="server",
    label="prompt tokens per second",
    formula="1000 · uncached prompt tokens / prompt_eval_ms",
)
def prompt_tokens_per_sec(trace: Trace) -> float | Missing:
    """Return the speed of prompt processing, without cached tokens, which take no time."""
    tokens = _given(trace, "prompt_tokens", trace.timings.prompt_tokens, "no_uncached_count")
    elapsed_ms = prompt_eval_ms(trace)
    if isinstance(elapsed_ms, Missing):
        return elapsed_ms
    if isinstance(tokens, Missing):
        return tokens
    return 1000 * tokens / elapsed_ms if elapsed_ms >= 1 else Missing("clock_too_short")


@metric(
    "server_tokens_per_sec",
    unit="tokens/s",
    better="higher",
    source="server",
    formula="1000 · (generated tokens − 1) / the server's generation time, which starts at the "
    "first token",
)
def server_tokens_per_sec(trace: Trace) -> float | Missing:
    """Return the generation speed by the server's clock, a cross-check of `tokens_per_sec`."""
    tokens = _given(trace, "eval_tokens", trace.timings.eval_tokens)
    elapsed_ms = _given(trace, "eval_ms", trace.timings.eval_ms or None)
    if isinstance(elapsed_ms, Missing):
        return elapsed_ms
    if isinstance(tokens, Missing):
        return tokens
    if tokens < 2:
        return Missing("below_two_tokens")
    return 1000 * (tokens - 1) / elapsed_ms if elapsed_ms >= 1 else Missing("clock_too_short")


@metric(
    "cached_tokens",
    unit="tokens",
    better="none",
    source="server",
    formula="prompt tokens that the server took from its cache",
)
def cached_tokens(trace: Trace) -> float | Missing:
    """Return the part of the prompt that the server did not process again."""
    return _given(trace, "cached", trace.usage.cached)


@metric(
    "tokens_per_chunk",
    unit="tokens",
    better="none",
    source="both",
    formula="output_sequence_length / number of deltas",
)
def tokens_per_chunk(trace: Trace) -> float | Missing:
    """Return the tokens per chunk. Above 1, the time between chunks is not that between tokens."""
    tokens = output_sequence_length(trace)
    if isinstance(tokens, Missing):
        return tokens
    return tokens / len(trace.delta_ns) if trace.delta_ns else Missing("no_delta")


@metric(
    "connect_ms",
    unit="ms",
    better="lower",
    formula="time to connect, before the request is sent; null on a reused connection",
)
def connect_ms(trace: Trace) -> float | Missing:
    """Return the time to connect. No other latency contains it."""
    return Missing("connection_reused") if trace.connect_ms is None else trace.connect_ms


def _span_ms(end_ns: int | None, start_ns: int | None) -> float | Missing:
    if end_ns is None or start_ns is None:
        return Missing("no_delta")
    return (end_ns - start_ns) / 1e6


def _since_first(end_ns: int | None, start_ns: int | None, trace: Trace) -> float | Missing:
    """Return a span that starts or ends at the first token; Missing for an unstreamed answer."""
    return _span_ms(end_ns, start_ns) if trace.streamed else Missing("not_streamed")


def _given(
    trace: Trace, name: str, value: float | None, otherwise: str = "not_reported"
) -> float | Missing:
    """Return a number that the server reports, or why it is missing."""
    return Missing(trace.refused.get(name, otherwise)) if value is None else value


def _counted(trace: Trace, name: str, count: float | None, *, there: bool) -> float | Missing:
    """Return a count of tokens. Servers that do not count report 0, which is Missing if `there`."""
    return _given(trace, name, None if there and not count else count, "no_usage")


# The measures of requests, and the chunk gaps, which are pooled over all requests.
MEASURES = {**REQUEST, CHUNK_GAP.name: CHUNK_GAP}

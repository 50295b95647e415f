"""Every number about a request: one function, one definition, one place.

TTFT is defined here (`time_to_first_token_ms`) and stamped in `backends/_http.py`. A function
returns its value in its unit, or a `Missing` with the reason; the decorator registers name, unit,
direction and formula, from which tables, schema and the docs page are made.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.criteria import BUILT_IN
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_llamaburn.trace import Trace


class Missing(NamedTuple):
    """Why a number is null."""

    reason: str


class Metric(NamedTuple):
    """One registered number about a request."""

    name: str
    unit: str
    better: str
    formula: str
    source: str
    alias: str | None
    compute: Callable[[Trace], float | Missing]


class RunMetric(NamedTuple):
    """One number about many requests; `key` is where the result file has it."""

    key: str
    unit: str
    better: str
    formula: str


METRICS: dict[str, Metric] = {}
RUN_METRICS = {
    "run_energy_wh": RunMetric(
        "energy_wh", "Wh", "lower", "energy from the first send to the last end, gross"
    ),
    "energy_above_idle_wh": RunMetric(
        "energy_above_idle_wh", "Wh", "lower", "run_energy_wh − idle power, model loaded · time"
    ),
    "run_power_draw_watts": RunMetric(
        "power_draw_watts", "W", "lower", "run_energy_wh · 3600 / seconds"
    ),
    "power_peak_watts": RunMetric("power_peak_watts", "W", "lower", "highest power read"),
    "joules_per_output_token": RunMetric(
        "joules_per_output_token", "J", "lower", "run_energy_wh · 3600 / tokens generated"
    ),
    "output_tokens_per_joule": RunMetric(
        "output_tokens_per_joule", "tokens/J", "higher", "1 / joules_per_output_token"
    ),
}
ENERGY_UNITS = ("Wh", "W", "J", "tokens/J")
# Those whose distributions a level of a stress run has.
LEVEL_METRICS = (
    *("total_generation_ms", "time_to_first_token_ms", "inter_token_latency_ms"),
    *("tokens_per_sec", "queue_ms", "prompt_eval_ms"),
    *("input_sequence_length", "output_sequence_length"),
)
# Of a stress run: of a level, unless `key` begins with results.
LOAD_METRICS = {
    "requests_per_sec": RunMetric(
        "requests_per_sec",
        "/s",
        "higher",
        "requests that succeeded / seconds, while the load was whole; a request that lies partly "
        "in that time counts by that share of its generation",
    ),
    "output_tokens_per_sec": RunMetric(
        "output_tokens_per_sec",
        "tokens/s",
        "higher",
        "tokens generated / seconds, over the same time and by the same shares",
    ),
    "error_rate": RunMetric(
        "error_rate",
        "share",
        "lower",
        "requests that failed or outlasted the deadline / all, each followed to its end",
    ),
    "goodput_share": RunMetric(
        "goodput.share", "share", "higher", "requests that kept every bound of --slo / all"
    ),
    "energy_wh": RunMetric("energy_wh", "Wh", "lower", "energy from first send to last end, gross"),
    "power_draw_watts": RunMetric("power_draw_watts", "W", "lower", "mean over time"),
    "power_peak_watts": RunMetric("power_peak_watts", "W", "lower", "highest power read"),
    "joules_per_output_token": RunMetric(
        "joules_per_output_token", "J", "lower", "energy_wh · 3600 / tokens generated"
    ),
    "output_tokens_per_joule": RunMetric(
        "output_tokens_per_joule", "tokens/J", "higher", "1 / joules_per_output_token"
    ),
    "failure_point": RunMetric(
        "results.failure_point",
        "clients",
        "higher",
        "where error_rate crosses --failure-rate, from one monotone fit over all that was sent",
    ),
    "degradation_point": RunMetric(
        "results.degradation_point",
        "clients",
        "higher",
        "where a latency crosses --degradation-factor times that of one client alone",
    ),
    "optimal": RunMetric(
        "results.optimal",
        "clients",
        "higher",
        "the smallest level within 5 % of the highest throughput at acceptable latency",
    ),
    "recovery_time_ms": RunMetric(
        "results.recovery_time_ms",
        "ms",
        "lower",
        "end of the spike to the first of two windows whose median wait is that of before",
    ),
}
_MEANT = {
    "faithfulness": "mean over answers: claims of the answer that its evidence supports / claims",
    "context_recall": "mean over answers: claims of the reference that the evidence has / claims",
}
EVAL_METRICS = {
    **{
        name: RunMetric(
            f"results.criteria.{name}.mean",
            "score" if found.kind == "scale" else "share",
            "higher",
            _MEANT.get(name, f"mean of the judges' marks for {name}, 1 to 5, over what was scored"),
        )
        for name, found in BUILT_IN.items()
        if found.kind != "grade"
    },
    "graded_correct": RunMetric(
        "results.grades.graded_correct.mean",
        "share",
        "higher",
        "answers that judges graded correct / answers that they graded",
    ),
    "graded_incorrect": RunMetric(
        "results.grades.graded_incorrect.mean",
        "share",
        "lower",
        "answers that judges graded incorrect / answers that they graded",
    ),
    "not_attempted": RunMetric(
        "results.grades.not_attempted.mean",
        "share",
        "none",
        "answers that judges graded not attempted / answers that they graded",
    ),
    "correct_given_attempted": RunMetric(
        "results.grades.correct_given_attempted.mean",
        "share",
        "higher",
        "answers graded correct / answers graded correct or incorrect",
    ),
    "f_score": RunMetric(
        "results.grades.f_score.mean",
        "share",
        "higher",
        "harmonic mean of graded_correct and correct_given_attempted",
    ),
    "correct": RunMetric(
        "results.correct.mean",
        "share",
        "higher",
        "answers that the scorers found right / answers; one that cannot be read is wrong",
    ),
    "correct_of_parsed": RunMetric(
        "results.correct_of_parsed.mean",
        "share",
        "higher",
        "answers that the scorers found right / answers that could be read",
    ),
    "unparsable": RunMetric(
        "results.unparsable.mean",
        "share",
        "lower",
        "answers that could not be read, empty, cut and failed ones among them / answers",
    ),
    "pass_at_k": RunMetric(
        "results.pass_at_k.mean",
        "share",
        "higher",
        "mean over questions of 1 − C(n − right, k) / C(n, k), with n answers each",
    ),
    "win_rate": RunMetric(
        "results.pairwise.win_rate.value",
        "share",
        "higher",
        "(won + ties / 2) / questions, each judged in both orders; if they disagree it is a tie",
    ),
    "unscored": RunMetric(
        "1 − results.n_scored / n_total",
        "share",
        "lower",
        "verdicts that are not there / all asked for; the larger share, of judges or of scorers",
    ),
    "error_rate": RunMetric(
        "results.totals.failed / requests",
        "share",
        "lower",
        "answers that failed / all that were asked for",
    ),
}

# States of a scorer's verdict that are not the model's doing: such an answer is in no share.
NO_VERDICT = ("unavailable", "skipped_sut_error", "unfinished")
REASONS = {
    "failed": "the request failed",
    "no_delta": "the answer had no content",
    "no_usage": "the server sent no token counts, or 0 for what was there",
    "below_two_tokens": "one token has no gap to the next",
    "no_samples": "no request gave a value",
    "one_read": "the whole answer came in one read",
    "not_reported": "the server does not say",
    "unreadable": "what the server says is no number",
    "implausible": "what the server says cannot be true",
    "not_streamed": "the server sent the whole answer at once, although it was asked to stream",
    "no_uncached_count": "the server does not say how much of the prompt was cached",
    "clock_too_short": "the server timed less than a millisecond",
    "no_provider": "no power sensor is read",
    "remote_server": "the server is on another machine, whose sensors are not read",
    "profile_off": "sensors were not to be read (--no-profile)",
    "unsupported_field": "no GPU gives its power",
    "gpu_not_used": "the server uses none of the GPUs that have sensors",
    "devices_differ": "parts of the run counted the energy of different devices",
    "window_too_short": "the request was too short for the sensor",
    "low_coverage": "readings are missing for over a fifth of the time",
    "no_thinking_end": "the answer held only thinking",
    "connection_reused": "an open connection was used",
}

DOUBTS = ("unreadable", "implausible", "not_streamed")  # of one answer, not of a kind of server


def metric(
    name: str, *, unit: str, better: str, formula: str, source: str = "client", alias: str = ""
) -> Callable[[Callable[[Trace], float | Missing]], Callable[[Trace], float | Missing]]:
    """Register a function as the one definition of a number.

    `better` is lower, higher or none; `source` says whose clock or count it rests on.
    """

    def register(
        compute: Callable[[Trace], float | Missing],
    ) -> Callable[[Trace], float | Missing]:
        METRICS[name] = Metric(name, unit, better, formula, source, alias or None, compute)
        return compute

    return register


def resolve(name: str) -> str | None:
    """Return the full name of a metric or of its alias, None for neither."""
    if name in METRICS:
        return name
    return next((m.name for m in METRICS.values() if m.alias == name), None)


def compute(trace: Trace) -> tuple[dict[str, float | None], dict[str, str]]:
    """Return (value by metric, reason by metric that is null) of one request.

    A failed request has no values: a latency of something that did not happen is not a latency.
    """
    if trace.failure:
        return dict.fromkeys(METRICS), dict.fromkeys(METRICS, "failed")
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for name, definition in METRICS.items():
        value = definition.compute(trace)
        if isinstance(value, Missing):
            values[name], reasons[name] = None, value.reason
        else:
            values[name] = value
    return values, reasons


def chunk_gaps_ms(trace: Trace) -> list[float]:
    """Return the times between successive pieces of the answer, in ms; 0 within one read."""
    stamps = trace.delta_ns
    return [(b - a) / 1e6 for a, b in pairwise(stamps)]


def summary(
    rows: Sequence[dict[str, Any]], every: Sequence[dict[str, Any]] = ()
) -> dict[str, dict[str, Any]]:
    """Return the distribution of each metric over successful requests, and of the chunk gaps.

    A metric without values gives the reason its requests gave most often.
    """
    found = {}
    for name, definition in METRICS.items():
        values = [row[name] for row in rows if row[name] is not None]
        reasons = Counter(r["null_reasons"].get(name) for r in rows or every)
        reason = reasons.most_common(1)[0][0] if reasons else None
        found[name] = samples.distribution(values, definition.unit, reason)
    gaps = [gap for row in rows for gap in row["chunk_gaps_ms"]]
    found["chunk_gap_ms"] = samples.distribution(gaps, "ms")
    return found


@metric(
    "time_to_first_token_ms",
    unit="ms",
    better="lower",
    alias="ttft_ms",
    formula="first non-empty content or thinking delta − request sent",
)
def time_to_first_token_ms(trace: Trace) -> float | Missing:
    """Return TTFT; role chunks and keep-alives are not tokens, thinking is."""
    return _since_first(trace.first_ns, trace.sent_ns, trace)


@metric(
    "inter_token_latency_ms",
    unit="ms",
    better="lower",
    alias="itl_ms",
    formula="(total_generation_ms − time_to_first_token_ms) / (output_sequence_length − 1)",
)
def inter_token_latency_ms(trace: Trace) -> float | Missing:
    """Return the mean time from one token to the next, of this request."""
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
    formula="1000 / inter_token_latency_ms",
)
def tokens_per_sec(trace: Trace) -> float | Missing:
    """Return the speed of generation once it runs."""
    gap = inter_token_latency_ms(trace)
    return gap if isinstance(gap, Missing) else 1000 / gap


@metric(
    "e2e_tokens_per_sec",
    unit="tokens/s",
    better="higher",
    formula="1000 · output_sequence_length / total_generation_ms",
)
def e2e_tokens_per_sec(trace: Trace) -> float | Missing:
    """Return tokens over the whole wait, the first token's included."""
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
    formula="last content or thinking delta − request sent",
)
def total_generation_ms(trace: Trace) -> float | Missing:
    """Return the wait for the whole answer."""
    return _span_ms(trace.last_ns, trace.sent_ns)


@metric(
    "prompt_eval_ms",
    unit="ms",
    better="lower",
    source="server",
    formula="the server's time on the uncached part of the prompt",
)
def prompt_eval_ms(trace: Trace) -> float | Missing:
    """Return the server's prompt processing time."""
    return _given(trace, "prompt_ms", trace.timings.prompt_ms)


@metric(
    "load_duration_ms",
    unit="ms",
    better="lower",
    source="server",
    formula="the server's time to have the model in memory",
)
def load_duration_ms(trace: Trace) -> float | Missing:
    """Return the server's load time: about a millisecond when warm."""
    return _given(trace, "load_ms", trace.timings.load_ms)


@metric(
    "input_sequence_length",
    unit="tokens",
    better="none",
    alias="isl",
    source="server",
    formula="the server's count of prompt tokens, cached ones included",
)
def input_sequence_length(trace: Trace) -> float | Missing:
    """Return the prompt's length."""
    return _counted(trace, "prompt", trace.usage.prompt, there=True)


@metric(
    "output_sequence_length",
    unit="tokens",
    better="none",
    alias="osl",
    source="server",
    formula="the server's count of generated tokens, thinking included",
)
def output_sequence_length(trace: Trace) -> float | Missing:
    """Return the answer's length; chunks are never counted for tokens."""
    return _counted(trace, "completion", trace.usage.completion, there=bool(trace.delta_ns))


@metric(
    "power_draw_watts",
    unit="W",
    better="lower",
    source="sensor",
    formula="time-weighted mean power during the request",
)
def power_draw_watts(trace: Trace) -> float | Missing:  # noqa: ARG001
    """Return null: a trace holds no power; `timeline.powered` sets it from the readings."""
    return Missing("no_provider")


@metric(
    "energy_wh",
    unit="Wh",
    better="lower",
    source="sensor",
    formula="integral of power over the request / 3600",
)
def energy_wh(trace: Trace) -> float | Missing:  # noqa: ARG001
    """Return null: a trace holds no power; `timeline.powered` sets it from the readings."""
    return Missing("no_provider")


@metric(
    "stream_ms",
    unit="ms",
    better="lower",
    formula="end of the stream − request sent",
)
def stream_ms(trace: Trace) -> float | Missing:
    """Return the time to the terminal event."""
    return (trace.end_ns - trace.sent_ns) / 1e6


@metric(
    "time_to_first_answer_token_ms",
    unit="ms",
    better="lower",
    formula="first delta that is not thinking − request sent",
)
def time_to_first_answer_token_ms(trace: Trace) -> float | Missing:
    """Return the wait until thinking is over and the answer begins."""
    if trace.first_answer_ns is None and trace.first_ns is not None:
        return Missing("no_thinking_end")
    return _since_first(trace.first_answer_ns, trace.sent_ns, trace)


@metric(
    "queue_ms",
    unit="ms",
    better="lower",
    source="server",
    formula="Ollama: total − load − prompt − generation; llama.cpp: response head − request sent",
)
def queue_ms(trace: Trace) -> float | Missing:
    """Return how long the request waited for a slot."""
    return _given(trace, "queue_ms", trace.timings.queue_ms)


@metric(
    "prompt_tokens_per_sec",
    unit="tokens/s",
    better="higher",
    source="server",
    formula="1000 · uncached prompt tokens / prompt_eval_ms",
)
def prompt_tokens_per_sec(trace: Trace) -> float | Missing:
    """Return the prompt rate; a rate over cached tokens would be a fake one."""
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
    formula="1000 · (generated − 1) / the server's generation time, which starts at token 1",
)
def server_tokens_per_sec(trace: Trace) -> float | Missing:
    """Return the server's own speed, its intervals counted as ours are: a cross-check."""
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
    formula="prompt tokens the server took from its cache",
)
def cached_tokens(trace: Trace) -> float | Missing:
    """Return how much of the prompt was not processed again."""
    return _given(trace, "cached", trace.usage.cached)


@metric(
    "tokens_per_chunk",
    unit="tokens",
    better="none",
    source="both",
    formula="output_sequence_length / number of deltas",
)
def tokens_per_chunk(trace: Trace) -> float | Missing:
    """Return how coarse the stream is: above 1, gaps between chunks are not gaps of tokens."""
    tokens = output_sequence_length(trace)
    if isinstance(tokens, Missing):
        return tokens
    return tokens / len(trace.delta_ns) if trace.delta_ns else Missing("no_delta")


@metric(
    "connect_ms",
    unit="ms",
    better="lower",
    formula="time to connect, before the request's clock; null on a reused connection",
)
def connect_ms(trace: Trace) -> float | Missing:
    """Return the connection's cost, which no latency contains."""
    return Missing("connection_reused") if trace.connect_ms is None else trace.connect_ms


def _span_ms(end_ns: int | None, start_ns: int | None) -> float | Missing:
    if end_ns is None or start_ns is None:
        return Missing("no_delta")
    return (end_ns - start_ns) / 1e6


def _since_first(end_ns: int | None, start_ns: int | None, trace: Trace) -> float | Missing:
    """Return a time from or to the first token, which nobody saw where nothing was streamed."""
    return _span_ms(end_ns, start_ns) if trace.streamed else Missing("not_streamed")


def _given(
    trace: Trace, name: str, value: float | None, otherwise: str = "not_reported"
) -> float | Missing:
    """Return a number of the server's, or why there is none."""
    return Missing(trace.refused.get(name, otherwise)) if value is None else value


def _counted(trace: Trace, name: str, count: float | None, *, there: bool) -> float | Missing:
    """Return a count of tokens; 0 where something was there is how some servers say nothing."""
    return _given(trace, name, None if there and not count else count, "no_usage")

"""The model of a server in a result file, and what it predicts for users beside what they saw."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_llamaburn.capacity import assumptions, observations, service, users
from pytest_llamaburn.capacity.assumptions import NEAR
from pytest_llamaburn.capacity.service import Service, Value
from pytest_llamaburn.capacity.users import QUANTILES, Users
from pytest_llamaburn.documents import Document
from pytest_llamaburn.kinds._file import Part
from pytest_llamaburn.load.think import think_seconds
from pytest_llamaburn.stats import samples
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.capacity.users import Predicted
    from pytest_llamaburn.load.rows import Row
    from pytest_llamaburn.load.step import Step

    Config = Mapping[str, Any]

ONE_LEVEL = "the run has fewer than two levels, so it does not show how speed depends on the load"
NOT_SENT = "the run ended before the predicted load was sent"
ONE_LENGTH = "all prompts are about equally long: the rate includes what each prompt costs"
MEASURES = {"ttft_ms": "time_to_first_token_ms", "itl_ms": "inter_token_latency_ms"}
DECIDES = "ttft_ms.p95"  # the number on which the model is judged
_READING = ("fixed_ms", "ms_per_token", "steps_beside")
_MOST_REQUESTS = 1000  # of each run
_DIGITS = 7  # significant ones, so that a file does not depend on the mathematics of the processor


class Interval(Part):
    """A number with its 95 % interval; `n` is the number of its samples."""

    value: float | None
    ci95: tuple[float, float] | None
    n: int | None = None


class Prefill(Part):
    """How long prompts take to read: `fixed_ms`, `ms_per_token`, and steps of the answers beside.

    `tokens_per_sec` is 1000 / `ms_per_token`.
    """

    tokens_per_sec: float | None
    fixed_ms: Interval
    ms_per_token: Interval
    steps_beside: Interval
    reason: str | None


class Decode(Part):
    """The time of a token when so many answers are written at once; interpolated if n is 0."""

    batch: int
    ms_per_token: Interval


class ServiceModel(Part):
    """A fitted model of the server, from the requests of all levels.

    `shares_processor` says that answers wait while a prompt is read; `stall_share` is for which
    share of that time. The lengths are those of the requests, in their order. The spreads are
    quantiles of measured / fitted time, `draws` are samples of all fitted numbers.
    """

    slots: int
    slots_known: bool
    shares_processor: bool
    stall_share: float | None
    prefill: Prefill
    decode: list[Decode]
    prompt_tokens: list[float]
    output_tokens: list[float]
    cached_share: float
    most_in_flight: int
    read_spread: list[float]
    write_spread: list[float]
    draws: list[list[float]]
    broken_assumptions: list[Document]


class Twin(Part):
    """A load of users: what the model predicted, what was measured, and how far they differ.

    `predicted` has the median of all simulations and their middle 95 %, `measured` the number with
    its interval and n, `differences` are measured / predicted − 1. `holds` says whether the model
    predicted `ttft_ms.p95` within 10 %, or within its interval.
    """

    users: int
    think_time: str | None
    requests: int
    predicted: dict[str, Interval]
    measured: dict[str, Interval]
    differences: dict[str, float | None]
    holds: bool | None
    broken_assumptions: list[Document]
    reason: str | None


class Sent(NamedTuple):
    """The load of the users: its step, its requests, and their deadline."""

    step: Step
    rows: Sequence[Row]
    deadline_s: float


def fitted(runs: Sequence[Sequence[Row]], levels: int) -> Document:
    """Return the `service` of a result file, and `service_reason` if there is none."""
    if levels < 2:
        return {"service": None, "service_reason": ONE_LEVEL}
    answers = [_answers(run) for run in runs]
    found = service.fit(answers)
    if isinstance(found, str):
        return {"service": None, "service_reason": found}
    failures = observations.failures(answers)
    broken = [one._asdict() for one in assumptions.of_fit(found, failures)]
    return {"service": {**_document(found), "broken_assumptions": broken}, "service_reason": None}


def _answers(run: Sequence[Row]) -> list[observations.Answer]:
    first = sorted(run, key=lambda row: row.sent_ns)[:_MOST_REQUESTS]
    return [observations.answer_of(row) for row in first]


def predicted(model: Document, asked: Users) -> Document:
    """Return what a model of a result file predicts for some users."""
    return {name: _foreseen(one) for name, one in users.predicted(restored(model), asked).items()}


def twin(model: Document | None, config: Config, sent: Sent | None) -> Document | None:
    """Return the `twin` of a result file; None if no load of users was wanted."""
    if config["mode"] != "twin" or model is None:
        return None
    about = {"users": config["users"], "think_time": config["think_time"]}
    if sent is None or not sent.rows:
        none: Document = {"predicted": {}, "measured": {}, "differences": {}, "requests": 0}
        return {**about, **none, "holds": None, "broken_assumptions": [], "reason": NOT_SENT}
    step = sent.step
    think_s = think_seconds(config["think_time"]) if config["think_time"] else (0.0, 0.0)
    deadline_ms = 1e3 * sent.deadline_s or math.inf
    foreseen = predicted(
        model, Users(int(step.level), think_s, step.requests, step.seconds, deadline_ms)
    )
    seen = _measured(sent.rows)
    differences = {name: _difference(seen[name], foreseen[name]) for name in foreseen}
    broken = [*assumptions.of_load(restored(model), _answers(sent.rows))]
    holds = _holds(seen[DECIDES], foreseen[DECIDES])
    return {
        **about,
        "requests": len(sent.rows),
        "predicted": foreseen,
        "measured": seen,
        "differences": differences,
        "holds": holds,
        "broken_assumptions": [one._asdict() for one in broken],
        "reason": _why(seen[DECIDES], holds, broken),
    }


def _measured(rows: Sequence[Row]) -> Document:
    good = [row for row in rows if row.error is None]
    found: Document = {}
    for name, measure in MEASURES.items():
        values = [value for row in good if (value := row.values[measure]) is not None]
        for label, quantile in QUANTILES.items():
            interval = samples.quantile_interval(values, quantile)
            percentile = samples.percentile(values, 100 * quantile)
            found[f"{name}.{label}"] = _interval(percentile, interval, len(values))
    failed = len(rows) - len(good)
    share = samples.wilson(failed, len(rows))
    found["error_rate"] = _interval(failed / len(rows), share, len(rows))
    seconds = (max(row.end_ns for row in rows) - min(row.sent_ns for row in rows)) / 1e9
    rate = len(good) / seconds if seconds > 0 else None
    found["requests_per_sec"] = _interval(rate, None, len(good))
    return found


def _difference(seen: Document, foreseen: Document) -> float | None:
    """Return measured / predicted − 1, or None if one of them is not known or is 0."""
    if seen["value"] is None or not foreseen["value"]:
        return None
    return _short(seen["value"] / foreseen["value"] - 1)


def _holds(seen: Document, foreseen: Document) -> bool | None:
    difference = _difference(seen, foreseen)
    if difference is None:
        return None
    low, high = foreseen["ci95"]
    return abs(difference) <= NEAR or low <= seen["value"] <= high


def _why(seen: Document, holds: bool | None, broken: Sequence[object]) -> str | None:
    """Return why a model that does not hold fails, where no assumption is seen to be broken."""
    if holds is None:
        return "no request of the predicted load succeeded"
    if holds or broken:
        return None
    few = counted(seen["n"], "request")
    return (
        f"lengths, rates and cache were as assumed: what {few} saw differs because they came or "
        "waited in another way than the model's, or by chance"
    )


def restored(model: Document) -> Service:
    """Return the model of a server from a result file."""
    prefill = model["prefill"]
    return Service(
        model["slots"],
        model["slots_known"],
        model["shares_processor"],
        model["stall_share"],
        tuple(_value(prefill[name]) for name in _READING),
        prefill["reason"] is not None,
        tuple(_value(step["ms_per_token"]) for step in model["decode"]),
        tuple(zip(model["prompt_tokens"], model["output_tokens"], strict=True)),
        tuple(model["read_spread"]),
        tuple(model["write_spread"]),
        model["cached_share"],
        model["most_in_flight"],
        tuple(map(tuple, model["draws"])),
    )


def _document(found: Service) -> Document:
    token_ms = found.reading[1].value
    prompts, outputs = zip(*found.lengths, strict=True)
    return {
        "slots": found.slots,
        "slots_known": found.filled,
        "shares_processor": found.shared,
        "stall_share": None if found.stall is None else _short(found.stall),
        "prefill": {
            "tokens_per_sec": _short(1000 / token_ms) if token_ms else None,
            **{name: _interval(*one) for name, one in zip(_READING, found.reading, strict=True)},
            "reason": ONE_LENGTH if found.one_length else None,
        },
        "decode": [
            {"batch": batch, "ms_per_token": _interval(*step)}
            for batch, step in enumerate(found.step_ms, start=1)
        ],
        "prompt_tokens": [*map(_short, prompts)],
        "output_tokens": [*map(_short, outputs)],
        "cached_share": _short(found.cached),
        "most_in_flight": found.most,
        "read_spread": [*map(_short, found.read_spread)],
        "write_spread": [*map(_short, found.write_spread)],
        "draws": [[*map(_short, draw)] for draw in found.draws],
    }


def _value(one: Document) -> Value:
    return Value(one["value"], one["ci95"] and tuple(one["ci95"]), one["n"])


def _interval(value: float | None, ci95: Sequence[float] | None, n: int | None) -> Document:
    known = None if value is None else _short(value)
    return {"value": known, "ci95": ci95 and [*map(_short, ci95)], "n": n}


def _foreseen(one: Predicted) -> Document:
    return _interval(one.value, one.interval, None)


def _short(value: float) -> float:
    return float(np.format_float_scientific(value, _DIGITS - 1, unique=False))

"""Benchmarks of a machine that exists in numbers only: its noise between runs is what we say."""

from __future__ import annotations

import math
import random
from functools import cache
from typing import Any, NamedTuple

from pytest_llamaburn.metrics import REQUEST
from support.benchmark_documents import header

JITTER = 0.01
MODEL = "llama3.1:q4"


class Machine(NamedTuple):
    """How runs vary: standard deviations of logs, between runs and between requests of one run.

    Each run draws its luck for the first token and for the rest apart.
    """

    jitter: float = JITTER
    prompts: int = 6
    iterations: int = 1
    first_noise: float = 0.02
    gap_noise: float = 0.005
    length_noise: float = 0.2


def dice(seed: int) -> random.Random:
    """Return reproducible luck."""
    return random.Random(seed)  # noqa: S311 - not a secret


def rows(
    machine: Machine, runs: int, rng: random.Random, speed: float = 1.0
) -> list[dict[str, Any]]:
    """Return the requests of some runs; `speed` 0.95 is a server 5 % slower in everything."""
    return [row for repeat in range(runs) for row in _run(machine, repeat, rng, speed)]


def virtual_benchmark(
    made: list[dict[str, Any]], run_id: str = "a", day: int = 1, model: str = MODEL
) -> dict[str, Any]:
    """Return of a result file what a comparison reads."""
    totals = {"planned": len(made), "succeeded": len(made), "failed": 0}
    about = {"run_id": run_id, "timestamp": f"2026-01-{day:02}T10:30:00Z", "status": "complete"}
    return {**_header(model), **about, "results": {"runs": made, "totals": totals}}


@cache
def _header(model: str) -> Any:
    return header(model)


def _run(machine: Machine, repeat: int, rng: random.Random, speed: float) -> list[dict[str, Any]]:
    first, gap = (math.exp(rng.gauss(0, machine.jitter)) / speed for _ in range(2))
    return [
        _row(machine, rng, (first, gap), prompt, {"repeat": repeat, "iteration": iteration})
        for prompt in range(machine.prompts)
        for iteration in range(machine.iterations)
    ]


def _row(
    machine: Machine,
    rng: random.Random,
    luck: tuple[float, float],
    prompt: int,
    place: dict[str, int],
) -> dict[str, Any]:
    first = 100 * (1 + prompt) * luck[0] * math.exp(rng.gauss(0, machine.first_noise))
    gap = (10 + prompt) * luck[1] * math.exp(rng.gauss(0, machine.gap_noise))
    tokens = max(2, round(64 * math.exp(rng.gauss(0, machine.length_noise))))
    values = {
        "time_to_first_token_ms": first,
        "inter_token_latency_ms": gap,
        "tokens_per_sec": 1000 / gap,
        "total_generation_ms": first + (tokens - 1) * gap,
        "stream_ms": first + (tokens - 1) * gap + 1,
        "output_sequence_length": tokens,
        "input_sequence_length": 20 + prompt,
    }
    absent = REQUEST.keys() - values.keys()
    return {
        "prompt_id": f"prompt-{prompt}",
        "category": "virtual",
        "prompt_sha256": f"{prompt:016x}",
        **place,
        "start": "warm",
        "timestamp": "2026-01-13T10:30:00Z",
        **dict.fromkeys(REQUEST),
        **values,
        "finish_reason": "stop",
        "chunks": tokens,
        "flags": [],
        "null_reasons": dict.fromkeys(absent, "not_reported"),
        "error": None,
        "chunk_gaps_ms": [],
    }

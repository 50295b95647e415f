"""Rows, journals and result documents as a run makes them, for tests that need no server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from pytest_llamaburn import metrics, options
from pytest_llamaburn.kinds.benchmark.settings import Benchmark
from pytest_llamaburn.option import model_of
from pytest_llamaburn.store import results
from pytest_llamaburn.store.journal import Record
from pytest_llamaburn.texts import dumps
from pytest_llamaburn.trace import (
    Delta,
    Failed,
    Finished,
    Headers,
    Sent,
    ServerTimings,
    Trace,
    Usage,
    fold,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MS = 1_000_000
TIMESTAMP = "2026-01-13T10:30:00Z"
WHOLE_USAGE = Usage(prompt=20, cached=4, completion=5)
WHOLE_TIMINGS = ServerTimings(
    load_ms=1.5, prompt_ms=8.0, prompt_tokens=16, eval_ms=40.0, eval_tokens=5, queue_ms=0.5
)


def trace_of(
    deltas_ms: Sequence[float] = (100, 110, 120, 130, 140),
    usage: Usage | None = WHOLE_USAGE,
    timings: ServerTimings | None = WHOLE_TIMINGS,
    *,
    thinking: int = 0,
    connect_ms: float | None = 0.25,
) -> Trace:
    """Return a request sent at 1 s whose deltas came this long after; the first few thinking."""
    sent = 1_000 * MS
    deltas = [
        Delta(sent + round(at * MS), "thinking" if index < thinking else "content", f"w{index} ")
        for index, at in enumerate(deltas_ms)
    ]
    end = (deltas[-1].t_ns if deltas else sent) + 2 * MS
    counted = [event for event in (usage, timings) if event is not None]
    events = [Sent(sent), Headers(sent + MS, 200), *deltas, *counted, Finished(end, "stop")]
    return fold(events, connect_ms)


def failed_trace(kind: str = "oom", message: str = "CUDA error: out of memory") -> Trace:
    """Return a request that the server refused."""
    return fold([Sent(MS), Headers(2 * MS, 500), Failed(3 * MS, kind, "response", 500, message)])


def row(trace: Trace | None = None, **fields: Any) -> dict[str, Any]:
    """Return the row of a request, as it is journalled."""
    trace = trace_of() if trace is None else trace
    values, reasons = metrics.compute(trace)
    failure = trace.failure
    error = failure and {
        "kind": failure.kind,
        "phase": failure.phase,
        "status": failure.status,
        "message": failure.message,
    }
    made = {
        "prompt_id": "default-01",
        "category": "summarisation",
        "prompt_sha256": "0" * 16,
        "repeat": 0,
        "iteration": 0,
        "start": "warm",
        "timestamp": TIMESTAMP,
        **values,
        "finish_reason": trace.finish_reason,
        "chunks": len(trace.delta_ns),
        "prompt_characters": 80,
        "flags": [],
        "null_reasons": reasons,
        "error": error,
        "chunk_gaps_ms": metrics.chunk_gaps_ms(trace),
    }
    return {**made, **fields}


def rows(count: int = 5) -> list[dict[str, Any]]:
    """Return rows of successful requests, each a millisecond slower than the one before."""
    return [
        row(trace_of([100 + i, 110 + i, 120 + i, 130 + i, 150 + i]), iteration=i)
        for i in range(count)
    ]


def benchmark_settings(**values: Any) -> Benchmark:
    """Return checked settings of a benchmark, defaults but for these."""
    return cast("Benchmark", model_of(Benchmark)(**values))


def header(model: str = "llama3.1:q4", **fields: Any) -> Any:
    """Return the header of a run's journal; `config` gives settings that differ."""
    config = options.record(benchmark_settings(**fields.pop("config", {})), Benchmark)
    made = {
        "schema": "llamaburn/benchmark",
        "schema_version": results.SCHEMA_VERSION,
        "session_id": "2026-01-13T10-30-00-abcdef",
        "run_id": "2026-01-13T10-30-00-abcdef-01234567",
        "timestamp": TIMESTAMP,
        "model": {
            "id": model,
            "name": model,
            "quantization": "Q4_1",
            "family": "llama",
            "parameter_size": "8B",
            "digest": None,
            "context_length": 8192,
        },
        "server": {
            "kind": "ollama",
            "version": "0.12.0",
            "host": "http://127.0.0.1:11434",
            "local": True,
        },
        "config": {**config, "sent": {"model": model, "stream": True}},
        "contended": False,
        "environment": {
            "cpu": "Example CPU",
            "cores_logical": 8,
            "ram_mb": 16_000,
            "gpus": [{"vendor": "amd", "name": None}],
            "fingerprint": "f" * 16,
        },
        "prompts": {"sets": ["default"], "available": 24},
    }
    return {**made, **fields}


def record(made: list[dict[str, Any]] | None = None, **fields: Any) -> Record:
    """Return what the journals of a run say; the fields of a Record may be given."""
    made = rows() if made is None else made
    return Record(
        fields.pop("header", None) or header(),
        fields.pop("planned", len(made)),
        made,
        fields.pop("facts", {}),
        fields.pop("gates", []),
        fields.pop("interrupted", False),
    )


def benchmark_document(made: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    """Return the content of a result file as it is read, built from rows."""
    document: dict[str, Any] = json.loads(dumps(results.build(record(made, **fields))))
    return document


def saved_benchmark(
    directory: Path, made: list[dict[str, Any]] | None = None, **fields: Any
) -> Path:
    """Write a result file below a directory and return its path."""
    return results.write(directory, benchmark_document(made, **fields))

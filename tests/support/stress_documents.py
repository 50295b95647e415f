"""Rows and result documents of loads, as a stress run makes them, with times that are made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from pytest_llamaburn import options
from pytest_llamaburn.kinds.stress.settings import Stress
from pytest_llamaburn.load.rows import Row, Rows
from pytest_llamaburn.load.step import CLIENTS, RATE, Burst, Step
from pytest_llamaburn.metrics import REQUEST
from pytest_llamaburn.option import model_of
from pytest_llamaburn.store import results
from pytest_llamaburn.store.journal import Record
from support.benchmark_documents import header

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MS = 1_000_000
SECOND = 1000 * MS
HEALTHY = {"cpu_share": 0.1, "loop_lag_p50_ms": 0.1, "loop_lag_p99_ms": 0.5}
BASELINE = {"total_s": 0.1, "ttft_s": 0.01, "deadline_s": 10.0}

Taken = tuple[Step, "list[Row]"]


def row(sent_ms: float, total_ms: float, **fields: Any) -> Row:
    """Return a request of ten tokens whose first comes after a tenth of its time."""
    ttft_ms = total_ms / 10
    values: dict[str, float | None] = dict.fromkeys(REQUEST)
    values |= {
        "time_to_first_token_ms": ttft_ms,
        "total_generation_ms": total_ms,
        "inter_token_latency_ms": (total_ms - ttft_ms) / 9,
        "tokens_per_sec": 9000 / (total_ms - ttft_ms),
        "output_sequence_length": 10.0,
    }
    sent, end = int(sent_ms * MS), int((sent_ms + total_ms) * MS)
    made = Row(
        step=1,
        attempt=0,
        number=0,
        prompt_id="p",
        scheduled_ns=sent,
        sent_ns=sent,
        first_ns=sent + int(ttft_ms * MS),
        last_ns=end,
        end_ns=end,
        values=values,
        gaps_ms=[1.0, 0.0],
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def failed_row(sent_ms: float, total_ms: float, kind: str = "timeout_total", **fields: Any) -> Row:
    none: dict[str, float | None] = dict.fromkeys(REQUEST)
    error = {"kind": kind, "phase": "stream", "status": None, "message": ""}
    fields |= {"values": none, "first_ns": None, "last_ns": None, "error": error}
    return row(sent_ms, total_ms, **fields)


def closed_loop(clients: int, each: int, service_ms: float, slots: int) -> list[Row]:
    """Return what clients in a closed loop see of a server whose answers all take as long."""
    found, free = [], [0.0] * slots
    ready = [0.0] * clients
    for _ in range(clients * each):
        client = min(range(clients), key=lambda i: ready[i])
        slot = min(range(slots), key=lambda i: free[i])
        start = max(ready[client], free[slot])
        end = free[slot] = start + service_ms
        waited = row(ready[client], end - ready[client])
        waited.first_ns = int((start + service_ms / 10) * MS)
        waited.values["time_to_first_token_ms"] = start + service_ms / 10 - ready[client]
        found.append(waited)
        ready[client] = end
    return found


def open_loop(rate: float, seconds: float, service_ms: float = 100, slots: int = 99) -> list[Row]:
    """Return what an evenly scheduled load sees of a server whose answers all take as long."""
    found, free = [], [0.0] * slots
    for number in range(round(rate * seconds)):
        due = 1000 * number / rate
        slot = min(range(slots), key=lambda i: free[i])
        start = max(due, free[slot])
        end = free[slot] = start + service_ms
        waited = row(due, end - due)
        waited.first_ns = int((start + service_ms / 10) * MS)
        waited.values["time_to_first_token_ms"] = start + service_ms / 10 - due
        found.append(waited)
    return found


def baseline(count: int = 10) -> Taken:
    """Return the baseline: one client, 100 ms a request."""
    return Step(1, CLIENTS, count), closed_loop(1, count, 100, 1)


def level(clients: int, slots: int = 2, each: int = 12) -> Taken:
    """Return a level of a sweep on a server of so many slots, 100 ms a request."""
    return Step(clients, CLIENTS, clients * each), closed_loop(clients, each, 100, slots)


def sustained_load(seconds: int = 60) -> Taken:
    """Return a long load of two clients."""
    return Step(2, CLIENTS, seconds=seconds, keep_records=False), closed_loop(
        2, 10 * seconds, 100, 2
    )


def spike_load(*, comes_back: bool = True) -> Taken:
    """Return a steady load of 10 requests/s with a burst from second 20 to 30, over after 60."""
    step = Step(10, RATE, seconds=60, bursts=(Burst(20, 10, 50, RATE),))
    own = open_loop(10, 60)
    for one in own:
        after_s = one.scheduled_ns / SECOND - 20
        if after_s >= 0 and (after_s < 17 or not comes_back):
            slow = row(one.scheduled_ns / MS, 1000)
            one.end_ns, one.last_ns, one.values = slow.end_ns, slow.last_ns, slow.values
    burst = [row(20_000 + 20 * i, 1000, burst=True) for i in range(500)]
    return step, own + burst


def search_facts(estimate: float, low: float, high: float) -> dict[str, Any]:
    """Return the facts of a run whose search bracketed the failure point so."""
    point = {"estimate": estimate, "interval": [low, high], "passing": low, "failing": high}
    point |= {"proven": True, "reached": True, "reason": "bracketed"}
    return {"findings": {"failure_point": point, "stop_reason": "bracketed"}}


def stress_document(
    folder: Path, taken: Sequence[Taken], *, facts: dict[str, Any] | None = None, **config: Any
) -> dict[str, Any]:
    """Return the content of a stress run's result file; the first step is the baseline.

    `facts` replace those that a run journals; None leaves one out. `profile` is what was read.
    `engine` is the kind of server. `idle` says of steps, by their number, whether the server was
    seen to be idle before; `ended` is what else the journal says at their end.
    """
    cut, profile = config.pop("interrupted", False), config.pop("profile", [])
    waits, engine = config.pop("idle", {}), config.pop("engine", "ollama")
    steps = _steps(folder, taken, config.pop("ended", {}))
    steps += [{"step": n, "attempt": 0, "wait": {"idle": idle}} for n, idle in waits.items()]
    told = {"findings": {"stop_reason": "the end"}, "baseline": BASELINE, **(facts or {})}
    told = {name: fact for name, fact in told.items() if fact is not None}
    made = header(schema="llamaburn/stress")
    made["server"]["kind"] = engine
    asked = cast("Stress", model_of(Stress)(**{"mode": "sweep", **config}))
    made["config"] = {**options.record(asked, Stress), "sent": {}}
    record = Record(made, 1, [], told, [], cut, folder, {"step": steps, "profile": profile})
    return results.build(record)


def saved_stress(directory: Path, taken: Sequence[Taken], **fields: Any) -> Path:
    """Write a stress run's result file below a directory and return its path."""
    run_id = fields.pop("run_id", "2026-01-13T10-30-00-abcdef-01234567")
    folder = directory / "rows" / run_id
    folder.mkdir(parents=True)
    return results.write(directory, stress_document(folder, taken, **fields) | {"run_id": run_id})


def _steps(
    folder: Path, taken: Sequence[Taken], ended: Mapping[int, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Write the rows; return what the journal says of the steps, one after another."""
    file, start, steps = Rows(folder, "main"), 0, []
    for number, (step, made) in enumerate(taken):
        for index, one in enumerate(made):
            file.write(_moved(one, start, step=number, number=index))
        about = {"step": number, "attempt": 0, "visit": number}
        steps.append({**about, "load": step._asdict(), "started_ns": start, "first": 0})
        start = max([start, *(start + one.end_ns for one in made)]) + SECOND
        end = {**about, "ended_ns": start, "health": HEALTHY}
        steps.append({**end, **ended.get(number, {})})
    file.close()
    return steps


def _moved(one: Row, start_ns: int, **fields: Any) -> Row:
    """Return a row that much later."""
    for name in ("scheduled_ns", "sent_ns", "first_ns", "last_ns", "end_ns"):
        known = getattr(one, name)
        fields[name] = None if known is None else known + start_ns
    return msgspec.structs.replace(one, **fields)

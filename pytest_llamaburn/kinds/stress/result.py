"""The result file of a stress run."""

from __future__ import annotations

from bisect import bisect_right
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from pytest_llamaburn import gates
from pytest_llamaburn.capacity import slo
from pytest_llamaburn.capacity import sustained as stability
from pytest_llamaburn.energy import profiles, timeline
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds import _energy
from pytest_llamaburn.kinds._file import (
    Distribution,
    Part,
    RunFile,
    by_kind,
    opening,
    status,
    totals,
)
from pytest_llamaburn.kinds.stress import findings, levels, measures, plan
from pytest_llamaburn.kinds.stress.comparable import Comparison
from pytest_llamaburn.load import rows
from pytest_llamaburn.load.rows import record_of
from pytest_llamaburn.load.step import CLIENTS, RATE, SERVER_GONE, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pytest_llamaburn.load.rows import Row
    from pytest_llamaburn.store.journal import Record

BASELINE = 0  # the step that one client takes alone
_NOTHING = levels.Excluded(plan.Window(), plan.Window())
ONE_LEVEL = "a spike run holds one steady level: a ramp or a sweep looks for points"


class Level(Part):
    """One number of clients, or one rate; latencies are of successful requests."""

    concurrency: float | None = None
    rate: float | None = None
    requests: int
    excluded: int
    not_held: int = 0
    failed: int
    error_rate: float | None
    errors: dict[str, int]
    duration_s: float
    requests_per_sec: float | None
    output_tokens_per_sec: float | None
    rate_reason: str | None = None
    tokens_reason: str | None = None
    total_generation_ms: Distribution
    total_generation_from_schedule_ms: Distribution
    time_to_first_token_ms: Distribution
    time_to_first_token_from_schedule_ms: Distribution
    inter_token_latency_ms: Distribution
    chunk_gap_ms: Distribution
    goodput: dict[str, Any] | None
    energy_wh: float | None = None
    power_draw_watts: float | None = None
    power_peak_watts: float | None = None
    joules_per_output_token: float | None = None
    output_tokens_per_joule: float | None = None
    energy_reason: str | None = None
    client_health: dict[str, Any]
    began_busy: bool | None = None
    state: Literal["idle", "optimal", "degraded", "failure"] | None = None
    evidence: str | None = None


class StressResults(Part):
    """What a stress run found; a point that was not reached has its reason."""

    idle: dict[str, Any] | None
    baseline: Level | None
    deadline_s: float | None
    levels: list[Level]
    failure_point: dict[str, Any] | None
    degradation_point: dict[str, Any] | None
    degradation_points: list[dict[str, Any]]
    points_reason: str | None = None
    optimal: dict[str, Any] | None
    recovery_time_ms: float | None
    recovery: dict[str, Any] | None
    sustained: dict[str, Any] | None
    timeline: list[dict[str, Any]]
    totals: dict[str, float | None]
    tokens_reason: str | None = None
    cost: dict[str, Any]
    errors: dict[str, int]
    client_health: dict[str, Any]
    stop_reason: str | None
    gates: list[dict[str, Any]]


class File(RunFile):
    """A result file of `llamaburn stress`."""

    schema_: Literal["llamaburn/stress"] = Field(alias="schema")
    results: StressResults


def check(settings: Any) -> None:
    """Raise SettingsError for options that contradict each other or mean nothing."""
    asked = plan.checked(settings)
    check_gates(settings.threshold, asked)
    if settings.slo:
        slo.parse(settings.slo)
    Comparison.check_asked(settings)
    for gate in map(Comparison.gate, settings.fail_if):
        reason = measures.no_level(gate.column.level, asked)
        if reason:
            raise SettingsError(f"--fail-if: '{gate.expression}' is refused: {reason}")


def check_gates(expressions: Iterable[str], settings: Any) -> None:
    """Raise SettingsError for a gate that the load of these checked settings never decides."""
    measures.check(expressions, settings)


def write_companions(record: Record, path: Path) -> None:
    """Write a row per request beside the result file, where the run asked for them."""
    if (record.header or {})["config"]["save_requests"]:
        rows.export(record.folder, path.with_suffix(".requests.jsonl.gz"))


def build(record: Record) -> dict[str, Any]:
    """Return the content of a stress run's result file, made from its journal and its rows."""
    header = record.header or {}
    steps = _steps(record, rows.read(record.folder))
    everything = [row for step in steps for row in step.part.rows]
    good = sum(row.error is None for row in everything)
    load = _load(steps, record)
    results = _results(load, steps, everything, record)
    profile = profiles.Profile(record.profile, (), [_energy.window(row) for row in everything])
    results["totals"] |= _energy.totals(profile, [r.values for r in everything if not r.error])
    energy, samples = profiles.facts(profile, profile.total()), profile.samples()
    results["idle"] = stability.idle(samples)
    results["sustained"] = _sustained(steps, load, profile.timelines)
    results["cost"] = _energy.price(
        header["config"], profile, results["totals"], energy.get("reason")
    )
    others = record.facts.get("other_cpu_share")
    expressions = [*header["config"]["threshold"], *record.facts.get("thresholds", ())]
    mode, document = header["config"]["gate_mode"], {"results": results}
    results["gates"] = gates.judged(document, measures.MEASURES, expressions, mode)
    return {
        **opening(header, status(record, good, done=_cut(record) is None)),
        "results": results,
        "telemetry": {**energy, "other_cpu_share": others},
        "system_profile": samples,
        "insights": [
            *findings.insights(load),
            *stability.insights(samples),
            *stability.busy_machine(others, samples),
        ],
    }


class _Step(NamedTuple):
    """A visit as it was made: its load, its rows, and how our side kept up."""

    number: int
    load: Step
    part: levels.Part
    unsettled: bool  # the server was not seen to be idle before


def _steps(record: Record, found: Any) -> list[_Step]:
    """Return the visits, by the step each began with; of one taken again, the later try."""
    said = record.others.get("step", [])
    loads = [s for s in said if "load" in s]
    begun = {s["step"]: s for s in loads if s["step"] == s["visit"]}  # a later try replaces
    health = _health(said)
    busy = {s["step"] for s in said if "wait" in s and not s["wait"]["idle"]}
    grouped: dict[tuple[int, int], list[Row]] = {}
    for row in found:
        grouped.setdefault((row.step, row.attempt), []).append(row)
    steps = []
    for number, one in sorted(begun.items()):
        key = (number, one["attempt"])
        part = levels.Part(grouped.get(key, []), one["started_ns"], health.get(key, {}))
        steps.append(_Step(number, Step.restored(one["load"]), part, number in busy))
    return steps


def _health(said: Sequence[dict[str, Any]]) -> dict[tuple[int, int], dict[str, Any]]:
    """Return the worst that our side was during each visit, by visit and attempt."""
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for step in said:
        if "health" in step:
            worst = found.setdefault((step["visit"], step["attempt"]), {})
            rows.worsen(worst, step["health"])
    return found


def _load(steps: Sequence[_Step], record: Record) -> findings.Load:
    """Return the levels, lowest first; all steps at one level are one."""
    config = (record.header or {})["config"]
    excluded = levels.Excluded(
        plan.window(config["warmup_window"], "--warmup-window"),
        plan.window(config["cooldown_window"], "--cooldown-window"),
        plan.longest_think_ns(config["think_time"]),
    )
    windows_sent = [_energy.window(row) for step in steps for row in step.part.rows]
    lines = _energy.lines(record.profile, windows_sent)
    sent = [step for step in steps if step.number != BASELINE and step.part.rows]
    sent.sort(key=lambda step: (step.load.level, step.number))
    seen = []
    for (level, unit), found in groupby(sent, key=lambda step: step.load[:2]):
        group = [*found]
        every = [_calm(step) for step in group]
        parts, left_out = levels.kept_up(level, unit, every, excluded)
        summary = levels.summarize(level, unit, parts, excluded, config["slo"])
        pieces = levels.pieces(level, unit, parts, excluded)
        summary |= _energy.level(lines, levels.stretches(level, unit, pieces))
        summary["requests"] += left_out
        summary["excluded"] += left_out
        summary["client_health"]["not_counted"] = left_out
        summary["began_busy"] = any(step.unsettled for step in group)
        runs = [[record_of(row) for row in piece.kept] for piece in pieces]
        seen.append(findings.Seen(summary, runs))
    alone = [step for step in steps if step.number == BASELINE]
    baseline = [record_of(row) for step in alone for row in step.part.rows]
    deadline_s = record.facts.get("baseline", {}).get("deadline_s", 0.0)
    unit = sent[0].load.unit if sent else CLIENTS
    engine = (record.header or {})["server"]["kind"]
    return findings.Load(seen, baseline, config, deadline_s, unit, engine, _cut(record))


def _cut(record: Record) -> str | None:
    """Return what ended a run before it had sent all that its mode asks for."""
    found = record.facts.get("findings")
    if found is None:
        return "interrupted"
    return "server_gone" if found["stop_reason"] == SERVER_GONE else None


def _calm(step: _Step) -> levels.Part:
    """Return a step's own load without what was due from its first burst on, which bursts slow."""
    part, bursts = step.part, step.load.bursts
    if not bursts:
        return part
    first_ns = bursts[0].begin_ns(part.started_ns)
    calm = [row for row in part.rows if row.scheduled_ns < first_ns and not row.burst]
    return part._replace(rows=calm)


def _results(
    load: findings.Load, steps: Sequence[_Step], everything: Sequence[Row], record: Record
) -> dict[str, Any]:
    found = record.facts.get("findings", {})
    alone = [step.part for step in steps if step.number == BASELINE and step.part.rows]
    line = levels.timeline(everything, steps[0].part.started_ns) if steps else []
    findings.judge(load)
    pointless = ONE_LEVEL if load.config["mode"] == "spike" else None
    points = findings.degradation_points(load) if load.levels and not pointless else []
    searched = found.get("failure_point")
    recovered = _recovery(steps, load)
    errors = [row.error for row in everything]
    good = [row.values for row in everything if row.error is None]
    return {
        "baseline": levels.summarize(1, CLIENTS, alone, _NOTHING) if alone else None,
        "deadline_s": load.deadline_s or None,
        "levels": [seen.summary for seen in load.levels],
        "failure_point": None if pointless else findings.failure_point(load, searched),
        "degradation_point": findings.lowest(points, load.axis),
        "degradation_points": points,
        "points_reason": pointless,
        "optimal": findings.optimal(load),
        "recovery_time_ms": recovered and recovered["recovery_time_ms"],
        "recovery": recovered,
        "timeline": line,
        "totals": {**totals(errors), "output_tokens": _energy.tokens(good)},
        "tokens_reason": levels.without_counts([row["output_sequence_length"] for row in good]),
        "errors": by_kind(errors),
        "client_health": {"calibration": record.facts.get("calibration")},
        "stop_reason": found.get("stop_reason"),
    }


def _recovery(steps: Sequence[_Step], load: findings.Load) -> dict[str, Any] | None:
    """Return the recovery from the bursts of a spike run, None where there were none."""
    for step in steps:
        if step.load.bursts and load.unit == RATE:
            own = [record_of(row) for row in step.part.rows if not row.burst]
            started = step.part.started_ns
            found = stability.recoveries(own, step.load.bursts, started, step.load.level)
            for spike, burst in zip(found["spikes"], _bursts(step), strict=False):  # a cut run
                spike["burst"] = burst
            return found
    return None


def _bursts(step: _Step) -> list[dict[str, Any]]:
    """Return how the requests of each burst went."""
    begins = [burst.begin_ns(step.part.started_ns) for burst in step.load.bursts]
    groups: list[list[Row]] = [[] for _ in begins]
    for row in step.part.rows:
        if row.burst:
            groups[max(0, bisect_right(begins, row.scheduled_ns) - 1)].append(row)
    return [levels.burst(rows) for rows in groups]


def _sustained(
    steps: Sequence[_Step], load: findings.Load, read: Sequence[timeline.Timeline]
) -> dict[str, Any] | None:
    if load.config["mode"] != "sustained":
        return None
    long = [step for step in steps if step.number != BASELINE and step.part.rows]
    if not long:
        return None
    part = long[-1].part
    line = levels.timeline(part.rows, part.started_ns)
    here = [one for one in read if one.began_ns <= part.started_ns <= one.ended_ns]
    samples = [*here[-1].samples(part.started_ns)] if here else []
    return stability.sustained(line, [record_of(row) for row in part.rows], samples)

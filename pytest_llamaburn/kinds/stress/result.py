"""The result file of a stress run."""

from __future__ import annotations

from bisect import bisect_right
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_llamaburn import datasets, gates
from pytest_llamaburn.capacity import degradation, slo, sustained
from pytest_llamaburn.documents import Distribution, Document, GateVerdict
from pytest_llamaburn.energy import profiles, timeline
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds import _energy
from pytest_llamaburn.kinds._file import (
    Part,
    RunFile,
    by_kind,
    opening,
    status,
    totals,
    without_counts,
)
from pytest_llamaburn.kinds._kind import naming
from pytest_llamaburn.kinds.stress import (
    findings,
    hosts,
    insights,
    levels,
    machines,
    measures,
    plan,
    twin,
)
from pytest_llamaburn.kinds.stress.comparable import Comparison
from pytest_llamaburn.kinds.stress.levels import Visit
from pytest_llamaburn.kinds.stress.twin import ServiceModel, Twin
from pytest_llamaburn.load import rows
from pytest_llamaburn.load.rows import request_of, unsent
from pytest_llamaburn.load.step import CLIENTS, SERVER_GONE, Step, StepHealth

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pytest_llamaburn.kinds.stress.settings import Stress
    from pytest_llamaburn.load.rows import Row
    from pytest_llamaburn.store.journal import Record

BASELINE = 0  # number of the step with a single client
_NOTHING = levels.Excluded(plan.Window(), plan.Window())
ONE_LEVEL = "a spike run has only one steady level; a ramp or a sweep finds points"


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
    goodput: Document | None
    energy_wh: float | None = None
    power_draw_watts: float | None = None
    power_peak_watts: float | None = None
    joules_per_output_token: float | None = None
    output_tokens_per_joule: float | None = None
    energy_reason: str | None = None
    client_health: Document
    hosts: list[Document] | None = None
    worst_host_error_rate: float | None = None
    host_latency_ratio: float | None = None
    began_busy: bool | None = None
    state: Literal["idle", "optimal", "degraded", "failure"] | None = None
    evidence: str | None = None


class StressResults(Part):
    """The results of a stress run; a point that was not reached has a reason."""

    idle: Document | None
    baseline: Level | None
    deadline_s: float | None
    levels: list[Level]
    failure_point: Document | None
    degradation_point: Document | None
    degradation_points: list[Document]
    points_reason: str | None = None
    optimal: Document | None
    recovery_time_ms: float | None
    recovery: Document | None
    sustained: Document | None
    timeline: list[Document]
    totals: dict[str, float | None]
    tokens_reason: str | None = None
    cost: Document
    errors: dict[str, int]
    client_health: Document
    stop_reason: str | None
    hosts: list[Document] | None = None
    nodes: list[Document] | None = None
    service: ServiceModel | None = None
    service_reason: str | None = None
    twin: Twin | None = None
    gates: list[GateVerdict]


class File(RunFile):
    """A result file of `llamaburn stress`."""

    schema_: Literal["llamaburn/stress"] = Field(alias="schema")
    results: StressResults


def check(settings: Stress) -> None:
    """Raise SettingsError for options that contradict each other or have no meaning."""
    asked = plan.checked(settings)
    with naming("--prompts"):
        datasets.load_prompts(settings.prompts)
    check_gates(settings.threshold, asked)
    if settings.slo:
        slo.parse(settings.slo)
    Comparison.check_asked(settings)
    for gate in map(Comparison.gate, settings.fail_if):
        reason = measures.no_level(gate.column.level, asked)
        if reason:
            raise SettingsError(f"--fail-if: '{gate.expression}' is refused: {reason}")


def check_gates(expressions: Iterable[str], settings: Stress) -> None:
    """Raise SettingsError for a gate that the load of these settings can never decide."""
    measures.check(expressions, settings)


def write_companions(record: Record, path: Path) -> None:
    """Write a row per request beside the result file, if --save-requests is set."""
    if record.opened["config"]["save_requests"]:
        rows.export(record.folder, path.with_suffix(".requests.jsonl.gz"))


def build(record: Record) -> Document:
    """Return the content of a stress run's result file, made from its journal and its rows."""
    header: Any = record.opened
    config = header["config"]
    visits = visits_of(record, rows.read(record.folder))
    everything = [row for visit in visits for row in visit.rows]
    good = [row.values for row in everything if row.error is None]
    load, summaries = _load(visits, record)
    results = _results(load, summaries, visits, record)
    profile = profiles.Profile(record.profile, (), [_energy.window(row) for row in everything])
    results["totals"] |= _energy.totals(profile, good)
    energy, samples = profiles.facts(profile, profile.total()), profile.samples()
    results["idle"] = sustained.idle(samples)
    results["sustained"] = _sustained(visits, load, profile.timelines)
    results |= _twin(visits, load, config)
    results["cost"] = _energy.price(config, profile, results["totals"], energy.get("reason"))
    document: Document = {
        **opening(header, status(record, len(good), done=_cut(record) is None)),
        "results": results,
        "telemetry": {**energy, "other_cpu_share": record.facts.get("other_cpu_share")},
        "system_profile": samples,
        "insights": [],
    }
    expressions = [*config["threshold"], *record.facts.get("thresholds", ())]
    results["gates"] = gates.judged(document, measures.MEASURES, expressions, config["gate_mode"])
    document["insights"] = insights.find(document)
    return document


def visits_of(record: Record, found: Iterable[Row]) -> list[Visit]:
    """Return the visits in the order in which they began; of a repeated visit, the last attempt."""
    steps = record.others.get("step", [])
    loads = [s for s in steps if "load" in s]
    begun = {s["step"]: s for s in loads if s["step"] == s["visit"]}  # the last attempt
    busy = {s["step"] for s in steps if "wait" in s and not s["wait"]["idle"]}
    health, nodes, losses = _healths(steps, [one["node"] for one in _nodes(record)])
    grouped: dict[tuple[int, int], list[Row]] = {}
    for row in found:
        grouped.setdefault((row.step, row.attempt), []).append(row)
    visits = []
    for number, one in sorted(begun.items()):
        key = (number, one["attempt"])
        mine, kept_up = grouped.get(key, []), health.get(key, StepHealth())
        load = Step.restored(one["load"])
        about = (load, mine, one["started_ns"], kept_up, number, number in busy)
        visits.append(Visit(*about, nodes.get(key, {}), losses.get(key, ())))
    return visits


def _healths(steps: Iterable[Document], names: Sequence[str]) -> tuple[Any, Any, Any]:
    """Return, by visit: the client's health, that of each machine, and the machines lost."""
    health: dict[tuple[int, int], StepHealth] = {}
    nodes: dict[tuple[int, int], dict[int, StepHealth]] = {}
    losses: dict[tuple[int, int], list[Document]] = {}
    for step in steps:
        if "health" in step:
            key = (step["visit"], step["attempt"])
            health[key] = health.get(key, StepHealth()).worst(StepHealth(**step["health"]))
            own, lost = machines.of_step(step, names)
            before = nodes.setdefault(key, {})
            for place, one in own.items():
                before[place] = before.get(place, StepHealth()).worst(one)
            losses.setdefault(key, []).extend(lost)
    return health, nodes, losses


def _load(visits: Sequence[Visit], record: Record) -> tuple[findings.Load, list[Document]]:
    """Return the levels, lowest first, and the entry of each in the file, without its state.

    All visits to the same load are one level.
    """
    config = record.opened["config"]
    names = [host["host"] for host in _hosts(record)]
    senders = [one["node"] for one in _nodes(record)]
    excluded = levels.Excluded(
        plan.window(config["warmup_window"], "--warmup-window"),
        plan.window(config["cooldown_window"], "--cooldown-window"),
        plan.longest_think_ns(config["think_time"]),
    )
    windows_sent = [_energy.window(row) for visit in visits for row in visit.rows]
    lines = _energy.lines(record.profile, windows_sent)
    baseline = [request_of(row) for visit in _baseline(visits) for row in visit.rows]
    sent = sorted(
        _loaded(visits, config["mode"]), key=lambda visit: (visit.load.level, visit.number)
    )
    found, summaries = [], []
    for _, group in groupby(sent, key=lambda visit: visit.load[:2]):
        every = [visit.own for visit in group]
        kept = levels.kept_up(every, excluded)
        summary = levels.summarize(kept, excluded, config["slo"])
        pieces = levels.pieces(kept, excluded)
        whole = levels.stretches(pieces)
        stretches = [stretch for _, stretch in whole]
        summary |= _energy.level(lines, stretches, levels.tokens(whole))
        summary |= hosts.of_level(names, pieces, whole)
        left_out = sum(len(visit.rows) for visit in every) - sum(len(v.rows) for v in kept)
        summary["requests"] += left_out
        summary["excluded"] += left_out
        summary["client_health"]["not_counted"] = left_out
        counted = [row for piece in pieces for row in piece.kept]
        losses = [loss for visit in every for loss in visit.losses]
        machines.add(summary, machines.of_level(senders, kept, counted, losses))
        summary["began_busy"] = any(visit.began_busy for visit in every)
        runs = [[request_of(row) for row in piece.kept] for piece in pieces]
        found.append(findings.level(summary, runs, baseline))
        summaries.append(summary)
    deadline_s = record.facts.get("baseline", {}).get("deadline_s", 0.0)
    unit = sent[0].load.unit if sent else CLIENTS
    if config["mode"] == plan.TWIN:
        config = {**config, "think_time": None}  # the clients of its levels do not pause
    load = findings.Load(found, baseline, config, deadline_s, unit, _cut(record))
    return load, summaries


def _hosts(record: Record) -> list[Document]:
    """Return the servers of a load that went to several; empty for one."""
    header: Any = record.opened
    found: list[Document] = header.get("hosts", [])
    return found


def _nodes(record: Record) -> list[Document]:
    """Return the machines that sent a load, with their clocks; empty for one machine."""
    clocks = {one["node"]: one for one in record.facts.get("clocks", ())}
    return [{**one, **clocks.get(one["node"], {})} for one in record.facts.get("nodes", ())]


def _baseline(visits: Iterable[Visit]) -> list[Visit]:
    return [visit for visit in visits if visit.number == BASELINE and visit.rows]


def _loaded(visits: Iterable[Visit], mode: str) -> list[Visit]:
    """Return the visits to levels; the load of users that a twin predicts is none."""
    return [
        visit
        for visit in visits
        if visit.number != BASELINE and visit.rows and not _of_users(visit, mode)
    ]


def _of_users(visit: Visit, mode: str) -> bool:
    return mode == plan.TWIN and visit.load.pauses and visit.number != BASELINE


def _twin(visits: Sequence[Visit], load: findings.Load, config: Document) -> Document:
    """Return the model of the server, and what it predicts for the users of a twin."""
    mode = config["mode"]
    runs = [[row for row in visit.own.rows if not unsent(row)] for visit in visits]
    measured = [run for visit, run in zip(visits, runs, strict=True) if not _of_users(visit, mode)]
    found = twin.fitted(measured, len(load.levels))
    last = next((visit for visit in visits if _of_users(visit, mode)), None)
    sent = last and twin.Sent(last.load, last.rows, load.deadline_s)
    return {**found, "twin": twin.twin(found["service"], config, sent)}


def _cut(record: Record) -> str | None:
    """Return why a run ended early, or None."""
    found = record.facts.get("findings")
    if found is None:
        return "interrupted"
    return "server_gone" if found["stop_reason"] == SERVER_GONE else None


def _results(
    load: findings.Load,
    summaries: Sequence[Document],
    visits: Sequence[Visit],
    record: Record,
) -> Document:
    found = record.facts.get("findings", {})
    everything = [row for visit in visits for row in visit.rows]
    pointless = ONE_LEVEL if load.config["mode"] == "spike" else None
    points = findings.degradation_points(load) if load.levels and not pointless else []
    # If no point is reached, the first one has the reason.
    lowest = degradation.lowest(points) or next(iter(points), None)
    searched = found.get("failure_point")
    recovered = _recovery(visits)
    states = [findings.state(level, load) for level in load.levels]
    alone = _baseline(visits)
    line = levels.timeline(everything, visits[0].started_ns) if visits else []
    errors = [row.error for row in everything]
    good = [row.values for row in everything if row.error is None]
    return {
        "baseline": levels.summarize(alone, _NOTHING) if alone else None,
        "deadline_s": load.deadline_s or None,
        "levels": [
            {**summary, "state": state.state, "evidence": state.evidence}
            for summary, state in zip(summaries, states, strict=True)
        ],
        "failure_point": None if pointless else findings.failure_point(load, searched),
        "degradation_point": lowest and findings.degradation_document(lowest, load),
        "degradation_points": [findings.degradation_document(point, load) for point in points],
        "points_reason": pointless,
        "optimal": findings.optimal(load),
        "recovery_time_ms": recovered and recovered["recovery_time_ms"],
        "recovery": recovered,
        "timeline": [second._asdict() for second in line],
        "totals": {**totals(errors), "output_tokens": _energy.tokens(good)},
        "tokens_reason": without_counts([row["output_sequence_length"] for row in good]),
        "errors": by_kind(errors),
        "client_health": {"calibration": record.facts.get("calibration")},
        "stop_reason": found.get("stop_reason"),
        **_by_host(record, everything),
    }


def _by_host(record: Record, everything: Sequence[Row]) -> Document:
    """Return the servers and the machines of a load, where there are several."""
    found = {"hosts": hosts.of_run(_hosts(record), everything), "nodes": _nodes(record)}
    return {name: entries for name, entries in found.items() if entries}


def _recovery(visits: Iterable[Visit]) -> Document | None:
    """Return the recovery from the bursts of a spike run, or None for other runs."""
    visit = next((one for one in visits if one.load.bursts), None)
    if visit is None:
        return None
    own = [request_of(row) for row in visit.rows if not row.burst]
    bursts, started_ns = visit.load.bursts, visit.started_ns
    found = sustained.recoveries(own, bursts, started_ns, visit.load.level)
    begins = [burst.begin_ns(started_ns) for burst in bursts]
    groups: list[list[Row]] = [[] for _ in begins]
    for row in visit.rows:
        if row.burst:
            groups[max(0, bisect_right(begins, row.scheduled_ns) - 1)].append(row)
    for spike, group in zip(found["spikes"], groups, strict=False):  # a run that was cut has fewer
        spike["burst"] = levels.burst(group)
    return found


def _sustained(
    visits: Sequence[Visit], load: findings.Load, read: Sequence[timeline.Timeline]
) -> Document | None:
    long = _loaded(visits, load.config["mode"])
    if load.config["mode"] != "sustained" or not long:
        return None
    visit = long[-1]
    line = levels.timeline(visit.rows, visit.started_ns)
    here = [one for one in read if one.began_ns <= visit.started_ns <= one.ended_ns]
    samples = [*here[-1].samples(visit.started_ns)] if here else []
    return sustained.sustained(line, [request_of(row) for row in visit.rows], samples)

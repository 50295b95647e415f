"""The tables and rows of a stress run: one row per level, and the findings as notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import gates
from pytest_llamaburn.energy import words as power
from pytest_llamaburn.kinds.stress import axis, several, users_table
from pytest_llamaburn.kinds.stress import chart as _chart
from pytest_llamaburn.kinds.stress.measures import POINTS
from pytest_llamaburn.tables import (
    ABSENT,
    FILE,
    Sheet,
    machine,
    marked,
    number,
    server,
    title,
    under,
)
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import TypeAlias

    from pytest_llamaburn.documents import Document

    Level: TypeAlias = Document

COLUMNS = (
    *("level", "state", "requests", "failed", "requests/s", "tokens/s"),
    *("TTFT p50 ms", "TTFT p95 ms", "ITL p50 ms"),
    *("total p50 ms", "total p95 ms", "total p99 ms", "from schedule p95 ms"),
)
_LEAST = (
    *("total p99 ms", "from schedule p95 ms", "requests", "TTFT p95 ms", "ITL p50 ms"),
    *("goodput %", "requests/s", "goodput/s"),
)
_HOST_COLUMNS = (
    *("level", "server", "requests", "failed", "requests/s"),
    *("TTFT p50 ms", "TTFT p95 ms", "ITL p50 ms", "total p50 ms", "total p95 ms"),
)
_HOST_LEAST = ("ITL p50 ms", "TTFT p95 ms", "total p95 ms")
_OF_HOSTS = ("worst_host_error_rate", "host_latency_ratio")
_GOODPUT = ("goodput/s", "goodput %")
_STATISTICS = ("n", "mean", "p50", "p90", "p95", "p99", "p99_9")
_ADJUSTED = tuple(f"adj_{name}" for name in _STATISTICS[2:])
_WORDS = 2


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the table of a stress run, and that of the users of a twin."""
    found = document["results"]
    facts = [server(document), machine(document["environment"]), _load(document)]
    columns = (*COLUMNS, *(_GOODPUT if document["config"]["slo"] else ()))
    rows = [_row(level) for level in found["levels"]]
    notes = [*_notes(document), (FILE, f"file {path}")]
    chart = _chart.lines(found["levels"], [axis.place(level) or 0.0 for level in found["levels"]])
    about = (title(document), facts, rows, notes, columns, _WORDS, tuple(chart), _LEAST)
    yield Sheet(*about, empty="no level was measured")
    if found.get("hosts"):
        yield _by_host(found)
    if found.get("twin"):
        yield users_table.sheet(document)


def _by_host(found: Document) -> Sheet:
    """Return the table of each server, level by level."""
    rows = [_host_row(level, host) for level in found["levels"] for host in level["hosts"]]
    facts = [several.facts(host) for host in found["hosts"]]
    return Sheet("by server", facts, rows, [], _HOST_COLUMNS, _WORDS, (), _HOST_LEAST)


def _host_row(level: Level, host: Document) -> tuple[str, ...]:
    ttft, total = host["time_to_first_token_ms"], host["total_generation_ms"]
    return (
        axis.name(level),
        host["host"],
        str(host["requests"]),
        str(host["failed"]),
        number(host["requests_per_sec"]),
        number(ttft["p50"]),
        marked(ttft, "p95"),
        number(host["inter_token_latency_ms"]["p50"]),
        number(total["p50"]),
        marked(total, "p95"),
    )


def rows(document: Document) -> Iterator[Document]:
    """Yield every level as one flat row, distributions by statistic."""
    about = {"model": document["model"]["id"], "run_id": document["run_id"]}
    for level in document["results"]["levels"]:
        flat: Document = {}
        for name, value in level.items():
            if isinstance(value, dict) and "p50" in value:
                words = (word for word in (*_STATISTICS, *_ADJUSTED) if word in value)
                flat |= {f"{name}.{word}": value[word] for word in words}
            elif name == "goodput" and value:
                flat |= {f"goodput.{word}": value[word] for word in ("requests_per_sec", "share")}
            elif not isinstance(value, dict | list):
                flat[name] = value
        for name in _OF_HOSTS:
            flat.setdefault(name)  # a load that went to one server has none
        yield {**about, **flat, "energy_of": power.of(document)}


def marks(found: Document) -> list[tuple[float, str]]:
    """Return the known points on the axis of levels, with their names."""
    return [
        (at, name.replace("_", " "))
        for name in POINTS
        if found[name] and (at := axis.place(found[name])) is not None
    ]


def _load(document: Document) -> str:
    config, totals = document["config"], document["results"]["totals"]
    sent = f"{totals['succeeded']} of {counted(totals['requests'], 'request')} succeeded"
    arrival = f", {config['arrival']} arrivals" if config["arrival"] else ""
    return (
        f"{document['status']}: {config['mode']}{arrival}, {sent}, up to {config['max_tokens']} "
        f"tokens, cache {config['cache']}, seed {config['seed']}"
    )


def _row(level: Level) -> tuple[str, ...]:
    total, ttft = level["total_generation_ms"], level["time_to_first_token_ms"]
    due = level["total_generation_from_schedule_ms"]
    return (
        axis.name(level),
        level.get("state") or ABSENT,
        str(level["requests"] - level["excluded"]),
        str(level["failed"]),
        number(level["requests_per_sec"]),
        number(level["output_tokens_per_sec"]),
        number(ttft["p50"]),
        marked(ttft, "p95"),
        number(level["inter_token_latency_ms"]["p50"]),
        number(total["p50"]),
        marked(total, "p95"),
        marked(total, "p99"),
        marked(due, "p95"),
        *_goodput(level),
    )


def _goodput(level: Level) -> tuple[str, ...]:
    found = level["goodput"]
    if not found:
        return ()
    share = ABSENT if found["share"] is None else f"{found['share']:.1%}"
    return number(found["requests_per_sec"]), share


def _notes(document: Document) -> Iterator[tuple[str, str]]:
    """Yield what readers must know, each sentence with its heading."""
    found = document["results"]
    yield from under("gates", (f"gate {gates.sentence(gate)}" for gate in found["gates"]))
    yield from under("findings", _findings(found))
    yield from under("insights", (insight["text"] for insight in document["insights"]))
    yield from under("failures", (f"failed: {k} × {n}" for k, n in found["errors"].items()))
    yield from under("failures", several.gone(found.get("hosts") or ()))
    yield from under("client", _client(found))
    yield from under("baseline", _baseline(found))
    yield from under("energy and cost", energy(document))
    yield from under("precision", _precision(document))


def _baseline(found: Document) -> Iterator[str]:
    """Yield the state of the machine before the load, and the latencies of a single client."""
    yield from _idle(found["idle"])
    baseline = found["baseline"]
    if baseline and found["deadline_s"]:
        total, ttft = baseline["total_generation_ms"], baseline["time_to_first_token_ms"]
        yield (
            f"baseline, one client: total p50 {number(total['p50'])} ms, TTFT p50 "
            f"{number(ttft['p50'])} ms; deadline of a request {found['deadline_s']:.3g} s"
        )


def _precision(document: Document) -> Iterator[str]:
    """Yield how sure the numbers are, and what is missing."""
    found = document["results"]
    if any("*" in cell for level in found["levels"] for cell in _row(level)):
        yield "* too few samples for this percentile (p95 needs 59, p99 needs 299)"
    yield from _rates(found["levels"])
    for level in found["levels"]:
        if level["evidence"] and not level["state"]:
            yield f"{axis.name(level)}: {level['evidence']}"
    if document["status"] != "complete" and found["stop_reason"]:
        yield f"stopped before the end: {found['stop_reason']}"


def _rates(levels: Iterable[Level]) -> Iterator[str]:
    """Yield the reasons why levels have no or an uncertain throughput."""
    found: dict[str, list[str]] = {}
    for level in levels:
        reasons = {
            "throughput": level.get("rate_reason"),
            "tokens/s": level.get("tokens_reason"),
            "goodput": (level["goodput"] or {}).get("reason"),
        }
        for what, reason in reasons.items():
            if reason:
                found.setdefault(f"{what}: {reason}", []).append(axis.name(level))
    for reason, names in found.items():
        yield f"{', '.join(names)}: {reason}"


def _findings(found: Document) -> Iterator[str]:
    """Yield the degradation and failure points, the optimal level, and the recovery."""
    for name in POINTS:
        if found[name]:
            yield _point(name, found[name])
    if found.get("points_reason"):
        yield f"no failure and no degradation point: {found['points_reason']}"
    if found["optimal"]:
        best = found["optimal"]
        yield f"optimal: {place_of(best)}: {best['evidence']}"
    if found["recovery"]:
        yield recovery_row(found["recovery"])
        yield from _bursts(found["recovery"]["spikes"])
    if found["sustained"]:
        yield from _sustained(found["sustained"])


def place_of(point: Document) -> str:
    """Return where a point lies, or within which bounds."""
    value, unit = axis.place(point), axis.unit(point)
    if value is not None:
        return axis.words(value, unit)
    low, high = point.get("bracket") or (point["passing"], point["failing"])
    if low is None:
        return f"somewhere at or below {axis.words(high, unit)}; lower levels were not measured"
    if high is None:
        return f"above {axis.words(low, unit)}"
    return f"between {low:.3g} and {axis.words(high, unit)}"


def _point(name: str, point: Document) -> str:
    words = name.replace("_", " ")
    if name == "failure_point":
        meaning = f"over {point['failure_rate']:.0%} fail, deadline {point['deadline_s']:.3g} s"
    else:
        meaning = f"{point['metric']} over {point['factor']:g}× the baseline"
    if not point["reached"]:
        tried = f" up to {point['passing']:g}" if name == POINTS[0] and point["passing"] else ""
        return f"{words} ({meaning}): not reached{tried}: {point['reason']}"
    interval = point.get("interval")
    number = axis.place(point) is not None
    between = f" [{interval[0]:.3g}, {interval[1]:.3g}]" if interval and number else ""
    if number and point.get("confirmed") is False:
        between += ", not confirmed by levels at 0.9× and 1.1×"
    ends = (ABSENT if e is None else f"{e:.3g}" for e in (point["passing"], point["failing"]))
    bracket = "highest passing {}, lowest failing {}".format(*ends)
    sooner = [
        f"by {deadline} s: {at:.3g}"
        for deadline, at in point.get("at_deadline_s", {}).items()
        if at is not None
    ]
    others = f" ({', '.join(sooner)})" if sooner else ""
    return f"{words} ({meaning}): {place_of(point)}{between}; {bracket}{others}"


def recovery_row(found: Document) -> str:
    """Return how long the server took to recover from a burst."""
    if found["recovery_time_ms"] is None:
        bound = found.get("lower_bound_ms")
        known = ABSENT if bound is None else f"at least {number(bound)} ms"
        return f"recovery: {known}: {found['reason']}"
    resolution = found["resolution_ms"]
    middle, low, high = (
        f"under {number(resolution)}" if ms < resolution else number(ms)
        for ms in (found["recovery_time_ms"], *found["range_ms"])
    )
    return (
        f"recovery after a spike: {middle} ms (of {counted(len(found['spikes']), 'spike')}, "
        f"{low} to {high} ms), resolution {number(resolution)} ms, "
        f"steady load {found['steady_rate']:.3g} requests/s"
    )


def _bursts(spikes: Iterable[Document]) -> Iterator[str]:
    """Yield the failures and latencies of each burst."""
    for order, spike in enumerate(spikes, start=1):
        if burst := spike.get("burst"):
            kinds = ", ".join(f"{kind} × {count}" for kind, count in burst["errors"].items())
            ttft, total = burst["time_to_first_token_ms"], burst["total_generation_ms"]
            yield (
                f"burst {order}: {counted(burst['requests'], 'request')}, {burst['failed']} failed"
                f"{f' ({kinds})' if kinds else ''}, TTFT p50 {number(ttft['p50'])} ms, p95 "
                f"{marked(ttft, 'p95')}, total p50 {number(total['p50'])} ms, p95 "
                f"{marked(total, 'p95')}"
            )


def _sustained(found: Document) -> Iterator[str]:
    for name in ("tokens_per_sec", "total_p50_ms"):
        judged = found[name]
        if judged["reason"]:
            yield f"{name} over time: no verdict: {judged['reason']}"
            continue
        trend, steady = judged["trend"], judged["steady"]
        drift = f"drifts by {trend['share']:+.1%}" if trend["drifts"] else "does not drift"
        plateau = f"steady at {number(steady['mean'])}" if steady else "no steady state"
        yield f"{name} over time: {drift} (p {trend['p']:.2g}), {plateau}"
    yield from _memory(found)


def _idle(found: Document | None) -> Iterator[str]:
    """Yield the state of the machine before the load."""
    if found is None:
        return
    parts = [("CPU", found["cpu_pct"], "%"), ("RAM", found["ram_used_mb"], "MB")]
    parts.append(("the server's memory", found["server_rss_mb"], "MB"))
    for gpu in found.get("gpus", ()):
        parts += [(f"GPU {gpu['id']}", gpu["util_pct"], "%"), ("VRAM", gpu["vram_used_mb"], "MB")]
    known = [f"{name} {number(value)} {unit}" for name, value, unit in parts if value is not None]
    if known:
        yield f"idle, before the load: {', '.join(known)}"


def _memory(found: Document) -> Iterator[str]:
    """Yield the memory of the server and the client in the first and in the last minute."""
    ends = [found["per_minute"][i] for i in (0, -1)]
    for name, whose in (("server_rss_mb", "the server's"), ("client_rss_mb", "the client's")):
        first, last = (minute.get(name) for minute in ends)
        if first is not None and last is not None:
            ends_at = f"{number(first)} MB in the first minute, {number(last)} in the last"
            yield f"{whose} memory: {ends_at}"
    if found.get("memory_reason"):
        yield f"memory per minute: {found['memory_reason']}"


def energy(document: Document) -> Iterator[str]:
    """Yield the known energy of each level, and the devices that were measured."""
    known = [one for one in document["results"]["levels"] if one.get("energy_wh") is not None]
    for level in known:
        token, watts = level["joules_per_output_token"], level["power_draw_watts"]
        each = f", {power.digits(token)} J per output token" if token is not None else ""
        energy = f"{power.digits(level['energy_wh'])} Wh, {power.digits(watts)} W mean"
        yield f"{axis.name(level)}: {energy}{each}"
    if known:
        yield from power.source(document["telemetry"])


def _client(found: Document) -> Iterator[str]:
    """Yield the levels at which a slow client or a busy server affects the numbers."""
    for level in found["levels"]:
        where, health = axis.name(level), level["client_health"]
        if level.get("began_busy"):
            yield f"{where}: the server was not idle before this level"
        if health["client_limited"]:
            reasons = "; ".join(health["reasons"])
            more = "more --nodes or --workers" if "nodes" in health else "--workers"
            yield f"{where}: the client was too slow ({reasons}): use {more}"
        if health.get("not_counted"):
            few = counted(health["not_counted"], "request does", "requests do")
            yield (
                f"{where}: {few} not count: the client was too slow "
                "when it sent them, and the level was measured again"
            )
    yield from several.machines(found.get("nodes", ()))
    calibration = found["client_health"]["calibration"]
    if calibration and calibration.get("ttft_error_ms"):
        ttft, itl = calibration["ttft_error_ms"], calibration["itl_error_ms"]
        yield (
            f"clock error, {counted(calibration['streams'], 'stream')}: TTFT error p50 "
            f"{number(ttft['p50'])} ms, p99 {number(ttft['p99'])} ms; inter-token error p99 "
            f"{number(itl['p99'])} ms"
        )

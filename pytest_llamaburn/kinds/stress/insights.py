"""The insights of stress runs: each is a sentence with an advice, and its evidence."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from pytest_llamaburn.capacity import states
from pytest_llamaburn.capacity.sustained import BATCHES
from pytest_llamaburn.energy.timeline import IDLE_BEFORE_LOAD, IDLE_LOADED
from pytest_llamaburn.insights import adding_to, evidenced, other_load
from pytest_llamaburn.kinds.stress import axis, findings
from pytest_llamaburn.load.step import CLIENTS
from pytest_llamaburn.stats import drift
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from pytest_llamaburn.capacity.states import Level
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.insights import Finding, Insight, Rule

BUSY_IDLE_PCT = 25.0  # of all processors; above it the machine was busy before the load
_HIGHER = 1.1  # flat throughput is reported only if the load rises by at least this factor

_RULES: list[Rule] = []
_rule = adding_to(_RULES)


def find(document: Document) -> list[Insight]:
    """Return the insights into a stress run's result file."""
    return evidenced([*_RULES, other_load], document)


@_rule
def slots_inferred(document: Document) -> Finding | None:
    """Tell how many requests the server processes at once."""
    slots = states.slots(_levels(document)) if _unit(document) == CLIENTS else None
    if slots is None:
        return None
    embedded = document["server"]["kind"] == "embedded"
    names = "--slots" if embedded else "OLLAMA_NUM_PARALLEL, --parallel"
    text = (
        f"The server serves about {counted(slots, 'request')} at once; more clients wait. Raise "
        f"its number of slots ({names}) if there is memory for their contexts."
    )
    return text, {"slots": slots}


@_rule
def throughput_flat(document: Document) -> Finding | None:
    """Tell the level above which more load gives no more throughput."""
    levels = _levels(document)
    flat = states.flat_from(levels)
    if flat is None or levels[-1].value <= _HIGHER * flat:
        return None
    text = (
        f"Throughput does not grow above {axis.words(flat, _unit(document))}: more load only makes "
        "requests wait longer. Stay at or below this load."
    )
    return text, {"level": flat}


@_rule
def stream_halves(document: Document) -> Finding | None:
    """Tell the level at which each stream has lost half of its speed."""
    half = states.halves_at(_levels(document))
    if half is None:
        return None
    text = (
        f"At {axis.words(half, _unit(document))}, each stream is at most half as fast as a single "
        "one. Allow fewer at once if people read the answers as they come."
    )
    return text, {"level": half}


@_rule
def memory_grows(document: Document) -> Finding | None:
    """Test whether the server's memory grows during the load."""
    samples = [one for one in document["system_profile"] if one["active"]]
    memory = [one["server_rss_mb"] for one in samples if one["server_rss_mb"] is not None]
    memory = memory[len(memory) // 10 :]  # a runner is seen only some seconds after its start
    size = max(1, len(memory) // BATCHES)
    batches = [median(memory[i : i + size]) for i in range(0, len(memory) - size + 1, size)]
    trend = drift.trend(batches)
    if trend is None or not trend.drifts or trend.share < 0:
        return None
    share = batches[-1] / batches[0] - 1  # the trend's share belongs to its fitted line
    text = (
        f"The server's memory grew by {share:.0%} during the load, from {batches[0]:.0f} to "
        f"{batches[-1]:.0f} MB. Run a longer load to see whether the growth ends, and limit the "
        "server's memory."
    )
    return text, {"share": share, "first_mb": batches[0], "last_mb": batches[-1]}


@_rule
def busy_before(document: Document) -> Finding | None:
    """Read how busy the machine was before the load, where the load of others is not known."""
    if document["telemetry"].get("other_cpu_share") is not None:
        return None
    phases = (IDLE_BEFORE_LOAD, IDLE_LOADED)
    calm = [one["cpu_pct"] for one in document["system_profile"] if one["phase"] in phases]
    known = [value for value in calm if value is not None]
    cpu = median(known) if known else 0.0
    if cpu < BUSY_IDLE_PCT:
        return None
    text = (
        f"The processors of this machine were {cpu:.0f} % busy before the load. Close other "
        "programs and measure again."
    )
    return text, {"cpu_pct": cpu}


def _levels(document: Document) -> list[Level]:
    """Return the levels that say something of the server: the client was fast enough."""
    levels = map(findings.read, document["results"]["levels"])
    return [level for level in levels if level.requests and not level.client_limited]


def _unit(document: Document) -> str:
    levels = document["results"]["levels"]
    return axis.unit(levels[0]) if levels else CLIENTS

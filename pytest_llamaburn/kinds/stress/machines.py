"""The machines that send a load, if it comes from several: opening them, and their part in a level.

The requests that a lost machine did not send are counted as unsent. They are no failures of the
server, and the level is limited by the client.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.stress import levels
from pytest_llamaburn.load.step import StepHealth
from pytest_llamaburn.stats import samples
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.stress.levels import Visit
    from pytest_llamaburn.kinds.stress.settings import Stress
    from pytest_llamaburn.load.cluster import Cluster
    from pytest_llamaburn.load.node_checks import Seen
    from pytest_llamaburn.load.nodes import Loss, Remote
    from pytest_llamaburn.load.rows import Row
    from pytest_llamaburn.load.workers import Setup


class Machines(NamedTuple):
    """The machines of a load, and what each said of itself."""

    cluster: Cluster
    seen: list[Seen]

    @property
    def remotes(self) -> Sequence[Remote]:
        """The machines, to be called."""
        return self.cluster.actors

    def facts(self) -> list[Document]:
        """Return what the file says of each machine."""
        return [{"node": one.name, **one.facts} for one in self.seen]


async def opened(settings: Stress) -> Machines | None:
    """Return the machines that the settings name, None without --ray.

    Raises UsageError if they cannot send one load together.
    """
    if settings.ray is None:
        return None
    from pytest_llamaburn.load import node_checks
    from pytest_llamaburn.load.cluster import Cluster

    cluster = Cluster(settings.ray, settings.nodes)
    try:
        seen = await node_checks.look(cluster.actors)
        refuse(next(node_checks.problems(seen), None))
    except BaseException:
        cluster.close()
        raise
    return Machines(cluster, seen)


async def check_servers(machines: Machines, setup: Setup) -> None:
    """Raise SettingsError if a machine does not reach a server."""
    from pytest_llamaburn.load import node_checks

    found = await node_checks.unreached(machines.remotes, machines.seen, setup)
    refuse(next(iter(found), None))


def refuse(problem: Any) -> None:
    """Raise SettingsError for a problem of a machine."""
    if problem is not None:
        raise SettingsError(f"--ray: {problem.finding}: {problem.fix}")


def told(losses: Sequence[Loss], healths: Mapping[int, StepHealth]) -> Document:
    """Return what the journal says of the machines at the end of a step; empty without any."""
    if not (losses or healths):
        return {}
    known = {str(place): health._asdict() for place, health in healths.items()}
    return {"nodes": known, "losses": [loss._asdict() for loss in losses]}


def of_step(
    step: Mapping[str, Any], names: Sequence[str]
) -> tuple[dict[int, StepHealth], list[Document]]:
    """Return the health of each machine in a step of the journal, and the machines lost in it."""
    healths = {int(at): StepHealth(**it) for at, it in step.get("nodes", {}).items()}
    named = [{**loss, "node": names[loss["node"]]} for loss in step.get("losses", ())]
    return healths, [{**loss, "words": _words(loss)} for loss in named]


def _words(loss: Mapping[str, Any]) -> str:
    """Return a sentence about a machine that was lost."""
    words = "its unsent requests are not known"
    if loss["unsent"] is not None:
        words = f"{counted(loss['unsent'], 'request')} of it were not finished or not reported"
    return f"{loss['node']} was lost ({loss['reason']}): {words}"


def of_level(
    names: Sequence[str],
    visits: Sequence[Visit],
    rows: Sequence[Row],
    losses: Sequence[Document] = (),
) -> Document:
    """Return what several machines add to the client's health; empty for one machine.

    `visits` and `rows` are those that count at the level, `losses` are of all its visits.
    """
    if len(names) < 2:
        return {}
    entries = [_of_node(place, name, visits, rows) for place, name in enumerate(names)]
    known = [loss["unsent"] for loss in losses]
    return {
        "nodes": entries,
        "lost": [*losses],
        "unsent": None if None in known else sum(known),
        "reasons": [
            f"{one['node']}: {', '.join(one['reasons'])}" for one in entries if one["reasons"]
        ],
    }


def add(summary: Document, found: Document) -> None:
    """Add what several machines say to the client's health of a level.

    If machines were too slow, their reasons stand for those of all requests together.
    """
    if found:
        health = summary["client_health"]
        together = [
            why
            for why in health["reasons"]
            if not (found["reasons"] and why.startswith(levels.OF_SPEED))
        ]
        reasons = [*together, *found["reasons"]]
        more = {"reasons": reasons, "client_limited": bool(reasons)}
        summary["client_health"] = {**health, **found, **more}


def _of_node(place: int, name: str, visits: Sequence[Visit], rows: Sequence[Row]) -> dict[str, Any]:
    own = [row for row in rows if row.node == place]
    late = [(row.sent_ns - row.scheduled_ns) / 1e6 for row in own]
    first = [v for row in own if (v := row.values["time_to_first_token_ms"]) is not None]
    healths = [visit.nodes[place] for visit in visits if place in visit.nodes]
    worst = functools.reduce(StepHealth.worst, healths, StepHealth())
    reasons = levels.limits(worst, samples.percentile(late, 99), first)
    return {
        "node": name,
        "requests": len(own),
        "schedule_lateness_p50_ms": samples.percentile(late, 50),
        "schedule_lateness_p99_ms": samples.percentile(late, 99),
        **worst._asdict(),
        "client_limited": bool(reasons),
        "reasons": reasons,
    }

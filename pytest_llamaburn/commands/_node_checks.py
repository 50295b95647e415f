"""The checks of llamaburn doctor --ray: whether the machines of a cluster can send one load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.commands._checks import CheckResult, Context, check
from pytest_llamaburn.errors import LlamaBurnError
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_llamaburn.load.node_checks import Problem, Seen
    from pytest_llamaburn.load.nodes import Remote

PREFIX = "nodes."


@check(f"{PREFIX}cluster")
def cluster(context: Context) -> CheckResult:
    """Connect to the cluster, and ask each machine what it is."""
    import asyncio  # takes long, and `--help` imports this module

    from pytest_llamaburn.load.cluster import Cluster

    try:
        found = Cluster(str(context.ray), None)
    except LlamaBurnError as err:
        return CheckResult("fail", str(err), "Correct --ray, or start the cluster.")
    try:
        seen, problems = asyncio.run(_survey(found.actors, context))
    except LlamaBurnError as err:
        return CheckResult("fail", str(err), "Read the log of Ray there.")
    finally:
        found.close()
    context.machines.update({"seen": seen, "problems": problems})
    return CheckResult("ok", f"{counted(len(seen), 'machine')}: {', '.join(s.name for s in seen)}")


async def _survey(remotes: Sequence[Remote], context: Context) -> tuple[list[Seen], list[Problem]]:
    from pytest_llamaburn.backends._base import Model
    from pytest_llamaburn.load import node_checks
    from pytest_llamaburn.load.servers import Servers
    from pytest_llamaburn.load.workers import setup_of

    seen = await node_checks.look(remotes)
    problems = [*node_checks.problems(seen)]
    backend = context.seen.backend
    if context.seen.server is not None and backend is not None:
        setup = setup_of(Servers([backend]), Model("", ""), ())
        problems += await node_checks.unreached(remotes, seen, setup)
    return seen, problems


def _check_of(about: str, well: Callable[[Sequence[Seen]], str]) -> None:
    """Register the check of one thing that all machines need; `well` says that it is as needed."""

    @check(f"{PREFIX}{about}")
    def checked(context: Context) -> CheckResult:
        if not context.machines:
            return CheckResult("ok", "not checked: no cluster")
        if about == "servers" and context.seen.server is None:
            return CheckResult("ok", "not checked: no server")
        wrong = [one for one in context.machines["problems"] if one.about == about]
        if not wrong:
            return CheckResult("ok", well(context.machines["seen"]))
        fix = wrong[0].fix
        finding = "; ".join(one.finding for one in wrong)
        return CheckResult("fail", finding, f"{fix[:1].upper()}{fix[1:]}.")


def _clocks(seen: Sequence[Seen]) -> str:
    off_ms = max(abs(one.reading.wall_offset_ns) for one in seen) / 1e6
    bound_ms = max(one.reading.bound_ns for one in seen) / 1e6
    return f"at most {off_ms:.2g} ms from this machine's, known to {bound_ms:.2g} ms"


def _keys(seen: Sequence[Seen]) -> str:
    have = sum(one.facts["has_key"] for one in seen)
    return f"{have} of {counted(len(seen), 'machine')} have LLAMABURN_API_KEY in their environment"


_check_of("versions", lambda seen: f"Python {seen[0].facts['python']} on all machines")
_check_of("clocks", _clocks)
_check_of("keys", _keys)
_check_of("servers", lambda _: "all machines reach the server")

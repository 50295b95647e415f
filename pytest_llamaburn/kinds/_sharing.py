"""The settings of runs whose work several servers or machines share."""

from __future__ import annotations

from typing import Any

from pytest_llamaburn import registry
from pytest_llamaburn.option import opt
from pytest_llamaburn.settings import Settings


def _balances() -> tuple[str, ...]:
    return tuple(registry.load("load", "servers").BALANCES)


def cluster(*, resume: bool = False) -> Any:
    """Return the option --ray; with `resume` a continued run may use another cluster."""
    return opt(
        None,
        "send from the machines of a Ray cluster: its HOST:PORT, auto (the one of this machine) or "
        "local (a new one on this machine)",
        bare="auto",
        resume=resume,
        example="10.0.0.5:6379",
    )


def machines(*, resume: bool = False) -> Any:
    """Return the option --nodes; with `resume` a continued run may have another number."""
    return opt(
        None,
        "number of machines of the Ray cluster that send (default: all; 2 for local)",
        resume=resume,
        bounds={"ge": 1, "le": 10_000},
        example=2,
    )


class Sharing(Settings):
    """The servers and the machines that share the work of a run."""

    balance: str = opt(
        "round_robin",
        "which of several servers (--host) gets the next request: round_robin or "
        "least_outstanding (the one with the fewest requests in flight)",
        choices=_balances,
    )
    ray: str | None = cluster()
    nodes: int | None = machines()

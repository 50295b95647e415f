"""The settings of runs whose work several servers or machines share."""

from __future__ import annotations

from pytest_llamaburn import registry
from pytest_llamaburn.option import opt
from pytest_llamaburn.settings import Settings


def _balances() -> tuple[str, ...]:
    return tuple(registry.load("load", "servers").BALANCES)


class Sharing(Settings):
    """The servers and the machines that share the work of a run."""

    balance: str = opt(
        "round_robin",
        "which of several servers (--host) gets the next request: round_robin or "
        "least_outstanding (the one with the fewest requests in flight)",
        choices=_balances,
    )
    ray: str | None = opt(
        None,
        "send from the machines of a Ray cluster: its HOST:PORT, auto (the one of this machine) or "
        "local (a new one on this machine)",
        bare="auto",
        example="10.0.0.5:6379",
    )
    nodes: int | None = opt(
        None,
        "number of machines of the Ray cluster that send (default: all; 2 for local)",
        bounds={"ge": 1, "le": 10_000},
        example=2,
    )

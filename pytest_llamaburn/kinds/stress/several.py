"""What a table says of several servers and of several machines, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn.tables import number
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.documents import Document


def facts(host: Document) -> str:
    """Return a line about a server: its requests of the whole run."""
    sent = f"{counted(host['requests'], 'request')}, {host['failed']} failed"
    kinds = ", ".join(f"{kind} × {count}" for kind, count in host["errors"].items())
    version = f" {host['version']}" if host["version"] else ""
    return f"{host['host']} ({host['kind']}{version}): {sent}{f' ({kinds})' if kinds else ''}"


def gone(hosts: Sequence[Document]) -> Iterator[str]:
    """Yield the servers that died during the load."""
    for host in hosts:
        if host["gone"]:
            last = counted(host["not_reached"], "request")
            yield f"{host['host']} is gone: its last {last} found no server"


def machines(nodes: Sequence[Document]) -> Iterator[str]:
    """Yield how well the clocks of several machines are known, and which machines were lost."""
    bounds = [node["offset_bound_ms"] for node in nodes if "offset_bound_ms" in node]
    if bounds:
        known = f"known to {number(max(bounds))} ms, times of requests are corrected"
        yield f"clocks of {counted(len(nodes), 'machine')}: {known}"
    for node in nodes:
        if node.get("lost"):
            yield f"{node['node']} was lost: {node['lost']}"

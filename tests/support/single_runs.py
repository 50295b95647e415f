"""Runs that send their own requests, against a server of known rates in this process."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from pytest_llamaburn.backends._base import Model
from pytest_llamaburn.kinds._run import Identity
from pytest_llamaburn.load.prompts import conversation, ruler
from pytest_llamaburn.option import model_of
from pytest_llamaburn.progress import Silent
from support.rated_server import Rated, RatedBackend

if TYPE_CHECKING:
    from pytest_llamaburn.kinds._single import SingleRun
    from pytest_llamaburn.trace import Trace

IDENTITY = Identity("s", "s-1", "main-0", "2026-11-30T10:30:00Z")


class Journal:
    """Keeps the lines of a journal."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.lost = None

    def write(self, kind: str, **fields: Any) -> None:
        self.lines.append((kind, fields))

    def facts(self) -> dict[str, Any]:
        """Return the facts that were written."""
        facts: dict[str, Any] = {}
        for kind, fields in self.lines:
            facts |= fields if kind == "facts" else {}
        return facts


def prepared(make: type[SingleRun], rated: Rated, **asked: Any) -> Any:
    """Return a run after its preparations, whose server is this one."""
    settings: Any = model_of(make.kind.settings_class)(**asked)
    run: Any = make(settings, IDENTITY, 0, cast("Any", Silent()))
    run.backend = RatedBackend(rated, settings)
    run.model = Model("tiny", "tiny", context_length=rated.context)
    run.profiler = SimpleNamespace(segment="a")
    run.journal = Journal()

    async def brief(words: str) -> Trace:
        trace: Trace = await run._ask(run.backend.wire(), conversation(words, None), 1)
        return trace

    run._ruler = asyncio.run(ruler(brief))
    return run


def document(
    kind: str,
    found: dict[str, Any],
    config: dict[str, Any],
    facts: dict[str, Any],
    run_id: str = "a",
) -> dict[str, Any]:
    """Return of a result file what tables, insights and comparisons read."""
    totals = {"succeeded": 1, "failed": 0, "planned": 1, "requests": 1}
    about = dict.fromkeys(("quantization", "parameter_size", "family", "digest"))
    limits = dict.fromkeys(("cpu_quota", "cpus_allowed", "ram_limit_mb"))
    machine = {"gpus": [], "cpu": "CPU", "cores_logical": 2, "ram_mb": 1000, "fingerprint": "f"}
    return {
        "schema": f"llamaburn/{kind}",
        "run_id": run_id,
        "status": "complete",
        "timestamp": IDENTITY.timestamp,
        "model": {"id": "tiny", **about},
        "server": {"kind": "llama.cpp", "version": None, "host": "here"},
        "environment": {**machine, **limits},
        "config": config,
        "telemetry": facts,
        "system_profile": [],
        "insights": [],
        "results": {**found, "errors": {}, "totals": totals, "gates": []},
    }

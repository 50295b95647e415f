"""The REST API in this process, without a socket, and a stand-in for the command that jobs run."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from pytest_llamaburn.web import app, security
from pytest_llamaburn.web.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

TOKEN = "a-token-of-the-tests"  # noqa: S105
ORIGIN = "http://127.0.0.1:7737"
GOLDEN = Path(__file__).parents[1] / "golden"
WAITS_S = 120.0  # for what must happen, on a busy machine too; then a test has failed
# What stands for the command: it does what the name of the model to pull says.
STAND_IN = """
import json, pathlib, signal, sys, time
name = sys.argv[3]
def say(**event): print(json.dumps(event), file=sys.stderr, flush=True)
def leave(*_): say(event="note", text="interrupted"); sys.exit(2)
if name.startswith("deaf"):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if name == "deaf-to-all":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGINT, leave)
say(event="progress", stage="measuring", unit="requests", done=1, planned=4)
print("a line of its own", file=sys.stderr, flush=True)
if name == "tells":
    say(event="answered", question="q", answer="red")
if name.startswith("writes:"):
    print(f"wrote {name.removeprefix('writes:')}", file=sys.stderr)
if name.startswith("code:"):
    sys.exit(int(name.removeprefix("code:")))
if name.startswith(("long", "deaf")):
    while True:
        time.sleep(0.01)
"""


class Api(httpx.AsyncClient):
    """A client with the token, and the service behind it."""

    service: Service

    async def job(self, job_id: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return a job once it is as it should become."""
        async with asyncio.timeout(WAITS_S):
            while True:
                found: dict[str, Any] = (await self.get(f"/jobs/{job_id}")).json()
                if until(found):
                    return found
                await asyncio.sleep(0.01)

    async def over(self, job_id: str) -> dict[str, Any]:
        """Return a job once it is over."""
        return await self.job(job_id, lambda job: job["state"] in ("ended", "cancelled", "lost"))

    async def pull(self, name: str, **query: Any) -> httpx.Response:
        """Start the stand-in."""
        return await self.post("/models/pull", json={"name": name}, params=query)


@asynccontextmanager
async def serving(results_dir: Path, **headers: str) -> AsyncIterator[Api]:
    """Serve a results directory to a client; jobs run the stand-in."""
    service = Service(results_dir, [sys.executable, "-c", STAND_IN])
    rules = security.rules("127.0.0.1", 7737, ["bench.example"], TOKEN)
    transport = httpx.ASGITransport(app.make(service, rules))
    known = {"authorization": f"Bearer {TOKEN}", **headers}
    async with (
        service.running(),
        Api(transport=transport, base_url=ORIGIN, headers=known, timeout=WAITS_S) as api,
    ):
        api.service = service
        yield api


def keep(results_dir: Path, journal: str, folder: str, name: str, **changed: Any) -> Path:
    """Put a golden result file into a results directory, with some fields changed."""
    path = results_dir / folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(GOLDEN / "journals" / journal / "result.json", path)
    if changed:
        document = {**json.loads(path.read_text(encoding="utf-8")), **changed}
        path.write_text(json.dumps(document), encoding="utf-8")
    return path

"""All parts of the server, and what goes on beside requests."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from pytest_llamaburn.web import child
from pytest_llamaburn.web.events import Bus
from pytest_llamaburn.web.index import Index
from pytest_llamaburn.web.jobs import Jobs
from pytest_llamaburn.web.library import Library
from pytest_llamaburn.web.programs import Programs
from pytest_llamaburn.web.system import Sampler
from pytest_llamaburn.web.uploads import SWEPT_EVERY_S, Uploads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path


_FILL_S = 0.25  # of reading at a time, while a client may wait


class Service:
    """What the routes use."""

    def __init__(self, results_dir: Path, program: Sequence[str] = child.PROGRAM) -> None:
        """Serve a results directory; `program` is what runs a job's words."""
        self.results_dir = results_dir
        self.bus = Bus()
        self.library = Library(results_dir)
        self.index = Index(results_dir)
        self.jobs = Jobs(results_dir, self.bus, program)
        self.programs = Programs()
        self.sampler = Sampler(self.bus)
        self.uploads = Uploads(results_dir)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run jobs, read sensors and fill the index; end all of it at the end."""
        works = (self.jobs.work(), self.sampler.work(), self._fill(), self._sweep())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            await self.close()
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            self.uploads.clear()

    async def close(self) -> None:
        """End streams, programs and jobs."""
        self.bus.close()
        self.programs.close()
        await self.jobs.close()

    async def _sweep(self) -> None:
        """Remove uploads that no job uses any more."""
        while True:
            commands = [job.command for job in self.jobs.every() if not job.over]
            await asyncio.to_thread(self.uploads.sweep, commands)
            await asyncio.sleep(SWEPT_EVERY_S)

    async def _fill(self) -> None:
        for folder in self.library.types:
            unread = 1
            while unread:
                _, unread = await asyncio.to_thread(self.index.rows, folder, patience_s=_FILL_S)


def _of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Using = Annotated[Service, Depends(_of)]

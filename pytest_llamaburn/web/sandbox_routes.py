"""Routes of generated code: a program of Python, and the files of the frame for all other code."""

import asyncio

from fastapi import APIRouter, Request, Response

from pytest_llamaburn.web import bundle
from pytest_llamaburn.web.page import Files
from pytest_llamaburn.web.programs import Ended, Program
from pytest_llamaburn.web.refusals import Problem, Refusal
from pytest_llamaburn.web.security import SANDBOX
from pytest_llamaburn.web.service import Using

_REFUSED = {"model": Problem}
_files = Files(bundle.BUNDLE / "sandbox")
router = APIRouter(responses={422: _REFUSED})


@router.post("/programs/run", tags=["programs"], responses={409: _REFUSED, 503: _REFUSED})
async def run_program(program: Program, request: Request, service: Using) -> Ended:
    """Run a program of a model in the sandbox, without network and files; say how it ended.

    It ends with the request. One program runs at a time, and none while a job runs.
    """
    if service.jobs.busy:
        raise Refusal(409, "a job runs, and a program would disturb it: wait until it is over")
    running = asyncio.ensure_future(service.programs.run(program))
    left = asyncio.ensure_future(request.receive())  # after its body, a client can only leave
    try:
        await asyncio.wait((running, left), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            raise Refusal(503, "the client left")
        return running.result()
    finally:
        running.cancel()
        left.cancel()


@router.get(SANDBOX, include_in_schema=False)
async def frame(request: Request) -> Response:
    """Return the page of the frame in which generated code runs."""
    return _files.answer("index.html", request)


@router.get(SANDBOX + "{name}", include_in_schema=False)
async def frame_file(name: str, request: Request) -> Response:
    """Return a script of the frame, or a part of three.js."""
    return _files.answer(name, request)

"""Routes that run something: runs of each kind, jobs, events, fetching of models."""

import asyncio
import shlex
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from pytest_llamaburn.kinds import _kind
from pytest_llamaburn.registry import unknown
from pytest_llamaburn.store import results, resume
from pytest_llamaburn.web import child, expected, forms, jobs
from pytest_llamaburn.web.events import MOST_LISTENERS
from pytest_llamaburn.web.jobs import Job, Order
from pytest_llamaburn.web.refusals import Problem, Refusal
from pytest_llamaburn.web.service import Service, Using

if TYPE_CHECKING:
    from collections.abc import Callable

_REFUSED = {"model": Problem}
_Queue = Annotated[bool, Query(description="wait for the turn where another job runs")]
_Kind = Annotated[str, Path(json_schema_extra={"enum": [one.name for one in _kind.every()]})]
_JobId = Annotated[str, Path(pattern=jobs.ID, examples=["20261130T120000-0a1b2c"])]
router = APIRouter(responses={422: _REFUSED})


class Unfinished(BaseModel):
    """A run that was cut: POST its kind's run with `{"resume": run_id}`, or use the command."""

    run_id: str
    kind: str
    model: str | None
    time: str | None
    command: str


class JobList(BaseModel):
    """Jobs, the newest first, and the runs that can be continued."""

    jobs: list[Job]
    total: int
    unfinished: list[Unfinished]


class Pull(BaseModel):
    """A model to fetch: its name at Ollama, or in the embedded catalogue."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$", examples=["smollm2-135m"])


class KindOfRun(BaseModel):
    """A kind of run: the lists of its results, and the settings that a form shows at once."""

    name: str
    help: str
    description: str
    types: list[str]
    first: list[str]


class Checked(BaseModel):
    """Settings that are in order: the command that runs them, and about how long it takes.

    `note` says why the time is not known, or what is not in it.
    """

    command: str
    expected_s: float | None
    note: str | None


def add_kinds(to: APIRouter) -> None:
    """Add the routes that start and check a run, for each kind of run there is."""
    for kind in _kind.every():
        to.add_api_route(
            f"/{kind.name}/check",
            _checker(kind),
            methods=["POST"],
            response_model=Checked,
            responses={422: _REFUSED},
            summary=f"Check the settings of: {kind.help}",
            operation_id=f"check_{kind.name.replace('-', '_')}",
            tags=["runs"],
            openapi_extra={"requestBody": _body_of(forms.schema(kind))},
        )
        to.add_api_route(
            f"/{kind.name}/run",
            _runner(kind),
            methods=["POST"],
            status_code=202,
            response_model=Job,
            responses={409: _REFUSED, 422: _REFUSED, 503: _REFUSED},
            summary=f"Run: {kind.help}",
            operation_id=f"run_{kind.name.replace('-', '_')}",
            tags=["runs"],
            openapi_extra={"requestBody": _body_of(forms.schema(kind))},
        )


def _runner(kind: _kind.RunKind) -> "Callable[..., Any]":
    async def run(
        request: Request, response: Response, service: Using, *, queue: _Queue = False
    ) -> Job:
        order = await forms.order(kind, await _json(request), str(service.results_dir))
        return _accepted(service, order, response, queue=queue)

    run.__doc__ = (
        f"{kind.description} The body has settings by their long names. The answer is a job."
    )
    return run


def _checker(kind: _kind.RunKind) -> "Callable[..., Any]":
    async def check(request: Request, service: Using) -> Checked:
        body = await _json(request)
        form = await asyncio.to_thread(forms.checked, kind, body, str(service.results_dir))
        found = await asyncio.to_thread(expected.of, kind, form.settings, service)
        return Checked(command=form.command, expected_s=found.seconds, note=found.note)

    check.__doc__ = "Say whether the settings are in order, without starting anything."
    return check


@router.get("/kinds", tags=["runs"])
async def kinds() -> list[KindOfRun]:
    """Return the kinds of run that there are."""
    return [
        KindOfRun(
            name=kind.name,
            help=kind.help,
            description=kind.description,
            types=[name for name, one in results.lists().items() if one.kind == kind.name],
            first=forms.first(kind),
        )
        for kind in sorted(_kind.every(), key=_rank)
    ]


def _rank(kind: _kind.RunKind) -> tuple[int, str]:
    """Return where a kind stands in a list: ours in the order of a user's questions."""
    known = ("benchmark", "stress", "eval")
    return known.index(kind.name) if kind.name in known else len(known), kind.name


@router.get("/schema/{kind}", tags=["runs"], responses={404: _REFUSED})
async def schema(kind: _Kind) -> dict[str, Any]:
    """Return the JSON Schema of the settings of a kind of run, with what a form needs to know."""
    known = {one.name: one for one in _kind.every()}
    if kind not in known:
        raise Refusal(404, unknown("kind", kind, [*known]), "kind")
    return forms.schema(known[kind])


@router.get("/jobs", tags=["jobs"])
async def list_jobs(
    service: Using,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    state: Literal["queued", "running", "stopping", "ended", "cancelled", "lost"] | None = None,
) -> JobList:
    """Return the newest jobs, and the runs that were cut and can be continued."""
    cut = await asyncio.to_thread(_unfinished, service)
    found = [job for job in service.jobs.every() if state in (None, job.state)]  # as they are now
    return JobList(jobs=found[:limit], total=len(found), unfinished=cut)


@router.get("/jobs/{id}", tags=["jobs"], responses={404: _REFUSED})
async def get_job(job_id: Annotated[_JobId, Path(alias="id")], service: Using) -> Job:
    """Return a job: its state, its last progress, what it wrote, its exit code."""
    return service.jobs.find(job_id)


@router.get("/jobs/{id}/progress", tags=["jobs"], responses={404: _REFUSED})
async def get_progress(
    job_id: Annotated[_JobId, Path(alias="id")], service: Using
) -> list[dict[str, Any]]:
    """Return the progress of a job from its begin to now, evenly thinned where it is very long."""
    return await asyncio.to_thread(service.jobs.progress, job_id)


@router.get("/jobs/{id}/told", tags=["jobs"], responses={404: _REFUSED})
async def get_told(
    job_id: Annotated[_JobId, Path(alias="id")], service: Using
) -> list[dict[str, Any]]:
    """Return what a job told so far of its questions, answers and scores, as `told` events do."""
    return await asyncio.to_thread(service.jobs.told, job_id)


@router.delete(
    "/jobs/{id}", status_code=202, tags=["jobs"], responses={404: _REFUSED, 409: _REFUSED}
)
async def stop_job(job_id: Annotated[_JobId, Path(alias="id")], service: Using) -> Job:
    """Stop a job: SIGINT, after 10 s SIGTERM, then SIGKILL. What was finished is kept."""
    return service.jobs.stop(job_id)


@router.get(
    "/events",
    tags=["jobs"],
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}, 503: _REFUSED},
)
async def events(
    service: Using, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """Stream `job`, `progress`, `told`, `note` and `system` events.

    Those after `Last-Event-ID` come first.

    `reset` says that some are no longer known: read the lists again.
    """
    if service.bus.listeners >= MOST_LISTENERS:
        raise Refusal(503, f"{MOST_LISTENERS} pages listen already: close one")
    return StreamingResponse(service.bus.follow(last_event_id), media_type="text/event-stream")


@router.post(
    "/models/pull",
    status_code=202,
    tags=["models"],
    responses={409: _REFUSED, 503: _REFUSED},
)
async def pull(wanted: Pull, response: Response, service: Using, *, queue: _Queue = False) -> Job:
    """Fetch a model to the server under test, or to the embedded catalogue."""
    words = ["models", "pull", wanted.name]
    order = Order("pull", [*words, "--progress=json"], shlex.join(["llamaburn", *words]))
    return _accepted(service, order, response, queue=queue)


def _accepted(service: Service, order: Order, response: Response, *, queue: bool) -> Job:
    env = child.environment() if order.env is None else order.env
    job = service.jobs.submit(order._replace(env=env), queue=queue)
    response.headers["location"] = f"/jobs/{job.id}"
    return job


async def _json(request: Request) -> Any:
    """Return the body of a request; raises Refusal where it is no JSON."""
    try:
        return msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise Refusal(422, f"the body is not JSON: {err}") from None


def _unfinished(service: Service) -> list[Unfinished]:
    return [
        Unfinished(
            run_id=name,
            kind=header["schema"].removeprefix(results.PREFIX),
            model=(header.get("model") or {}).get("id"),
            time=header.get("timestamp"),
            command=resume.continuing(header),
        )
        for name, header in resume.unfinished(service.results_dir).items()
    ]


def _body_of(found: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": found}}}

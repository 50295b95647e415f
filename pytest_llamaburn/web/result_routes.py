"""Routes that read results, compare them, and remove and restore them."""

import asyncio
from pathlib import Path as FilePath
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from pytest_llamaburn import measures, metrics, registry
from pytest_llamaburn.kinds import _kind
from pytest_llamaburn.store import results
from pytest_llamaburn.web import child, index, lists, views
from pytest_llamaburn.web.index import Row
from pytest_llamaburn.web.lists import Reference
from pytest_llamaburn.web.refusals import Problem, Refusal
from pytest_llamaburn.web.service import Service, Using

_REFUSED = {"model": Problem}
_FORMATS = registry.names("reports")
_TYPES = [*results.lists()]
_Type = Annotated[
    str,
    Path(
        alias="type",
        description="the name of a list",
        json_schema_extra={"enum": [*_TYPES]},
    ),
]
_Id = Annotated[str, Path(alias="id", pattern=lists.ID)]
_Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]

router = APIRouter(responses={404: _REFUSED, 422: _REFUSED})


class Page(BaseModel):
    """A part of a list. `total` match the filters; `unread` files are not in the list yet."""

    rows: list[Row]
    total: int
    unread: int


class Folder(BaseModel):
    """A type of results: the list of its files, their kind, how many there are.

    `compared` says whether its files can be compared, `trended` whether a trend is made of them.
    """

    type: str
    kind: str
    total: int
    compared: bool
    trended: bool


class Comparing(BaseModel):
    """Results of one type to compare; `gates` as after `--fail-if`."""

    model_config = ConfigDict(extra="forbid")

    type: Annotated[str, Field(examples=["benchmarks"])]
    ids: Annotated[
        list[Annotated[str, Field(pattern=lists.ID)]], Field(min_length=2, max_length=50)
    ]
    baseline: Annotated[str | None, Field(pattern=lists.ID)] = None
    gates: Annotated[list[_Text], Field(max_length=50)] = []
    columns: _Text | None = None
    sort: _Text | None = None
    margin: _Text | None = None


class Trending(BaseModel):
    """Which runs a trend is made of, all if nothing is named; `gates` as after `--fail-if`."""

    model_config = ConfigDict(extra="forbid")

    models: Annotated[list[_Text], Field(max_length=50)] = []
    kind: _Text | None = None
    since: Annotated[str | None, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] = None
    gates: Annotated[list[_Text], Field(max_length=50)] = []
    columns: _Text | None = None
    margin: _Text | None = None


class Compared(BaseModel):
    """A comparison or a trend: where it is kept, what it says, and whether all gates passed."""

    result: Reference
    passed: bool
    document: dict[str, Any]


class MeasureOf(BaseModel):
    """What a number is called in tables, if its name is not enough, and what it is.

    `better` is lower, higher or none.
    """

    label: str
    unit: str
    better: str
    formula: str


class Measures(BaseModel):
    """The numbers of result files by name, and why one may be missing, by the code of the file."""

    measures: dict[str, MeasureOf]
    reasons: dict[str, str]


class Filter(BaseModel):
    """Which results of a type to list, and in which order."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str | None, Field(description="part of the model's name")] = None
    status: str | None = None
    since: Annotated[str | None, Field(description="UTC, as 2026-11-30 or a time stamp")] = None
    until: Annotated[str | None, Field(description="before this time")] = None
    sort: Annotated[str, Field(description="time, model, status, id or a measure; -x reverses")] = (
        "-time"
    )
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 50

    @property
    def chooses(self) -> bool:
        """Whether there are results that it does not list."""
        return any((self.model, self.status, self.since, self.until))

    def takes(self, row: Row) -> bool:
        """Return whether a result is to be listed."""
        name, time = (self.model or "").lower(), row.time or ""
        named = not name or any(name in model.lower() for model in row.models)
        begun = (self.since is None or time >= self.since) and (
            self.until is None or time < self.until
        )
        return named and begun and self.status in (None, row.status)


@router.get("/results", tags=["results"])
async def list_types(service: Using) -> list[Folder]:
    """Return the types of results there are, and how many files each has."""
    return await asyncio.to_thread(_folders, service)


def _folders(service: Service) -> list[Folder]:
    return [_folder(service, name, listing.kind) for name, listing in results.lists().items()]


def _folder(service: Service, name: str, of: str) -> Folder:
    kind = results.kind(of)
    compared = kind.comparison is not None
    return Folder(
        type=name,
        kind=of,
        total=index.count(service.results_dir, name),
        compared=compared,
        trended=compared and isinstance(kind, _kind.RunKind),
    )


@router.get("/results/{type}", tags=["results"])
async def list_results(folder: _Type, service: Using, wanted: Annotated[Filter, Query()]) -> Page:
    """Return results of a type with their headline measures: filtered, sorted and paged."""
    service.library.check_type(folder)
    found, unread = await asyncio.to_thread(service.index.rows, folder, wanted.sort)
    rows = [*filter(wanted.takes, found)] if wanted.chooses else found
    end = wanted.offset + wanted.limit
    return Page(rows=[*rows[wanted.offset : end]], total=len(rows), unread=unread)


@router.get(
    "/results/{type}/{id}",
    tags=["results"],
    response_class=Response,
    responses={
        200: {"content": {"application/json": {"schema": {"type": "object"}}, "text/html": {}}},
        304: {"description": "it is as it was"},
    },
)
async def get_result(
    folder: _Type,
    result_id: _Id,
    service: Using,
    form: Annotated[str, Query(alias="format", json_schema_extra={"enum": [*_FORMATS]})] = "json",
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Return a result file, or a report of it in a format."""
    if form not in _FORMATS:
        raise Refusal(422, registry.unknown("format", form, _FORMATS), "format")
    tag = service.library.tag(folder, result_id, form)
    headers = {"etag": tag, "cache-control": "no-cache"}
    if tag in (one.strip() for one in (if_none_match or "").split(",")):
        return Response(status_code=304, headers=headers)
    found = await asyncio.to_thread(service.library.render, folder, result_id, form)
    if form != "json":  # a report is a file to keep, not a page of ours
        headers["content-disposition"] = (
            f"attachment; filename*=UTF-8''{quote(found.name, safe='')}"
        )
    return Response(found.text, media_type=found.media_type, headers=headers)


_BODY_IS_A_RESULT = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


@router.post(
    "/results/look", tags=["results"], responses={413: _REFUSED}, openapi_extra=_BODY_IS_A_RESULT
)
async def look(request: Request) -> dict[str, Any]:
    """Check a result file of anywhere and return it in today's form; nothing of it is kept."""
    return await asyncio.to_thread(results.parsed, await request.body(), "the file")


@router.get("/results/{type}/{id}/view", tags=["results"])
async def view_result(folder: _Type, result_id: _Id, service: Using) -> views.View:
    """Return the cards, charts and tables that reports show of a result, whatever its kind."""
    path = service.library.path(folder, result_id)
    return await asyncio.to_thread(lambda: views.of(results.load(path)))


@router.post(
    "/results/view", tags=["results"], responses={413: _REFUSED}, openapi_extra=_BODY_IS_A_RESULT
)
async def view_of(request: Request) -> views.View:
    """Return the same of a result file of anywhere; nothing of it is kept."""
    body = await request.body()
    return await asyncio.to_thread(lambda: views.of(results.parsed(body, "the file")))


@router.delete("/results/{type}/{id}", status_code=204, tags=["results"], responses={503: _REFUSED})
async def remove_result(folder: _Type, result_id: _Id, service: Using) -> None:
    """Move a result to the trash, from which it can be restored."""
    await asyncio.to_thread(service.library.remove, folder, result_id)


@router.post(
    "/results/{type}/{id}/restore",
    tags=["results"],
    responses={409: _REFUSED, 503: _REFUSED},
)
async def restore_result(folder: _Type, result_id: _Id, service: Using) -> Reference:
    """Move a result that was removed back to its place."""
    await asyncio.to_thread(service.library.restore, folder, result_id)
    return Reference(type=folder, id=result_id)


@router.post("/compare", status_code=201, tags=["results"])
async def compare(wanted: Comparing, response: Response, service: Using) -> Compared:
    """Compare results of one type with a baseline, the first if none is named, and keep that."""
    return await _kept(_words(wanted, service), response)


@router.post("/trend", status_code=201, tags=["results"])
async def trend(wanted: Trending, response: Response, service: Using) -> Compared:
    """Find what changed over time in stored results, and keep that."""
    return await _kept(_words_of_trend(wanted, service), response)


async def _kept(words: list[str], response: Response) -> Compared:
    """Run a command that makes a result of results; return what it made."""
    said = await child.run(words)
    if said.code not in (0, 1) or not said.wrote:
        raise Refusal(422, said.sentence)
    path = FilePath(said.wrote[-1])
    found = Reference(type=path.parent.name, id=path.stem)  # these are in one folder each
    response.headers["location"] = f"/results/{found.type}/{found.id}"
    document = msgspec.json.decode(said.stdout)
    return Compared(result=found, passed=said.code == 0, document=document)


def _words(wanted: Comparing, service: Service) -> list[str]:
    def path(result_id: str) -> str:
        return str(service.library.path(wanted.type, result_id))

    more = {
        "baseline": wanted.baseline and path(wanted.baseline),
        "sort": wanted.sort,
    }
    return ["compare", *_options(wanted, service, more), "--", *map(path, wanted.ids)]


def _words_of_trend(wanted: Trending, service: Service) -> list[str]:
    more = {"kind": wanted.kind, "since": wanted.since}
    return ["trend", *_options(wanted, service, more), "--", *wanted.models]


def _options(
    wanted: Comparing | Trending, service: Service, more: dict[str, str | None]
) -> list[str]:
    given = {
        **more,
        "columns": wanted.columns,
        "margin": wanted.margin,
        "results-dir": str(service.results_dir),
        "output": "json",
    }
    options = [f"--{name}={value}" for name, value in given.items() if value is not None]
    return [*options, *(f"--fail-if={gate}" for gate in wanted.gates)]


@router.get("/measures", tags=["results"])
async def all_measures() -> Measures:
    """Return what the numbers of result files are called and how they are computed."""
    return await asyncio.to_thread(_measures)


def _measures() -> Measures:
    found = {
        **metrics.MEASURES,
        **{
            name: one
            for kind in _kind.every()
            for name, one in kind.load("measures.MEASURES").items()
        },
    }
    about = {
        name: MeasureOf(label=one.label, unit=one.unit, better=one.better, formula=one.formula)
        for name, one in found.items()
    }
    return Measures(measures=about, reasons=measures.REASONS)

"""Routes of media: sets that ask about them, files and sound of clients, and media of results."""

import asyncio
import secrets
import time
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from pytest_llamaburn import evalsets, kept_media, media_sets, modalities, registry
from pytest_llamaburn.audio import stream
from pytest_llamaburn.registry import unknown
from pytest_llamaburn.web import uploads
from pytest_llamaburn.web.refusals import Problem, Refusal
from pytest_llamaburn.web.security import TICKETS
from pytest_llamaburn.web.service import Using

_REFUSED = {"model": Problem}
_TICKET_S = 3600.0
_MOST_TICKETS = 500
_BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"*/*": {}}},
    206: {"description": "the part that Range names"},
    400: _REFUSED,
    404: _REFUSED,
    416: {"description": "there is no such part"},
}
_Set = Annotated[str, Path(alias="name", pattern=r"^[a-z0-9_-]{1,64}$", examples=["image_qa"])]
_Kept = Annotated[str, Path(alias="id", pattern=kept_media.ID)]
_Upload = Annotated[str, Path(alias="id", pattern=uploads.ID)]
_Text = Annotated[str, Field(max_length=20_000)]

router = APIRouter(tags=["media"], responses={422: _REFUSED})


class MediaSet(BaseModel):
    """A set of questions about media, or whose answers are media.

    `takes` has the suffixes of files that a client may upload for it, and `asks` is what is asked
    about those that come without a question; `own` is the setting with a
    text of one's own that is asked instead of the set, if there is one. `settings` come first in
    a form; `needs` are settings that the set does not work without.
    """

    name: str
    modality: str
    noun: str
    kind: str | None
    questions: int
    categories: list[str]
    takes: list[str]
    asks: str | None
    own: str | None
    settings: list[str]
    needs: dict[str, Any]


class SampleOf(BaseModel):
    """A question of a set; `media` are the paths of its media here, each with its kind."""

    id: str
    prompt: str
    reference: str | None
    category: str
    level: str | None
    media: list[dict[str, str]]


class Samples(BaseModel):
    """A part of the questions of a set, and how many there are."""

    samples: list[SampleOf]
    total: int


class Begin(BaseModel):
    """What is to be uploaded: files for a modality, or sound while it is spoken."""

    model_config = ConfigDict(extra="forbid")

    modality: Annotated[str, Field(max_length=64, examples=["image"])]


class Begun(BaseModel):
    """An upload. A setting names it as `setting`: `input` of files, `device` of sound."""

    id: str
    setting: str
    takes: list[str]
    most_files: int = uploads.MOST_FILES
    most_bytes: int = uploads.MOST_BYTES
    most_file_bytes: int = uploads.MOST_FILE_BYTES
    sample_rate: int = stream.RATE


class Added(BaseModel):
    """The number of a file of an upload."""

    file: int


class Described(BaseModel):
    """What is asked about a file, and the right answer, if that differs from the set's."""

    model_config = ConfigDict(extra="forbid")

    file: Annotated[int, Field(ge=0, lt=uploads.MOST_FILES)]
    prompt: _Text | None = None
    reference: _Text | None = None


class Asking(BaseModel):
    """What is asked about the files of an upload, in order."""

    model_config = ConfigDict(extra="forbid")

    samples: Annotated[list[Described], Field(min_length=1, max_length=uploads.MOST_FILES)]


class Ticket(BaseModel):
    """A path that needs no token for an hour: players of a browser send none."""

    path: str


class Tickets:
    """Random names of media that may be read without the token."""

    def __init__(self) -> None:
        """Have none yet."""
        self._known: dict[str, tuple[FilePath, float]] = {}

    def give(self, path: FilePath) -> str:
        """Return a new ticket of a medium."""
        now = time.monotonic()
        alive = [(name, one) for name, one in self._known.items() if one[1] > now]
        self._known = dict(alive[-_MOST_TICKETS + 1 :])
        name = secrets.token_urlsafe(32)
        self._known[name] = path, now + _TICKET_S
        return name

    def path(self, name: str) -> FilePath | None:
        """Return the medium of a ticket, None where it is over."""
        path, until = self._known.get(name, (None, 0.0))
        return path if until > time.monotonic() else None


_tickets = Tickets()


@router.get("/media-sets")
async def list_media_sets() -> list[MediaSet]:
    """Return the sets with media, and what a form needs to know of each."""
    return await asyncio.to_thread(_sets)


def _sets() -> list[MediaSet]:
    return [_set_of(evalsets.load_eval_set(name)) for name in evalsets.builtin_media_sets()]


def _set_of(found: evalsets.EvalSet) -> MediaSet:
    name = str(found.modality)
    modality = modalities.named(name)
    rendered = any(question.scorer == "render" for question in found.questions)
    return MediaSet(
        name=found.name,
        modality=name,
        noun=modality.NOUN,
        kind=getattr(modality, "KIND", None),
        questions=len(found.questions),
        categories=sorted({one.category for one in found.questions}),
        takes=uploads.suffixes_of(name) if found.input else [],
        asks=found.input.get("prompt"),
        own=getattr(modality, "OWN", None),
        settings=[*getattr(modality, "SETTINGS", ())],
        needs={"render": True} if rendered else {},
    )


@router.get("/media-sets/{name}/samples", responses={404: _REFUSED})
async def list_samples(
    name: _Set,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 12,
) -> Samples:
    """Return questions of a set with the paths of their media."""
    found = await asyncio.to_thread(_named, name)
    shown = found.questions[offset : offset + limit]
    return Samples(samples=[_sample(name, one) for one in shown], total=len(found.questions))


def _named(name: str) -> evalsets.EvalSet:
    known = evalsets.builtin_media_sets()
    if name not in known:
        raise Refusal(404, unknown("set", name, known), "name")
    return media_sets.load(name, None)


def _sample(name: str, asked: evalsets.Question) -> SampleOf:
    return SampleOf(
        id=asked.id,
        prompt=asked.prompt,
        reference=asked.reference,
        category=asked.category,
        level=asked.options.get("level"),
        media=[
            {"kind": one["kind"], "path": f"/media-sets/{name}/media/{asked.id}/{number}"}
            for number, one in enumerate(asked.media)
        ],
    )


@router.get("/media-sets/{name}/media/{question}/{number}", responses=_FILE)
async def sample_medium(
    name: _Set,
    question: Annotated[str, Path(max_length=200)],
    number: Annotated[int, Path(ge=0, le=1000)],
) -> FileResponse:
    """Return a medium of a set; one that is described is made at first use."""
    return _file(await asyncio.to_thread(_located, name, question, number))


def _located(name: str, asked: str, number: int) -> FilePath:
    found = next((one for one in _named(name).questions if one.id == asked), None)
    if found is None or number >= len(found.media):
        raise Refusal(404, f"question {asked!r} of {name} has no such medium", "question")
    return modalities.located(found.media[number])


@router.get("/media/{id}", responses=_FILE)
async def kept_medium(
    media_id: _Kept,
    service: Using,
    form: Annotated[
        Literal["wav", "mp3", "flac", "ogg"] | None,
        Query(alias="format", description="have sound converted, to be saved"),
    ] = None,
) -> Response:
    """Return a medium of a result, or a part of it; or its sound in another format."""
    path = _kept(service.results_dir, media_id)
    if form is None:
        return _file(path)
    raw = await asyncio.to_thread(_converted, path, form)
    named = {"content-disposition": f'attachment; filename="{path.stem}.{form}"'}
    return Response(raw, media_type=kept_media.TYPES[f".{form}"], headers=named)


def _converted(path: FilePath, form: str) -> bytes:
    """Return sound in a format; raises MissingExtraError, AudioError."""
    if not kept_media.TYPES[path.suffix].startswith("audio/"):
        raise Refusal(422, f"format: {path.name} is no sound", "format")
    if path.suffix == f".{form}":
        return path.read_bytes()
    from pytest_llamaburn.audio import clips  # with numpy: only for who saves a sound

    return clips.encode(clips.read(path), form)


@router.post("/media/{id}/tickets", status_code=201, responses={404: _REFUSED})
async def give_ticket(media_id: _Kept, service: Using) -> Ticket:
    """Return a path at which a player can read a medium without the token, for an hour."""
    return Ticket(path=TICKETS + _tickets.give(_kept(service.results_dir, media_id)))


@router.get(TICKETS + "{ticket}", include_in_schema=False)
async def read_ticket(ticket: str) -> FileResponse:
    """Return the medium of a ticket, or a part of it."""
    path = _tickets.path(ticket)
    if path is None or not path.is_file():
        raise Refusal(404, "this ticket is over: open the page again")
    return _file(path)


def _kept(results_dir: FilePath, media_id: str) -> FilePath:
    path = kept_media.found(results_dir, media_id)
    if path is None:
        raise Refusal(404, "there is no such medium: it was removed, or never kept", "id")
    return path


def _file(path: FilePath) -> FileResponse:
    """Return a file as a browser shows it; what it cannot show is only to be saved."""
    shown = kept_media.TYPES.get(path.suffix.lower(), "application/octet-stream")
    return FileResponse(path, media_type=shown)


@router.post("/uploads", status_code=201, responses={409: _REFUSED, 503: _REFUSED})
async def begin_upload(wanted: Begin, service: Using) -> Begun:
    """Begin an upload; it is removed when the job that uses it is over."""
    known = registry.names("modalities")
    if wanted.modality not in known:
        raise Refusal(422, unknown("modality", wanted.modality, known), "modality")
    takes = uploads.suffixes_of(wanted.modality)
    if not takes and wanted.modality != "live":
        raise Refusal(422, f"modality: {wanted.modality} takes no files", "modality")
    found = await asyncio.to_thread(service.uploads.begin, takes)
    return Begun(id=found, setting=f"{uploads.PREFIX}{found}", takes=takes)


@router.post(
    "/uploads/{id}/files",
    status_code=201,
    responses={404: _REFUSED, 413: _REFUSED, 415: _REFUSED, 503: _REFUSED},
    openapi_extra={"requestBody": {"required": True, **_BYTES}},
)
async def add_file(
    upload_id: _Upload,
    request: Request,
    service: Using,
    name: Annotated[str, Query(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")],
) -> Added:
    """Add a file; the body is its content. Its name is what the question is called."""
    raw = await request.body()
    return Added(file=await asyncio.to_thread(service.uploads.add, upload_id, name, raw))


@router.put("/uploads/{id}/samples", status_code=204, responses={404: _REFUSED, 503: _REFUSED})
async def describe_upload(upload_id: _Upload, asking: Asking, service: Using) -> None:
    """Say what is asked about the files."""
    samples = [uploads.Sample(one.file, one.prompt, one.reference) for one in asking.samples]
    await asyncio.to_thread(service.uploads.describe, upload_id, samples)


@router.post(
    "/uploads/{id}/sound",
    status_code=204,
    responses={404: _REFUSED, 413: _REFUSED, 415: _REFUSED, 503: _REFUSED},
    openapi_extra={"requestBody": {"required": False, **_BYTES}},
)
async def add_sound(
    upload_id: _Upload,
    request: Request,
    service: Using,
    *,
    last: Annotated[bool, Query(description="whether no more comes")] = False,
) -> None:
    """Append sound: 16-bit samples, mono, low byte first."""
    raw = await request.body()
    await asyncio.to_thread(service.uploads.hear, upload_id, raw, last=last)


@router.delete("/uploads/{id}", status_code=204, responses={404: _REFUSED, 409: _REFUSED})
async def remove_upload(upload_id: _Upload, service: Using) -> None:
    """Remove an upload and its files, unless a job uses them."""
    if any(upload_id in job.command for job in service.jobs.every() if not job.over):
        raise Refusal(409, "a job uses these files: they are removed when it is over", "id")
    await asyncio.to_thread(service.uploads.remove, upload_id)

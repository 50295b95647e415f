"""The application: its routes, what it says of itself, and what it says when it refuses."""

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from pytest_llamaburn import __version__
from pytest_llamaburn.errors import LlamaBurnError, sentence
from pytest_llamaburn.web import (
    bundle,
    catalogue_routes,
    docs,
    media_routes,
    page,
    result_routes,
    run_routes,
    sandbox_routes,
)
from pytest_llamaburn.web.refusals import Problem, Refusal
from pytest_llamaburn.web.security import INTERNAL, PUBLIC, Guard, Rules
from pytest_llamaburn.web.service import Service

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_ABOUT = """\
Everything that the `llamaburn` command does, over HTTP. Send the token that `llamaburn serve`
printed as `Authorization: Bearer TOKEN`, and bodies as JSON. A request that is refused gets one
sentence in `detail` and, where it is about one field, its name in `field`."""
_WELCOME = f"""\
LlamaBurn {__version__}: the REST API of llamaburn serve.

/docs          what it can do
/openapi.json  the same for programs (OpenAPI 3.1)
/health        whether it is up

All else needs the token: it is the part of the printed address after #token=.
Send it as the header "Authorization: Bearer TOKEN".

A browser shows a page here: {bundle.HOW}.
"""
_CODES = {
    400: "the body is not JSON",
    404: "there is nothing here: /docs names all paths",
    405: "this path takes other methods",
}


class Health(BaseModel):
    """That the server is up, and its version."""

    status: str
    version: str


def make(service: Service, rules: Rules) -> "ASGIApp":
    """Return the guarded application."""
    return Guard(unguarded(service), rules)


def unguarded(service: Service) -> FastAPI:
    """Return the application without its checks of who asks."""
    app = FastAPI(
        title="LlamaBurn",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.service = service
    own = APIRouter()
    run_routes.add_kinds(own)
    parts = (run_routes, result_routes, catalogue_routes, media_routes, sandbox_routes, page)
    for router in (own, *(part.router for part in parts)):
        app.include_router(router)
    _add_pages(app)
    handlers: dict[Any, Any] = {
        Refusal: _refusal,
        RequestValidationError: _unsound,
        HTTPException: _http,
        LlamaBurnError: _ours,
        Exception: _bug,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    return app


def _add_pages(app: FastAPI) -> None:
    """Add what is open to all: the API's description, and that the server is up."""

    @app.get("/health", tags=["system"])
    async def health() -> Health:
        """Say that the server is up; needs no token."""
        return Health(status="ok", version=__version__)

    @app.get("/", include_in_schema=False)
    async def welcome(request: Request) -> Response:
        return page.first(request) or PlainTextResponse(_WELCOME)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> JSONResponse:
        return JSONResponse(described(app))

    @app.get("/docs", include_in_schema=False)
    async def description() -> HTMLResponse:
        return HTMLResponse(docs.page(described(app)))

    @app.get("/docs.css", include_in_schema=False)
    async def style() -> Response:
        return Response(docs.STYLE, media_type="text/css")


def described(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, with the token that most paths need."""
    found = app.openapi()
    schemes = {"token": {"type": "http", "scheme": "bearer"}}
    found.setdefault("components", {})["securitySchemes"] = schemes
    found["security"] = [{"token": []}]
    for path in PUBLIC:
        for operation in found["paths"].get(path, {}).values():
            operation["security"] = []
    return found


def _answer(status: int, problem: Problem) -> JSONResponse:
    return JSONResponse(problem.model_dump(), status_code=status)


async def _refusal(_: Request, err: Refusal) -> JSONResponse:
    found = err.problem
    return _answer(err.status, Problem(detail=sentence(found.detail), field=found.field))


async def _ours(_: Request, err: LlamaBurnError) -> JSONResponse:
    return _answer(422, Problem(detail=str(err)))


async def _bug(_: Request, __: Exception) -> JSONResponse:
    return _answer(500, Problem(detail=INTERNAL))  # the guard writes what it was


async def _http(_: Request, err: HTTPException) -> JSONResponse:
    return _answer(err.status_code, Problem(detail=_CODES.get(err.status_code, str(err.detail))))


async def _unsound(_: Request, err: RequestValidationError) -> JSONResponse:
    """Say what is wrong with the first field or parameter that is."""
    first = err.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or None
    if first["type"] == "json_invalid":
        return _answer(422, Problem(detail="the body is not JSON"))
    words = f"{first['msg'][:1].lower()}{first['msg'][1:]}"
    told = sentence(f"{field or 'the body'}: {first['input']!r} is refused: {words}")
    return _answer(422, Problem(detail=told, field=field))

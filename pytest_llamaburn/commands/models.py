"""List the models of a server and of the embedded catalogue, or download one."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import options
from pytest_llamaburn.commands import _printing
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.grids import Table
from pytest_llamaburn.settings import Connection, Run

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from pytest_llamaburn.backends._base import Model
    from pytest_llamaburn.documents import Document

HELP = "list models, or download one"
EXAMPLE = "llamaburn models pull smollm2-135m"
_COLUMNS = ("name", "where", "size", "quantization", "family", "parameters", "context", "loaded")
_LEAST = ("family", "context", "parameters", "quantization")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", nargs="?", choices=("list", "pull"), default="list")
    parser.add_argument("name", nargs="?", help="the model to pull")
    options.declare(parser.add_argument, Connection)
    parser.add_argument(
        "--progress", choices=("plain", "json"), default="plain", help="how pull shows its progress"
    )
    _printing.declare(parser)
    parser.add_argument("--output", "-o", choices=("table", "json"), default="table")


def run(arguments: argparse.Namespace) -> int:
    """List or pull; return the exit code."""
    import asyncio

    given = options.given(arguments, Connection)
    settings, origins = options.resolve(Run, given)
    with options.blaming(origins):
        if arguments.action == "pull":
            tell = _tell_json if arguments.progress == "json" else _tell
            return asyncio.run(_pull(arguments.name, settings, tell))
        models, error = asyncio.run(_models(settings))
    print(_render(models, arguments))
    if error:
        print(f"llamaburn: {error}", file=sys.stderr)
    return 4 if error and "host" in given else 0


async def _models(settings: Run) -> tuple[list[tuple[str, Model]], str]:
    """Return (where, model) pairs, and why the server's models are missing."""
    from pytest_llamaburn.backends import _detect

    embedded = await _detect.make("embedded", settings).models()
    rows = [("embedded", model) for model in embedded]
    if settings.backend == "embedded":
        return rows, ""
    try:
        backend = await _detect.at_host(settings)
        return [*((backend.address.url, m) for m in await backend.described()), *rows], ""
    except ServerError as err:
        return rows, str(err)


async def _pull(name: str | None, settings: Run, tell: Callable[[Document], None]) -> int:
    from pytest_llamaburn.backends import _catalogue, _detect
    from pytest_llamaburn.backends.ollama import Backend

    if name is None:
        raise ServerError("models pull: no model given: write llamaburn models pull NAME")
    if name in _catalogue.entries():
        print(_catalogue.fetch(name, quiet=not sys.stderr.isatty()))
        return 0
    backend = await _detect.at_host(settings)
    if not isinstance(backend, Backend):
        raise ServerError(f"{backend.address.url} cannot download models: only Ollama can")
    last = None
    async for event in backend.pull(name):
        line = _line(event)
        if line not in (last, ""):
            tell(event)
        last = line
    return 0


def _line(event: Document) -> str:
    return f"{event.get('status', '')}{_share(event)}"


def _tell(event: Document) -> None:
    print(_line(event), file=sys.stderr)


def _tell_json(event: Document) -> None:
    """Print an event of a pull as runs print theirs."""
    from pytest_llamaburn.progress import Event, Json

    counts: dict[str, Any] = {"done": event.get("completed"), "planned": event.get("total")}
    known: dict[str, Any] = {
        name: count for name, count in counts.items() if isinstance(count, int)
    }
    Json(sys.stderr).load(Event(stage=str(event.get("status", "")), unit="bytes", **known))


def _share(event: Document) -> str:
    match event:
        case {"completed": int(done), "total": int(total)} if done and total:
            return f" {done / total:.0%}"
    return ""


def _render(models: list[tuple[str, Model]], arguments: argparse.Namespace) -> str:
    if arguments.output == "json":
        from dataclasses import asdict  # takes 5 ms, which the help of all commands need not pay

        return json.dumps([{"where": where, **asdict(m)} for where, m in models], indent=2)
    rows = [_row(where, model) for where, model in models]
    return _printing.fitted(Table(_COLUMNS, rows, least=_LEAST), arguments)


def _row(where: str, model: Model) -> tuple[str, ...]:
    from pytest_llamaburn.tables import ABSENT, number

    share = f", {model.gpu_share:.0%} on the GPU" if model.gpu_share is not None else ""
    loaded = {None: ABSENT, True: f"yes{share}", False: "no"}[model.loaded]
    size = f"{number(model.size_mb)} MB" if model.size_mb else ABSENT
    facts = (model.quantization, model.family, model.parameter_size, model.context_length)
    return (model.id, where, size, *(str(fact or ABSENT) for fact in facts), loaded)

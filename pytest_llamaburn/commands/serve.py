"""Serve the web page and the REST API: start runs, follow them, look at results."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from pytest_llamaburn import options
from pytest_llamaburn.errors import MissingExtraError, SettingsError
from pytest_llamaburn.settings import Storage

HELP = "serve the web page and the REST API"
EXAMPLE = "llamaburn serve --port 7737 --results-dir results"
_PORT = 7737
_NEEDED = ("fastapi", "uvicorn")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--port", type=_port, default=_PORT, help=f"port to listen on; 0 picks a free one ({_PORT})"
    )
    parser.add_argument(
        "--bind", default="127.0.0.1", metavar="ADDRESS", help="address to listen at (127.0.0.1)"
    )
    parser.add_argument("--open", action="store_true", help="open the address in a browser")
    parser.add_argument(
        "--trusted-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name by which clients call this server; repeatable",
    )
    parser.add_argument(
        "--unsafe-bind",
        action="store_true",
        help="let other machines connect, without encryption: the token can be read on the way",
    )
    options.declare(parser.add_argument, Storage)


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM; return the exit code."""
    if not all(map(find_spec, _NEEDED)):
        raise MissingExtraError("web", "llamaburn serve")
    from pytest_llamaburn.web import server

    storage, _ = options.resolve(Storage, options.given(arguments, Storage))
    if not server.is_loopback(arguments.bind) and not arguments.unsafe_bind:
        raise SettingsError(
            f"--bind: {arguments.bind} is refused: other machines could connect without "
            "encryption; use 127.0.0.1 behind a proxy with TLS or an SSH tunnel, or add "
            "--unsafe-bind"
        )
    place = server.Place(arguments.bind, arguments.port, arguments.trusted_host)

    def begun(address: str) -> None:
        build_page()
        print(address, flush=True)
        if arguments.unsafe_bind and not arguments.trusted_host:
            words = "other machines are refused: add --trusted-host with the name they call"
            print(f"llamaburn: {words}", file=sys.stderr)
        if arguments.open:
            import webbrowser  # not for the help of all commands

            webbrowser.open(address)

    server.serve(place, Path(storage.results_dir), begun)
    return 0


def build_page() -> None:
    """Build the web page if it is not there; without it, the API is served alone."""
    from pytest_llamaburn.web import bundle

    try:
        bundle.ensure()
    except bundle.BundleError as err:
        print(f"llamaburn: {err}", file=sys.stderr)


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text[:6]) <= 65_535:
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}' is refused: give a number from 0 to 65535")

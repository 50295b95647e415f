"""Who may ask what: checked before any of the application sees a request.

A page of another site that a browser shows can send requests to this server. It cannot name our
host in `Host`, has no token, and tells its own origin with every request that changes something.
"""

from __future__ import annotations

import hmac
import json
import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from pytest_llamaburn.errors import sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PUBLIC = ("/", "/health", "/docs", "/docs.css", "/openapi.json")  # they need no token
SANDBOX = "/sandbox/"  # the files of the frame in which generated code runs
TICKETS = "/tickets/"  # media for players of browsers, which send no token
PUBLIC_FOLDERS = ("/assets/", SANDBOX, TICKETS)
INTERNAL = "an internal error: the terminal of llamaburn serve says more"
MOST_BYTES = 1_000_000  # of a request's body
MOST_BYTES_OF = dict.fromkeys(
    ("/results/look", "/results/view"), 20_000_000
)  # of bodies that are files
_RAW = re.compile(r"/uploads/[0-9a-f]{16}/(?:files|sound)")  # bodies that are bytes, not JSON
_MOST_RAW_BYTES = 64_000_000
_MOST_DRAINED = 512_000_000
_SAFE = ("GET", "HEAD", "OPTIONS")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; frame-src {frame}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=(), usb=(), payment=()",
    "cache-control": "no-store",
}
# Generated code runs in an origin of its own without a network: it is given nothing else to load.
_SANDBOX_HEADERS = {
    **_HEADERS,
    "content-security-policy": (
        "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'self' blob:; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'"
    ),
    "permissions-policy": "microphone=(), camera=(), geolocation=(), usb=(), payment=()",
    "cross-origin-resource-policy": "cross-origin",  # the frame's origin is not ours
    "access-control-allow-origin": "*",  # modules are fetched with CORS
    "x-dns-prefetch-control": "off",
    "cache-control": "no-cache",
}


class Rules(NamedTuple):
    """The names by which this server may be called, and its token."""

    hosts: frozenset[str]
    token: str


def rules(bind: str, port: int, trusted: Iterable[str], token: str) -> Rules:
    """Return the rules of a server at this address; trusted names count with and without its port.

    An address that means all of a machine's is no name.
    """
    own = {"127.0.0.1", "localhost", "[::1]"}
    if bind not in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        own.add(f"[{bind}]" if ":" in bind else bind)
    names = {f"{name}:{port}" for name in own}
    for name in trusted:
        names |= {name.lower(), f"{name.lower()}:{port}"}
    if port == 80:
        names |= own
    return Rules(frozenset(names), token)


class _No(NamedTuple):
    """Why a request goes no further."""

    status: int
    detail: str


class Guard:
    """The application behind its checks. Each answer has the security headers; none a traceback."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        """Guard an application by rules."""
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have the application answer it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        answer = _Answer(send, _headers_of(scope))
        refused = self._refused(scope)
        try:
            if refused is None:
                body, refused = await _body(scope, receive)
            if refused is None:
                await self._app(scope, _replayed(body, receive), answer)
        except Exception as err:  # noqa: BLE001 - whatever it is, the server goes on
            told = sentence(f"{scope['method']} {scope['path']}: {type(err).__name__}: {err}")
            print(f"llamaburn: {told}", file=sys.stderr, flush=True)  # noqa: T201
            refused = _No(500, INTERNAL)
        if refused is not None and not answer.begun:
            await _refuse(refused, answer)

    def _refused(self, scope: Scope) -> _No | None:
        headers = _headers(scope)
        host = headers.get("host", "").lower()
        if host not in self._rules.hosts:
            return _No(421, "this server is not called by that name: see --trusted-host")
        if scope["method"] not in _SAFE and not self._same_origin(headers):
            return _No(403, "a page of another origin may not ask this")
        if not _is_public(scope["path"]) and not self._has_token(headers):
            return _No(
                401,
                "the token is missing or is not that of this server: open the address that "
                "llamaburn serve printed when it began",
            )
        return None

    def _same_origin(self, headers: dict[str, str]) -> bool:
        """Return whether the request is of our own page, or of no page at all."""
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return False
        origin = headers.get("origin")
        if origin is None:
            return True
        try:
            parts = urlsplit(origin.lower())
        except ValueError:
            return False
        return parts.scheme in ("http", "https") and parts.netloc in self._rules.hosts

    def _has_token(self, headers: dict[str, str]) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.encode(), self._rules.token.encode())
        return scheme.lower() == "bearer" and same


class _Answer:
    """Sends an answer with the security headers, which a route's own of the same name replace."""

    def __init__(self, send: Send, headers: Mapping[str, str]) -> None:
        self._send, self._headers, self.begun = send, headers, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            given = {name.lower() for name, _ in message["headers"]}
            ours = [(n.encode(), v.encode()) for n, v in self._headers.items()]
            more = [one for one in ours if one[0] not in given]
            message = {**message, "headers": [*message["headers"], *more]}
        await self._send(message)


def _is_public(path: str) -> bool:
    return path in PUBLIC or path.startswith(PUBLIC_FOLDERS)


def _headers_of(scope: Scope) -> dict[str, str]:
    """Return the security headers of an answer. Our page may frame the sandbox and nothing else."""
    if scope["path"].startswith(SANDBOX):
        return _SANDBOX_HEADERS
    host = _headers(scope).get("host", "")
    named = re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]+)?", host)  # a policy cannot name [::1]
    policy = _POLICY.format(frame=f"{host}{SANDBOX}" if named else "'self'")
    return {**_HEADERS, "content-security-policy": policy}


def _headers(scope: MutableMapping[str, Any]) -> dict[str, str]:
    """Return the headers; of one that came twice nothing is believed."""
    found: dict[str, str] = {}
    for raw_name, raw in scope["headers"]:
        name = raw_name.decode("latin-1").lower()
        found[name] = "" if name in found else raw.decode("latin-1")
    return found


async def _body(scope: Scope, receive: Receive) -> tuple[bytes, _No | None]:
    """Return the body of a request, and why it is refused: JSON of some size, or a file."""
    if scope["method"] in _SAFE:
        return b"", None
    body, size, more = bytearray(), 0, True
    raw = _RAW.fullmatch(scope["path"])
    most = _MOST_RAW_BYTES if raw else MOST_BYTES_OF.get(scope["path"], MOST_BYTES)
    while more and size < _MOST_DRAINED:  # a client that still sends would not see our answer
        message = await receive()
        piece = message.get("body", b"")
        size += len(piece)
        if size <= most:
            body += piece
        else:
            body.clear()
        more = message.get("more_body", False)
    if size > most:
        return b"", _No(413, f"the body is larger than {most:,} bytes, the most that is read")
    kind = _headers(scope).get("content-type", "").partition(";")[0].strip().lower()
    wanted = "application/octet-stream" if raw else "application/json"
    if body and kind != wanted:
        what = "bytes" if raw else "JSON"
        return b"", _No(415, f"the body is not {what}: send it with Content-Type: {wanted}")
    return bytes(body), None


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives the application the body that was read."""
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _refuse(why: _No, send: _Answer) -> None:
    text = json.dumps({"detail": why.detail, "field": None}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
    if why.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": why.status, "headers": headers})
    await send({"type": "http.response.body", "body": text})

"""The base of all searches: hits, and the HTTP call of remote searches."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol
from urllib.parse import urlsplit

from pytest_llamaburn.backends._address import is_local, parse_host
from pytest_llamaburn.backends._failures import retry_after
from pytest_llamaburn.backends._secrets import redacted
from pytest_llamaburn.errors import ServerError, SettingsError
from pytest_llamaburn.search import _html

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TITLE_LIMIT = 200
URL_LIMIT = 2000
TEXT_LIMIT = 2000  # five such texts fit in a context of 4096 tokens
_WORDS_LIMIT = 200
_LONGEST_WAIT_S = 10.0  # fail if a service asks for a longer wait


class Hit(NamedTuple):
    """One source; for a local corpus `url` is the path in it."""

    title: str
    url: str
    text: str


class Search(Protocol):
    """A search."""

    name: str

    async def find(self, query: str, limit: int) -> list[Hit]:
        """Return at most `limit` hits, the best first; empty if nothing matches.

        Raises ServerError if the search failed.
        """
        ...


class Remote:
    """A search service with an HTTP API."""

    name: str
    key_variable: str | None = None
    hints: ClassVar[Mapping[int, str]] = {}

    def __init__(self, url: str, key: str = "", timeout_s: float = 30.0) -> None:
        """Take the service's base URL, its key and the time limit of a whole answer."""
        self.url, self._key, self._timeout_s = url.rstrip("/"), key, timeout_s

    async def ask(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """Return the JSON object of the service's answer.

        `content` is httpx's `params` or `json`. The environment's proxies are used, except for a
        service on this machine. If the service is overloaded and sends Retry-After, the request is
        repeated once: searches are not timed. Raises ServerError; its message hides the key.
        """
        import httpx

        proxied = not is_local(parse_host(_without_user(self.url)))
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                httpx.AsyncClient(
                    trust_env=proxied, timeout=self._timeout_s, headers=self._headers()
                ) as client,
            ):
                reply = await client.request(method, self.url + path, **content)
                if (wait := _worth_waiting(reply.status_code, reply.headers)) is not None:
                    await asyncio.sleep(wait)
                    reply = await client.request(method, self.url + path, **content)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as err:
            reason = str(err) or f"no answer within {self._timeout_s:g} s"
            raise ServerError(self._sentence(reason)) from None
        if reply.status_code != 200:
            raise ServerError(self._refusal(reply.status_code, reply.text))
        try:
            return _object(reply.content)
        except (ValueError, TypeError, RecursionError):
            raise ServerError(self._sentence("the answer is not a JSON object")) from None

    def results(self, value: object) -> list[dict[str, Any]]:
        """Return the results in an answer; raises ServerError if it is not a list of objects."""
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise ServerError(self._sentence("the answer has no list of results"))
        return value

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    def _refusal(self, status: int, body: str) -> str:
        words = _words(body)
        reason = f"HTTP {status}" + (f" ({words})" if words else "")
        hint = self.hints.get(status, "")
        if not hint and status in (401, 403) and self.key_variable:
            hint = f"check {self.key_variable}"
        if not hint and status == 429:
            hint = "its rate limit is reached: wait, or choose another search with --search"
        return self._sentence(reason, hint)

    def _sentence(self, reason: str, hint: str = "") -> str:
        message = f"search with {self.name} at {_without_user(self.url)} failed: {reason}"
        message += f"; {hint}" if hint else ""
        return redacted(message, self._key)


def hits(results: Iterable[tuple[object, object, object]], limit: int) -> list[Hit]:
    """Return (title, url, text) tuples as at most `limit` hits of limited length.

    A result without text is skipped.
    """
    shortened = (
        Hit(_line(title)[:TITLE_LIMIT], _line(url)[:URL_LIMIT], _text(text)[:TEXT_LIMIT])
        for title, url, text in results
    )
    return [hit for hit in shortened if hit.text][:limit]


def reached(url: str, timeout_s: float) -> Any:
    """Return the JSON answer to an empty POST to a local server, or None."""
    import httpx

    try:
        reply = httpx.post(url, timeout=timeout_s, trust_env=False)
        return reply.json() if reply.status_code == 200 else None
    except (httpx.HTTPError, ValueError, RecursionError):
        return None


def base_url(environ: Mapping[str, str], variable: str, default: str = "") -> str:
    """Return a service's base URL from the environment; raises SettingsError if it is invalid."""
    url = environ.get(variable) or default
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        shown = url.rpartition("@")[2]
        raise SettingsError(
            f"{variable}: '{shown}' is refused: write a full URL such as http://localhost:8080"
        )
    return url


def _worth_waiting(status: int, headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait before one repeated request, or None if it should not repeat."""
    wait = retry_after(headers) if status in (429, 503) else None
    return wait if wait is not None and wait <= _LONGEST_WAIT_S else None


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _object(body: bytes) -> dict[str, Any]:
    value = json.loads(body)
    if not isinstance(value, dict):
        raise TypeError
    return value


def _words(body: str) -> str:
    """Return the message of an error reply in one short line: from its JSON or its HTML text."""
    try:
        value = json.loads(body)
        while isinstance(value, dict):
            value = next((value[k] for k in ("error", "detail", "message") if value.get(k)), "")
        message = str(value)
    except (ValueError, RecursionError):
        message = _html.read(body).text
    return _line(message)[:_WORDS_LIMIT]


def _text(value: object) -> str:
    """Return a text that can be written to a file: without lone surrogates and NULs."""
    text = value if isinstance(value, str) else ""
    return text.encode(errors="replace").decode().replace("\0", "").strip()


def _line(value: object) -> str:
    return " ".join(_text(value).split())

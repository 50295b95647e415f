"""What every search has: hits, and for those on the network one untimed call."""

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
_LONGEST_WAIT_S = 10.0  # a service that asks for more is not waited for


class Hit(NamedTuple):
    """One piece of evidence; in a local corpus `url` is the path within it."""

    title: str
    url: str
    text: str


class Search(Protocol):
    """A place to search."""

    name: str

    async def find(self, query: str, limit: int) -> list[Hit]:
        """Return at most `limit` hits, best first, none where nothing was found.

        Raises ServerError if the search failed.
        """
        ...


class Remote:
    """A search service that is asked over HTTP."""

    name: str
    key_variable: str | None = None
    hints: ClassVar[Mapping[int, str]] = {}

    def __init__(self, url: str, key: str = "", timeout_s: float = 30.0) -> None:
        """Take the service's base URL, its key and the deadline of a whole answer."""
        self.url, self._key, self._timeout_s = url.rstrip("/"), key, timeout_s

    async def ask(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """Return the JSON object that the service answers with.

        `content` is httpx's `params` or `json`. The environment's proxies are used, except for a
        service on this machine. A service that is crowded and says for how long is asked once more:
        searches are not timed. Raises ServerError in one sentence, without the key.
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
            raise ServerError(self._sentence("the answer is no JSON object")) from None

    def results(self, found: Any) -> list[dict[str, Any]]:
        """Return the results of an answer; raises ServerError where it has no list of them."""
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise ServerError(self._sentence("the answer has no list of results"))
        return found

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    def _refusal(self, status: int, body: str) -> str:
        words = _words(body)
        reason = f"HTTP {status}" + (f" ({words})" if words else "")
        hint = self.hints.get(status, "")
        if not hint and status in (401, 403) and self.key_variable:
            hint = f"check {self.key_variable}"
        if not hint and status == 429:
            hint = "its rate limit is reached: wait, or choose another with --search"
        return self._sentence(reason, hint)

    def _sentence(self, reason: str, hint: str = "") -> str:
        told = f"search with {self.name} at {_without_user(self.url)} failed: {reason}"
        told += f"; {hint}" if hint else ""
        return redacted(told, self._key)


def hits(found: Iterable[tuple[Any, Any, Any]], limit: int) -> list[Hit]:
    """Return (title, url, text) of results as at most `limit` hits of bounded size.

    A result without a text is no evidence and is left out.
    """
    made = (
        Hit(_line(title)[:TITLE_LIMIT], _line(url)[:URL_LIMIT], _text(text)[:TEXT_LIMIT])
        for title, url, text in found
    )
    return [hit for hit in made if hit.text][:limit]


def reached(url: str, timeout_s: float) -> Any:
    """Return the JSON that a server of the user's answers an empty POST with, else None."""
    import httpx

    try:
        reply = httpx.post(url, timeout=timeout_s, trust_env=False)
        return reply.json() if reply.status_code == 200 else None
    except (httpx.HTTPError, ValueError, RecursionError):
        return None


def base_url(environ: Mapping[str, str], variable: str, default: str = "") -> str:
    """Return a service's base URL from the environment; raises SettingsError for what is none."""
    url = environ.get(variable) or default
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        shown = url.rpartition("@")[2]
        raise SettingsError(
            f"{variable}: '{shown}' is refused: write the whole address, as http://localhost:8080"
        )
    return url


def _worth_waiting(status: int, headers: Mapping[str, str]) -> float | None:
    """Return how long to wait before asking a crowded service again, None where that is no use."""
    wait = retry_after(headers) if status in (429, 503) else None
    return wait if wait is not None and wait <= _LONGEST_WAIT_S else None


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _object(body: bytes) -> dict[str, Any]:
    found = json.loads(body)
    if not isinstance(found, dict):
        raise TypeError
    return found


def _words(body: str) -> str:
    """Return what an error reply says, in one bounded line: JSON's message, or a page's text."""
    try:
        said = _said(json.loads(body))
    except (ValueError, RecursionError):
        said = _html.read(body).text
    return _line(said)[:_WORDS_LIMIT]


def _said(body: Any) -> str:
    while isinstance(body, dict):
        body = next((body[k] for k in ("error", "detail", "message") if body.get(k)), "")
    return str(body)


def _text(value: Any) -> str:
    """Return a text as it can be written to a file: no lone surrogates, no NULs."""
    text = value if isinstance(value, str) else ""
    return text.encode(errors="replace").decode().replace("\0", "").strip()


def _line(value: Any) -> str:
    return " ".join(_text(value).split())

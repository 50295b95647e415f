"""Brave's search API, with BRAVE_API_KEY."""

from __future__ import annotations

from html import unescape
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_llamaburn.backends._secrets import key_of
from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.search._base import Hit, Remote, base_url, hits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.settings import Searching

RANK = 40
KEY_VARIABLE = "BRAVE_API_KEY"
URL_VARIABLE = "BRAVE_BASE_URL"
URL = "https://api.search.brave.com"
MOST_RESULTS = 20


class Brave(Remote):
    """GET /res/v1/web/search; its status for a wrong key is 422."""

    name = "brave"
    key_variable = KEY_VARIABLE
    hints: ClassVar = {422: f"check {KEY_VARIABLE}"}

    async def find(self, query: str, limit: int) -> list[Hit]:
        """Return at most twenty hits, the limit of the service."""
        count = min(limit, MOST_RESULTS)
        params = {"q": query, "count": count, "text_decorations": "false"}
        reply = await self.ask("GET", "/res/v1/web/search", params=params)
        if reply.get("type") != "search":
            raise ServerError(self._sentence("the answer is not a search result"))
        web = reply.get("web")  # missing if nothing matches
        found = self.results(web.get("results") if isinstance(web, dict) else [])
        return hits(((_plain(e.get("title")), e.get("url"), _snippets(e)) for e in found), limit)

    def _headers(self) -> dict[str, str]:
        return {"X-Subscription-Token": self._key, "Accept": "application/json"}


def available(options: Searching, environ: Mapping[str, str]) -> str | None:  # noqa: ARG001
    """Return why it cannot be used, or None if there is a key."""
    return None if environ.get(KEY_VARIABLE) else f"{KEY_VARIABLE} is not set"


def make(options: Searching, environ: Mapping[str, str]) -> Brave:  # noqa: ARG001
    """Return the search; BRAVE_BASE_URL overrides the address of the service."""
    return Brave(base_url(environ, URL_VARIABLE, URL), key_of(environ, KEY_VARIABLE))


def _snippets(entry: dict[str, Any]) -> str:
    extra = entry.get("extra_snippets")  # only in larger plans
    more = extra if isinstance(extra, list) else []
    return "\n".join(filter(None, map(_plain, (entry.get("description"), *more))))


def _plain(value: object) -> str:
    return unescape(value) if isinstance(value, str) else ""

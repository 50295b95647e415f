"""Tavily's search API, with TAVILY_API_KEY."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pytest_llamaburn.backends._secrets import key_of
from pytest_llamaburn.search._base import Hit, Remote, base_url, hits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.settings import Searching

RANK = 50
KEY_VARIABLE = "TAVILY_API_KEY"
URL_VARIABLE = "TAVILY_BASE_URL"
URL = "https://api.tavily.com"
MOST_RESULTS = 20
_PLAN = "the plan's limit is reached: raise it, or choose another with --search"


class Tavily(Remote):
    """POST /search; its statuses 432 and 433 mean that a plan's limit is reached."""

    name = "tavily"
    key_variable = KEY_VARIABLE
    hints: ClassVar = {432: _PLAN, 433: _PLAN}

    async def find(self, query: str, limit: int) -> list[Hit]:
        """Return at most twenty hits, the limit of the service."""
        body = {"query": query, "max_results": min(limit, MOST_RESULTS), "search_depth": "basic"}
        results = self.results((await self.ask("POST", "/search", json=body)).get("results"))
        return hits(((e.get("title"), e.get("url"), e.get("content")) for e in results), limit)


def available(options: Searching, environ: Mapping[str, str]) -> str | None:  # noqa: ARG001
    """Return why it cannot be used, or None if there is a key."""
    return None if environ.get(KEY_VARIABLE) else f"{KEY_VARIABLE} is not set"


def make(options: Searching, environ: Mapping[str, str]) -> Tavily:  # noqa: ARG001
    """Return the search; TAVILY_BASE_URL overrides the address of the service."""
    return Tavily(base_url(environ, URL_VARIABLE, URL), key_of(environ, KEY_VARIABLE))

"""Your own SearXNG instance; SEARXNG_URL is its address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_llamaburn.errors import ServerError
from pytest_llamaburn.search._base import Hit, Remote, base_url, hits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.settings import Searching

RANK = 20
VARIABLE = "SEARXNG_URL"


class SearXNG(Remote):
    """GET /search with `format=json`, which the instance's settings must allow."""

    name = "searxng"
    hints: ClassVar = {
        403: "add json to search.formats in the instance's settings.yml (default: html only)",
        429: "its limiter is on: allow this machine, or set server.limiter to false",
    }

    async def find(self, query: str, limit: int) -> list[Hit]:
        """Return hits; raises ServerError if there are none because no engine answered."""
        reply = await self.ask("GET", "/search", params={"q": query, "format": "json"})
        results = self.results(reply.get("results"))
        silent = reply.get("unresponsive_engines")
        if not results and silent:
            raise ServerError(self._sentence(f"no engine answered: {_engines(silent)}"))
        return hits(((e.get("title"), e.get("url"), e.get("content")) for e in results), limit)


def available(options: Searching, environ: Mapping[str, str]) -> str | None:  # noqa: ARG001
    """Return why it cannot be used, or None if SEARXNG_URL is set."""
    return None if environ.get(VARIABLE) else f"{VARIABLE} is not set"


def make(options: Searching, environ: Mapping[str, str]) -> SearXNG:  # noqa: ARG001
    """Return the search; raises SettingsError if SEARXNG_URL is invalid."""
    return SearXNG(base_url(environ, VARIABLE))


def _engines(silent: Any) -> str:
    """Return `[["google", "CAPTCHA"], …]` as text."""
    texts = [" ".join(map(str, pair)) if isinstance(pair, list) else str(pair) for pair in silent]
    return ", ".join(texts)[:200]

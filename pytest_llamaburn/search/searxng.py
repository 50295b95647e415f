"""A SearXNG instance of your own, named by SEARXNG_URL."""

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
    """GET /search with `format=json`, which an instance allows only if its settings say so."""

    name = "searxng"
    hints: ClassVar = {
        403: "add json to search.formats in the instance's settings.yml, where html alone is the "
        "default",
        429: "its limiter is on: allow this machine, or set server.limiter to false",
    }

    async def find(self, query: str, limit: int) -> list[Hit]:
        """Return hits; raises ServerError also where none came because no engine answered."""
        reply = await self.ask("GET", "/search", params={"q": query, "format": "json"})
        found = self.results(reply.get("results"))
        silent = reply.get("unresponsive_engines")
        if not found and silent:
            raise ServerError(self._sentence(f"no engine answered: {_engines(silent)}"))
        return hits(((e.get("title"), e.get("url"), e.get("content")) for e in found), limit)


def available(options: Searching, environ: Mapping[str, str]) -> str | None:  # noqa: ARG001
    """Return why it cannot be used, None if an instance is named."""
    return None if environ.get(VARIABLE) else f"{VARIABLE} is not set"


def make(options: Searching, environ: Mapping[str, str]) -> SearXNG:  # noqa: ARG001
    """Return the search; raises SettingsError for what is no address."""
    return SearXNG(base_url(environ, VARIABLE))


def _engines(silent: Any) -> str:
    """Return `[["google", "CAPTCHA"], …]` as words."""
    pairs = [" ".join(map(str, one)) if isinstance(one, list) else str(one) for one in silent]
    return ", ".join(pairs)[:200]

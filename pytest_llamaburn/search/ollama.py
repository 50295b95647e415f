"""Ollama's web search: in its cloud with OLLAMA_API_KEY, or through a signed-in local server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_llamaburn.backends._address import parse_host
from pytest_llamaburn.backends._secrets import key_of
from pytest_llamaburn.backends.ollama import Backend, server_of
from pytest_llamaburn.search._base import Hit, Remote, base_url, hits, reached

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.settings import Searching

RANK = 30
KEY_VARIABLE = "OLLAMA_API_KEY"
CLOUD_VARIABLE = "OLLAMA_CLOUD_BASE_URL"  # Ollama's own name for this variable
CLOUD = "https://ollama.com"
MOST_RESULTS = 10


class Ollama(Remote):
    """POST /api/web_search in the cloud."""

    name = "ollama"
    key_variable: str | None = KEY_VARIABLE

    async def find(self, query: str, limit: int) -> list[Hit]:
        """Return at most ten hits, the limit of the service."""
        body = {"query": query, "max_results": min(limit, MOST_RESULTS)}
        results = self.results((await self.ask("POST", self._path, json=body)).get("results"))
        return hits(((e.get("title"), e.get("url"), e.get("content")) for e in results), limit)

    @property
    def _path(self) -> str:
        return "/api/web_search" if self._key else "/api/experimental/web_search"


class Proxy(Ollama):
    """A local server that forwards the request to the cloud and signs it itself."""

    key_variable = None
    hints: ClassVar = {
        401: "run `ollama signin` on the server's machine",
        404: "this Ollama is too old for web search: update it",
    }


def available(options: Searching, environ: Mapping[str, str]) -> str | None:
    """Return why it cannot be used, or None if there is a key or a signed-in local server."""
    if environ.get(KEY_VARIABLE):
        return None
    url = _local(options)
    account: Any = reached(f"{url}/api/me", options.timeout_connect)
    if isinstance(account, dict) and account.get("name"):
        return None
    return f"{KEY_VARIABLE} is not set and no signed-in Ollama answers at {url}"


def make(options: Searching, environ: Mapping[str, str]) -> Ollama:
    """Return the cloud's search if there is a key, else the local server's."""
    key = key_of(environ, KEY_VARIABLE)
    return Ollama(base_url(environ, CLOUD_VARIABLE, CLOUD), key) if key else Proxy(_local(options))


def _local(options: Searching) -> str:
    return server_of(parse_host(options.host or Backend.default_host)).url

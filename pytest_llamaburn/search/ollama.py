"""Ollama's web search: its cloud with OLLAMA_API_KEY, or through a local server that signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_llamaburn.backends._address import parse_host
from pytest_llamaburn.backends._base import key_of
from pytest_llamaburn.backends.ollama import Backend, server_of
from pytest_llamaburn.search._base import Hit, Remote, base_url, hits, reached

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_llamaburn.settings import Searching

RANK = 30
KEY_VARIABLE = "OLLAMA_API_KEY"
CLOUD_VARIABLE = "OLLAMA_CLOUD_BASE_URL"  # Ollama's own variable for it
CLOUD = "https://ollama.com"
MOST_RESULTS = 10


class Ollama(Remote):
    """POST with query and number of results, to the cloud; a local server passes it on."""

    name = "ollama"
    key_variable: str | None = KEY_VARIABLE

    async def find(self, query: str, limit: int) -> list[Hit]:
        """Return at most ten hits, the service's own bound."""
        body = {"query": query, "max_results": min(limit, MOST_RESULTS)}
        found = self.results((await self.ask("POST", self._path, json=body)).get("results"))
        return hits(((e.get("title"), e.get("url"), e.get("content")) for e in found), limit)

    @property
    def _path(self) -> str:
        return "/api/web_search" if self._key else "/api/experimental/web_search"


class Proxy(Ollama):
    """A local server; it signs requests itself and takes no key from a client."""

    key_variable = None
    hints: ClassVar = {
        401: "run ollama signin on its machine",
        404: "this Ollama is too old for web search: update it",
    }


def available(options: Searching, environ: Mapping[str, str]) -> str | None:
    """Return why it cannot be used: no key, and no local server that is signed in."""
    if environ.get(KEY_VARIABLE):
        return None
    url = _local(options)
    account: Any = reached(f"{url}/api/me", options.timeout_connect)
    if isinstance(account, dict) and account.get("name"):
        return None
    return f"{KEY_VARIABLE} is not set and no signed-in Ollama answers at {url}"


def make(options: Searching, environ: Mapping[str, str]) -> Ollama:
    """Return the search in the cloud if there is a key, else through the local server."""
    key = key_of(environ, KEY_VARIABLE)
    return Ollama(base_url(environ, CLOUD_VARIABLE, CLOUD), key) if key else Proxy(_local(options))


def _local(options: Searching) -> str:
    return server_of(parse_host(options.host or Backend.default_host)).url

"""Public pages of search engines, through the package `ddgs`: no key, but strict rate limits."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import MissingExtraError, ServerError
from pytest_llamaburn.search._base import Hit, hits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_llamaburn.settings import Searching

RANK = 60
_NOTHING = "No results found."  # the package raises its general error with this text


class Scraper:
    """Scrapes web pages; these limit frequent requests and may change."""

    name = "ddgs"

    def __init__(self, text: Callable[..., list[dict[str, Any]]]) -> None:
        """Take the search function of `ddgs.DDGS`."""
        self._text = text

    async def find(self, query: str, limit: int) -> list[Hit]:
        """Return hits; raises ServerError if the engines refuse."""
        from ddgs.exceptions import DDGSException

        try:
            results = await asyncio.to_thread(self._text, query, max_results=limit)
        except DDGSException as err:
            reason = str(err) or type(err).__name__
            if reason == _NOTHING:
                return []
            hint = "public engines limit frequent requests: wait, or choose another with --search"
            raise ServerError(f"search with ddgs failed: {reason}; {hint}") from None
        return hits(((e.get("title"), e.get("href"), e.get("body")) for e in results), limit)


def available(options: Searching, environ: Mapping[str, str]) -> str | None:  # noqa: ARG001
    """Return why it cannot be used, or None if the package is installed."""
    return None if find_spec("ddgs") else str(MissingExtraError("search", "it"))


def make(options: Searching, environ: Mapping[str, str]) -> Scraper:  # noqa: ARG001
    """Return the search."""
    from ddgs import DDGS

    return Scraper(DDGS().text)

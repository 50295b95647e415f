"""Search engines' public pages, through the package `ddgs`: no key, but soon rate-limited."""

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
_NOTHING = "No results found."  # how the package says so, with the class of all its errors


class Scraper:
    """Reads pages that are made for people: they block who asks often, and change."""

    name = "ddgs"

    def __init__(self, text: Callable[..., list[dict[str, Any]]]) -> None:
        """Take the function that searches, that of `ddgs.DDGS`."""
        self._text = text

    async def find(self, query: str, limit: int) -> list[Hit]:
        """Return hits; raises ServerError where the engines refuse."""
        from ddgs.exceptions import DDGSException

        try:
            found = await asyncio.to_thread(self._text, query, max_results=limit)
        except DDGSException as err:
            said = str(err) or type(err).__name__
            if said == _NOTHING:
                return []
            hint = "scraped engines limit who asks often: wait, or choose another with --search"
            raise ServerError(f"search with ddgs failed: {said}; {hint}") from None
        return hits(((e.get("title"), e.get("href"), e.get("body")) for e in found), limit)


def available(options: Searching, environ: Mapping[str, str]) -> str | None:  # noqa: ARG001
    """Return why it cannot be used, None if the package is installed."""
    return None if find_spec("ddgs") else str(MissingExtraError("search", "it"))


def make(options: Searching, environ: Mapping[str, str]) -> Scraper:  # noqa: ARG001
    """Return the search."""
    from ddgs import DDGS

    return Scraper(DDGS().text)

"""A real browser on a real server: Debian's Chromium, driven by Playwright.

A machine without Chromium, Playwright or npm skips these tests and says why; with CI=true they fail
instead. Each page fails its test if it wrote an error to its console, which is where a browser says
that a page broke its own policy, or if it asked anything of another host.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from support import chromium
from support.served import Served, serving
from support.web_api import keep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page

if os.environ.get("CI"):
    import playwright.sync_api  # noqa: F401 - the tests skip without it, but not in CI

WAITS_MS = 120_000  # for what must happen, on a busy machine too; then a test has failed
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def flags() -> tuple[str, ...]:
    """What the browser of a file of tests is started with besides."""
    return ()


@pytest.fixture(scope="module")
def browser(flags: tuple[str, ...]) -> Iterator[Browser]:
    """A browser without a window.

    It ends with each file of tests: while Playwright runs, this thread can run no other event loop.
    """
    chromium.require()
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=WAITS_MS)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=chromium.PATH,
            chromium_sandbox=not root,
            args=["--disable-gpu", *flags],
        )
        yield found
        found.close()


@pytest.fixture
def served(browser: Browser, tmp_path: Path) -> Iterator[Served]:
    """A server with a result of each kind."""
    for journal, folder in _RESULTS:
        keep(tmp_path / "results", journal, folder, f"golden-{folder}")
    with serving(tmp_path, OLLAMA_HOST="http://127.0.0.1:9") as found:  # which is nobody's
        yield found


_RESULTS = (
    ("benchmark-complete", "benchmarks"),
    ("stress-complete", "stress"),
    ("eval-complete", "evals"),
)


@pytest.fixture(scope="module")
def contexts(browser: Browser) -> Iterator[dict[str, BrowserContext]]:
    """Browsers of their own, by how they are; a new one takes longer than most tests.

    The tests of a file use them one after another. What the page keeps, it keeps with its tab.
    """
    found: dict[str, BrowserContext] = {}
    yield found
    for context in found.values():
        context.close()


@pytest.fixture
def opened(browser: Browser, contexts: dict[str, BrowserContext]) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a page of a server, each of a test in a browser of its own.

    `opened(served, "#/results", viewport=NARROW, color_scheme="dark")`. What its console says and
    which hosts it asks is checked at the end; `wrong=True` leaves that out.
    """
    pages: list[Page] = []
    complaints: list[str] = []

    def open_page(served: Served, where: str = "", *, wrong: bool = False, **options: Any) -> Page:
        known = f"{len(pages)} {options}"
        if known not in contexts:
            contexts[known] = browser.new_context(**{"viewport": WIDE, **options})
            contexts[known].set_default_timeout(WAITS_MS)
        page = contexts[known].new_page()
        pages.append(page)
        if not wrong:
            _listen(page, served.url, complaints)
        page.goto(served.address)
        page.get_by_role("tablist").wait_for()
        if where:
            page.goto(f"{served.url}/{where}")
        return page

    yield open_page
    for page in pages:
        for one in page.context.pages:
            one.close()
    assert complaints == []


def _listen(page: Page, url: str, complaints: list[str]) -> None:
    """Note what a page complains of, and what it asks of other hosts."""

    def said(message: Any) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"console: {message.text}")

    def asked(request: Any) -> None:
        if not request.url.startswith((url, "blob:", "data:")):
            complaints.append(f"asked {request.url}")

    page.on("console", said)
    page.on("pageerror", lambda err: complaints.append(f"error: {err}"))
    page.on("request", asked)


@pytest.fixture
def page(served: Served, opened: Callable[..., Page]) -> Page:
    """The page of the server, opened with its token."""
    return opened(served)

"""A real browser on a real server: Debian's Chromium, driven by Playwright.

A machine without Chromium, Playwright or npm skips these tests and says why; with CI=true they fail
instead. Each page fails its test if it wrote an error to its console, which is where a browser says
that a page broke its own policy, or if it asked anything of another host.
"""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from support import chromium
from support.served import Served, serving
from support.web_api import TOKEN, keep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from playwright.sync_api import Browser, Page

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


@pytest.fixture(scope="module")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a result of each kind; each test leaves them as they were."""
    home: Path = tmp_path_factory.mktemp("served")
    for journal, folder in _RESULTS:
        keep(home / "results", journal, folder, f"golden-{folder}")
    with serving(home, OLLAMA_HOST="http://127.0.0.1:9") as found:  # which is nobody's
        yield found


@pytest.fixture(scope="module")
def listed(served: Served) -> dict[str, Callable[..., Any]]:
    """Routes that answer with the models of the server, for who opens many tabs.

    They are listed once: each listing is a process.
    """
    found = served.client.get("/models").json()
    return {"**/models": lambda route: route.fulfill(json=found)}


_RESULTS = (
    ("benchmark-complete", "benchmarks"),
    ("stress-complete", "stress"),
    ("eval-complete", "evals"),
)


# Who goes to a place of the page at once was given the token before.
_GIVE_TOKEN = f"""
    if (window === top && location.hash.startsWith('#/') && !sessionStorage['llamaburn-token'])
        sessionStorage['llamaburn-token'] = '{TOKEN}';
"""


class Tabs:
    """The tabs of a file of tests, each in a browser of its own, by how it is and its number.

    The tests of a file use them one after another: a new tab and its process take longer than most
    tests. What the page keeps, it keeps with its tab, so that is forgotten between two tests.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._known: dict[str, Page] = {}

    def tab(self, number: int, options: dict[str, Any]) -> Page:
        """Return the tab with this number of a test; `options` are those of its browser."""
        name = f"{number} {options}"
        if name not in self._known:
            context = self._browser.new_context(**{"viewport": WIDE, **options})
            context.set_default_timeout(WAITS_MS)
            context.add_init_script(_GIVE_TOKEN)
            self._known[name] = context.new_page()
        return self._known[name]

    def clear(self, tab: Page) -> None:
        """Make a tab as it was before a test; one that does not come back is closed."""
        from playwright.sync_api import Error

        try:
            for other in tab.context.pages:
                if other is not tab:
                    other.close()
            tab.unroute_all(behavior="ignoreErrors")
            tab.evaluate("location.protocol === 'http:' && sessionStorage.clear()")
            tab.goto("about:blank")
        except Error:
            self._known = {name: one for name, one in self._known.items() if one is not tab}
            tab.context.close()


@pytest.fixture(scope="module")
def tabs(browser: Browser) -> Tabs:
    return Tabs(browser)


@pytest.fixture
def opened(tabs: Tabs) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a page of a server, each of a test in a browser of its own.

    `opened(served, "#/results", viewport=NARROW, color_scheme="dark")`. What its console says and
    which hosts it asks is checked at the end; `wrong=True` leaves that out. `routes` are those of
    Playwright. Without a place, the page is given its token as people do it, by the address.
    """
    pages: list[Page] = []
    complaints: list[str] = []

    def open_page(
        served: Served,
        where: str = "",
        *,
        wrong: bool = False,
        routes: Mapping[str, Callable[..., Any]] = MappingProxyType({}),
        **options: Any,
    ) -> Page:
        page = tabs.tab(len(pages), options)
        pages.append(page)
        if not wrong:
            listeners.append((page, _listen(page, served.url, complaints)))
        for address, answer in routes.items():
            page.route(address, answer)
        page.goto(f"{served.url}/{where}" if where else served.address)
        page.get_by_role("tablist").wait_for()
        return page

    listeners: list[tuple[Page, dict[str, Any]]] = []
    yield open_page
    for page, heard in listeners:
        for event, listener in heard.items():
            page.remove_listener(event, listener)
    for page in pages:
        tabs.clear(page)
    assert complaints == []


def _listen(page: Page, url: str, complaints: list[str]) -> dict[str, Any]:
    """Note what a page complains of, and what it asks of other hosts; return the listeners."""

    def said(message: Any) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"console: {message.text}")

    def asked(request: Any) -> None:
        if not request.url.startswith((url, "blob:", "data:")):
            complaints.append(f"asked {request.url}")

    def broke(err: Any) -> None:
        complaints.append(f"error: {err}")

    listeners = {"console": said, "pageerror": broke, "request": asked}
    for event, listener in listeners.items():
        page.on(event, listener)  # type: ignore[call-overload]
    return listeners


@pytest.fixture
def page(served: Served, opened: Callable[..., Page]) -> Page:
    """The page of the server, opened with its token."""
    return opened(served)

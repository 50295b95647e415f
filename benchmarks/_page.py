"""The web page in a real Chromium: its weight, its first paint, its events, its memory."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from statistics import median, quantiles
from time import sleep
from typing import TYPE_CHECKING, Any, NamedTuple

from _report import Line

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from playwright.sync_api import Browser, Page

LIVE_HZ = 10
_OPENED = 5
_FIRST_PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
_DONE = "() => document.querySelector('progress[aria-label=Progress]')?.value ?? null"
# Each number of finished requests, with the time at which a frame that shows it has been painted.
_WATCH = """() => {
  const seen = (window.seen = []);
  let last = -1;
  const look = () => {
    const bar = document.querySelector("progress[aria-label=Progress]");
    if (bar && bar.value !== last) {
      const now = (last = bar.value);
      requestAnimationFrame(() => seen.push([now, Date.now() / 1000]));
    }
    requestAnimationFrame(look);
  };
  look();
}"""
_TICKS = """() => {
  window.gaps = [];
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    window.gaps.push(now - last);
    last = now;
  }, 50);
}"""


class Place(NamedTuple):
    """A server that runs: its address with the token, and a client."""

    address: str
    client: httpx.Client


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Debian's Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or "/usr/bin/chromium"
        found = playwright.chromium.launch(executable_path=path, chromium_sandbox=os.getuid() != 0)
        yield found
        found.close()


def first_page(browser: Browser, place: Place) -> list[Line]:
    """Return what the first page weighs, asks and takes; each time a new browser profile opens it."""
    weights, asked, paints = [], [], []
    for _ in range(_OPENED):
        context = browser.new_context()
        page = context.new_page()
        sizes, urls = _traffic(page)
        page.goto(place.address)
        page.get_by_role("button", name="Start").wait_for()
        page.wait_for_function(_FIRST_PAINT)
        weights.append(sum(sizes) / 1e3)
        asked.append(urls)
        paints.append(page.evaluate(_FIRST_PAINT))
        context.close()
    own = place.address.partition("/#")[0]
    foreign = [url for urls in asked for url in urls if not url.startswith(own)]
    return [
        Line("first page, transferred", max(weights), "kB", 120),
        Line("first page, requests", max(map(len, asked)), "", 15),
        Line("first page, requests to other hosts", len(foreign), "", 0),
        Line("first contentful paint, median of 5", median(paints), "ms", 500),
        Line("first contentful paint, worst", max(paints), "ms"),
    ]


def _traffic(page: Page) -> tuple[list[int], list[str]]:
    """Return lists that get the bytes and the address of each request of a page."""
    sizes: list[int] = []
    urls: list[str] = []
    client = page.context.new_cdp_session(page)
    client.send("Network.enable")
    client.on("Network.loadingFinished", lambda told: sizes.append(told["encodedDataLength"]))
    client.on("Network.requestWillBeSent", lambda told: urls.append(told["request"]["url"]))
    return sizes, urls


def delay(browser: Browser, place: Place, count: int) -> list[Line]:
    """Return the time from an event of a run until a frame with it is painted, at 10 Hz."""
    page = opened(browser, place, "Stress")
    page.evaluate(_WATCH)
    job = _played(page, place)
    written = {e["done"]: e["at"] for e in place.client.get(f"/jobs/{job}/progress").json()}
    seen = page.evaluate("() => window.seen")
    page.context.close()
    late = [(at - written[done]) * 1e3 for done, at in seen if done in written]
    steps = quantiles(late, n=20)
    return [
        Line("event to pixel, median", median(late), "ms"),
        Line("event to pixel, p95", steps[-1], "ms", 250),
        Line("events that were painted", len(late) / count * 100, "%"),
    ]


def growth(browser: Browser, place: Place, count: int, pause_s: float) -> list[Line]:
    """Return how the page's heap grows while it shows a run of so many events.

    It is read at each pause. The growth counts from the time when the charts are there and their
    buffers fill: of 30 minutes, the third and the fourth.
    """
    page = opened(browser, place, "Stress")
    heap: list[tuple[int, float]] = []

    def look() -> None:
        done = page.evaluate(_DONE)
        if done is not None:
            heap.append((done, _heap_mb(page)))

    _played(page, place, look, pause_s)
    page.context.close()

    def between(begin: float, end: float) -> float:
        return median(mb for done, mb in heap if begin * count <= done <= end * count)

    early, middle, last = between(2 / 30, 4 / 30), between(1 / 3, 2 / 3), between(2 / 3, 1)
    return [
        Line("heap when the run begins, without charts", heap[0][1], "MB"),
        Line("heap early, median", early, "MB"),
        Line("heap in the second third, median", middle, "MB"),
        Line("heap in the last third, median", last, "MB"),
        Line("largest heap", max(mb for _, mb in heap), "MB"),
        Line("growth from early to the last third", (last / early - 1) * 100, "%", 20),
        Line("growth from the second to the last third", (last / middle - 1) * 100, "%", 20),
    ]


def held_up(browser: Browser, place: Place) -> list[Line]:
    """Return how late a timer of the page is while code in the sandbox never pauses."""
    page = opened(browser, place, "Multi-Modal")
    page.get_by_label("Language").select_option("JavaScript")
    page.get_by_label("Code", exact=True).fill("console.log('begun'); while (true);")
    page.get_by_role("button", name="Run").first.click()
    page.get_by_role("log", name="Console").get_by_text("begun").wait_for()
    page.evaluate(_TICKS)
    page.wait_for_timeout(5_000)
    gaps = page.evaluate("() => window.gaps")
    page.context.close()
    return [
        Line(
            "code that never pauses: gap of a 50 ms timer of the page, median", median(gaps), "ms"
        ),
        Line("code that never pauses: largest gap", max(gaps), "ms", 200),
    ]


def opened(browser: Browser, place: Place, tab: str) -> Page:
    """Return a page that shows a tab."""
    page = browser.new_context().new_page()
    page.goto(place.address)
    page.get_by_role("tab", name=tab).click()
    return page


def _played(page: Page, place: Place, look: Any = None, pause_s: float = 0.5) -> str:
    """Have a run played and wait for its end; return its job."""
    body = {"model": ["m"], "mode": "sweep"}
    job: str = place.client.post("/stress/run", json=body).raise_for_status().json()["id"]
    page.wait_for_function(f"() => ({_DONE})() > 1")
    while place.client.get(f"/jobs/{job}").json()["state"] != "ended":
        if look is not None:
            look()
        page.wait_for_timeout(pause_s * 1_000)
    sleep(0.5)
    return job


def _heap_mb(page: Page) -> float:
    client = page.context.new_cdp_session(page)
    client.send("HeapProfiler.collectGarbage")
    used: float = client.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    client.detach()
    return used

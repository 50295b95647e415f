"""Drive the browser of one rendering. Only `pytest_llamaburn.rendering.__main__` imports this."""

from __future__ import annotations

import io
import mimetypes
import os
import time
from typing import TYPE_CHECKING, Any, Final

from playwright.sync_api import Error, sync_playwright

from pytest_llamaburn.rendering import FRAME, Order, Rendering

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Browser, Page, Playwright, Route

_ORIGIN = "https://frame.invalid"  # https, or the browser has no WebGPU
_FOLDER = f"{_ORIGIN}/sandbox/"
_FLAGS: Final = [
    "--enable-unsafe-webgpu",
    "--enable-features=Vulkan,WebGPU",
    "--ignore-gpu-blocklist",
    "--disable-background-networking",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=http://127.0.0.1:9",  # nobody listens there
    "--proxy-bypass-list=<-loopback>",
]
# Without a GPU a processor draws; SwiftShader is the browser's own software for that.
_SOFTWARE: Final = [
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--use-webgpu-adapter=swiftshader",
    "--use-vulkan=swiftshader",
]
_HOST_POLICY = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; frame-src 'self'"
# As the web server's for this frame (`web/security.py`).
_FRAME_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'self' blob:; "
    "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
_BEGINS_S = 12.0  # for the first frame; the watchdog of the frame comes before
_WARM_UP_MS = 1000.0  # in which shaders are compiled
_AFTER_ERROR_S = 2.0
_LOOK_S = 0.1
_ONLY_CANVAS = (
    "html, body, * { background: none !important } *:not(canvas) { visibility: hidden !important }"
    " canvas { visibility: visible !important }"
)
_PICTURE_MS = 8000


def rendered(order: Order, path: str) -> Rendering:
    """Return how code drew; a browser that fails raises Playwright's error."""
    with sync_playwright() as playwright:
        browser = _launched(playwright, path)
        try:
            return _Stage(browser, order).rendering()
        finally:
            browser.close()


def _launched(playwright: Playwright, path: str) -> Browser:
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium's own sandbox refuses root
    has_gpu = any(os.path.exists(f"/dev/dri/renderD{n}") for n in range(128, 136))  # noqa: PTH110
    flags = _FLAGS if has_gpu else [*_FLAGS, *_SOFTWARE]
    return playwright.chromium.launch(
        executable_path=path, args=flags, chromium_sandbox=not root, env={**os.environ}
    )


class _Stage:
    """One page with one program in its frame."""

    def __init__(self, browser: Browser, order: Order) -> None:
        size: Any = {"width": order.width, "height": order.height}
        self.order = order
        self.blocked: list[str] = []
        self.context = browser.new_context(viewport=size, service_workers="block")
        self.context.route("**/*", self._answer)
        self.page: Page = self.context.new_page()
        self.context.on("page", lambda opened: opened.close())

    def rendering(self) -> Rendering:
        """Run the program until enough is measured; return what was seen."""
        self.page.goto(f"{_FOLDER}host.html")
        code = {"language": self.order.language, "code": self.order.code}
        self.page.evaluate("order => window.rendering.begin(order)", code)
        seen = self._watched()
        png, colours, contrast = (None, None, None) if seen["ended"] else self._pictures()
        times = _after_warm_up(seen["frame_times_ms"])
        errors = [one["text"] for one in seen["lines"] if one["level"] == "error"]
        return Rendering(
            (*errors, *([seen["ended"]] if seen["ended"] else ())),
            len(seen["frame_times_ms"]) + bool(seen["draw_calls"]),
            int(seen["draw_calls"]),
            1000 * len(times) / sum(times) if times and sum(times) else None,
            _p95(times),
            seen["renderer"],
            colours,
            contrast,
            tuple(self.blocked),
            png,
        )

    def _watched(self) -> dict[str, Any]:
        """Wait until enough frames were drawn, the code failed, or time is over."""
        started = time.monotonic()
        enough_ms = _WARM_UP_MS + 1000 * self.order.seconds
        while True:
            seen: dict[str, Any] = self.page.evaluate("() => window.rendering.seen")
            spent_s = time.monotonic() - started
            failed = any(one["level"] == "error" for one in seen["lines"])
            drawn_ms = sum(seen["frame_times_ms"])
            over = spent_s > _BEGINS_S + (enough_ms / 1000 if drawn_ms else 0)
            if drawn_ms >= enough_ms or seen["ended"] or over:
                return seen
            if failed and not drawn_ms and spent_s > _AFTER_ERROR_S:
                return seen
            self.page.wait_for_timeout(1000 * _LOOK_S)

    def _pictures(self) -> tuple[bytes | None, int | None, float | None]:
        """Return the picture, and the colours and contrast of its canvases alone."""
        try:
            png = self.page.screenshot(timeout=_PICTURE_MS)
            for frame in self.page.frames[1:]:
                frame.add_style_tag(content=_ONLY_CANVAS)
            return png, *_looked_at(self.page.screenshot(timeout=_PICTURE_MS))
        except Error:
            return None, None, None

    def _answer(self, route: Route) -> None:
        """Answer from the files of the frame; refuse and note every other address."""
        address = route.request.url
        name = address.removeprefix(_FOLDER) or "index.html"
        path = FRAME / name
        if not address.startswith(_FOLDER) or "/" in name or not path.is_file():
            self.blocked.append(address[:200])
            route.abort()
            return
        policy = _HOST_POLICY if name == "host.html" else _FRAME_POLICY
        headers = {
            "content-security-policy": policy,
            "content-type": mimetypes.guess_type(name)[0] or "text/plain",
            "access-control-allow-origin": "*",
            "cross-origin-resource-policy": "cross-origin",
        }
        route.fulfill(body=path.read_bytes(), headers=headers)


def _after_warm_up(times: Sequence[float]) -> list[float]:
    """Return the times of the frames after the warm-up; all if there are no two after it."""
    spent_ms, found = 0.0, []
    for one in times:
        if spent_ms >= _WARM_UP_MS:
            found.append(one)
        spent_ms += one
    return found if len(found) > 1 else [*times]


def _p95(times: Sequence[float]) -> float | None:
    import numpy as np

    return float(np.percentile(times, 95)) if times else None


def _looked_at(png: bytes) -> tuple[int, float]:
    """Return how many colours a picture has, and the standard deviation of its grey values."""
    from PIL import Image, ImageStat

    with Image.open(io.BytesIO(png)) as image:
        whole = image.convert("RGB")
    colours = whole.getcolors(whole.width * whole.height) or []
    return len(colours), float(ImageStat.Stat(whole.convert("L")).stddev[0])

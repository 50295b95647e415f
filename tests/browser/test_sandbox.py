"""Code of models in the page: what it can do, and what it cannot reach."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from support import chromium
from support.served import serving
from support.web_api import TOKEN

expect: Any = pytest.importorskip("playwright.sync_api").expect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator, Page

# Ten seconds are half of one for the page; the tests of rendering wait all of them once.
FASTER = """if (window === top) {
    const real = window.setInterval;
    window.setInterval = (what, ms, ...more) => real(what, ms / 20, ...more);
}"""
CDN = "https://unpkg.com/three@0.160.0"
PLACE = "/#/multi-modal"
WAITS_MS = 120_000  # for what must happen, on a busy machine too; then a test has failed
ATTEMPTS_MS = 400  # in which code has tried what it tries
TICKS = "window.ticks = 0; setInterval(() => (window.ticks += 1), 50)"


class _Outside(BaseHTTPRequestHandler):
    """Notes each request and answers all that a browser may want to hear."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()

    do_POST = do_GET  # noqa: N815 - the name that is looked for

    def log_message(self, *_: object) -> None: ...


@contextmanager
def outside() -> Iterator[tuple[str, list[str]]]:
    """Listen as another origin; yield its address and what it was asked."""
    asked: list[str] = []
    handler = type("Handler", (_Outside,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.fixture(scope="module")
def url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server."""
    with serving(tmp_path_factory.mktemp("served")) as served:
        yield served.url


@contextmanager
def another(browser: Browser, url: str) -> Iterator[Page]:
    """Open the tab in a browser that has been given the token of the server."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=url)
    context.set_default_timeout(WAITS_MS)
    keep = f"sessionStorage.setItem('llamaburn-token', '{TOKEN}')"
    context.add_init_script(f"if (window === top) {keep}")
    page = context.new_page()
    page.goto(PLACE)
    yield page
    context.close()


@pytest.fixture(scope="module")
def shared(browser: Browser, url: str) -> Iterator[Page]:
    """The tab of all tests but those with code that never pauses."""
    with another(browser, url) as found:
        yield found


@pytest.fixture
def tab(shared: Page) -> Iterator[Page]:
    """The tab with the sandbox; what is blocked there is told on the console of the browser.

    It is opened once: each run begins with a new frame and an empty console.
    """
    yield shared
    for other in shared.context.pages:
        if other is not shared:
            other.close()
    if not shared.url.endswith(PLACE):
        shared.goto(PLACE)


@pytest.fixture
def lone_tab(browser: Browser, url: str) -> Iterator[Page]:
    """A tab in a browser of its own, for code that never pauses.

    Frames of one browser share a process, and it would hold up that of the next test.
    """
    with another(browser, url) as page:
        yield page


def sandbox(page: Page) -> Locator:
    """Return the part of the tab with the sandbox; the form of a run stands before it."""
    return page.get_by_role("region", name="Generated code", exact=True)


def run(page: Page, code: str, language: str = "JavaScript") -> None:
    sandbox(page).get_by_role("combobox", name="Language").select_option(language)
    sandbox(page).get_by_label("Code", exact=True).fill(code)
    click_run(page)


def run_example(page: Page, name: str) -> None:
    sandbox(page).get_by_role("combobox", name="Example").select_option(name)
    click_run(page)


def click_run(page: Page) -> None:
    sandbox(page).get_by_role("button", name=re.compile("^Run( again)?: the code$")).click()


def says(page: Page, text: str) -> None:
    expect(page.get_by_role("log", name="Console")).to_contain_text(text)


# What it can do


def test_the_console_and_errors_are_shown_as_text(tab: Page) -> None:
    run(tab, "console.log('<b>bold</b>', {a: 1}); console.warn('careful'); nothing();")
    says(tab, '<b>bold</b> {"a":1}')
    says(tab, "careful")
    says(tab, "nothing is not defined (line 1)")
    assert tab.get_by_role("log").locator("b").count() == 0


def test_a_promise_that_is_rejected_and_a_wrong_module_are_told(tab: Page) -> None:
    run(tab, "Promise.reject(new Error('broken promise'));")
    says(tab, "unhandled rejection: Error: broken promise")
    run(tab, "import { x } from 'three/addons/nothing.js';")
    says(tab, "three/addons/nothing.js")


@pytest.mark.parametrize(
    "code",
    [
        "import * as THREE from 'three'; console.log('three', THREE.REVISION);",
        f"import {{ REVISION }} from '{CDN}/build/three.module.js'; console.log('three', REVISION)",
        f"import {{ Sky }} from '{CDN}/examples/jsm/objects/Sky.js'; console.log('three 187', Sky)",
        "console.log('three', THREE.REVISION, typeof THREE.OrbitControls);",
    ],
)
def test_three_js_is_there_wherever_a_program_looks_for_it(code: str, tab: Page) -> None:
    run(tab, code)
    says(tab, "three 187")


def test_a_page_with_three_js_of_a_network_gets_that_of_the_sandbox(tab: Page) -> None:
    address = "https://cdnjs.cloudflare.com/ajax/libs/three.js/r128/three.min.js"
    scripts = f'<script src="{address}"></script><script>console.log(THREE.REVISION)</script>'
    run(tab, f"<!doctype html><style>b {{color: red}}</style><b>x</b>{scripts}", "HTML")
    says(tab, "187")
    frame = tab.frames[1]
    assert frame.evaluate("getComputedStyle(document.querySelector('b')).color") == "rgb(255, 0, 0)"


def test_frames_are_counted_and_what_draws_them_is_named(tab: Page) -> None:
    run_example(tab, "A cube with three.js")
    says(tab, "three.js 187")
    expect(tab.get_by_text(re.compile(r"\d frames/s"))).to_be_visible()
    expect(tab.get_by_text("WebGL 2: ")).to_be_visible()


def test_webgpu_is_there_where_the_browser_has_it(browser: Browser, url: str) -> None:
    flags = ["--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]
    able = browser.browser_type.launch(
        executable_path=chromium.PATH,
        chromium_sandbox=False,
        args=["--enable-unsafe-webgpu", *flags],
    )
    page = able.new_page()
    page.goto(f"{url}/#token={TOKEN}")
    page.get_by_role("tab", name="Multi-Modal").click()
    run_example(page, "The same with WebGPU")
    says(page, "three.js 187")
    expect(page.get_by_text("WebGPU: google swiftshader")).to_be_visible()
    able.close()


def test_three_js_is_loaded_by_nothing_but_the_frame(tab: Page) -> None:
    page = tab.context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(PLACE)
    expect(sandbox(page).get_by_label("Code", exact=True)).to_be_visible()
    assert not [url for url in asked if "/sandbox/" in url]
    run(page, "console.log('quiet')")
    says(page, "quiet")
    assert not [url for url in asked if "three" in url]


def test_code_that_draws_nothing_has_no_frames(tab: Page) -> None:
    run(tab, "console.log('quiet')")
    expect(tab.get_by_text("draws no frames")).to_be_visible()


def test_a_page_answers_clicks(tab: Page) -> None:
    run_example(tab, "A page")
    tab.frame_locator("iframe").get_by_role("button").click()
    says(tab, "clicks: 1")


def test_python_runs_on_the_server_and_its_output_is_text(tab: Page) -> None:
    run(tab, "print('<i>', 6 * 7)", "Python")
    expect(sandbox(tab).get_by_role("region", name="Printed output")).to_have_text("<i> 42\n")
    run(tab, "1 / 0", "Python")
    expect(sandbox(tab).get_by_role("alert")).to_contain_text("ZeroDivisionError: division by zero")
    expect(tab.locator("iframe")).to_have_count(0)


def test_c_is_compiled_and_run_on_the_server_with_its_time_and_memory(tab: Page) -> None:
    run_example(tab, "C")
    expect(sandbox(tab).get_by_role("region", name="Printed output")).to_contain_text(
        "1 2 3 5 8 13 21"
    )
    expect(tab.get_by_text("ran for")).to_be_visible()
    expect(tab.get_by_text(re.compile(r"used \d.* MB of memory"))).to_be_visible()
    run(tab, "int main(void) { return missing; }", "C")
    expect(sandbox(tab).get_by_role("status").filter(has_text="uncompiled")).to_be_visible()


def test_a_program_of_node_prints_on_the_server(tab: Page) -> None:
    run(tab, "console.log(typeof process, 6 * 7)", "JavaScript (Node.js)")
    expect(sandbox(tab).get_by_role("region", name="Printed output")).to_have_text("object 42\n")
    expect(tab.locator("iframe")).to_have_count(0)


def test_python_that_does_not_end_is_stopped_by_its_button(tab: Page) -> None:
    run(tab, "while True: pass", "Python")
    expect(sandbox(tab).get_by_role("status").filter(has_text="runs")).to_be_visible()
    sandbox(tab).get_by_role("button", name="Stop").click()
    expect(sandbox(tab).get_by_role("status").filter(has_text="stopped")).to_be_visible()


def test_what_is_shown_is_of_the_program_that_was_run_last(tab: Page) -> None:
    run(tab, "while True: pass", "Python")
    expect(sandbox(tab).get_by_role("status").filter(has_text="runs")).to_be_visible()
    run(tab, "print('the second')", "Python")
    expect(sandbox(tab).get_by_role("region", name="Printed output")).to_have_text("the second\n")
    expect(sandbox(tab).get_by_role("status").filter(has_text="finished")).to_be_visible()


# What it cannot reach


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("parent.document.title", "SecurityError"),
        ("top.document.body", "SecurityError"),
        ("localStorage.x = 1", "SecurityError"),
        ("document.cookie", "SecurityError"),
        ("indexedDB.open('x')", "SecurityError"),
        ("new RTCPeerConnection()", "RTCPeerConnection is not defined"),
        ("eval('1')", "EvalError"),
        ("await navigator.serviceWorker.register('/x.js')", "Error"),
        ("await caches.open('x')", "Error"),
        ("await navigator.mediaDevices.getUserMedia({audio: true})", "Error"),
    ],
)
def test_the_page_its_storage_and_devices_are_out_of_reach(code: str, told: str, tab: Page) -> None:
    run(
        tab,
        f"try {{ {code}; console.log('reached') }} catch (e) {{ console.log(e.name, e.message) }}",
    )
    says(tab, told)
    expect(tab.get_by_role("log")).not_to_contain_text("reached")


@pytest.mark.parametrize(
    "code",
    [
        "fetch('OUTSIDE/fetch').catch(e => console.log('failed'))",
        "new Image().src = 'OUTSIDE/image'",
        "const w = new WebSocket('OUTSIDE/socket'.replace('http', 'ws'))",
        "new EventSource('OUTSIDE/events')",
        "navigator.sendBeacon('OUTSIDE/beacon', 'x')",
        "const x = new XMLHttpRequest(); x.open('GET', 'OUTSIDE/xhr'); x.send()",
        "import('OUTSIDE/module.js').catch(() => 0)",
        "const b = URL.createObjectURL(new Blob([\"fetch('OUTSIDE/worker')\"])); new Worker(b)",
        "location.href = 'OUTSIDE/self'",
        "top.location.href = 'OUTSIDE/top'",
        "parent.location = 'OUTSIDE/parent'",
        "open('OUTSIDE/popup')",
        "const a = document.createElement('a'); a.href = 'OUTSIDE/a'; a.target = 'x'; a.click()",
    ],
)
def test_no_script_reaches_another_address(code: str, tab: Page) -> None:
    with outside() as (address, asked):
        run(tab, "console.log('begun');\n" + code.replace("OUTSIDE", address))
        says(tab, "begun")
        tab.wait_for_timeout(ATTEMPTS_MS)
        assert asked == []
        expect(tab.get_by_role("tabpanel", name="Multi-Modal")).to_be_visible()
    assert len(tab.context.pages) == 1


@pytest.mark.parametrize(
    "html",
    [
        "<img src='OUTSIDE/img'>",
        "<link rel=stylesheet href='OUTSIDE/css'>",
        "<link rel=prefetch href='OUTSIDE/prefetch'><link rel=preload as=fetch href='OUTSIDE/p'>",
        "<style>@import 'OUTSIDE/import'; body { background: url(OUTSIDE/background) }</style>",
        "<style>@font-face { font-family: x; src: url(OUTSIDE/f) } p { font: 9px x }</style><p>a",
        "<iframe src='OUTSIDE/frame'></iframe>",
        "<iframe srcdoc=\"<img src='OUTSIDE/srcdoc'>\"></iframe>",
        "<object data='OUTSIDE/object'></object><embed src='OUTSIDE/embed'>",
        "<video src='OUTSIDE/video' autoplay></video><audio src='OUTSIDE/audio' autoplay></audio>",
        "<meta http-equiv=refresh content='0; url=OUTSIDE/refresh'>",
        "<form action='OUTSIDE/form'></form><script>document.forms[0].submit()</script>",
        "<base href='OUTSIDE/'><img src='based'>",
        "<svg><image href='OUTSIDE/svg'/><use href='OUTSIDE/use#x'/></svg>",
        "<body background='OUTSIDE/body'><input type=image src='OUTSIDE/input'>",
    ],
)
def test_no_page_reaches_another_address(html: str, tab: Page) -> None:
    with outside() as (address, asked):
        begun = "<script>console.log('begun')</script>"
        run(tab, begun + html.replace("OUTSIDE", address), "HTML")
        says(tab, "begun")
        tab.wait_for_timeout(ATTEMPTS_MS)
        assert asked == []
        expect(tab.get_by_role("tabpanel", name="Multi-Modal")).to_be_visible()


def test_what_is_blocked_is_told(tab: Page) -> None:
    run(tab, "fetch('https://example.org/x').catch(() => 0)")
    says(tab, "blocked by the sandbox: connect-src https://example.org/x")


def test_code_that_never_pauses_does_not_hold_up_the_page_and_is_stopped(lone_tab: Page) -> None:
    tab = lone_tab
    run(tab, "console.log('begun'); while (true);")
    says(tab, "begun")
    tab.evaluate(TICKS)
    tab.wait_for_function("() => window.ticks > 20")  # of the page, while the code goes on
    sandbox(tab).get_by_role("button", name="Stop").click()
    expect(tab.locator("iframe")).to_have_count(0)
    run(tab, "console.log('again')")
    says(tab, "again")


def test_the_watchdog_ends_code_that_does_not_answer(lone_tab: Page) -> None:
    tab = lone_tab
    tab.add_init_script(FASTER)
    tab.reload()
    run(tab, "console.log('begun'); while (true);")
    says(tab, "begun")
    expect(sandbox(tab).get_by_role("alert")).to_contain_text(
        "It did not answer for 10 s and was stopped."
    )
    expect(tab.locator("iframe")).to_have_count(0)


def test_code_that_floods_the_page_with_messages_is_stopped(lone_tab: Page) -> None:
    tab = lone_tab
    code = """
        const send = MessagePort.prototype.postMessage;
        MessagePort.prototype.postMessage = function (what) {
            while (true) send.call(this, what);
        };
    """
    run(tab, code)
    expect(sandbox(tab).get_by_role("alert")).to_contain_text(
        "It sent too many messages and was stopped."
    )
    expect(tab.locator("iframe")).to_have_count(0)


def test_lines_that_come_too_fast_are_counted(tab: Page) -> None:
    run(tab, "for (let i = 0; i < 1000; i++) console.log('line', i);")
    says(tab, "900 more lines came too fast to be shown.")


def test_messages_that_are_not_of_the_protocol_are_ignored(tab: Page) -> None:
    code = """
        const send = MessagePort.prototype.postMessage;
        MessagePort.prototype.postMessage = function () {
            MessagePort.prototype.postMessage = send;
            const say = (what) => send.call(this, what);
            say({kind: "line", level: "__proto__", text: "odd level"});
            say({kind: "line", text: {toString: 1}});
            say({kind: "alive", frames_per_s: "x", renderer: 5, dropped: -1});
            say("text");
            say(null);
            console.log("still here");
        };
        parent.postMessage({kind: "line", level: "log", text: "of a window"}, "*");
        console.log("x");
    """
    run(tab, code)
    says(tab, "odd level")
    says(tab, "still here")
    expect(tab.get_by_text("draws no frames")).to_be_visible()
    expect(tab.get_by_role("log")).not_to_contain_text("of a window")

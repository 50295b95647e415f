"""Each tab can be used by all: axe finds nothing, in light and dark, wide and narrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.served import serving
from support.web_api import keep

from pytest_llamaburn.kinds import _kind
from pytest_llamaburn.web import bundle

expect: Any = pytest.importorskip("playwright.sync_api").expect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page
    from support.served import Served

AXE = bundle.SOURCES / bundle.INSTALLED / "axe-core" / "axe.min.js"
ASK = """async (rules) => {
    const asked = rules && {runOnly: {type: 'rule', values: rules}};
    const wanted = {iframes: false, resultTypes: ['violations'], ...asked};
    const {violations} = await axe.run(document, wanted);
    return violations.map(({id, nodes}) => `${id}: ${nodes.map((one) => one.html).join(' ')}`);
}"""
COLOURS = ["color-contrast", "link-in-text-block"]  # the rules that look at colours
CONTROLS = """() => {
    const panel = document.querySelector('[role=tabpanel]');
    const found = panel.querySelectorAll('a[href], button, input, select, textarea, summary');
    if (!window.unreached)
        addEventListener('focusin', ({target}) => window.unreached.delete(target));
    window.unreached = new Set([...found].filter((one) => !one.disabled && one.checkVisibility()));
    return window.unreached.size;
}"""
UNREACHED = """() => {
    const there = [...window.unreached].filter((one) => one.isConnected && one.checkVisibility());
    return there.map((one) => one.outerHTML);
}"""
INNER_STOPS = 10  # such as the parts of a date
SIZES = {"wide": {"width": 1280, "height": 900}, "narrow": {"width": 360, "height": 740}}
TABS = ("benchmark", "stress", "eval", "multi-modal", "results", "system")


@pytest.fixture(scope="module")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with two results of each kind."""
    home = tmp_path_factory.mktemp("served")
    for kind, folder in (("benchmark", "benchmarks"), ("stress", "stress"), ("eval", "evals")):
        for name in ("complete", "cut"):
            keep(home / "results", f"{kind}-{name}", folder, name)
    (home / "results" / "benchmarks" / "broken.json").write_text("{", encoding="utf-8")
    with serving(home, OLLAMA_HOST="http://127.0.0.1:9") as found:
        yield found


def violations(page: Page) -> list[str]:
    """Return what axe finds in light, and of colours in dark: the dark page has other colours only.

    axe is brought in beside the page, whose policy would not load it.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(ASK)
    page.emulate_media(color_scheme="dark")
    found += page.evaluate(ASK, COLOURS)
    page.emulate_media(color_scheme="light")
    return found


@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_in_any_tab(
    size: str, served: Served, opened: Callable[..., Page], listed: dict[str, Any]
) -> None:
    page = opened(served, f"#/{TABS[0]}", viewport=SIZES[size], routes=listed)
    found = {}
    for name in TABS:
        page.goto(f"{served.url}/#/{name}")
        expect(page.locator(f"#tab-{name}")).to_have_attribute("aria-selected", "true")
        expect(page.get_by_text("Loading …")).to_have_count(0)
        found[name] = violations(page)
    assert found == {name: [] for name in TABS}


def test_every_control_is_reached_by_the_tab_key(
    served: Served, opened: Callable[..., Page], listed: dict[str, Any]
) -> None:
    # Forms without a model are checked, and refused.
    page = opened(served, wrong=True, routes=listed)
    names = [kind.name for kind in _kind.own()]
    for name in (*names, "results", "system"):
        page.goto(f"{served.url}/#/{name}")
        page.locator(f"#tab-{name}").focus()
        expect(page.get_by_text("Loading …")).to_have_count(0)
        for _ in range(page.evaluate(CONTROLS) + INNER_STOPS):
            page.keyboard.down("Tab")  # as of a key that is held
        page.keyboard.up("Tab")
        assert page.evaluate(UNREACHED) == [], name


def test_axe_finds_nothing_in_results_and_what_is_done_with_them(
    served: Served, opened: Callable[..., Page]
) -> None:
    page = opened(served, "#/results/stress")
    found = []
    for name in ("complete", "cut"):
        page.get_by_label(f"Select {name}").check()
    found += violations(page)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="Verdicts")).to_be_visible()
    found += violations(page)
    for folder in ("benchmarks", "stress", "evals"):
        page.goto(f"{served.url}/#/results/{folder}/complete")
        expect(page.get_by_text("tiny").first).to_be_visible()
        found += violations(page)
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Deleted:")).to_be_visible()
    found += violations(page)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("Deleted:")).to_have_count(0)
    assert found == []


def test_axe_finds_nothing_around_code_that_runs(
    served: Served, opened: Callable[..., Page]
) -> None:
    page = opened(served, "#/multi-modal", viewport=SIZES["narrow"])
    sandbox = page.get_by_role("region", name="Generated code", exact=True)
    code = sandbox.get_by_label("Code", exact=True)
    code.fill("console.warn('careful'); console.error('wrong'); console.log('so')")
    sandbox.get_by_role("button", name="Run: the code").click()
    expect(sandbox.get_by_role("log")).to_contain_text("so")
    found = violations(page)
    sandbox.get_by_role("combobox", name="Language").select_option("Python")
    code.fill("print('x')\n1 / 0")
    sandbox.get_by_role("button", name="Run again: the code").click()
    expect(sandbox.get_by_role("alert")).to_contain_text("ZeroDivisionError")
    assert [*found, *violations(page)] == []

"""The page around the tabs: how it opens, how one gets about in it, what it weighs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

expect: Any = pytest.importorskip("playwright.sync_api").expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page
    from support.served import Served

MOST_BYTES = 120_000
MOST_REQUESTS = 15
NARROW = {"width": 360, "height": 740}


def test_the_page_opens_with_its_token_and_does_not_show_it(page: Page, served: Served) -> None:
    tab = page.get_by_role("tab", name="Benchmark")
    expect(tab).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("status").filter(has_text="live")).to_be_visible()
    assert "token" not in page.url
    page.reload()
    expect(tab).to_be_visible()


def test_tabs_are_reached_by_keyboard_and_by_address(page: Page, served: Served) -> None:
    tabs = page.get_by_role("tab").all_inner_texts()
    assert tabs[:3] == ["Benchmark", "Stress", "Eval"]
    page.get_by_role("tab", name="Benchmark").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Stress")).to_be_focused()
    expect(page.get_by_role("tabpanel", name="Stress")).to_be_visible()
    page.keyboard.press("End")
    expect(page.get_by_role("tab").last).to_be_focused()
    page.goto(f"{served.url}/#/eval")
    expect(page.get_by_role("tabpanel", name="Eval")).to_be_visible()


def test_a_tab_that_there_is_not_is_one_sentence(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/#/nonsense")
    expect(page.get_by_role("alert")).to_contain_text("There is no tab “nonsense”. The tabs are:")


def test_the_first_page_is_small_and_asks_little(
    served: Served, opened: Callable[..., Page]
) -> None:
    page = opened(served)
    weights: list[int] = []
    client = page.context.new_cdp_session(page)
    client.send("Network.enable")
    client.send("Network.setCacheDisabled", {"cacheDisabled": True})
    client.on("Network.loadingFinished", lambda told: weights.append(told["encodedDataLength"]))
    page.reload()
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    page.wait_for_timeout(500)  # what would still be asked
    client.detach()
    assert len(weights) <= MOST_REQUESTS
    assert sum(weights) <= MOST_BYTES


def test_a_token_that_is_no_longer_valid_is_told_and_a_new_one_is_taken(
    served: Served, opened: Callable[..., Page]
) -> None:
    page = opened(served, wrong=True)
    page.evaluate("sessionStorage.setItem('llamaburn-token', 'that-of-an-earlier-server')")
    page.reload()
    heading = page.get_by_role("heading", name="The token of this page is no longer valid.")
    expect(heading).to_be_visible()
    expect(page.get_by_text("The first line that it prints is the address")).to_be_visible()
    page.get_by_label("Address or token").fill("nonsense")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("alert")).to_contain_text("This has no token")
    page.get_by_label("Address or token").fill(served.address)
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("tablist")).to_be_visible()


def test_nothing_is_wider_than_a_telephone(
    served: Served, opened: Callable[..., Page], listed: dict[str, Any]
) -> None:
    # Forms without a model are refused.
    page = opened(served, viewport=NARROW, wrong=True, routes=listed)
    for name in page.get_by_role("tab").all_inner_texts():
        page.get_by_role("tab", name=name, exact=True).click()
        expect(page.get_by_role("tabpanel", name=name, exact=True)).to_be_visible()
        expect(page.get_by_text("Loading …")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_light_and_dark_are_as_the_reader_prefers(
    served: Served, opened: Callable[..., Page]
) -> None:
    shades = [
        opened(served, color_scheme=scheme).evaluate(
            "() => getComputedStyle(document.body).backgroundColor"
        )
        for scheme in ("light", "dark")
    ]
    light, dark = (sum(map(int, re.findall(r"\d+", shade))) for shade in shades)
    assert light > 600
    assert dark < 150

"""Runs from the page: started, watched, stopped, looked at."""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support import third_party
from support.eval_servers import Assessor, Pupil, Pupils, preference
from support.scripted import (
    OllamaFacade,
    Pause,
    Request,
    ScriptedServer,
    Steps,
    head,
    ndjson,
    sized,
)
from support.served import Served, serving
from support.slot_server import SlotServer

from pytest_llamaburn import options
from pytest_llamaburn.evalsets import load_eval_set
from pytest_llamaburn.kinds.eval import task
from pytest_llamaburn.kinds.eval.settings import Eval

expect: Any = pytest.importorskip("playwright.sync_api").expect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    Opened = Callable[..., Page]

NOBODY = "http://127.0.0.1:9"  # no server: one on this machine would change what is listed
RUN_MS = 300_000  # the embedded model on a busy machine
SOON_MS = 180_000


@pytest.fixture
def empty(browser: Any, tmp_path: Path) -> Iterator[Served]:
    """A server without results."""
    with serving(tmp_path, OLLAMA_HOST=NOBODY) as found:
        yield found
        found.process.terminate()  # which ends its run; one that goes on would make others wait
        found.process.wait(SOON_MS / 1000)


def fill(page: Page, **fields: str) -> None:
    """Fill fields of the form by their labels, those under "More settings" too."""
    more = page.get_by_text(re.compile(r"^More settings"))
    more.click()
    for name, text in fields.items():
        field = page.get_by_label(re.compile(rf"^{name.replace('_', ' ')}( \(|$)", re.IGNORECASE))
        if field.evaluate("element => element.tagName") == "SELECT":
            field.select_option(text)
        else:
            field.fill(text)


def start(page: Page) -> None:
    """Start the run, once the server has said that the settings are in order."""
    expect(page.get_by_role("textbox", name="Equal command")).not_to_contain_text("…")
    page.get_by_role("button", name="Start").click()


def heading(page: Page, text: str | re.Pattern[str]) -> Locator:
    return page.get_by_role("heading", name=text)


EMBEDDED = {
    "benchmark": (
        {"iterations": "2", "warmup": "0", "max_tokens": "8"},
        "time to first token, p50",
    ),
    "stress": (
        {
            "mode": "sweep",
            "levels": "1,2",
            "level_requests": "1",
            "warmup": "0",
            "max_tokens": "4",
            "isl": "48",  # short prompts: most of the time goes into reading them
        },
        "highest throughput",
    ),
    "eval": ({"limit": "2", "max_tokens": "8"}, "right answers"),
}


@pytest.mark.parametrize("kind", EMBEDDED)
def test_a_whole_run_of_the_embedded_model(kind: str, empty: Served, opened: Opened) -> None:
    fields, shown = EMBEDDED[kind]
    page = opened(empty, f"#/{kind}")
    page.get_by_role("checkbox", name="smollm2-135m").check()
    fill(page, **fields)
    start(page)
    bar = page.get_by_role("complementary", name="Running job").get_by_role("progressbar")
    expect(bar).to_be_visible()
    expect(heading(page, f"{kind.capitalize()}: done")).to_be_visible(timeout=RUN_MS)
    expect(page.get_by_text(shown)).to_be_visible()
    expect(page.get_by_text("complete", exact=True)).to_be_visible()
    expect(bar).to_have_count(0)


@contextmanager
def slow_benchmark(page: Page) -> Iterator[None]:
    """Start a benchmark that lasts for minutes."""
    with ScriptedServer(OllamaFacade(token_s=0.02)) as ollama:
        fill(page, host=ollama.host, iterations="5000")
        page.get_by_label("Another model").fill("tiny")
        page.get_by_role("button", name="Add").click()
        start(page)
        expect(page.get_by_text(re.compile(r"\d+ of 5,000 requests")).first).to_be_visible()
        yield


def test_a_run_is_stopped_and_what_it_finished_is_shown(empty: Served, opened: Opened) -> None:
    page = opened(empty, "#/benchmark")
    with slow_benchmark(page):
        expect(page.get_by_text(re.compile(r"about \d+ min")).first).to_be_visible()
        page.get_by_role("tabpanel").get_by_role("button", name="Stop").click()
        expect(heading(page, "Benchmark: interrupted")).to_be_visible(timeout=SOON_MS)
        expect(page.get_by_text("interrupted", exact=True)).to_be_visible()
        expect(heading(page, "Requests over time")).to_be_visible()
        expect(heading(page, "Runs that were cut")).to_be_visible()


def test_two_browsers_see_one_run_and_the_second_waits_for_its_turn(
    empty: Served, opened: Opened
) -> None:
    one, two = (opened(empty, "#/benchmark") for _ in range(2))
    with slow_benchmark(one):
        bar = two.get_by_role("complementary", name="Running job")
        expect(bar).to_contain_text(re.compile(r"\d+ of 5,000 requests"))
        two.goto(f"{empty.url}/#/eval")
        expect(two.get_by_role("button", name="Start after the running job")).to_be_visible()
        expect(two.get_by_role("textbox", name="Equal command")).not_to_contain_text("…")
        two.get_by_role("button", name="Start after the running job").click()
        expect(one.get_by_text("1 more wait")).to_be_visible()
        bar.get_by_role("button", name="Stop").click()
        expect(heading(one, "Benchmark: interrupted")).to_be_visible(timeout=SOON_MS)


def test_a_page_finds_its_run_after_the_server_was_killed_and_started_again(
    browser: Any, opened: Opened, tmp_path: Path
) -> None:
    with serving(tmp_path, OLLAMA_HOST=NOBODY) as first:
        port = first.url.rpartition(":")[2]
        page = opened(first, "#/benchmark", wrong=True)
        with slow_benchmark(page):
            first.process.send_signal(signal.SIGKILL)
            expect(page.get_by_text("no connection; trying again")).to_be_visible()
            with serving(tmp_path, f"--port={port}", OLLAMA_HOST=NOBODY):
                expect(page.get_by_text("live", exact=True)).to_be_visible(timeout=SOON_MS)
                panel = page.get_by_role("tabpanel")
                before = panel.get_by_text(re.compile(r"\d+ of 5,000 requests")).inner_text()
                expect(panel.get_by_text(before)).to_have_count(0)  # it goes on
                panel.get_by_role("button", name="Stop").click()
                expect(heading(page, "Requests over time")).to_be_visible(timeout=SOON_MS)


def test_the_graph_of_a_load_has_its_levels_and_a_table(empty: Served, opened: Opened) -> None:
    page = opened(empty, "#/stress")
    with SlotServer(2, lambda _: 0.05) as server:
        fill(page, host=server.host, mode="sweep", levels="1,12", level_duration="3s")
        page.get_by_label("Another model").fill("tiny")
        page.get_by_role("button", name="Add").click()
        start(page)
        graph = page.get_by_role("figure", name="Total generation of the last seconds")
        expect(graph.get_by_role("img")).to_have_attribute(
            "aria-label", re.compile("p95 .* ms; .*12: degraded"), timeout=SOON_MS
        )
        graph.get_by_role("button", name="Table").click()
        expect(graph.get_by_role("columnheader", name="p50")).to_be_visible()
        expect(heading(page, "Stress: done")).to_be_visible(timeout=SOON_MS)
    expect(heading(page, "Throughput against latency")).to_be_visible()
    # On a busy machine our side may have been too slow in the end: such a level is not degraded.
    expect(page.get_by_role("row", name=re.compile("^12 (degraded|optimal) "))).to_be_visible()


def test_answers_verdicts_and_judgments_are_shown_and_filtered(
    empty: Served, opened: Opened
) -> None:
    known = [one for one in load_eval_set("math").questions if one.reference]
    right, *_ = (one for one in known if one.id in ids_of(6))
    pupil = Pupil(answers={right.prompt: f"<b>bold</b> right\nAnswer: {right.reference}"})
    page = opened(empty, "#/eval")
    with ScriptedServer(pupil) as ollama, ScriptedServer(Assessor()) as judge:
        page.get_by_role("checkbox", name="general_knowledge").uncheck()
        page.get_by_role("checkbox", name="math").check()
        fill(page, host=ollama.host, limit="6", judge=f"ollama:judge@{judge.host}")
        page.get_by_label("Another model").fill("tiny")
        page.get_by_role("button", name="Add").click()
        start(page)
        expect(heading(page, "Eval: done")).to_be_visible(timeout=SOON_MS)
    which = page.get_by_role("group", name="Which questions")
    expect(which.get_by_role("button", name="all 6")).to_be_visible()
    which.get_by_role("button", name="wrong 5").click()
    expect(page.get_by_text("right", exact=True)).to_have_count(0)
    which.get_by_role("button", name="right 1").click()
    page.get_by_text(right.prompt).click()
    expect(page.get_by_text("<b>bold</b> right")).to_be_visible()
    expect(page.get_by_text("worth 5").first).to_be_visible()
    expect(page.locator("blockquote").first).to_have_text("a quote")
    expect(page.get_by_text(f"ollama:judge@{judge.host}").last).to_be_visible()


def ids_of(limit: int) -> set[str]:
    """Return the ids of the questions that an eval of the set asks with a limit."""
    settings, _ = options.resolve(Eval, {"set": ["math"], "limit": limit})
    return {one.id for one in task.load(settings, "math").questions}


def test_the_servers_sentence_stands_at_its_field_as_one_types(
    empty: Served, opened: Opened
) -> None:
    page = opened(empty, "#/benchmark", wrong=True)
    field = page.get_by_label("Iterations", exact=True)
    field.fill("0")
    expect(page.get_by_role("alert")).to_contain_text("--iterations: 0 is refused")
    expect(field).to_have_attribute("aria-invalid", "true")
    field.fill("7")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("textbox", name="Equal command")).to_have_text(
        "llamaburn benchmark --iterations=7 --results-dir=results"
    )
    expect(page.get_by_text("Time not known: no earlier run of smollm2-135m")).to_be_visible()


def test_a_mode_shows_the_fields_that_it_reads(empty: Served, opened: Opened) -> None:
    page = opened(empty, "#/stress")
    expect(page.get_by_label("Max concurrency", exact=True)).to_be_visible()
    page.get_by_label("Mode", exact=True).select_option("spike")
    expect(page.get_by_label("Spike concurrency", exact=True)).to_be_visible()
    expect(page.get_by_label("Max concurrency", exact=True)).to_have_count(0)


def test_what_a_number_is_is_told_on_focus_and_hidden_on_escape(
    served: Served, opened: Opened
) -> None:
    page = opened(served, "#/benchmark")
    page.get_by_role("row", name="smollm2-135m").locator("[data-tip]").last.focus()
    expect(page.get_by_role("tooltip")).to_contain_text("No sensor of this machine")
    page.keyboard.press("Escape")
    expect(page.get_by_role("tooltip")).to_have_count(0)


def test_a_kind_of_another_distribution_has_a_tab_a_form_and_a_result(
    browser: Any, opened: Opened, tmp_path: Path
) -> None:
    site = third_party.installed(tmp_path / "site")
    with (
        ScriptedServer(OllamaFacade()) as ollama,
        serving(tmp_path, OLLAMA_HOST=NOBODY, PYTHONPATH=str(site)) as served,
    ):
        page = opened(served, "#/echo", wrong=True)  # its server ends before it
        expect(page.get_by_role("tab", name="Echo")).to_have_attribute("aria-selected", "true")
        page.get_by_label("Times", exact=True).fill("2")
        page.get_by_label("Another model").fill("tiny")
        page.get_by_role("button", name="Add").click()
        fill(page, host=ollama.host)
        start(page)
        expect(heading(page, "Echo: done")).to_be_visible(timeout=SOON_MS)
        expect(heading(page, "All numbers")).to_be_visible()


class Registry(OllamaFacade):
    """An Ollama that can pull `tiny`, takes long for `slow`, and knows no other model."""

    def __call__(self, request: Request) -> Steps:
        if request.path != "/api/pull":
            return super().__call__(request)
        begun = {"status": "pulling", "total": 400_000_000, "completed": 40_000_000}
        words: dict[str, Steps] = {
            "slow": [head(200), ndjson(begun), Pause(100)],
            "tiny": [sized(200, ndjson(begun) + ndjson({"status": "success"}))],
        }
        refused = sized(200, ndjson({"error": "pull model manifest: file does not exist"}))
        return words.get(request.json["model"], [refused])


def test_a_model_is_downloaded_from_the_form_with_its_progress(
    browser: Any, opened: Opened, tmp_path: Path
) -> None:
    with ScriptedServer(Registry()) as ollama, serving(tmp_path, OLLAMA_HOST=ollama.host) as served:
        page = opened(served, "#/benchmark", wrong=True)  # its server ends before it
        name = page.get_by_label("Another model")
        download = page.get_by_role("button", name="Download")
        expect(page.get_by_role("checkbox", name="tiny:latest")).not_to_be_checked()
        name.fill("slow")
        download.click()
        pull = page.get_by_role("group", name="Download of slow")
        expect(pull).to_contain_text("40 MB of 400 MB")
        expect(page.get_by_role("complementary")).to_contain_text("Download of slow")
        pull.get_by_role("button", name="Stop").click()
        expect(page.get_by_text("The download of slow was stopped.")).to_be_visible()
        name.fill("none")
        download.click()
        expect(page.get_by_role("alert")).to_contain_text(
            "cannot pull none: pull model manifest: file does not exist"
        )
        name.fill("tiny")
        download.click()
        expect(page.get_by_text("tiny is there now.")).to_be_visible()
        expect(page.get_by_role("checkbox", name="tiny:latest")).to_be_checked()
        expect(name).to_have_value("")


def test_two_answers_of_a_pair_stand_side_by_side(empty: Served, opened: Opened) -> None:
    answers = {name: {"": f"the answer of {name}"} for name in ("tiny", "rival")}
    judge = Assessor(opinion=lambda *_: preference("A"))
    page = opened(empty, "#/eval")
    with ScriptedServer(Pupils(by_model=answers)) as ollama, ScriptedServer(judge) as judging:
        page.get_by_label("Another model").fill("tiny")
        page.get_by_role("button", name="Add").click()
        named = f"ollama:judge@{judging.host}"
        fill(page, host=ollama.host, limit="2", judge=named, compare_to="rival")
        page.get_by_label("Pairwise", exact=True).check()
        start(page)
        expect(heading(page, "Eval: done")).to_be_visible(timeout=SOON_MS)
    options = page.get_by_label("Result", exact=True)
    options.select_option(index=1)
    page.locator(".questions summary").first.click()
    expect(heading(page, "Its answer")).to_be_visible()
    expect(heading(page, re.compile("Answer of .*rival"))).to_be_visible()
    expect(page.get_by_text("the answer of tiny").first).to_be_visible()
    expect(page.get_by_text("the answer of rival").first).to_be_visible()
    expect(page.get_by_text("another winner when the answers changed places")).to_be_visible()

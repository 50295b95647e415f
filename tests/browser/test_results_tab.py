"""The tab of results: lists, comparisons, exports, deleting and undoing, files of anywhere."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from support.served import serving
from support.web_api import GOLDEN, keep

expect: Any = pytest.importorskip("playwright.sync_api").expect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page
    from support.served import Served

BENCHMARK = "benchmark-complete"
MODELS = ("alpha:8b", "beta:8b", "Alphabet:70b")
DROP = """async ([name, text, times]) => {
    const files = new DataTransfer();
    files.items.add(new File([text.repeat(times)], name, {type: 'application/json'}));
    const zone = document.querySelector('.drop');
    for (const kind of ['dragover', 'drop'])
        zone.dispatchEvent(new DragEvent(kind, {dataTransfer: files, bubbles: true}));
}"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which the server runs."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def served(browser: Browser, home: Path) -> Iterator[Served]:
    """A server with results, and with files that are none; each test leaves them as they were."""
    results = home / "results"
    for number, name in enumerate(MODELS):
        model = {
            **dict.fromkeys(("quantization", "family", "parameter_size", "digest")),
            "id": name,
            "name": name,
            "context_length": None,
        }
        stamp = f"2026-01-0{number + 1}T00:00:00Z"
        about = {"model": model, "timestamp": stamp, "run_id": f"run-{number}"}
        status = "partial" if number == 1 else "complete"
        keep(results, BENCHMARK, "benchmarks", f"run_{number}", **about, status=status)
    for name in ("complete", "resumed"):
        keep(results, f"stress-{name}", "stress", name)
        keep(results, f"eval-{name}", "evals", name)
    folder = results / "benchmarks"
    (folder / "broken.json").write_text("{", encoding="utf-8")
    (folder / "foreign.json").write_text('{"<img src=x>": 1}', encoding="utf-8")
    with (folder / "huge.json").open("wb") as huge:
        huge.truncate(600_000_000)
    with serving(home) as found:
        yield found


def select(page: Page, *names: str) -> None:
    for name in names:
        page.get_by_label(f"Select {name}").check()


def test_a_list_is_filtered_sorted_and_says_what_is_wrong_with_a_file(
    served: Served, opened: Callable[..., Page]
) -> None:
    page = opened(served, "#/results")
    table = page.get_by_role("group", name="Results").get_by_role("table")
    expect(table.get_by_role("row")).to_have_count(7)
    expect(page.get_by_role("navigation", name="Types of results")).to_contain_text("Benchmarks 6")
    table.get_by_text("unreadable").first.hover()
    expect(page.get_by_role("tooltip")).to_be_visible()
    page.get_by_role("searchbox", name="Model").fill("ALPHA")
    expect(table.get_by_role("row")).to_have_count(3)
    page.get_by_role("textbox", name="To").fill("2026-01-01")
    expect(table.get_by_role("row")).to_have_count(2)
    page.get_by_role("textbox", name="To").fill("")
    page.get_by_role("combobox", name="Order").select_option("oldest first")
    expect(table.get_by_role("row").nth(1)).to_contain_text("alpha:8b")
    page.get_by_role("searchbox", name="Model").fill("")
    page.get_by_role("combobox", name="Status").select_option("partial")
    expect(table.get_by_role("row")).to_have_count(2)
    page.get_by_role("searchbox", name="Model").fill("nothing like it")
    expect(page.get_by_text("No result matches these filters.")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("broken", "is not JSON"),
        ("foreign", "it has no 'schema'"),
        ("nowhere", "there is no result 'nowhere' in benchmarks"),
    ],
)
def test_a_result_that_cannot_be_shown_says_why(
    name: str, words: str, served: Served, opened: Callable[..., Page]
) -> None:
    page = opened(served, f"#/results/benchmarks/{name}", wrong=True)
    expect(page.get_by_role("alert")).to_contain_text(words)


def test_a_result_is_opened_by_its_address(served: Served, opened: Callable[..., Page]) -> None:
    page = opened(served, "#/results/benchmarks/run_0")
    expect(page.get_by_text("alpha:8b")).to_be_visible()
    expect(page.get_by_role("heading", name="All measures")).to_be_visible()
    uncertain = page.get_by_role("group", name="All measures").get_by_text(re.compile(r"\d\*$"))
    expect(uncertain.first).to_be_visible()
    page.get_by_role("link", name="Benchmarks").click()
    expect(page.get_by_label("Select run_0")).to_be_visible()
    page.get_by_role("link", name="Evals 2").click()
    expect(page.get_by_label("Select resumed")).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Select run_0")).to_be_visible()


def test_a_type_that_there_is_not_is_one_sentence(
    served: Served, opened: Callable[..., Page]
) -> None:
    page = opened(served, "#/results/nonsense")
    expect(page.get_by_role("alert")).to_contain_text("There is no type “nonsense”. The types are:")


def test_two_results_are_compared_with_verdicts_and_intervals(
    served: Served, opened: Callable[..., Page]
) -> None:
    page = opened(served, "#/results")
    select(page, "run_0")
    expect(page.get_by_role("button", name="Compare")).to_be_disabled()
    select(page, "run_2")
    expect(page.get_by_text("the first that you selected: run_0")).to_be_visible()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="Verdicts")).to_be_visible()
    expect(page.get_by_role("figure", name="Changes in %")).to_contain_text("time to first token")
    rows = page.get_by_role("group", name="All changes").get_by_role("row")
    expect(rows).to_have_count(5)
    expect(rows.nth(1)).to_contain_text("inconclusive")
    page.get_by_role("group", name="Files").get_by_role("link", name="Alphabet:70b").click()
    expect(page.get_by_role("heading", name="All measures")).to_be_visible()


def test_stress_runs_and_evals_are_compared_too(
    served: Served, opened: Callable[..., Page]
) -> None:
    page = opened(served, "#/results/stress")
    select(page, "complete", "resumed")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("figure", name="Requests per second")).to_be_visible()
    page.goto(f"{served.url}/#/results/evals")
    select(page, "complete", "resumed")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("figure", name="Changes in 1 to 5")).to_contain_text("accuracy")


def test_what_cannot_be_compared_is_one_sentence(
    served: Served, opened: Callable[..., Page]
) -> None:
    page = opened(served, "#/results", wrong=True)
    select(page, "run_0", "broken")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("alert")).to_contain_text("is not JSON")


@pytest.mark.parametrize(
    ("form", "suffix", "begins"),
    [("CSV", "csv", ""), ("JSON", "json", "{"), ("HTML", "html", "<!"), ("Markdown", "md", "")],
)
def test_a_result_is_exported(
    form: str, suffix: str, begins: str, served: Served, opened: Callable[..., Page]
) -> None:
    page = opened(served, "#/results/benchmarks/run_0")
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Export as {form}").click()
    assert download.value.suggested_filename == f"run_0.{suffix}"
    assert download.value.path().read_text(encoding="utf-8").startswith(begins)


def test_each_selected_result_is_exported(served: Served, opened: Callable[..., Page]) -> None:
    page = opened(served, "#/results")
    names: list[str] = []
    page.on("download", lambda download: names.append(download.suggested_filename))
    select(page, "run_0", "run_2")
    with page.expect_download(lambda one: one.suggested_filename == "run_2.csv"):
        page.get_by_role("button", name="Export as CSV").click()
    expect(page.get_by_role("button", name="Export as CSV")).to_be_enabled()
    assert names == ["run_0.csv", "run_2.csv"]


def test_deleted_results_come_back(served: Served, opened: Callable[..., Page]) -> None:
    page = opened(served, "#/results")
    select(page, "run_0", "run_2")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Deleted: 2 results")).to_be_visible()
    expect(page.get_by_label("Select run_0")).to_have_count(0)
    expect(page.get_by_text("1 to 4 of 4")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Select run_0")).to_be_visible()
    expect(page.get_by_text("1 to 6 of 6")).to_be_visible()


def test_one_result_is_deleted_and_comes_back(served: Served, opened: Callable[..., Page]) -> None:
    page = opened(served, "#/results/benchmarks/run_1")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Deleted: run_1")).to_be_visible()
    expect(page.get_by_role("heading", name="All measures")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("heading", name="All measures")).to_be_visible()


def test_a_foreign_file_is_chosen_or_dragged_in_and_not_kept(
    served: Served, opened: Callable[..., Page]
) -> None:
    path = GOLDEN / "journals" / "stress-complete" / "result.json"
    page = opened(served, "#/results")
    page.get_by_label("Look at a file").set_input_files(path)
    expect(page.get_by_text("result.json is only looked at: it is not kept here.")).to_be_visible()
    expect(page.get_by_text("tiny", exact=True)).to_be_visible()
    page.get_by_role("button", name="Back to the results").click()
    expect(page.get_by_label("Select run_0")).to_be_visible()
    document = json.loads(path.read_text(encoding="utf-8"))
    document["model"]["id"] = "<img src=x onerror=alert(1)>"
    page.evaluate(DROP, ["<b>.json", json.dumps(document), 1])
    expect(page.get_by_text("<b>.json is only looked at")).to_be_visible()
    expect(page.get_by_text("<img src=x onerror=alert(1)>").first).to_be_visible()
    page.get_by_role("tab", name="System").click()
    page.get_by_role("tab", name="Results").click()
    expect(page.get_by_label("Select run_0")).to_be_visible()


def test_a_file_that_is_no_result_says_why(served: Served, opened: Callable[..., Page]) -> None:
    page = opened(served, "#/results", wrong=True)
    for text, times, words in (
        ("{", 1, "the file is not JSON"),
        ('{"a": 1}', 1, "the file is not a result file: it has no 'schema'"),
        (" ", 20_000_001, "many.json has 20 MB: at most 20 MB are read here."),
    ):
        page.evaluate(DROP, ["many.json", text, times])
        expect(page.get_by_role("alert")).to_contain_text(words)


def test_more_than_a_page_of_results_is_paged(
    served: Served, opened: Callable[..., Page], home: Path
) -> None:
    more = [keep(home / "results", BENCHMARK, "benchmarks", f"n{n:02}") for n in range(60)]
    page = opened(served, "#/results/benchmarks")
    expect(page.get_by_text("1 to 50 of 66")).to_be_visible()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("51 to 66 of 66")).to_be_visible()
    expect(page.get_by_role("button", name="Next")).to_be_disabled()
    page.get_by_role("button", name="Previous").click()
    expect(page.get_by_text("1 to 50 of 66")).to_be_visible()
    for path in more:
        path.unlink()


def test_code_in_answers_of_an_eval_runs_at_a_click(
    served: Served, opened: Callable[..., Page], home: Path
) -> None:
    path = keep(home / "results", "eval-complete", "evals", "code")
    document = json.loads(path.read_text(encoding="utf-8"))
    answers = (
        "So:\n```python\nprint(6 * 7)\n```\nand\n```js\nconsole.log('<i>', 6 * 8)\n```\nDone.",
        "def f():\n    return 1\n\nprint(f(), 'whole')",
        "```sql\nselect 1\n```",
    )
    for item, answer in zip(document["results"]["items"], answers, strict=False):
        item["answer"] = answer
    path.write_text(json.dumps(document), encoding="utf-8")
    page = opened(served, "#/results/evals/code", wrong=True)
    questions = page.locator(".questions > li")
    for place in range(3):
        questions.nth(place).locator("summary").first.click()
    page.get_by_role("button", name="Run: Python code").first.click()
    expect(page.get_by_role("region", name="Printed output").first).to_have_text("42\n")
    page.get_by_role("button", name="Run: JavaScript code").click()
    expect(page.get_by_role("log", name="Console")).to_contain_text("<i> 48")
    page.get_by_role("button", name="Run: Python code").first.click()
    expect(page.get_by_text("1 whole")).to_be_visible()
    expect(questions.nth(2)).to_contain_text("select 1")
    expect(questions.nth(2).get_by_role("button", name="Run")).to_have_count(0)
    path.unlink()

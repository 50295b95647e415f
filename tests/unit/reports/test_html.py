"""Pages stand alone, are small, show what is in the file, and take no word for markup."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.benchmark_documents import failed_trace, header, row, rows, saved_benchmark
from support.comparisons import comparison_document
from support.virtual_benchmarks import Machine, dice, virtual_benchmark
from support.virtual_benchmarks import rows as virtual_rows

from pytest_llamaburn.charts import Entry
from pytest_llamaburn.reports import _defaults, _entries, html
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Sequence

HOSTILE = "</title><script>alert(1)</script><img src=//evil>\x1b[2J\n# x|y"
VOID = {"meta", "input"}
GOLDEN = Path(__file__).parents[2] / "golden"
DOCUMENTS = sorted([*GOLDEN.glob("journals/*/result.json"), *GOLDEN.glob("comparisons/*.json")])
EVAL = GOLDEN / "journals" / "eval-complete" / "result.json"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
every_document = pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: f"{path.parent.name}-{path.stem}"
)


class Page(HTMLParser):
    """Checks that what opens closes, and notes what a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.words = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.note(tag, attrs)

    def note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [str(value) for name, value in attrs if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def standalone_page(*paths: Path) -> Page:
    """Return the page of files once it is known to be small and to ask nothing of anyone."""
    text = html.render(paths)
    page = Page(text)
    assert len(text.encode()) <= 150_000
    assert not {"script", "link", "img", "iframe", "base", "object", "form"} & set(page.tags)
    assert not {"src", "href", "style", "onload", "onclick"} & page.attributes
    assert len(set(page.ids)) == len(page.ids)
    for style in re.findall(r"<style>(.*?)</style>", text, re.DOTALL):
        assert "url(" not in style
        assert "@import" not in style
    assert "default-src 'none'" in text
    assert not {c for c in text if not c.isprintable()} - {"\n"}
    return page


def comparison(directory: Path, runs: int = 5, models: Sequence[str] = ("x", "x")) -> Path:
    """Save a comparison; each file is a tenth slower than the one before."""
    luck = dice(0)
    made = [
        virtual_benchmark(virtual_rows(Machine(), runs, luck, 0.9**i), f"run-{i}", 1, model)
        for i, model in enumerate(models)
    ]
    found = {**comparison_document("benchmark", *made), "run_id": "cmp"}
    return results.write(directory, {**found, "timestamp": "2026-01-14T10:30:00Z"})


def saved(tmp_path: Path, document: dict[str, Any]) -> Path:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def quiz(tmp_path: Path, count: int, answer: str) -> Path:
    """Save an eval of so many questions; every third answer is wrong."""
    document = json.loads(EVAL.read_text(encoding="utf-8"))
    item = document["results"]["items"][0]
    document["results"]["items"] = [
        {
            **item,
            "correct": i % 3 != 0,
            "answer": answer,
            "question": {**item["question"], "id": f"q{i}", "category": f"topic {i % 4}"},
        }
        for i in range(count)
    ]
    return saved(tmp_path, document)


@every_document
def test_the_page_of_a_golden_result_stands_alone_and_has_its_parts(path: Path) -> None:
    page = standalone_page(path)
    document = results.load(path)
    assert page.tags.count("h1") == 1
    assert page.tags.count("table") >= 1
    assert f"file {path}" in page.words
    for gate in document["results"].get("gates", ()):
        assert gate["expression"] in page.words
    for insight in document.get("insights", ()):
        assert page.words.count(insight["text"]) == 1


def test_a_benchmark_s_page_has_cards_distributions_and_values_by_request(tmp_path: Path) -> None:
    page = standalone_page(saved_benchmark(tmp_path, rows(60)))
    for part in (
        "llama3.1:q4 (Q4_1, 8B, llama)",
        "time to first token, mean",
        "Distribution of time to first token",
        "Tokens per second by request",
        "n 60",
    ):
        assert part in page.words


@pytest.mark.parametrize("count", [0, 1, 10_000])
def test_pages_of_any_number_of_requests_are_small(count: int, tmp_path: Path) -> None:
    made = [dict(one) for one in virtual_rows(Machine(prompts=24, iterations=420), 1, dice(0))]
    page = standalone_page(saved_benchmark(tmp_path, made[:count]))
    assert page.tags.count("figure") == (5 if count == 10_000 else 0)


def test_pages_of_many_files_are_small_and_say_what_they_leave_out(tmp_path: Path) -> None:
    paths = [saved_benchmark(tmp_path, rows(50), header=header(run_id=f"r{i}")) for i in range(15)]
    page = standalone_page(*paths)
    assert page.tags.count("article") == page.tags.count("h1") == 15
    assert page.tags.count("figure") >= 15
    assert "more of the charts would make this page too large" in page.words
    many = comparison(tmp_path, 2, models=("a rather long name of a model:70b-q4",) * 60)
    assert standalone_page(many).tags.count("tr") == 1 + 4 * 59


def test_a_comparison_s_page_draws_each_change(tmp_path: Path) -> None:
    path = comparison(tmp_path, models=("x", "x", "y"))
    text = html.render([path])
    assert standalone_page(path).tags.count("figure") == 4
    assert text.count('<g class="span slower">') == 8
    assert text.count('<td class="slower">slower</td>') == 8
    assert "Time to first token: change" in text


def test_hostile_words_are_shown_literally(tmp_path: Path) -> None:
    made = [*rows(2), row(failed_trace(message=HOSTILE))]
    page = standalone_page(saved_benchmark(tmp_path, made, header=header(HOSTILE)))
    assert "<script>alert(1)</script><img src=//evil>" in page.words
    compared = standalone_page(comparison(tmp_path, models=(HOSTILE, HOSTILE)))
    assert "<script>alert(1)</script>" in compared.words
    document = json.loads(EVAL.read_text(encoding="utf-8"))
    for item in document["results"]["items"]:
        item["answer"] = item["question"]["prompt"] = item["question"]["category"] = HOSTILE
    asked = standalone_page(saved(tmp_path, document))
    assert asked.words.count("<script>alert(1)</script>") >= 3 * 7


# Questions


def test_questions_are_filtered_without_scripts_and_the_wrong_ones_come_first(
    tmp_path: Path,
) -> None:
    text = html.render([quiz(tmp_path, 12, "It is red.")])
    page = Page(text)
    assert page.tags.count("details") == 12
    assert page.tags.count("input") == (1 + 2) + (1 + 4)
    assert text.index('chip wrong">') < text.index('chip correct">')
    assert ":has(#q0-0-0:checked) details:not(.v0-0){display:none}" in text
    assert "worth 5" in page.words
    assert "quotes: a quote" in page.words


def test_answers_that_do_not_fit_are_cut_and_questions_that_do_not_fit_are_counted(
    tmp_path: Path,
) -> None:
    some = standalone_page(quiz(tmp_path, 30, "long words " * 2000))
    assert some.tags.count("details") == 30
    assert re.search(r"… \(\d+ more characters in the result file\)", some.words)
    many = standalone_page(quiz(tmp_path, 2000, "long words " * 20))
    shown = many.tags.count("details")
    assert 50 < shown < 2000
    assert f"the first {shown} of 2000" in many.words


def test_a_filter_of_one_value_or_of_too_many_is_no_filter() -> None:
    entries = [
        Entry(f"q{i}", "wrong", (), {"same": "x", "each": str(i), "half": str(i % 2)}, ())
        for i in range(40)
    ]
    assert _entries.filters_of(entries) == {"half": ["0", "1"]}


# Kinds of others


def test_a_kind_without_charts_gets_those_of_its_measures_and_rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    document = results.load(saved_benchmark(tmp_path, rows(60)))
    has = find_spec
    monkeypatch.setattr(
        _defaults, "find_spec", lambda name: None if name.endswith(".charts") else has(name)
    )
    cards, charts = [*_defaults.cards(document)], [*_defaults.charts(document)]
    assert ("time to first token", "ms") in {(card.label, card.unit) for card in cards}
    assert len(cards) <= 8
    assert charts[0].title == "time to first token"
    assert [*_defaults.entries(document)] == []


def test_a_kind_without_measures_gets_a_page_of_its_tables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = saved_benchmark(tmp_path, rows(60))
    monkeypatch.setattr(_defaults, "find_spec", lambda _: None)
    page = standalone_page(path)
    assert page.tags.count("table") == 1
    assert page.tags.count("figure") == 0


# Looks


def colours(theme: str) -> dict[str, str]:
    block = re.findall(r":root \{(.*?)\}", html.style(), re.DOTALL)[theme == "dark"]
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(a * b for a, b in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    light, dark = sorted(map(luminance, (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_and_marks_stand_out_from_their_background(theme: str) -> None:
    found = colours(theme)
    for name in ("ink", "soft", "blue", "orange", "green", "violet", "red"):
        for background in ("page", "card", "tint"):
            assert contrast(found[name], found[background]) >= 4.5, (name, background)


MEASURE = """
<script>
onload = () => {
  const frames = [...document.querySelectorAll("iframe")];
  const pages = frames.map(frame => frame.contentDocument.documentElement);
  document.title = pages.map(page => `${page.scrollWidth} of ${page.clientWidth}`).join();
};
</script>
"""
FRAME = '<iframe style="width:360px;height:800px;border:0" srcdoc="{}"></iframe>'


@pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium is installed"
)
def test_no_page_scrolls_sideways_on_a_telephone(tmp_path: Path) -> None:
    runs = ("benchmark", "stress", "eval")
    paths = [GOLDEN / "journals" / f"{kind}-complete" / "result.json" for kind in runs]
    paths += [quiz(tmp_path, 3, "x" * 500), *GOLDEN.glob("comparisons/*.json")]
    found = widths(tmp_path, [html.render([path]) for path in paths])
    assert found == ["360 of 360"] * len(paths)


def widths(tmp_path: Path, pages: Sequence[str]) -> list[str]:
    """Return how wide each page is, and how much of it there is room for, at 360 pixels."""
    inside = (page.replace("&", "&amp;").replace('"', "&quot;") for page in pages)
    outer = tmp_path / "outer.html"
    frames = "".join(map(FRAME.format, inside))
    outer.write_text(f"<!doctype html><title>?</title>{MEASURE}{frames}", encoding="utf-8")
    command = [
        *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *("--dump-dom", f"--user-data-dir={tmp_path / 'profile'}", outer.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = re.search(r"<title>(.*?)</title>", done.stdout)
    return found[1].split(",") if found else []

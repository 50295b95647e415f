"""Tables fit the terminal: text wraps inside its column, and columns that go are named."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from pytest_llamaburn import grids, registry
from pytest_llamaburn.grids import Table

GOLDEN = Path(__file__).parents[1] / "golden"
DOCUMENTS = sorted([*GOLDEN.glob("journals/*/result.json"), *GOLDEN.glob("comparisons/*.json")])
WIDE = Table(
    ("id", "finding", "max", "p50"),
    [("one", "a rather long sentence about what was found", "10", "1"), ("two", "short", "2", "3")],
    numeric=2,
    least=("max",),
    wrapped=("finding",),
)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 0


def longest(text: str) -> int:
    return max(map(cell_len, text.splitlines()))


def test_without_a_width_nothing_is_wrapped_or_left_out() -> None:
    header, _, first, second = grids.text(WIDE).splitlines()
    assert header.split() == ["id", "finding", "max", "p50"]
    assert first.endswith("found    10     1")
    assert cell_len(first) == cell_len(second)


def test_a_grid_takes_its_words_literally() -> None:
    rows = [("a:rocket:1 [red]x[/red]", "1"), ("b", "1,000")]
    text = grids.text(Table(("id", "n"), rows, 1))
    assert [line.split() for line in text.splitlines()[2:]] == [
        ["a:rocket:1", "[red]x[/red]", "1"],
        ["b", "1,000"],
    ]
    assert len({len(line) for line in text.splitlines()}) == 1  # numbers end in one column


def test_text_is_wrapped_inside_of_its_column_before_a_column_goes() -> None:
    assert grids.text(WIDE, 34).splitlines() == [
        "id   finding              max  p50",
        "──────────────────────────────────",
        "one  a rather long         10    1",
        "     sentence about what",
        "     was found",
        "two  short                  2    3",
    ]


def test_a_word_is_not_broken_while_another_column_has_room() -> None:
    rows = [("a", "one, two, a_word_of_twenty-six_cells", "short words, each of them, " * 3)]
    table = grids.Table(("name", "first", "second"), rows, wrapped=("first", "second"))
    assert "a_word_of_twenty-six_cells" in grids.text(table, 50)
    assert "a_word_of_twenty-six_cells" not in grids.text(table, 36)


def test_columns_that_go_are_named_with_the_way_to_see_them() -> None:
    lines = grids.text(WIDE, 22).splitlines()
    assert lines[0].split() == ["id", "finding", "p50"]
    assert " ".join(lines[-3:]) == "22 columns have no room for max: --wide shows all"


def test_headers_are_wrapped_before_a_column_goes() -> None:
    table = Table(("level", "time to first token"), [("1", "12")], numeric=1)
    assert grids.text(table, 14).splitlines()[:3] == [
        "level  time to",
        "         first",
        "         token",
    ]


def test_the_first_column_never_goes_and_is_broken_if_it_must() -> None:
    table = Table(("id", "kind"), [("an-id-without-any-space-in-it", "x")])
    text = grids.text(table, 10)
    assert text.splitlines()[0] == "id"
    assert longest(text) <= 10
    assert "an-id-without-any-space-in-it" in "".join(text.splitlines()[2:5])


words = st.text(alphabet="ab 界é", max_size=30)


@settings(max_examples=60)
@given(st.data(), st.integers(20, 120))
def test_no_line_of_a_table_is_longer_than_the_terminal(data: st.DataObject, width: int) -> None:
    count = data.draw(st.integers(1, 8))
    columns = [f"c{i} name" for i in range(count)]
    cells = st.tuples(*[words] * count)
    wrapped = tuple(name for name in columns if data.draw(st.booleans()))
    table = Table(columns, data.draw(st.lists(cells, max_size=4)), 2, columns[3:], wrapped)
    text = grids.text(table, width)
    assert longest(text) <= width
    assert "name" in text


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_no_line_of_a_golden_table_is_longer_than_the_terminal(path: Path) -> None:
    table = registry.load("reports", "table")
    for width in (60, 80, 121, 200):
        for line in table.fitted([path], width).splitlines():
            assert cell_len(line) <= width or str(path) in line


def test_a_long_line_continues_indented_and_a_path_stays_whole() -> None:
    assert grids.wrapped("one two three", 9, "  ") == ["one two", "  three"]
    assert grids.wrapped("  one two three", 11, "  ") == ["  one two", "    three"]
    assert grids.wrapped("at /a/very/long/path ok", 8) == ["at", "/a/very/long/path", "ok"]
    assert grids.section("notes", ["a b"], 4) == ["notes", "  a", "    b"]


def test_a_terminal_s_width_counts_and_a_pipe_has_all_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((101, 24)))
    assert grids.columns_of(Screen()) == 101
    assert grids.columns_of(Screen(), wide=True) is None
    assert grids.columns_of(io.StringIO()) is None


@pytest.mark.parametrize(("told", "width"), [("72", 72), ("0", 101), ("wide", 101), ("", 101)])
def test_the_variable_columns_wins_on_a_terminal_and_changes_no_pipe(
    told: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((101, 24)))
    monkeypatch.setenv("COLUMNS", told)
    assert grids.columns_of(Screen()) == width
    assert grids.columns_of(io.StringIO()) is None

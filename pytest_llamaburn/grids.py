"""Text tables, fitted to the columns of a terminal.

A table that is too wide is first set closer, with headers over several lines. Then its text columns
are wrapped inside of themselves. Then whole columns are left out, the least important first, and a
line below the table names them. Without a width nothing is wrapped or left out.
"""

from __future__ import annotations

import os
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple, TextIO

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_GAP, _CLOSE = 3, 2  # columns between two cells
_NARROWEST = 12  # a text column is not wrapped below so many columns
_INDENT = "  "


class Table(NamedTuple):
    """A table of texts; columns from index `numeric` on are numbers, aligned to the right.

    `least` names the columns that are left out first where there is no room, in this order; after
    them go the others from the right, but never the first. The columns named in `wrapped` are
    texts that may be wrapped.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: int = 99
    least: Sequence[str] = ()
    wrapped: Collection[str] = ()


def columns_of(stream: TextIO, *, wide: bool = False) -> int | None:
    """Return the width to which tables are fitted, or None for tables with all columns.

    It is that of the terminal, or the variable COLUMNS if that is set. A pipe or a file always gets
    all columns: programs that start others set that variable too.
    """
    if wide or not stream.isatty():
        return None
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    return os.get_terminal_size(stream.fileno()).columns or None


def text(table: Table, width: int | None = None) -> str:
    """Return a table as text with lines of at most so many columns."""
    lines = [[printable(cell) for cell in row] for row in (table.columns, *table.rows)]
    natural = [max(map(_len, column)) for column in zip(*lines, strict=True)]
    if width is None or _total(natural, _GAP) <= width:
        return _drawn(lines, natural, table.numeric, _GAP)
    least = [_least(table, lines, i) for i in range(len(natural))]
    kept = _kept(table, least, width)
    words = [max(least[i], *(_longest_word(row[i]) for row in lines)) for i in kept]
    widths = _shared([natural[i] for i in kept], words, [least[i] for i in kept], width)
    numeric = sum(i < table.numeric for i in kept)
    drawn = _drawn([[row[i] for i in kept] for row in lines], widths, numeric, _CLOSE)
    hidden = [name for i, name in enumerate(lines[0]) if i not in kept]
    if not hidden:
        return drawn
    said = f"{width} columns have no room for {', '.join(hidden)}: --wide shows all"
    return "\n".join([drawn, *wrapped(said, width)])


def wrapped(line: str, width: int | None, indent: str = "") -> list[str]:
    """Return a line of text as lines of at most so many columns, those after the first indented.

    A word that is longer than a line, such as a path, is kept whole.
    """
    if width is None or _len(line) <= width:
        return [line]
    start = line[: len(line) - len(line.lstrip())]
    return [start + words for words in _broken(line, width - len(start), indent, whole=True)]


def section(heading: str, lines: Sequence[str], width: int | None = None) -> list[str]:
    """Return lines of text, indented below their heading."""
    told = (part for line in lines for part in wrapped(_INDENT + line, width, _INDENT))
    return [heading, *told]


def printable(text: str) -> str:
    """Return a line of text with a space for each unprintable character."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _len(words: str) -> int:
    from rich.cells import cell_len

    return cell_len(words)


def _total(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1)


def _least(table: Table, lines: Sequence[Sequence[str]], column: int) -> int:
    """Return the smallest width of a column: headers are wrapped, and cells of texts."""
    header, *cells = (line[column] for line in lines)
    word = _longest_word(header)
    longest = max(map(_len, cells), default=0)
    if header in table.wrapped:
        longest = min(longest, _NARROWEST)
    return max(word, longest)


def _longest_word(text: str) -> int:
    return max(map(_len, text.split()), default=0)


def _kept(table: Table, least: Sequence[int], width: int) -> list[int]:
    """Return the columns for which there is room, by index."""
    named = [table.columns.index(name) for name in table.least if name in table.columns]
    kept = [*range(len(least))]
    for column in (*named, *(i for i in reversed(kept) if i not in named)):
        if len(kept) == 1 or _total([least[i] for i in kept], _CLOSE) <= width:
            break
        if column:
            kept.remove(column)
    return kept


def _shared(
    natural: Sequence[int], words: Sequence[int], least: Sequence[int], width: int
) -> list[int]:
    """Return the widths of columns that share a width: the widest give first.

    Words are broken only where there is no room for the longest of each column.
    """
    widths, spare = [*natural], _total(natural, _CLOSE) - width
    while spare > 0:
        able = _wider(widths, words) or _wider(widths, least)
        if not able:
            return [width] if len(widths) == 1 else widths
        widths[max(able, key=widths.__getitem__)] -= 1
        spare -= 1
    return widths


def _wider(widths: Sequence[int], bounds: Sequence[int]) -> list[int]:
    return [i for i, bound in enumerate(bounds) if widths[i] > bound]


def _drawn(lines: Sequence[Sequence[str]], widths: Sequence[int], numeric: int, gap: int) -> str:
    rule = "─" * _total(widths, gap)
    header, *rows = ("\n".join(_row(line, widths, numeric, gap)) for line in lines)
    return "\n".join([header, rule, *rows])


def _row(cells: Sequence[str], widths: Sequence[int], numeric: int, gap: int) -> list[str]:
    """Return the lines of a row; a cell that is wider than its column is wrapped."""
    parts = (_broken(cell, width) for cell, width in zip(cells, widths, strict=True))
    lines = zip_longest(*parts, fillvalue="")
    return [_line(line, widths, numeric, gap) for line in lines]


def _line(cells: Sequence[str], widths: Sequence[int], numeric: int, gap: int) -> str:
    gaps = [" " * (width - _len(cell)) for cell, width in zip(cells, widths, strict=True)]
    pairs = enumerate(zip(cells, gaps, strict=True))
    return (" " * gap).join(g + c if i >= numeric else c + g for i, (c, g) in pairs).rstrip()


def _broken(line: str, width: int, indent: str = "", *, whole: bool = False) -> list[str]:
    """Return a text broken between words; a longer word is broken too, unless it stays `whole`."""
    if _len(line) <= width:
        return [line]
    lines, current = [], ""
    for word in line.split():
        for piece in [word] if whole else _chopped(word, width):
            longer = f"{current} {piece}" if current.strip() else current + piece
            if _len(longer) > width and current.strip():
                lines.append(current)
                longer = indent + piece
            current = longer
    return [*lines, current]


def _chopped(word: str, width: int) -> list[str]:
    from rich.cells import chop_cells

    return chop_cells(word, max(2, width)) if _len(word) > width else [word]

"""Offline search in a directory of documents; the same question always returns the same passages.

SQLite's FTS5 ranks passages by BM25 (k1 = 1.2, b = 0.75) over English word stems.
"""

from __future__ import annotations

import os
import re
import sqlite3
import weakref
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn import files
from pytest_llamaburn.errors import DatasetError, MissingExtraError, SettingsError
from pytest_llamaburn.search import _html
from pytest_llamaburn.search._base import Hit, hits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pytest_llamaburn.settings import Searching

RANK = 10
PASSAGE_LIMIT = 1000
_TEXTS = (".txt", ".md", ".markdown")
_PAGES = (".html", ".htm")
_SUFFIXES = (*_TEXTS, *_PAGES, ".pdf")


class Part(NamedTuple):
    """A document or one page of it."""

    title: str
    url: str
    text: str


class Corpus:
    """An index of the passages of documents."""

    name = "corpus"

    def __init__(self, parts: Iterable[Part]) -> None:
        """Index the documents in memory."""
        self._index = sqlite3.connect(":memory:", check_same_thread=False)
        weakref.finalize(self, self._index.close)  # Python 3.13 warns about an open connection
        self._index.execute(
            "CREATE VIRTUAL TABLE passages USING fts5"
            "(title, url UNINDEXED, text, tokenize = 'porter unicode61')"
        )
        rows = ((p.title, p.url, passage) for p in parts for passage in passages(p.text))
        self._index.executemany("INSERT INTO passages VALUES (?, ?, ?)", rows)

    async def find(self, query: str, limit: int) -> list[Hit]:
        """Return the passages that match the query's words best, the best first."""
        words = matching(query)
        if not words:
            return []
        rows = self._index.execute(
            "SELECT title, url, text FROM passages WHERE passages MATCH ?"
            " ORDER BY bm25(passages), rowid LIMIT ?",
            (words, limit),
        )
        return hits(rows, limit)


def available(options: Searching, environ: Mapping[str, str]) -> str | None:  # noqa: ARG001
    """Return why there is no corpus, or None if one is named; an unusable one is an error later."""
    return None if options.corpus else "--corpus is not set"


def make(options: Searching, environ: Mapping[str, str]) -> Corpus:  # noqa: ARG001
    """Return the indexed corpus.

    Raises SettingsError (the directory is missing or empty), DatasetError (a file cannot be read)
    or MissingExtraError (a PDF, but the package that reads it is missing).
    """
    folder = files.home(options.corpus or "")
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises OSError for a long name
        raise SettingsError(f"--corpus: {options.corpus} is not a directory")
    paths = [path for path in sorted(folder.rglob("*")) if _wanted(path.relative_to(folder), path)]
    if not paths:
        listed = ", ".join(_SUFFIXES)
        raise SettingsError(f"--corpus: {options.corpus} has no file with the suffix {listed}")
    return Corpus(part for path in paths for part in _parts(path, path.relative_to(folder)))


def matching(query: str) -> str:
    """Return an FTS5 expression that matches any word of a query; empty without a word.

    Each word is quoted, since an unquoted question is usually a syntax error.
    """
    words = dict.fromkeys(re.findall(r"\w+", query.lower()))
    return " OR ".join(f'"{word}"' for word in words)


def passages(text: str) -> Iterator[str]:
    """Yield the pieces of a text, each of at most PASSAGE_LIMIT characters.

    A piece ends at a paragraph if one ends in its second half, else at a line, else at a word.
    """
    start = 0
    while start < len(text):
        end = _cut(text, start)
        yield text[start:end]
        start = end


def _cut(text: str, start: int) -> int:
    end = start + PASSAGE_LIMIT
    if end >= len(text):
        return len(text)
    for separator in ("\n\n", "\n", " "):
        at = text.rfind(separator, start + PASSAGE_LIMIT // 2, end)
        if at >= 0:
            return at + len(separator)
    return end


def _wanted(place: Path, path: Path) -> bool:
    hidden = any(part.startswith(".") for part in place.parts)
    return not hidden and path.suffix.lower() in _SUFFIXES and files.exists(path)


def _parts(path: Path, place: Path) -> Iterator[Part]:
    url = place.as_posix()
    if path.suffix.lower() == ".pdf":
        for number, text in enumerate(_pdf_pages(path), 1):
            yield Part(path.name, f"{url}#page={number}", text)
        return
    try:
        text = files.text(files.plain_bytes(path))
    except (OSError, ValueError) as err:
        msg = f"--corpus: {path} is not readable as text: {files.reason(err)}"
        raise DatasetError(msg) from None
    if path.suffix.lower() in _PAGES:
        page = _html.read(text)
        yield Part(page.title or path.name, url, page.text)
    else:
        yield Part(path.name, url, text)


def _pdf_pages(path: Path) -> list[str]:
    try:
        import pypdf
    except ImportError:
        raise MissingExtraError("search", f"--corpus: reading {path}") from None
    try:
        pages = [page.extract_text() for page in pypdf.PdfReader(path).pages]
    except Exception as err:  # noqa: BLE001 - for a broken file pypdf may raise anything
        msg = f"--corpus: {path} is not readable as PDF: {err}"
        raise DatasetError(msg) from None
    if not any(map(str.strip, pages)):
        msg = f"--corpus: {path} has no text, only images: run OCR on it or remove it"
        raise DatasetError(msg)
    return pages

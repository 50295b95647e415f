"""The text of a web page."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import NamedTuple

_UNSEEN = frozenset({"script", "style", "noscript", "template", "head"})
_INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "cite", "code", "em", "font", "i", "kbd", "mark", "q", "s", "small"}
    | {"span", "strong", "sub", "sup", "time", "u", "var", "wbr"}
)


class Page(NamedTuple):
    """The visible text of a page; `title` is empty if the page has none."""

    title: str
    text: str


def read(html: str) -> Page:
    """Return title and text of a page, one paragraph per block; accepts broken markup."""
    reader = _Reader(convert_charrefs=True)
    reader.feed(html.replace("<![", "<! ["))  # older parsers may raise an error at "<!["
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.pieces).split("\n"))
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    return Page(" ".join("".join(reader.title).split()), text)


class _Reader(HTMLParser):
    def __init__(self, *, convert_charrefs: bool) -> None:
        super().__init__(convert_charrefs=convert_charrefs)
        self.title: list[str] = []
        self.pieces: list[str] = []
        self._unseen: list[str] = []  # the open elements whose text is not shown
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag == "body":
            self._unseen.clear()  # HTML may omit the end of the head
        elif tag == "title":
            self._in_title = not self.title
        elif tag in _UNSEEN:
            self._unseen.append(tag)
        elif tag not in _INLINE:
            self.pieces.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag in self._unseen:
            del self._unseen[self._unseen.index(tag) :]
        elif tag not in _INLINE:
            self.pieces.append("\n\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title.append(data)
        elif not self._unseen:
            # A line break in the source is a space; only blocks begin a new line.
            self.pieces.append(data.replace("\n", " "))

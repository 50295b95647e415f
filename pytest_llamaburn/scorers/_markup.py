r"""Removes what marks up a text: LaTeX and HTML around words, struck words, and citations.

A model writes `\boxed{\textbf{B}}`, `<b>B</b>`, `~~A~~ B`, `Paris [6]` and means the words alone.
"""

from __future__ import annotations

import re

_STRUCK = re.compile(r"~~[^~\n]{1,200}~~|<(s|del|strike)>[^<\n]{1,200}</\1>", re.IGNORECASE)
_BREAK = re.compile(r"<(?:br|/p|/div|/li|/tr|/h[1-6])\s?/?>", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:b|strong|i|em|u|p|div|span|mark|code|font|center|h[1-6]|li|ul|ol|small|big|tr|td)"
    r"(?:\s[^<>\n]{0,80})?>",
    re.IGNORECASE,
)
_WRAPPER = re.compile(
    r"\\(?:text\w{0,6}|math\w{1,6}|operatorname|emph|underline|[mfh]box|bm|boldsymbol|bf|rm|it|sf|tt)"
    r"\s?\{([^{}]*)\}"
)
_DEEPEST = 3  # wrappers within one another
_SWITCH = re.compile(
    r"\\(?:bf|rm|it|sf|tt|large|Large|LARGE|huge|Huge|small|displaystyle|textstyle|bfseries|itshape"
    r"|quad|qquad)(?![A-Za-z])|(?<!\d)\\[,;:! ]|\\[,;:! ](?!\d)"
)
_CITATION = re.compile(
    r"(?<=[^\W\d_]{3})[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]{1,3}(?!\w)"  # after a word: ⁶
    r"|(?<=[\w.,;:!?)\"'\u2019])\s?(?:\[\^?\d{1,3}\]|<sup>\[?\d{1,3}\]?</sup>)"  # [6], [^6]
    r"|\u3010[^\u3011\n]{1,40}\u2020[^\u3011\n]{1,40}\u3011"  # 【6†source】
    r"|(?<=[\w.,;:!?)\"'\u2019])\u3010\d{1,3}(?::\d{1,3})?\u3011"  # 【6】
)
_SOURCES = re.compile(
    r"(?:\n+[ \t]*\[\^?\d{1,3}\]:?[ \t][^\n]*)+\s*\Z"
    r"|\n[ \t#*_]*(?:references|sources|citations)[ \t*_]*:?[ \t*_]*\n.*\Z",
    re.IGNORECASE | re.DOTALL,
)


def without_sources(text: str) -> str:
    """Return a text without a list of sources at its end, if anything else is there."""
    match = _SOURCES.search(text)
    return text[: match.start()] if match and text[: match.start()].strip() else text


def without_citations(text: str) -> str:
    """Return a text without marks of footnotes and of citations."""
    return _CITATION.sub("", text)


def without_markup(text: str) -> str:
    """Return the words of a text without struck words and without HTML and LaTeX around words."""
    text = _TAG.sub("", _BREAK.sub("\n", _STRUCK.sub("", text)))
    for _ in range(_DEEPEST):
        text = _WRAPPER.sub(r" \1 ", text)
    return _SWITCH.sub(" ", text)

"""Reading answers: without thinking, and in one form for spellings that mean the same."""

from __future__ import annotations

import re
import unicodedata

from pytest_llamaburn.scorers._markup import without_citations, without_markup
from pytest_llamaburn.thinking import split_thinking

_ANSWER_TAG = re.compile(r"</?(?:final_?)?answer>", re.IGNORECASE)
_JOINED = re.compile("['`\u2018\u2019\u02bc\u00ad\u200b-\u200f\u2060\ufeff]")  # don't
_POSSESSIVE = re.compile(
    r"(?i)\b(?!(?:it|he|she|that|what|who|where|when|why|how|there|here|let)\b)(\w+)['\u2019]s\b"
)  # not it's, which says more than it
_NEXT_TURN = re.compile(r"(?i)\n\s{0,9}(?:question|q|problem|user|human)\s?\d{0,3}\s?:")
_BOXED = re.compile(r"\\boxed\s?\{([^{}]*)\}")
_FORMULA = re.compile(r"\\[()\[\]]|\$\$?\s?([^\W\d][^$\n]{0,200}?)\s?\$\$?")
_GROUPED = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)  # Thai, Lao, Burmese, Khmer, kana, Han: written without spaces, so that each letter is a word
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_FENCE = re.compile(
    r"^[ \t]*(```+|~~~+)[ \t]*([\w.]*)[^\n]*\n(.*?)(?:^[ \t]*\1|\Z)", re.MULTILINE | re.DOTALL
)
ARTICLES = {"a", "an", "the"}


def spoken(answer: str) -> str:
    """Return an answer without its thinking; if it has <answer> tags, the text between them."""
    said = split_thinking(answer)[0]
    tags = list(_ANSWER_TAG.finditer(said))
    begins = [at for at, tag in enumerate(tags) if tag[0][1] != "/"]
    if not begins:
        return said
    last = begins[-1]
    end = tags[last + 1].start() if last + 1 < len(tags) else len(said)
    return said[tags[last].end() : end].strip() or said


def fenced(said: str) -> list[tuple[str, str]]:
    """Return the language and the content of each code block; a last one may lack its end."""
    return [(tag.lower(), body) for _, tag, body in _FENCE.findall(said)]


def own_turn(said: str) -> str:
    """Return an answer without further questions, which base models ask and answer themselves."""
    match = _NEXT_TURN.search(said)
    return said[: match.start()] if match and said[: match.start()].strip() else said


def words(text: str) -> list[str]:
    """Return the words of a text in the form that is compared.

    Removed are differences of compatible characters (NFKC) and case, punctuation, and commas
    between thousands. Kept are accents, the point in 3.14 and the sign of -5; %, currencies and the
    unit of 100°C become words of their own.
    """
    folded = _GROUPED.sub("", _JOINED.sub("", _folded(text)))
    marked = "".join(
        char if char.isalnum() else _mark(folded, at) for at, char in enumerate(folded)
    )
    return _WORD.findall(unicodedata.normalize("NFKC", marked))


def normal(text: str) -> str:
    """Return the words of a text with single spaces, without the articles a, an and the."""
    found = words(text)
    return " ".join([word for word in found if word not in ARTICLES] or found)


def forms(text: str) -> set[str]:
    """Return the normal form of a text, and those without citations, markup and possessives."""
    bare = without_citations(text)
    plain = _FORMULA.sub(r"\1", _BOXED.sub(r"\1", without_markup(bare)))
    return {normal(one) for one in (text, bare, plain, _POSSESSIVE.sub(r"\1", plain))}


def contains(text: str, part: str) -> bool:
    """Return whether `text` has the words of `part` in order: "one" is not in "phone"."""
    wanted = normal(part)
    return bool(wanted) and any(f" {wanted} " in f" {form} " for form in forms(text))


def _folded(text: str) -> str:
    """Return Unicode's NFKC_Casefold, except that characters without a width stay."""
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFKC", once.casefold())


def _mark(text: str, at: int) -> str:
    """Return a character, a space for punctuation, or a symbol between spaces."""
    char = text[at]
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if char == "%" or unicodedata.category(char) == "Sc":
        return f" {char} "
    if char == "\u00b0":
        return f" {char}"
    if char in "-\u2212" and after.isdecimal() and not before.strip():
        return "-"
    if char in ".:/" and before.isdecimal() and after.isdecimal():
        return char
    if char == "#" and before.isalpha():
        return char
    return " " if unicodedata.category(char)[0] in "PZC" else char

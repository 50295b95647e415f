r"""The last number the answer commits itself to equals the reference.

A marked one comes first ("#### 18", "\boxed{18}", "the answer is 18"), the last mark of several;
without a mark it is the last number there is. Read are thousands separators, decimal commas, signs,
fractions, powers of ten, millions and percent; units are ignored. The option `tolerance` is how far
off, in the number's own unit, a right answer may be (0).
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.scorers import _base, _text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llamaburn.scorers._base import Question, Verdict

NEEDS = ("reference",)


class _Number(NamedTuple):
    value: Fraction
    percent: bool
    text: str


_DIGITS = (
    r"(?P<english>[1-9]\d{0,2}(?:[,'\u2019]\d{3})+(?:\.\d+)?(?!,?\d)"  # 1,234.5 and 1'234.5
    r"|[1-9]\d?(?:,\d{2})+,\d{3}(?:\.\d+)?(?!,?\d))"  # 12,34,567 in India
    r"|(?P<european>[1-9]\d{0,2}(?:\.\d{3})+,\d+|[1-9]\d{0,2}(?:\.\d{3}){2,})(?![.,]?\d)"
    r"|(?P<plain>\d+(?:[.,]\d+)?|\.\d+)(?![.,]?\d)"  # but not 1.2.3 and 1,2,3
)
_NUMBER = re.compile(
    r"(?<![\w.,^/])(?P<sign>(?<![\w)])(?<![\d)] )-)?(?:[$€£¥](?P<inner>-)?)?" + f"(?:{_DIGITS})"
    r"(?:\s?/\s?(?P<below>\d+)(?![\d/])|\s(?P<over>\d+)/(?P<under>\d+)(?![\d/]))?"
    r"(?:e(?P<e>[-+]?\d{1,3})\b|\s?[x×*·]\s?10\^(?P<ten>[-+]?\d{1,3})\b"
    r"|\^(?P<power>[-+]?\d{1,3})\b)?(?!e[-+]?\d|\^)"
    r"(?:\s(?P<scale>thousand|million|billion|trillion)\b)?"
    r"(?P<percent>\s?(?:%|per ?cent\b))?",
    re.IGNORECASE,
)
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_MARK = re.compile(
    r"####|\\boxed\b|\bfinal answer\b|\banswer\b[^.\n:=\d]{0,40}?(?:\bis\b|[:=])(?!\s+not\b)",
    re.IGNORECASE,
)
_OPERATOR = re.compile(r"\s*(?:[-+*/×·÷=]|plus\b|minus\b|times\b)\s*\S")
_END = re.compile(r"[.;!?](?=\s|$)")
_MOST_DIGITS = 400  # beyond it no answer is meant, and no machine should compute

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺"
_REWRITES = tuple(
    (re.compile(pattern), to)
    for pattern, to in (
        (f"[{_SUPERSCRIPTS}]+", lambda match: "^" + unicodedata.normalize("NFKC", match.group())),
        ("[¼-¾⅐-⅞↉]", lambda match: " " + unicodedata.normalize("NFKC", match.group())),
        (r"(?<=\d)(?:[\u00a0\u2007\u2009\u202f_]|\\,|\{,\})(?=\d{3}(?!\d))", ""),
        (r"(?<![\w.,])[1-9]\d{0,2}(?: \d{3})+(?![.,]?\d)", lambda m: m.group().replace(" ", "")),
        ("\u2044", "/"),
        ("[\u2010-\u2013\u2212](?=[\\d.$€£¥])", "-"),
        (r"\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}", r"\1/\2"),
        (r"\\(?:times|cdot)\b", "×"),
        (r"\\(?:text|mathrm|textbf|mathbf)\s*\{([^{}]*)\}", r" \1 "),
        (r"\\(?=[$%])", ""),
        (r"(?<=\d)\*\*(?=\d)", "^"),
        (r"\^\{([-+]?\d+)\}", r"^\1"),
        (r"\*\*|(?<![^\W_])_+|_+(?![^\W_])", ""),
        (r"(?i)(?<!\d )\b(?:minus|negative)\s+(?=[\d.$€£¥])", "-"),
    )
)


def score(answer: str, question: Question) -> Verdict:
    """Return whether it is the reference's number. Raises DatasetError if that is no number."""
    wanted = [_wanted(text) for text in _base.accepted(question)]
    tolerance = Fraction(str(_base.figure(question, "tolerance") or 0))
    said = _text.spoken(answer)
    if not said:
        return _base.empty()
    number = _stated(said)
    if number is None:
        return _base.unparsable("no number in the answer")
    right = any(_equal(number, one, tolerance) for one in wanted)
    return _base.scored(right, number.text, f"it is {number.text}, not {wanted[0].text}")


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason of what is no number."""
    for index, text in enumerate(_base.accepted(question)):
        if _stated(text) is None:
            yield "accept" if index else "reference", f"'{text}' is no number"
    yield from _base.bad_figures(question, "tolerance")


def _wanted(text: str) -> _Number:
    number = _stated(text)
    if number is None:
        raise DatasetError(f"the reference '{text}' is no number: give one, or another scorer")
    return number


def _equal(one: _Number, other: _Number, tolerance: Fraction) -> bool:
    """Return whether two numbers agree; 50 % is 0.5 or 50 where the other is no percentage."""
    difference = abs(one.value - other.value)
    if one.percent != other.percent:
        share, plain = (one, other) if one.percent else (other, one)
        difference = min(difference, abs(share.value / 100 - plain.value))
    return difference <= tolerance


def _stated(text: str) -> _Number | None:
    """Return the number a text commits itself to."""
    plain = _plain(text)
    end = len(plain)
    for mark in reversed(list(_MARK.finditer(plain))):
        lines = [line for line in plain[mark.end() : end].splitlines() if _numbers(line)]
        if lines:
            return _result(lines[0])
        end = mark.start()
    return next(iter(_numbers(plain)[::-1]), None)


def _plain(text: str) -> str:
    for pattern, to in _REWRITES:
        text = pattern.sub(to, text)
    return unicodedata.normalize("NFKC", text)


def _result(line: str) -> _Number:
    """Return what a marked line comes to: "3 + 4 = 7" is 7, "18, for 3 x 6 = 18" is 18."""
    clause = _END.split(line)[0]
    clause = clause if _numbers(clause) else line
    first = next(match for match in _NUMBER.finditer(clause) if _number(match))
    sums = _OPERATOR.match(clause, first.end())
    return (_numbers(clause.rpartition("=")[2]) if sums else _numbers(clause))[0]


def _numbers(text: str) -> list[_Number]:
    return [number for match in _NUMBER.finditer(text) if (number := _number(match))]


def _number(match: re.Match[str]) -> _Number | None:
    """Return a number; None for what is none after all: 2^8, a division by 0, endless digits."""
    part = match.groupdict(default="")
    below, under = int(part["below"] or 1), int(part["under"] or 1)
    if len(match.group()) > _MOST_DIGITS or not below or not under:
        return None
    value = _decimal(part) / below + Fraction(int(part["over"] or 0), under)
    if part["power"] and value != 10:
        return None
    tens = int(part["e"] or part["ten"] or 0) + _SCALES.get(part["scale"].lower(), 0)
    tens += int(part["power"] or 1) - 1
    sign = -1 if part["sign"] or part["inner"] else 1
    return _Number(sign * value * Fraction(10) ** tens, bool(part["percent"]), match.group())


def _decimal(part: dict[str, str]) -> Fraction:
    if part["european"]:
        return Fraction(part["european"].replace(".", "").replace(",", "."))
    if part["english"]:
        return Fraction(re.sub("[,'\u2019]", "", part["english"]))
    return Fraction(part["plain"].replace(",", "."))

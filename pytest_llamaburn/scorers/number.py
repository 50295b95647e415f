r"""The final number of the answer equals the reference.

A number after a marker comes first ("#### 18", "\boxed{18}", "the answer is 18"). The last marker
counts, and of several steps after it the last one. Without a marker it is the result of the last
line: a number in bold, the result of a sum, or the last number. The scorer reads thousands
separators, decimal commas, signs, fractions, powers of ten, 1.5k, millions, percent and, if there
are no digits, English number words. It ignores units. Two different numbers ("4 or 5") cannot be
read. The option `tolerance` is the largest difference of a right answer, in the unit of the number
(0).
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.scorers import _base, _text
from pytest_llamaburn.scorers._markup import without_markup, without_sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.scorers._base import Question, Score

NEEDS = ("reference",)
ADVICE = "Ask for a last line such as “Answer: 42”"


class _Number(NamedTuple):
    value: Fraction
    percent: bool
    text: str
    torn: bool = False  # the answer names another number too, as in "4 or 5"


_DIGITS = (
    r"(?P<english>[1-9]\d{0,2}(?:[,'\u2019]\d{3})+(?:\.\d+)?(?!,?\d)"  # 1,234.5 and 1'234.5
    r"|[1-9]\d?(?:,\d{2})+,\d{3}(?:\.\d+)?(?!,?\d))"  # 12,34,567 in India
    r"|(?P<european>[1-9]\d{0,2}(?:\.\d{3})+,\d+|[1-9]\d{0,2}(?:\.\d{3}){2,})(?![.,]?\d)"
    r"|(?P<plain>\d+(?:[.,]\d+)?|\.\d+)(?![.,]?\d)"  # but not 1.2.3 and 1,2,3
)
_NUMBER = re.compile(
    r"(?<![\w.,^/])(?P<sign>(?<![\w)])(?<![\d)] )-)?(?:(?P<money>[$€£¥])(?P<inner>-)?)?"
    f"(?:{_DIGITS})"
    r"(?:\s?/\s?(?P<below>\d+)(?![\d/])|\s(?P<over>\d+)/(?P<under>\d+)(?![\d/]))?"
    r"(?:e(?P<e>[-+]?\d{1,3})\b|\s?[x×*·]\s?10\^(?P<ten>[-+]?\d{1,3})\b"
    r"|\^(?P<power>[-+]?\d{1,3})\b)?(?!e[-+]?\d|\^)"
    r"(?:\s?(?P<scale>hundred|thousand|lakh|million|crore|billion|trillion)\b"
    r"|(?P<suffix>[kmbt]|[mbt]n)\b)?"
    r"(?P<percent>\s?(?:%|per ?cent\b))?",
    re.IGNORECASE,
)
_SCALES = {name: 3 * n for n, name in enumerate(("thousand", "million", "billion", "trillion"), 1)}
_SCALES |= {"hundred": 2, "lakh": 5, "crore": 7, "k": 3, "m": 6, "b": 9, "t": 12}
_SCALES |= {"mn": 6, "bn": 9, "tn": 12}
_AIMS = ("find", "get", "express", "calculate", "compute", "write", "convert", "determine")
_NO_AIM = "".join(rf"(?<!\bto {aim} the )" for aim in _AIMS)  # "to get the answer:" heads a sum
_MARKER = re.compile(
    r"####|\\boxed\b|\bfinal answer\b|\banswer\b[^.\n:=\d]{0,40}?\bis\b(?!\s+not\b)"
    rf"|{_NO_AIM}\banswer\b(?!\s+(?:as|in terms of)\b)[^.\n:=\d]{{0,40}}?[:=](?!\s+not\b)",
    re.IGNORECASE,
)
_OR = re.compile(r"\W{0,3}\bor\W{1,3}", re.IGNORECASE)
_OPERATOR = re.compile(r"[\s)]*(?:[-+*/×·÷=]|plus\b|minus\b|times\b)\s*\S")
_DIGIT = re.compile(r"\d")
_UP_TO_19 = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ONES = {word: value for value, word in enumerate(_UP_TO_19.split())}
_ONES |= {word: 10 * value for value, word in enumerate(_TENS.split(), 2)}
_NUMBER_WORD = f"(?:{'|'.join(_ONES)}|hundred|dozen|thousand|million|billion|trillion)"
_WORDED = re.compile(
    rf"(?i)(?:\b(?:minus|negative)\s)?\b(?!one\b(?!\W*$|[-\s]{_NUMBER_WORD}\b)){_NUMBER_WORD}\b"
    rf"(?:[-\s](?:and\s)?{_NUMBER_WORD}\b)*"
)  # "one" alone is a pronoun more often than not
_SPELT_OUT = re.compile(
    rf"(?i)\W{{0,9}}(?:(?:exactly|only|about|a total of|an?)\s)?{_WORDED.pattern[4:]}"
    r"(?=(?:\s(?!or\b|and\b)[a-z]+){0,2}\W{0,9}(?:$|[.,;!()])|\s(?:because|since)\b)"
)
_UNSURE = re.compile(r"(?i)\b(?:cannot|can't|unable|sorry|need|unknown|not|nor?)\b")
_END = re.compile(r"[.;!?](?=\s|$)")
_SUFFIXES = ("k", "M", "B", "mn", "bn", "tn")  # that are a scale without a currency as well: 1.5k
_BOLD = re.compile(r"\*\*([^*\n]{0,80}[^*\n:])\*\*(?!:)")
_LABEL = re.compile(r"(?im)^[ \t]*(?:step\s+\d+|\d+[.)])[:.)]?\s+")  # of a step, before its line
_ASIDE = re.compile(r"(?<=\d)[^()=\d\n]{0,20}\([^()\n]{0,80}\)")  # of 36 (12 * 3)
_BRIEF = 40  # characters of an answer that is a number and little else
_MOST_DIGITS = 400  # beyond it no answer is meant, and no machine should compute

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺"
_REWRITES = tuple(
    (re.compile(pattern), to)
    for pattern, to in (
        (f"[{_SUPERSCRIPTS}]+", lambda match: "^" + unicodedata.normalize("NFKC", match.group())),
        ("[¼-¾⅐-⅞↉]", lambda match: " " + unicodedata.normalize("NFKC", match.group())),
        (r"(?<=\d)(?:[\u00a0\u2007\u2009\u202f_]|\\,|\{,\})(?=\d{3}(?!\d))", ""),
        (r"(?<![\w.,])[1-9]\d{0,2}(?: \d{3})+(?![.,]?\d)", lambda m: m.group().replace(" ", "")),
        (r"<sup>([-+]?\d{1,3})</sup>", r"^\1"),
        (r"\s?(?:±|\+/-|\\pm)\s?\d[\d.,]*", ""),  # how far it may be off
        (
            r"(?m)(?<=\d)(\s?[^\W\d]{0,15}[.%°]?)(?:\s?\[\^?\d{1,3}\])+(?=[\s.,;]*$)",
            r"\1",
        ),  # 18 m [6]
        (r"\u3010[^\u3011\n]{1,40}\u3011", ""),
        ("\u2044", "/"),
        (r"=[ \t$]*\n\s*", "= "),
        ("[\u2010-\u2013\u2212](?=[\\d.$€£¥])", "-"),
        (r"\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}", r"\1/\2"),
        (r"\\[dt]?frac\s?(\d)\s?(\d)(?!\d)", r"\1/\2"),
        (r"\^\{?\\circ\}?", "°"),
        (r"\\(?:times|cdot)\b", "×"),
        (r"\\(?=[$%])", ""),
        (r"(?<=\d)\*\*(?=\d)", "^"),
        (r"\^\{([-+]?\d+)\}", r"^\1"),
        (r"\*\*|(?<![^\W_])_+|_+(?![^\W_])", ""),
        (r"(?i)(?<!\d )\b(?:minus|negative)\s+(?=[\d.$€£¥])", "-"),
    )
)


def score(answer: str, question: Question) -> Score:
    """Return whether the number is right; raises DatasetError if the reference is not a number."""
    wanted = [_wanted(text) for text in _base.accepted(question)]
    tolerance = Fraction(str(_base.figure(question, "tolerance") or 0))
    said = _text.spoken(answer)
    if not said:
        return _base.empty()
    own = _text.own_turn(said)
    settled = own if _MARKER.search(own) or len(own) < _BRIEF else said
    number = stated_number(settled) or stated_number(said)
    if number is None:
        return _base.unparsable("no number in the answer")
    if number.torn:
        return _base.unparsable(f"more than one number in the answer: {number.text} or another")
    right = any(_equal(number, one, tolerance) for one in wanted)
    return _base.scored(right, number.text, f"it is {number.text}, not {wanted[0].text}")


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason of whatever is not a number."""
    for index, text in enumerate(_base.accepted(question)):
        if stated_number(text) is None:
            yield "accept" if index else "reference", f"'{text}' is not a number"
    yield from _base.bad_figures(question, "tolerance")


def _wanted(text: str) -> _Number:
    number = stated_number(text)
    if number is None:
        raise DatasetError(f"the reference '{text}' is not a number: give one, or another scorer")
    return number


def _equal(one: _Number, other: _Number, tolerance: Fraction) -> bool:
    """Return whether two numbers agree; 50 % equals 0.5 and 50 if the other is not a percentage."""
    difference = abs(one.value - other.value)
    if one.percent != other.percent:
        share, plain = (one, other) if one.percent else (other, one)
        difference = min(difference, abs(share.value / 100 - plain.value))
    return difference <= tolerance


def stated_number(text: str) -> _Number | None:
    """Return the final number of a text."""
    plain = _plain(text)
    end = len(plain)
    for marker in reversed(list(_MARKER.finditer(plain))):
        found = _committed(plain[marker.end() : end])
        if found:
            return found
        end = marker.start()
    return _emphasised(text) or _last(plain) or _spelt(plain)


def _committed(after: str) -> _Number | None:
    """Return the number after a marker: the result of its line, or of the last of many steps."""
    spelt = _SPELT_OUT.match(after)
    if spelt:
        return _spelt(spelt[0])
    first, _, more = after.partition("\n")
    if len(_LABEL.findall(more)) > 1:
        more = _LABEL.sub("", more)
    lines = [line for line in (first, *more.splitlines()) if _numbers(line)]
    if not lines:
        return None
    clauses = [c for line in lines for c in _END.split(line) if _numbers(c)]
    return _result(clauses[-1] if _are_steps(clauses, first) else lines[0])


def _are_steps(clauses: Sequence[str], first: str) -> bool:
    """Return whether clauses after a marker are a calculation, not an answer and its reasons."""
    before = _NUMBER.split(clauses[0], 1)[0] if clauses else ""
    begins = first.strip() and clauses[0] in first and len(before.split()) < 2
    return not begins and sum("=" in clause for clause in clauses) > 1


def _emphasised(text: str) -> _Number | None:
    """Return the number in bold of the last line that has a number."""
    line = next((one for one in reversed(text.splitlines()) if _DIGIT.search(one)), "")
    bold = [plain for one in _BOLD.findall(line) if _numbers(plain := _plain(one))]
    return _result(bold[-1]) if bold else None


def _last(plain: str) -> _Number | None:
    """Return what the last line with a number comes to."""
    line = next((one for one in reversed(plain.splitlines()) if _numbers(one)), "")
    sums, _, result = line.rpartition("=")
    if _numbers(result) and any(_OPERATOR.match(sums, m.end()) for m in _NUMBER.finditer(sums)):
        return _numbers(result)[0]
    line = _ASIDE.sub("", line) if _numbers(_ASIDE.sub("", line)) else line
    found = _numbers(line)
    return _alone(found[-1], line) if found else None


def _spelt(text: str) -> _Number | None:
    """Return the number that a text without digits ends with in words."""
    sentence = _END.split(text.strip().rstrip(".!"))[-1]
    found = [] if _UNSURE.search(sentence) else _WORDED.findall(sentence)
    return next((_in_digits(words) for words in found[::-1]), None)


def _plain(text: str) -> str:
    text = without_markup(without_sources(text))
    for pattern, to in _REWRITES:
        text = pattern.sub(to, text)
    return unicodedata.normalize("NFKC", text)


def _result(line: str) -> _Number:
    """Return what a line with a number comes to: "3 + 4 = 7" is 7, "18, for 3 x 6 = 18" is 18."""
    clause = _END.split(line)[0]
    clause = clause if _numbers(clause) else line
    first = next(match for match in _NUMBER.finditer(clause) if _number(match))
    sums = _OPERATOR.match(clause, first.end())
    return _alone(((sums and _numbers(clause.rpartition("=")[2])) or _numbers(clause))[0], clause)


def _alone(number: _Number, clause: str) -> _Number:
    """Return a number; it is torn if its clause names it or another one."""
    found = [(match, one) for match in _NUMBER.finditer(clause) if (one := _number(match))]
    torn = any(
        number in (a, b)
        and not _equal(a, b, Fraction())
        and _OR.fullmatch(clause, first.end(), second.start())
        for (first, a), (second, b) in pairwise(found)
    )
    return number._replace(torn=torn)


def _numbers(text: str) -> list[_Number]:
    return [number for match in _NUMBER.finditer(text) if (number := _number(match))]


def _number(match: re.Match[str]) -> _Number | None:
    """Return a number; None for what is none after all: 2^8, a division by 0, endless digits."""
    part = match.groupdict(default="")
    if len(match.group()) > _MOST_DIGITS:
        return None
    below, under = int(part["below"] or 1), int(part["under"] or 1)
    if not below or not under:
        return None
    value = _decimal(part) / below + Fraction(int(part["over"] or 0), under)
    if part["power"] and value != 10:
        return None
    scales = bool(part["money"]) or part["suffix"] in _SUFFIXES
    scale = part["scale"] or (part["suffix"] if scales else "")
    text = match.group() if scales else match.group().removesuffix(part["suffix"])
    tens = int(part["e"] or part["ten"] or 0) + _SCALES.get(scale.lower(), 0)
    tens += int(part["power"] or 1) - 1
    sign = -1 if part["sign"] or part["inner"] else 1
    return _Number(sign * value * Fraction(10) ** tens, bool(part["percent"]), text)


def _in_digits(words: str) -> _Number | None:
    """Return the number that English words name."""
    total = part = 0
    for word in re.findall(r"[a-z]+", words.lower()):
        if word in _ONES:
            part += _ONES[word]
        elif word in ("hundred", "dozen"):
            part = max(part, 1) * (100 if word == "hundred" else 12)
        elif word in _SCALES:
            total, part = total + max(part, 1) * 10 ** _SCALES[word], 0
    sign = -1 if words.lower().startswith(("minus", "negative")) else 1
    return _Number(Fraction(sign * (total + part)), percent=False, text=words)


def _decimal(part: dict[str, str]) -> Fraction:
    if part["european"]:
        return Fraction(part["european"].replace(".", "").replace(",", "."))
    if part["english"]:
        return Fraction(re.sub("[,'\u2019]", "", part["english"]))
    return Fraction(part["plain"].replace(",", "."))

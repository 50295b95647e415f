"""Numbers in words: the questions of the correctness mode, and which answers are correct.

num2words gives the expected answer (the oracle). An answer is split into its longest runs of number
words, so that "one hundred" is not found inside "one hundred one". Each run must be an accepted
spelling of the number in the question. Other words around the runs are ignored.
"""

from __future__ import annotations

import random
import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.datasets import Prompt
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.registry import unknown
from pytest_llamaburn.stats import samples
from pytest_llamaburn.thinking import split_thinking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_llamaburn.documents import Document

# The numbers of each magnitude. Decimals are hundredths, without whole numbers.
_RANGES = {
    "0-20": range(21),
    "tens": range(21, 100),
    "hundreds": range(100, 1000),
    "thousands": range(1000, 1_000_000),
    "millions": range(1_000_000, 1_000_000_000),
    "negatives": range(-999, 0),
    "decimals": range(99 * 1000),
}
MAGNITUDES = tuple(_RANGES)

# num2words has more languages. Left out are those in which it raises, hangs or writes two of these
# numbers alike, and those that join words ("centotto"), which cannot be read one by one.
_LANGUAGES = {
    "az": "Azerbaijani",
    "be": "Belarusian",
    "ca": "Catalan",
    "de": "German",
    "en": "English",
    "eo": "Esperanto",
    "es": "Spanish",
    "fr": "French",
    "id": "Indonesian",
    "ko": "Korean",
    "kz": "Kazakh",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "nl": "Dutch",
    "no": "Norwegian",
    "pt": "Portuguese",
    "pt_BR": "Brazilian Portuguese",
    "ro": "Romanian",
    "sr": "Serbian",
}


class Item(NamedTuple):
    """One question; `number` is the number in digits."""

    id: str
    number: str
    magnitude: str


class Score(NamedTuple):
    """Whether an answer is correct, and if not, the reason. `heard` are the numbers in the answer.

    A failed request is not scored here: it is wrong if the model failed, else `correct` is None.
    """

    correct: bool | None
    reason: str
    heard: str


class _Spelling(NamedTuple):
    """The spellings of a language that are accepted besides the oracle's.

    - `rewrites` bring both sides to one form.
    - `particles` are words with other meanings too; one alone is not a number.
    - `known` are number words that the oracle does not use.
    - After the word `grouped`, the decimals may be written as one number.
    """

    rewrites: tuple[tuple[str, str], ...] = ()
    particles: str = ""
    known: str = ""
    grouped: str = ""


_ORACLE_ONLY = _Spelling()
_SPELLINGS = {
    "en": _Spelling(
        rewrites=(
            (r"\b(hundred|thousand|million) and (?=\w)", r"\1 "),
            (r"\ban? (?=hundred|thousand|million)", "one "),
            (r"\bnegative\b", "minus"),
        ),
        particles="a an and comma dot minus negative point",
        known="dozen half hundreds hundredths quarter tenths thousands trillion",
    ),
    "de": _Spelling(
        rewrites=(
            (r"\bfuenf", "funf"),
            (r"\bzwoelf\b", "zwolf"),
            (r"\b(hundert|tausend|million(?:en)?) und (?=\w)", r"\1 "),
            (r"\beins (?=tausend)", "ein "),  # the oracle's "einhunderteinstausend"
            (r"\bein (?=hundert)", ""),
            (r"(?<!hundert )\bein (?=tausend)", ""),
            (r"\bein (?=million)", "eine "),
        ),
        particles="ein eine komma minus punkt und",
        known="fuenf fuenfzig hundert tausend zwoelf",
    ),
    "fr": _Spelling(
        rewrites=((r"\b(cent|million|vingt)s\b", r"\1"), (r"\bune\b", "un")),
        particles="et moins point un une virgule",
        known="demi huitante nonante octante septante",
        grouped="virgule",
    ),
    "es": _Spelling(
        rewrites=(
            (r"\b(veinti)?uno (?=mil)", r"\1un "),  # the oracle's "veintiuno mil"
            (r"\bcoma\b", "punto"),
        ),
        particles="coma menos punto un una y",
        known="medio veintiun",
        grouped="punto",
    ),
}

_TOKEN = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*|\d+(?:[.,]\d+)*|\n|\S")
_HYPHENS = re.compile("[\u2010\u2012\u2013\u2212]")
_UNSEEN = re.compile("[\u0300-\u036f\u00ad\u200b-\u200f\u2060\ufeff]")  # accents, invisible marks
_EMPHASIS = re.compile(r"[*_`]+")
_HEARD = 200  # maximum length of `heard`; an answer can be very long
# Together, these numbers use all words of the oracle for the numbers in the questions.
_SAMPLES = (
    *range(100),
    *range(100, 1000, 100),
    *(n * 10**zeros for zeros in range(3, 10) for n in (1, 2, 5)),
    *(101, 111, 121, 1001, 21_000, 1_001_001, -1, 0.5),
)


def languages() -> list[str]:
    """Return the codes of the supported languages."""
    return sorted(_LANGUAGES)


def numbers(count: int, seed: int) -> list[Item]:
    """Return `count` different questions, chosen by the seed, from each magnitude in turn.

    A magnitude without numbers left (0-20 has only 21) is skipped.
    """
    rng = random.Random(seed)  # noqa: S311 - a reproducible choice, not a secret
    drawn = {m: rng.sample(r, min(count, len(r))) for m, r in _RANGES.items()}
    in_turn = [(m, d[i]) for i in range(count) for m, d in drawn.items() if i < len(d)][:count]
    return [Item(f"number-{i:03d}", _digits(m, n), m) for i, (m, n) in enumerate(in_turn, 1)]


def _digits(magnitude: str, drawn: int) -> str:
    if magnitude != "decimals":
        return str(drawn)
    whole, hundredths = divmod(drawn, 99)
    return f"{whole}.{hundredths + 1:02d}".rstrip("0")


def prompt(item: Item, lang: str) -> str:
    """Return the question.

    Raises SettingsError for an unknown language, listing the known ones.
    """
    return (
        f"Write the number {item.number} in words in {_name(lang)}. "
        "Answer with the words only: no digits, no explanation, nothing else."
    )


def prompts(count: int, seed: int, lang: str) -> list[Prompt]:
    """Return the questions of the correctness mode; their categories are magnitudes."""
    return [Prompt(item.id, item.magnitude, prompt(item, lang)) for item in numbers(count, seed)]


def expected(item: Item, lang: str) -> str:
    """Return the expected answer.

    Raises SettingsError for an unknown language, listing the known ones.
    """
    _name(lang)
    return _oracle(item.number, lang)


def _name(lang: str) -> str:
    if lang not in _LANGUAGES:
        raise SettingsError(unknown("language", lang, languages()))
    return _LANGUAGES[lang]


def _oracle(number: str, lang: str) -> str:
    """Return num2words' form; it must not be used for -0.5 and the like, whose sign it loses."""
    from num2words import num2words  # type: ignore[import-untyped]

    form: str = num2words(float(number) if "." in number else int(number), lang=lang)
    return form


def score(answer: str, item: Item, lang: str) -> Score:
    """Return whether an answer contains the number, in words, and no other number.

    Case, hyphens, commas, accents, emphasis, other words and separate digits are ignored. Thinking
    is removed; if it does not end, the answer is empty. The reasons are: empty; no number in words;
    digits, not words; another number; ambiguous.

    Raises SettingsError for an unknown language, listing the known ones.
    """
    _name(lang)
    text = split_thinking(answer)[0]
    runs, forms = _runs(_plain(text), lang), _accepted(item.number, lang)
    spoken = [r for r in runs if _is_number(r, lang) or _names(r, forms, lang)]
    heard = list(dict.fromkeys(_form(r, lang) for r in spoken or runs))
    fault = _fault(spoken, forms, lang) if spoken else _silence(text, runs)
    return Score(not fault, fault, "; ".join(heard)[:_HEARD])


def _fault(spoken: Sequence[str], forms: frozenset[str], lang: str) -> str:
    if all(_names(run, forms, lang) for run in spoken):
        return ""
    if len({_form(run, lang) for run in spoken}) > 1:
        return "ambiguous"
    return "digits, not words" if _has_digit(spoken[0]) else "another number"


def _silence(text: str, runs: Sequence[str]) -> str:
    if not text:
        return "empty"
    return "digits, not words" if any(map(_has_digit, runs)) else "no number in words"


def _plain(text: str) -> str:
    """Return a text in lower case, without accents and emphasis, with all hyphens as "-"."""
    bare = _UNSEEN.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return _EMPHASIS.sub(" ", _HYPHENS.sub("-", bare))


def _runs(text: str, lang: str) -> list[str]:
    """Return the longest runs of number words, digits and commas.

    Any other word or mark ends a run, and so does the end of a line. A hyphenated word counts only
    if all its parts are number words: "one-word" does not.
    """
    marked = (_marked(token, lang) for token in _TOKEN.findall(text))
    stretches = (run.strip(" ,") for run in " ".join(marked).split("|"))
    return [run for run in stretches if run]


def _marked(text: str, lang: str) -> str:
    if text == "," or text[0].isdecimal():
        return text
    pieces = [" ".join(_atoms(piece, lang)) for piece in text.split("-")]
    return " ".join(pieces) if all(pieces) else "|"


def _atoms(word: str, lang: str) -> list[str]:
    """Return the number words that make up a word; an empty list if other parts remain."""
    parts = _vocabulary(lang).findall(word)
    return parts if sum(map(len, parts)) == len(word) else []


@lru_cache
def _vocabulary(lang: str) -> re.Pattern[str]:
    """Return a pattern of the number words that do not consist of shorter ones, longest first."""
    spelling = _SPELLINGS.get(lang, _ORACLE_ONLY)
    text = _plain(" ".join(_oracle(str(number), lang) for number in _SAMPLES))
    words = {*re.findall(r"[^\W\d_]+", text), *f"{spelling.particles} {spelling.known}".split()}
    shortest: set[str] = set()
    for word in sorted(words, key=len):
        if not _made_of(word, shortest):
            shortest.add(word)
    return re.compile("|".join(sorted(shortest, key=len, reverse=True)))


def _made_of(word: str, parts: set[str]) -> bool:
    ends = range(1, len(word) + 1)
    return not word or any(word[:i] in parts and _made_of(word[i:], parts) for i in ends)


@lru_cache
def _accepted(number: str, lang: str) -> frozenset[str]:
    """Return the accepted forms of a number: the oracle's, and the one with grouped decimals."""
    spellings = [_oracle(number, lang)]
    whole, _, decimals = number.partition(".")
    point = _SPELLINGS.get(lang, _ORACLE_ONLY).grouped
    if point and decimals and decimals[0] != "0":  # "virgule cinq" is 0.5, never 0.05
        spellings.append(f"{_oracle(whole, lang)} {point} {_oracle(decimals, lang)}")
    read = [_runs(_plain(spelling), lang) for spelling in spellings]
    return frozenset(_form(run, lang) for (run,) in read)  # each spelling is exactly one run


def _names(run: str, forms: frozenset[str], lang: str) -> bool:
    """Return whether a run is one of the forms, or several of them separated by commas."""
    return _form(run, lang) in forms or all(_form(p, lang) in forms for p in run.split(","))


def _is_number(run: str, lang: str) -> bool:
    spelling = _SPELLINGS.get(lang, _ORACLE_ONLY)
    return _form(run, lang) not in spelling.particles.split() and any(map(str.isalpha, run))


def _form(run: str, lang: str) -> str:
    """Return the normal form of a run, in which runs are compared."""
    form = " ".join(run.replace(",", " ").split())
    for pattern, replacement in _SPELLINGS.get(lang, _ORACLE_ONLY).rewrites:
        form = re.sub(pattern, replacement, form)
    return form


def _has_digit(run: str) -> bool:
    return any(map(str.isdecimal, run))


def summary(rows: Iterable[Mapping[str, Any]]) -> Document:
    """Return the number and share of correct answers, in total and by magnitude.

    A row has `id`, `magnitude` and `correct`. A row whose `correct` is None was not judged and is
    not counted. Of several rows of a number, only the first counts, because the others are not
    independent. The keys are n, correct, accuracy, wilson95 ([low, high] of the accuracy),
    by_magnitude and, if n is 0, the reason.
    """
    firsts: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if row["correct"] is not None:
            firsts.setdefault(row["id"], row)
    judged = [*firsts.values()]
    groups = {m: [r for r in judged if r["magnitude"] == m] for m in MAGNITUDES}
    by_magnitude = {m: _rate(group) for m, group in groups.items() if group}
    return {**_rate(judged), "by_magnitude": by_magnitude}


def _rate(rows: Sequence[Mapping[str, object]]) -> Document:
    n, correct = len(rows), sum(bool(row["correct"]) for row in rows)
    accuracy = correct / n if n else None
    rate = {
        "n": n,
        "correct": correct,
        "accuracy": accuracy,
        "wilson95": samples.wilson(correct, n),
    }
    return rate if n else {**rate, "reason": "no_samples"}

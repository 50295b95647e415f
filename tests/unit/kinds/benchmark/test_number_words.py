"""Numbers to words: every spelling of the number is accepted, and no other number's is."""

from __future__ import annotations

import re
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.benchmark.number_words import (
    MAGNITUDES,
    Item,
    Score,
    expected,
    languages,
    numbers,
    prompt,
    score,
    summary,
)
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROVEN = ("en", "de", "fr", "es")

decimals = st.tuples(st.integers(0, 999), st.integers(1, 99)).map(
    lambda parts: f"{parts[0]}.{parts[1]:02d}".rstrip("0")
)
whole = (
    st.integers(-999, 1200) | st.integers(1000, 999_999) | st.integers(1_000_000, 999_999_999)
).map(str)
asked = whole | decimals

RESPELLINGS = {
    "en": [
        (r" and ", " "),
        (r"\bone (?=hundred|thousand|million)", "a "),
        (r"minus", "negative"),
        (r", ", " "),
        (r" (?=thousand|million)", "-"),
    ],
    "de": [
        (r"(?<!\w)ein(?=hundert|tausend)", ""),
        (r"einhundert", "hundert"),
        (r"einstausend", "eintausend"),
        (r"(?<=hundert)(?=\w)(?!tausend)", "und"),
        (r"(?<=tausend)(?=\w)", " "),
        (r"(?<!h)und", " und "),
        ("ß", "ss"),
        ("ü", "ue"),
        ("ö", "oe"),
        (r"(?=hundert|tausend)", " "),
    ],
    "fr": [(r" ", "-"), (r"-", " "), (r"(?<=cent|ingt|lion)s\b", ""), ("é", "e")],
    "es": [
        (r"uno (?=mil)", "ún "),
        (r"uno (?=mil)", "un "),
        (r"punto", "coma"),
        ("é", "e"),
        ("ó", "o"),
        (r"(?<=\w) (?=y |mil)", "-"),
    ],
}
LETTERS: tuple[Callable[[str], str], ...] = (str, str.upper, str.title, str.capitalize)
HYPHENS = ("-", "\u2010", "\u2011", "–", "\u00ad-", " ")
WRAPPINGS = (
    "{}",
    " {}.\n",
    "**{}**",
    "_{}_!",
    '"{}"',
    "«\xa0{}\xa0»",
    "\u2018{}\u2019",
    "```text\n{}\n```",
    "`{}`",
    "- {}",
    "({})",
    "{},",
    "<think>\nIs it two, or three hundred?\n</think>\n\n{}",
    "deux, zwei, dos, two</think>{}",
    "The answer is {}.",
    "Sure! In words: {}",
    "The number 42 is written as {}",
    "42 = {}",
    "One-word answer: {}",
    "$\\text{{{}}}$",
    "{0}; {0}",
    "{0}\n{0}",
    "{0} ({0})",
)
LOCAL_WRAPPINGS = {
    "en": ("The number is: {}, as a word.", "In words, that is {}; the point is made."),
    "de": ("Die Zahl lautet {}.", "Hier ist eine Antwort: {}", "Als ein Wort: {}"),
    "fr": ("Le nombre s'écrit {}.", "Voici une réponse : {}", "C\u2019est un nombre : {}"),
    "es": ("El número se escribe {}.", "Aquí tienes una respuesta: {}", "Es un número: {}"),
}


def item(number: str) -> Item:
    return Item("number-001", number, "any")


def number_score(answer: str, number: str, lang: str = "en") -> Score:
    return score(answer, item(number), lang)


@st.composite
def spelt(draw: st.DrawFn, number: str, lang: str) -> str:
    """Return the oracle's form in some accepted spelling."""
    form = expected(item(number), lang)
    for pattern, replacement in RESPELLINGS[lang]:
        if draw(st.booleans()):
            form = re.sub(pattern, replacement, form)
    case = draw(st.sampled_from(LETTERS))
    return case(form.replace("-", draw(st.sampled_from(HYPHENS))))


@st.composite
def answers(draw: st.DrawFn, number: str, lang: str) -> str:
    """Return an answer that names the number, in some accepted spelling and sentence."""
    wrapping = draw(st.sampled_from((*WRAPPINGS, *LOCAL_WRAPPINGS[lang])))
    return wrapping.format(draw(spelt(number, lang)))


def relatives(number: str) -> Iterator[str]:
    """Yield other numbers whose words overlap with this one's."""
    bare = number.lstrip("-")
    yield bare if bare != number else f"-{number}" if number != "0" and "." not in number else "1"
    yield from {part for part in bare.split(".") if part == str(int(part))} - {number}
    if "." in bare:
        before, after = bare.split(".")
        yield from {f"{before}.{d}" for d in (after[-1], f"0{after[-1]}")} - {number}
    else:
        yield from {str(int(bare[cut:])) for cut in range(1, len(bare))} - {number}
        yield from {bare[:cut] for cut in range(1, len(bare))} - {number}
        yield from {f"{bare}.5", f"{bare}.05", str(int(bare) + 1)}
        yield from {str(int(bare) * n) for n in (10, 100, 1000) if int(bare) * n < 10**9} - {number}


@pytest.mark.parametrize("lang", PROVEN)
@given(data=st.data(), number=asked)
def test_every_accepted_spelling_in_any_wrapping_is_correct(
    lang: str, data: st.DataObject, number: str
) -> None:
    answer = data.draw(answers(number, lang))
    assert number_score(answer, number, lang)[:2] == (True, "")


@pytest.mark.parametrize("lang", PROVEN)
@given(data=st.data(), number=asked)
def test_no_spelling_of_another_number_is_correct(
    lang: str, data: st.DataObject, number: str
) -> None:
    near = st.sampled_from(sorted(relatives(number)))
    other = data.draw((near | asked).filter(lambda other: other != number))
    assert not number_score(data.draw(answers(other, lang)), number, lang).correct
    assert not number_score(data.draw(answers(number, lang)), other, lang).correct


@pytest.mark.parametrize("lang", PROVEN)
@given(data=st.data(), number=asked)
def test_two_different_numbers_are_ambiguous(lang: str, data: st.DataObject, number: str) -> None:
    other = data.draw(st.integers(2, 99).map(str).filter(lambda other: other != number))
    both = f"{data.draw(spelt(other, lang))}\n{data.draw(spelt('7' + other, lang))}"
    for answer in (both, f"{data.draw(spelt(number, lang))}. {data.draw(spelt(other, lang))}"):
        # One in French and a in French are one word.
        if (number, lang) != ("1", "fr"):
            assert number_score(answer, number, lang)[:2] == (False, "ambiguous")


@pytest.mark.parametrize("lang", languages())
def test_no_two_numbers_share_a_form_and_each_accepts_its_own(lang: str) -> None:
    small = range(-120, 1130) if lang in PROVEN else range(-30, 130)
    seen = set()
    for number in dict.fromkeys((*map(str, small), *(i.number for i in numbers(200, 7)))):
        found = number_score(expected(item(number), lang), number, lang)
        assert found.correct, number
        assert found.heard not in seen, number
        seen.add(found.heard)


@given(text=st.text(), lang=st.sampled_from(languages()), number=asked)
def test_no_text_makes_judging_fail(text: str, lang: str, number: str) -> None:
    assert number_score(text, number, lang).correct in (True, False)


scraps = ["one", "hundred", "and", "a", "-", ",", "\n", "7", ".", "<think>", "</think>", "|", "*"]


@given(st.lists(st.sampled_from(scraps)), st.sampled_from(["", " "]), asked)
def test_no_jumble_of_number_words_makes_judging_fail(
    jumble: list[str], between: str, number: str
) -> None:
    found = number_score(between.join(jumble), number)
    assert found.correct is (found.reason == "")


@pytest.mark.parametrize(
    "scrap", ["one ", "one-", "one, ", "onehundred", "x", "9,", "*", "- ", "<think>", "\u0301"]
)
def test_a_long_answer_is_judged_in_time(scrap: str) -> None:
    start = time.process_time()
    found = number_score(scrap * (200_000 // len(scrap)) + "x", "1001")
    assert time.process_time() - start < 5
    assert not found.correct
    assert len(found.heard) <= 200


@pytest.mark.parametrize(
    ("number", "answer", "reason"),
    [
        ("100", "one hundred one", "another number"),
        ("101", "one hundred", "another number"),
        ("5", "seventy-five", "another number"),
        ("5", "seventyfive", "another number"),
        ("42", "-", "no number in words"),
        ("42", "I cannot do that.", "no number in words"),
        ("42", "quarante-deux", "no number in words"),
        ("2", "fourty-two", "no number in words"),
        ("42", "42", "digits, not words"),
        ("42", "The answer is 42, or 4 2.", "digits, not words"),
        ("300", "3 hundred", "digits, not words"),
        ("1000", "1, thousand", "digits, not words"),
        ("42", "", "empty"),
        ("42", " \n", "empty"),
        ("42", "<think>forty-two, I am sure", "empty"),
        ("42", "<think>forty-two</think>", "empty"),
        ("42", "forty-two or forty-three", "ambiguous"),
        ("42", "forty-two forty-two", "another number"),
        ("55", "five, five", "another number"),
        ("100", "one hundred and", "another number"),
        ("3", "three and a half", "another number"),
        ("3", "three point", "another number"),
        ("5", "point five", "another number"),
        ("-5", "five", "another number"),
        ("5", "minus five", "another number"),
        ("3.14", "three dot one four", "another number"),
        ("3.14", "three point fourteen", "another number"),
        ("200", "two hundred trillion", "another number"),
    ],
)
def test_a_wrong_answer_is_refused_for_a_reason(number: str, answer: str, reason: str) -> None:
    assert number_score(answer, number)[:2] == (False, reason)


@pytest.mark.parametrize(
    ("lang", "number", "answer"),
    [
        ("de", "42", "vierzigzwei"),
        ("de", "42", "zweivierzig"),
        ("de", "100000", "hunderteintausend"),
        ("de", "1", "Ich bin ein Sprachmodell"),
        ("de", "3.14", "drei Komma vierzehn"),
        ("fr", "2", "nonante-deux"),
        ("fr", "92", "nonante deux"),
        ("fr", "21", "vingt-un"),
        ("fr", "3", "trois point trois"),
        ("fr", "3.05", "trois virgule cinq"),
        ("fr", "3.5", "trois virgule zéro cinq"),
        ("es", "3.05", "tres coma cinco"),
        ("es", "1", "Esto es un problema"),
        ("es", "42", "cuarenta dos"),
        ("es", "30", "treinta y"),
    ],
)
def test_what_is_no_spelling_of_the_number_is_refused(lang: str, number: str, answer: str) -> None:
    assert not number_score(answer, number, lang).correct


@pytest.mark.parametrize(
    ("lang", "number", "answer"),
    [
        ("de", "101000", "hunderteintausend"),
        ("de", "1000001", "eine Million und eins"),
        ("de", "15", "fuenfzehn"),
        ("fr", "21", "vingt-et-un"),
        ("fr", "80", "quatre-vingt"),
        ("fr", "3.14", "trois virgule quatorze"),
        ("es", "21000", "veintiún mil"),
        ("es", "31000", "treinta y un mil"),
        ("es", "22", "veintidos"),
        ("es", "3.14", "tres coma catorce"),
        ("en", "42", "forty-two, forty two, Forty-Two"),
    ],
)
def test_usual_answers_that_are_not_in_the_oracles_spelling_are_accepted(
    lang: str, number: str, answer: str
) -> None:
    assert number_score(answer, number, lang).correct


def test_a_verdict_says_what_was_heard() -> None:
    assert number_score("Forty-Two! Or 7, or one hundred and three?", "42").heard == (
        "forty two; one hundred three"
    )
    assert number_score("It is 43.", "42").heard == "43"


@pytest.mark.parametrize(
    ("lang", "forms"),
    [
        ("en", ("one hundred and one", "minus five", "three point one four")),
        ("de", ("einhunderteins", "minus fünf", "drei Komma eins vier")),
        ("fr", ("cent un", "moins cinq", "trois virgule un quatre")),
        ("es", ("ciento uno", "menos cinco", "tres punto uno cuatro")),
    ],
)
def test_the_expected_form_is_the_oracles(lang: str, forms: tuple[str, ...]) -> None:
    assert tuple(expected(item(n), lang) for n in ("101", "-5", "3.14")) == forms


def test_the_prompt_names_number_and_language_and_asks_for_words_only() -> None:
    asked_for = prompt(item("-342"), "pt_BR")
    assert asked_for.startswith("Write the number -342 in words in Brazilian Portuguese.")
    assert "only" in asked_for


def test_an_unknown_language_is_refused_with_the_near_and_the_known_ones() -> None:
    for ask in (prompt, expected, lambda i, lang: score("", i, lang)):
        with pytest.raises(SettingsError, match=r"'pt-BR'; did you mean 'pt_BR'\? .*az, .*, sr"):
            ask(item("1"), "pt-BR")


@given(st.integers(0, 250), st.integers())
def test_questions_are_distinct_and_as_many_as_asked_for(count: int, seed: int) -> None:
    made = numbers(count, seed)
    assert len({i.number for i in made}) == len({i.id for i in made}) == len(made) == count
    assert numbers(count, seed) == made


@given(st.integers(1, 147), st.integers())
def test_questions_are_spread_evenly_over_the_magnitudes(count: int, seed: int) -> None:
    shares = [sum(i.magnitude == m for i in numbers(count, seed)) for m in MAGNITUDES]
    assert max(shares) - min(shares) <= 1


def test_another_seed_asks_other_questions() -> None:
    assert numbers(20, 1) != numbers(20, 2)


@given(st.integers())
def test_a_number_lies_in_its_magnitude(seed: int) -> None:
    bounds = dict(zip(MAGNITUDES, pairwise((0, 21, 100, 1000, 10**6, 10**9)), strict=False))
    for made in numbers(70, seed):
        low, high = bounds.get(made.magnitude, (-999, 1000))
        assert low <= float(made.number) < high
        assert made.number.startswith("-") is (made.magnitude == "negatives")
        assert ("." in made.number) is (made.magnitude == "decimals")
        assert str(float(made.number)).removesuffix(".0") == made.number


def test_the_first_questions_have_readable_ids_and_one_of_each_magnitude() -> None:
    made = numbers(7, 0)
    assert tuple(i.magnitude for i in made) == MAGNITUDES
    assert [i.id for i in made][:2] == ["number-001", "number-002"]


def test_a_summary_counts_altogether_and_by_magnitude_what_was_judged() -> None:
    rows: list[dict[str, Any]] = [
        {"id": "1", "magnitude": "tens", "correct": True},
        {"id": "2", "magnitude": "tens", "correct": False},
        {"id": "3", "magnitude": "0-20", "correct": True},
        {"id": "4", "magnitude": "millions", "correct": None},
    ]
    found = summary(rows)
    assert (found["n"], found["correct"], found["accuracy"]) == (3, 2, pytest.approx(2 / 3))
    assert found["wilson95"] == samples.wilson(2, 3)
    assert list(found["by_magnitude"]) == ["0-20", "tens"]
    assert found["by_magnitude"]["tens"] == {
        "n": 2,
        "correct": 1,
        "accuracy": 0.5,
        "wilson95": samples.wilson(1, 2),
    }


def test_a_number_that_was_asked_for_again_counts_once_by_its_first_answer() -> None:
    answers = [("1", None), ("1", False), ("2", True), ("1", True), ("2", False), ("2", True)]
    found = summary({"id": i, "magnitude": "tens", "correct": correct} for i, correct in answers)
    assert (found["n"], found["correct"]) == (2, 1)
    assert found["wilson95"] == samples.wilson(1, 2)


def test_a_summary_of_nothing_says_why_it_is_empty() -> None:
    assert summary([]) == {
        "n": 0,
        "correct": 0,
        "accuracy": None,
        "wilson95": None,
        "reason": "no_samples",
        "by_magnitude": {},
    }


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@example((0, 1))
@example((10, 10))
def test_the_wilson_interval_holds_the_share_within_0_and_1(counts: tuple[int, int]) -> None:
    successes, n = counts
    interval = samples.wilson(successes, n)
    assert interval is not None
    low, high = interval
    assert 0 <= low <= successes / n + 1e-12
    assert successes / n - 1e-12 <= high <= 1


def test_the_wilson_interval_is_the_textbooks() -> None:
    assert samples.wilson(8, 10) == pytest.approx([0.4902, 0.9433], abs=1e-4)
    assert samples.wilson(0, 10) == pytest.approx([0, 0.2775], abs=1e-4)
    assert samples.wilson(0, 0) is None

"""What counts as right: each scorer against the shapes that answers have, and their traps."""

from __future__ import annotations

import re
import subprocess
import sys
from fractions import Fraction
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.containment import contained

from pytest_llamaburn import registry, sandbox
from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.scorers import (
    _text,
    choice,
    code,
    exact,
    includes,
    json_schema,
    number,
    regex,
    wer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class Asked(NamedTuple):
    """A question, as far as scorers look."""

    reference: str | None = None
    options: Mapping[str, Any] = {}


def test_scorers_are_named_as_in_eval_sets() -> None:
    named = ("choice", "code", "exact", "includes", "json-schema", "number", "regex", "wer")
    assert registry.names("scorers") == named
    for name in named:
        needs = registry.load("scorers", name).NEEDS
        assert needs
        with pytest.raises(DatasetError, match=f"lacks '{needs[0]}'"):
            registry.load("scorers", name).score("18", Asked())


@pytest.mark.parametrize("silence", ["", " \n", "<think>It is 18.", "<think>18</think>\n"])
def test_silence_is_empty_and_wrong(silence: str) -> None:
    options = {"choices": ["a", "b"], "schema": {}, "tests": "", "pattern": ""}
    for name in registry.names("scorers"):
        reference = "1" if name == "number" else "A"
        verdict = registry.load("scorers", name).score(silence, Asked(reference, options))
        assert verdict[:4] == (False, "empty", "the answer is empty", None)


# Reading.


@pytest.mark.parametrize(
    ("answer", "rest"),
    [
        ("18", "18"),
        ("<think>17?</think> 18", "18"),
        ("<THINK>17?</THINK>\n\n18", "18"),
        ("<thinking>17</thinking>18<reasoning>19</reasoning>", "18"),
        ("the template opened it, 17</think>18", "18"),
        ("<think>a <think> b</think> c</think>18", "18"),
        ("18\n<think>or is it", "18"),
        ("18 <think>or is it", "18 <think>or is it"),
        ("<think>cut", ""),
        ("i think 18 < 19 and 20 > 19", "i think 18 < 19 and 20 > 19"),
    ],
)
def test_thinking_is_no_answer(answer: str, rest: str) -> None:
    assert _text.spoken(answer) == rest


@given(st.text())
def test_normal_form_is_its_own_normal_form(text: str) -> None:
    assert _text.normal(_text.normal(text)) == _text.normal(text)


@given(st.text(alphabet="the an3.,-%$'#ß ǅ½\u0345\u0301é"))
def test_normal_form_of_awkward_letters_is_its_own(text: str) -> None:
    assert _text.normal(_text.normal(text)) == _text.normal(text)


# exact and includes.


@pytest.mark.parametrize(
    ("answer", "reference", "right"),
    [
        ("Paris", "Paris", True),
        ("  paris.\n", "Paris", True),
        ("**Paris**", "Paris", True),
        ("The Hague", "hague", True),
        ("The The", "the the", True),
        ("\uff30ARIS", "Paris", True),
        ("STRASSE", "Straße", True),
        ("Don\u2019t!", "don't", True),
        ("twenty-one", "Twenty One", True),
        ("1,000", "1000", True),
        ("20%", "20 %", True),
        ("$5", "$ 5", True),
        ("William Shakespeare's", "William Shakespeare", True),
        ("Shakespeare\u2019s.", "Shakespeare", True),
        ("McDonalds", "McDonald's", True),
        ("McDonald's", "McDonald's", True),
        ("100 °C", "100°C", True),
        ("100 ℃", "100°c", True),
        ("100°C", "100", False),
        ("It's", "it", False),
        ("glass", "glas", False),
        ("Paris, France", "Paris", False),
        ("Paris", "Pari", False),
        ("3.14", "314", False),
        ("-5", "5", False),
        ("C#", "C", False),
        ("résumé", "resume", False),
    ],
)
def test_exact(answer: str, reference: str, right: bool) -> None:
    verdict = exact.score(answer, Asked(reference))
    assert verdict[:2] == (right, "scored")
    assert bool(verdict.reason) is not right


@pytest.mark.parametrize("accept", ["USA", ["America", "USA"]])
def test_alternatives_are_accepted(accept: str | list[str]) -> None:
    asked = Asked("United States", {"accept": accept})
    assert exact.score("the U.S.A.", asked).correct is False
    assert exact.score("USA", asked).correct
    assert includes.score("It is the USA.", asked)[:4] == (True, "scored", "", "USA")


@pytest.mark.parametrize(
    ("answer", "reference", "right"),
    [
        ("The capital is Paris.", "Paris", True),
        ("It's *Paris*!", "Paris", True),
        ("It is not Paris", "Paris", True),
        ("the phone", "one", False),
        ("one-way", "one", True),
        ("new york city", "New York", True),
        ("new, old York", "New York", False),
        ("5.5", "5", False),
        ("50%", "50", True),
        ("$20 million", "20", True),
        ("-5", "5", False),
        ("It boils at 100°C.", "100", True),
        ("It boils at 100°C.", "100°C", True),
        ("It boils at 1100°C.", "100", False),
        ("It boils at 100°C.", "C", False),
        ("William Shakespeare's plays", "Shakespeare", True),
        ("It is Shakespeare's", "Shakespeare's", True),
        ("Let's see", "let", False),
        ("法国的首都是巴黎。", "巴黎", True),
        ("在Paris的", "Paris", True),
        ("anything", "?", False),
    ],
)
def test_includes_matches_whole_words(answer: str, reference: str, right: bool) -> None:
    assert includes.score(answer, Asked(reference))[:2] == (right, "scored")


@pytest.mark.parametrize(
    ("answer", "pattern", "found"),
    [
        ("v1.2.3 is out", r"\d+\.\d+\.\d+", "1.2.3"),
        ("YES", "(?i)^yes$", "YES"),
        ("YES", "^yes$", None),
    ],
)
def test_regex(answer: str, pattern: str, found: str | None) -> None:
    verdict = regex.score(answer, Asked(options={"pattern": pattern}))
    assert verdict[:2] == (found is not None, "scored")
    assert verdict.extracted == (found or answer)


def test_faulty_pattern_is_the_sets_fault() -> None:
    with pytest.raises(
        DatasetError, match=r"the pattern '\(' is not a regular expression: missing"
    ):
        regex.score("x", Asked(options={"pattern": "("}))


# number.


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("18", "18"),
        ("18.", "18"),
        ("It costs 3 × 6, so\n#### 18", "18"),
        ("#### 1,234.5\n", "1234.5"),
        (r"so $\boxed{18}$.", "18"),
        (r"\boxed{\frac{3}{4}}", "3/4"),
        (r"\boxed{\text{about }1{,}234\text{ m}}", "1234"),
        ("Final Answer: The final answer is $\\boxed{72}$. I hope it is correct.", "72"),
        ("**Answer:** 18 apples of 20", "18"),
        ("The answer is 1,234.5 dollars.", "1234.5"),
        ("The answer, in dollars, is $18. There were 5.", "18"),
        ("The answer is 3 + 4 = 7.", "7"),
        ("The answer is 18 because 2 × 9 = 18 and 18 - 3 = 15.", "18"),
        ("The answer is $x = 5$", "5"),
        ("The answer is 5. No: the answer is 6.", "6"),
        ("The answer is not 5 but 6", "6"),
        ("The final answer is below:\n\n18 apples", "18"),
        ("Answer: Sure. 18", "18"),
        ("The answer is unknown", None),
        ("We get 5, then 7.", "7"),
        ("10 - 5 = 5", "5"),
        ("10 -5", "5"),
        ("see pages 3–5", "5"),
        ("- 5 apples\n- 6 pears", "6"),
        ("1\u202f234\u202f567", "1234567"),
        ("1 234 567", "1234567"),
        ("in 2020 100 people", "100"),
        ("1'234.5", "1234.5"),
        ("12,34,567", "1234567"),
        ("1_000", "1000"),
        ("1.234.567,8", "1234567.8"),
        ("1.234.567", "1234567"),
        ("3,5", "3.5"),
        ("0,125", "0.125"),
        (".5", "0.5"),
        ("\uff11\uff12", "12"),
        ("1½ cups", "1.5"),
        ("2 1/2 cups", "2.5"),
        ("3 / 4", "0.75"),
        ("3\u20444", "0.75"),
        ("−5", "-5"),
        ("minus 5 degrees", "-5"),
        ("negative $5", "-5"),
        ("10 minus 5", "5"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("x=-5", "-5"),
        ("1.2e5", "120000"),
        ("1.2E-3", "0.0012"),
        ("1.2 × 10⁵", "120000"),
        (r"$1.2 \times 10^{-3}$", "0.0012"),
        ("10^5", "100000"),
        ("10**5", "100000"),
        ("$1.5 million", "1500000"),
        ("3 Thousand", "3000"),
        ("18kg", "18"),
        ("the 18th", "18"),
        ("5 m^2", "5"),
        ("5 m²", "5"),
        ("CO2 makes 5", "5"),
        ("no idea", None),
        ("2^10", None),
        ("2^{x}", None),
        ("1e9999", None),
        ("1/0", None),
        ("version 1.2.3", None),
        ("1,2,3", None),
        ("9" * 500, None),
    ],
)
def test_number_is_read(answer: str, value: str | None) -> None:
    verdict = number.score(answer, Asked(value or "1"))
    wanted = (True, "scored", "") if value else (False, "unparsable", "no number in the answer")
    assert verdict[:3] == wanted


@pytest.mark.parametrize(
    ("answer", "reference", "options", "right"),
    [
        ("17", "18", {}, False),
        ("50%", "0.5", {}, True),
        ("50 percent", "50", {}, True),
        ("0.5", "50%", {}, True),
        ("0.5%", "50%", {}, False),
        ("5%", "50", {}, False),
        ("3.14", "3.14159", {}, False),
        ("3.14", "3.14159", {"tolerance": 0.01}, True),
        ("3.13", "3.14159", {"tolerance": 0.01}, False),
        ("12345678901234567891", "12345678901234567890", {}, False),
        ("18", "She has 3 × 6 apples.\n#### 18", {}, True),
        ("12", "twelve: 11", {"accept": ["12"]}, True),
        ("-18", "18", {}, False),
    ],
)
def test_number_is_compared(
    answer: str, reference: str, options: dict[str, Any], right: bool
) -> None:
    assert number.score(answer, Asked(reference, options)).correct is right


def test_number_of_a_wrong_answer_is_named() -> None:
    verdict = number.score("it is 17", Asked("18"))
    assert verdict == (False, "scored", "it is 17, not 18", "17", {})


@pytest.mark.parametrize("options", [{"tolerance": "much"}, {"tolerance": True}])
def test_tolerance_is_a_number(options: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match="the option 'tolerance' is"):
        number.score("18", Asked("18", options))


def test_reference_without_a_number_is_the_sets_fault() -> None:
    with pytest.raises(DatasetError, match="the reference 'many' is not a number"):
        number.score("18", Asked("many"))


STATEMENTS = (
    "{}",
    "#### {}",
    r"\boxed{{{}}}",
    "The answer is {}.",
    "**{}**",
    "4 or 5? {}",
    "$x = {}$",
)


@given(
    st.integers(-(10**12), 10**12),
    st.integers(0, 999),
    st.sampled_from(["", ",", "'", "\u202f", "_"]),
    st.sampled_from(["-", "−", "–", "minus "]),
    st.sampled_from(STATEMENTS),
)
def test_decimal_is_read_back(
    whole: int, thousandths: int, comma: str, minus: str, statement: str
) -> None:
    digits = f"{abs(whole):,}".replace(",", comma) + f".{thousandths:03d}"
    value = Fraction(f"{abs(whole)}.{thousandths:03d}") * (-1 if whole < 0 else 1)
    text = statement.format((minus if whole < 0 else "") + digits)
    sign = "-" if whole < 0 else ""
    assert number.stated_number(text) == (value, False, sign + _read(digits), False)


def _read(digits: str) -> str:
    return digits.replace("\u202f", "").replace("_", "")


@given(st.fractions(), st.sampled_from(STATEMENTS))
def test_fraction_is_read_back(value: Fraction, statement: str) -> None:
    stated = number.stated_number(statement.format(value))
    assert stated is not None
    assert stated.value == value


@given(st.integers(1, 10**6), st.integers(-300, 300), st.sampled_from(["{}e{}", "{} × 10^{{{}}}"]))
def test_power_of_ten_is_read_back(mantissa: int, exponent: int, form: str) -> None:
    stated = number.stated_number(form.format(mantissa, exponent))
    assert stated is not None
    assert stated.value == mantissa * Fraction(10) ** exponent


@given(st.text())
def test_any_text_has_one_number_or_none(text: str) -> None:
    assert number.score(text, Asked("1")).state in {"scored", "unparsable", "empty"}


# choice.

CITIES = {"choices": ["London", "Paris", "York", "New York"]}


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("B.", "B"),
        ("(B)", "B"),
        ("[B]", "B"),
        ("'B'", "B"),
        ("**B**", "B"),
        ("\uff22", "B"),
        ("B) Paris", "B"),
        ("B - Paris", "B"),
        ("B: Paris", "B"),
        ("B. Paris is the capital.", "B"),
        ("Option B", "B"),
        ("Answer: B", "B"),
        ("Answer\nB", "B"),
        ("**Answer:** B", "B"),
        ("answer is b", "B"),
        ("The answer is B.", "B"),
        ("The answer is B because Paris", "B"),
        ("The answer is option B because it is so.", "B"),
        ("The answer is the letter B", "B"),
        ("The correct answer is (B) Paris.", "B"),
        ("The correct answer to the question is B", "B"),
        ("The best choice would be B", "B"),
        ("The answer is:\n\n**B**", "B"),
        ("#### B", "B"),
        (r"$\boxed{B}$", "B"),
        (r"\boxed{\text{B}}", "B"),
        ("So it must be (B).", "B"),
        ("B is the correct answer", "B"),
        ("My answer is B, since A is in England", "B"),
        ("I'd go with C", "C"),
        ("I choose option D.", "D"),
        ("A", "A"),
        ("A is correct", "A"),
        ("The answer is A because", "A"),
        ("Answer: A London", "A"),
        ("Paris", "B"),
        ("paris.", "B"),
        ("The answer is Paris.", "B"),
        ("The capital of France is Paris.", "B"),
        ("Answer: New York", "D"),
        ("Answer: York", "C"),
        ("It must be New York", "D"),
        ("The answer is B. Final answer: C", "C"),
        ("A. London\nB. Paris\nC. York\nD. New York\n\nB", "B"),
        ("Let's see: A is London, which is wrong. The correct option: B", "B"),
        ("<think>A</think>B", "B"),
    ],
)
def test_choice_is_found(answer: str, letter: str) -> None:
    verdict = choice.score(answer, Asked("B", CITIES))
    assert verdict[:2] == (letter == "B", "scored")
    assert verdict.extracted == letter


BLOOD = {"choices": ["O", "A", "B", "AB"]}


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(B)", "B"),
        ("A", "A"),
        ("A) O", "A"),
        ("B) A", "B"),
        ("B: A", "B"),
        ("C) B", "C"),
        ("The answer is B", "B"),
        ("The answer is B) A.", "B"),
        ("AB", "D"),
        ("O", "A"),
        ("The blood type is AB, a rare one.", "D"),
        ("The blood type is B.", "C"),
    ],
)
def test_letter_is_a_choice_before_it_is_a_text(answer: str, letter: str) -> None:
    verdict = choice.score(answer, Asked("B", BLOOD))
    assert (verdict.extracted, verdict.correct) == (letter, letter == "B")


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("It is vitamin C.", "B"),
        ("It is vitamin A.", "A"),
        ("Answer: Vitamin A", "A"),
        ("Hague", "C"),
        ("It must be the Hague", "C"),
        ("iron", "D"),
        ("The answer is the iron.", "D"),
    ],
)
def test_article_is_left_out_only_before_a_text(answer: str, letter: str) -> None:
    options = {"choices": ["Vitamin A", "Vitamin C", "The Hague", "an iron"]}
    assert choice.score(answer, Asked("B", options)).extracted == letter


@pytest.mark.parametrize(
    "answer",
    [
        "A good question. Let me think.",
        "The answer is A good question",
        "The answer is a good one",
        "I think so",
        "I",
        "A cat sat",
        "Not sure",
        "E",
        "The answer is E",
        "The answer is not B",
        "B is not correct",
        "B. London",
        "The answer is A or B",
        "Answer: A, B",
        "Answer: B and C",
        "The answer is B. Wait, the answer is C.",
        "A. London\nB. Paris\nC. York\nD. New York",
        "A) London is wrong.\nB) Paris is right.",
        "Between London and Paris",
        "Perhaps (A), perhaps (B)",
    ],
)
def test_no_single_choice_is_unparsable(answer: str) -> None:
    verdict = choice.score(answer, Asked("B", CITIES))
    assert (verdict.correct, verdict.state) == (False, "unparsable")


@given(st.sampled_from("ABCD"), st.sampled_from(["{}", "({})", "Answer: {}", "**{}.**", "{}\n"]))
def test_letter_alone_is_always_read(letter: str, form: str) -> None:
    assert choice.score(form.format(letter), Asked("B", CITIES)).extracted == letter


@pytest.mark.parametrize("reference", ["B", "b", "(B)", "Paris", "paris"])
def test_reference_is_a_letter_or_a_text(reference: str) -> None:
    assert choice.score("B", Asked(reference, CITIES)).correct
    assert choice.score("C", Asked(reference, CITIES)).reason == "it is C, not B"


def test_choices_may_have_their_letters() -> None:
    asked = Asked("C", {"choices": {"a": "1", "c": "3"}})
    assert choice.score("3", asked).correct
    assert choice.score("B", asked).state == "unparsable"


@pytest.mark.parametrize("choices", [["one"], ["x"] * 11, {"Z": "1", "A": "2"}])
def test_choices_are_two_to_ten(choices: Any) -> None:
    with pytest.raises(DatasetError, match="give 2 to 10 texts"):
        choice.score("A", Asked("A", {"choices": choices}))


def test_reference_beside_the_choices_is_the_sets_fault() -> None:
    with pytest.raises(DatasetError, match="the reference 'Rome' is not one of the choices"):
        choice.score("A", Asked("Rome", CITIES))


# json-schema.

PERSON = {
    "type": "object",
    "required": ["age"],
    "properties": {"age": {"type": "integer", "minimum": 0}},
}


@pytest.mark.parametrize(
    ("answer", "correct"),
    [
        ('{"age": 5}', True),
        ('Here you are:\n```json\n{"age": 5}\n```\nEnjoy!', True),
        ('As [you said]: {"age": 5} {"age": "no"}', True),
        ('<think>{"age": -1}</think>{"age": 5}', True),
        ('{"age": -5}', False),
        ('{"name": "x"}', False),
        ("[1]", False),
        ("5", False),
        ('{"age": NaN}', None),
        ('{"age": 5', None),
        ("I am five.", None),
        ("{" * 5000, None),
        ("[" * 50_000, None),
    ],
)
def test_json_schema(answer: str, correct: bool | None) -> None:
    verdict = json_schema.score(answer, Asked(options={"schema": PERSON}))
    assert verdict.correct is bool(correct)
    assert verdict.state == ("unparsable" if correct is None else "scored")


def test_json_fault_is_named_with_its_place() -> None:
    verdict = json_schema.score('so: {"age": -5}.', Asked(options={"schema": PERSON}))
    assert verdict.reason == "$.age: -5 is less than the minimum of 0"
    assert verdict.extracted == '{"age": -5}'


@pytest.mark.parametrize("schema", [{"type": "number-ish"}, {"$ref": "https://example.com/x"}])
def test_faulty_schema_is_the_sets_fault(schema: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match="'schema' "):
        json_schema.score("{}", Asked(options={"schema": schema}))


# wer.


@pytest.mark.parametrize(
    ("said", "reference", "rate", "raw"),
    [
        ("the cat sat", "the cat sat", 0, 0),
        ("The cat sat.", "the cat sat", 0, 2 / 3),
        ("the cat", "the cat sat", 1 / 3, 1 / 3),
        ("the big cat sat", "the cat sat", 1 / 3, 1 / 3),
        ("the hat sat", "the cat sat", 1 / 3, 1 / 3),
        ("fifty dollars", "$50", 0, 2),
        ("colour", "color", 0, 1),
    ],
)
def test_word_error_rate(said: str, reference: str, rate: float, raw: float) -> None:
    verdict = wer.score(said, Asked(reference, {"max_wer": 0.1}))
    assert verdict.correct is (rate <= 0.1)
    assert verdict.details["wer"] == pytest.approx(rate)
    assert verdict.details["wer_raw"] == pytest.approx(raw)
    assert verdict.details["normaliser"] == "whisper-english"


def test_errors_are_counted_by_kind() -> None:
    details = wer.score("a b x d e", Asked("b c d e f", {"language": "xx"})).details
    counts = [details[kind] for kind in ("substitutions", "deletions", "insertions")]
    assert sum(counts) == 3
    assert details["reference_words"] == 5
    assert details["wer"] == 3 / 5


def test_rate_without_a_bound_is_measured_not_judged() -> None:
    verdict = wer.score("the hat", Asked("the cat"))
    assert verdict[:3] == (None, "scored", "measured only: no max_wer is set")
    assert wer.score("the hat", Asked("the cat", {"max_wer": 0.2})).reason == (
        "WER is 0.500, above 0.2"
    )


def test_other_languages_are_normalised_by_form_alone() -> None:
    verdict = wer.score("zwei Häuser!", Asked("Zwei häuser", {"language": "de", "max_wer": 0}))
    assert verdict.correct
    assert verdict.details["normaliser"] == "basic"


def test_languages_without_spaces_are_counted_by_the_letter() -> None:
    details = wer.score("你好吗", Asked("你好", {"language": "zh"})).details
    assert (details["insertions"], details["reference_words"]) == (1, 2)


def test_silence_is_right_where_nothing_was_said() -> None:
    assert wer.score("", Asked("", {"max_wer": 0}))[:2] == (True, "scored")
    verdict = wer.score("two words", Asked(" "))
    assert verdict[:3] == (False, "scored", "the answer has words, the reference has none")
    assert verdict.details["wer"] is None
    assert verdict.details["insertions"] == 2


def test_silence_loses_every_word() -> None:
    verdict = wer.score("", Asked("the cat sat"))
    assert verdict[:2] == (False, "empty")
    assert (verdict.details["wer"], verdict.details["deletions"]) == (1, 3)


@pytest.mark.parametrize(
    ("hidden", "call", "said"),
    [
        ("jiwer", "wer.score('a', Q('b', {}))", "needs the extra [audio]: pip install"),
        ("jsonschema", "json_schema.score('1', Q('', {'schema': {}}))", "needs the extra [judge]"),
        ("whisper_normalizer", "wer.score('a', Q('b', {})).details['normaliser']", "basic"),
    ],
)
def test_missing_extra_is_named(hidden: str, call: str, said: str) -> None:
    program = (
        f"import sys; sys.modules[{hidden!r}] = None\n"
        "from collections import namedtuple\n"
        "from pytest_llamaburn.scorers import json_schema, wer\n"
        "Q = namedtuple('Q', 'reference options')\n"
        f"try: print({call})\nexcept Exception as err: print(err)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert said in done.stdout


# code.

TESTS = {"tests": ["assert add(1, 2) == 3", "assert add(-1, 1) == 0"], "timeout_s": 5}
ADD = "def add(a, b):\n    return a + b\n"


@contained
@pytest.mark.parametrize(
    "answer",
    [
        ADD,
        f"Sure!\n\n```python\n{ADD}```\nThis adds.",
        f"```py\n{ADD}```",
        f"```\n{ADD}```",
        f"~~~python\n{ADD}~~~",
        f"<think>```python\ndef add(): 1\n```</think>\n```python\n{ADD}```",
        f"First:\n```python\ndef add(a, b): return 0\n```\nBetter:\n```python\n{ADD}```",
        "1. Like so:\n    ```python\n    def add(a, b):\n        return a + b\n    ```",
        f"```python\n{ADD}```\nOutput:\n```\n3\n```\n```text\nadd = 1\n```",
        f"```python\n{ADD}",
        f"```python\n{ADD}\nif __name__ == '__main__':\n    print(add(*input()))\n```",
        "```python\nadd = lambda a, b: a + b  # '\\d'\n```",
        "```python\nfrom __future__ import annotations\nadd: X = lambda a, b: a + b\n```",
    ],
)
def test_program_that_passes_is_right(answer: str) -> None:
    verdict = code.score(answer, Asked(options=TESTS))
    assert verdict[:3] == (True, "scored", "")
    assert verdict.details["happened"] == "finished"
    assert verdict.details["runtime_ms"] > 0


@contained
@pytest.mark.parametrize(
    ("program", "happened"),
    [
        ("def add(a, b): return 3", "assertion"),
        ("def sub(a, b): return 3", "exception"),
        ("def add(a, b): return 1 / 0", "exception"),
        ("def add(a, b): raise SystemExit(0)", "exit"),
        ("import os\nos._exit(0)", "exit"),
        ("def add(a, b): return bytearray(1 << 40)", "memory"),
        ("def add(a, b): return open('/etc/passwd').read()", "exception"),
        ("while True: print('x' * 999)", "output"),
    ],
)
def test_program_that_fails_is_wrong(program: str, happened: str) -> None:
    verdict = code.score(f"```python\n{program}\n```", Asked(options=TESTS))
    assert verdict[:2] == (False, "scored")
    assert verdict.details["happened"] == happened
    assert verdict.reason.startswith(f"{happened}: ")


@contained
def test_program_out_of_time_is_wrong() -> None:
    options = {"tests": "", "timeout_s": 0.5, "memory_mb": 256}
    verdict = code.score("while True: pass", Asked(options=options))
    assert verdict.details["happened"] == "timeout"
    assert verdict.details["runtime_ms"] is None


@contained
def test_failed_assertion_is_quoted() -> None:
    verdict = code.score("def add(a, b): return 3", Asked(options=TESTS))
    assert verdict.reason.endswith("(line 4: assert add(-1, 1) == 0)")


@contained
def test_block_with_the_entry_point_is_the_program() -> None:
    answer = f"```python\n{ADD}```\nUse it:\n```python\nfrom answers import add\nadd(1, 2)\n```"
    assert not code.score(answer, Asked(options=TESTS)).correct
    assert code.score(answer, Asked(options={**TESTS, "entry_point": "add"})).correct
    asked = Asked(options={"tests": "assert Add", "entry_point": "Add"})
    assert code.score("```\nclass Add: pass\n```\n```\nx = 1\n```", asked).correct


@pytest.mark.parametrize(
    "answer",
    [
        "Sorry",
        "I cannot do that.",
        "```\ndef add(a, b:\n```",
        "```rust\nfn add() {}\n```",
        "```\n3\n```",
        "x = " + "(" * 5000,
        "\0",
    ],
)
def test_text_without_a_program_is_unparsable(answer: str) -> None:
    verdict = code.score(answer, Asked(options=TESTS))
    assert verdict[:3] == (False, "unparsable", "no Python program in the answer")


@pytest.mark.parametrize(
    "answer",
    [
        "```python\ndef add(a, b:\n```",
        "```python\ndef add(a, b):\nreturn a + b\n```",
        "```\ndef add(a, b:\n```",
        "```\nadd = lambda a, b -> a + b\n```",
        "```python\nx = 1\n```\n```python\ndef add(a, b:\n```",
        "```python\n\0\n```",
    ],
)
def test_program_that_python_cannot_read_is_wrong(answer: str) -> None:
    verdict = code.score(answer, Asked(options={**TESTS, "entry_point": "add"}))
    assert verdict[:2] == (False, "scored")
    assert re.match(r"exception: (Syntax|Indentation|Value)Error: ", verdict.reason)


@contained
@pytest.mark.parametrize("draft", ["def add(a, b) -> int", "add(1, 2)\n>>> 3"])
def test_block_that_python_can_read_is_preferred(draft: str) -> None:
    answer = f"```python\n{ADD}```\nThat is:\n```python\n{draft}\n```"
    assert code.score(answer, Asked(options={**TESTS, "entry_point": "add"})).correct


@contained
@pytest.mark.parametrize("entry_point", ["add", None])
@pytest.mark.parametrize(
    "blocks",
    [
        ("import math", "def add(a, b):\n    return math.floor(a + b)"),
        ("def add(a, b):\n    return plus(a, b)", "def plus(a, b):\n    return a + b"),
        ("add = lambda a, b: a + b", "assert add(1, 2) == 3"),
        (ADD, "result = add(1, 2)\nassert result == 3"),
        (
            "from functools import cache\nZERO = 0",
            "@cache\ndef plus(a, b):\n    return a + b + ZERO",
            "from __future__ import annotations\ndef add(a: X, b: X):\n    return plus(a, b)",
        ),
    ],
)
def test_program_has_what_it_uses_of_other_blocks(
    blocks: tuple[str, ...], entry_point: str | None
) -> None:
    answer = "\n".join(f"```python\n{block}\n```" for block in blocks)
    options = {**TESTS, "entry_point": entry_point}
    assert code.score(answer, Asked(options=options))[:3] == (True, "scored", "")


@contained
def test_example_beside_the_program_is_not_run() -> None:
    answer = f"```python\n{ADD}```\n```python\nx = add(1)\nassert add(1, 1) == 3\n```"
    assert code.score(answer, Asked(options={**TESTS, "entry_point": "add"})).correct


@contained
@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_preamble_is_there_for_program_and_tests(future: str) -> None:
    preamble = "from math import *\n\ndef twice(x):\n    return 2 * x\n"
    options = {"preamble": preamble, "entry_point": "f", "tests": ["assert f(2) == twice(1)"]}
    answer = f"```python\n{future}def f(x):\n    return floor(twice(x) / 2)\n```"
    assert code.score(answer, Asked(options=options))[:3] == (True, "scored", "")


@given(st.text(alphabet="adef():=1\n `@,.'\\\0"))
def test_any_answer_has_a_program_or_none(text: str) -> None:
    blocks = code._blocks(f"```python\n{text}\n```", "f")
    program = code._chosen(blocks, "f")
    assert (program is None) is not bool(blocks)
    if program is not None:
        assert code._joined(program, blocks, "assert f()", "")


def test_code_is_unavailable_without_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox._filter, "MACHINES", ())
    verdict = code.score(ADD, Asked(options=TESTS))
    assert verdict[:2] == (None, "unavailable")
    assert verdict.reason.startswith("answers that are code cannot be run safely here")


@given(st.integers(0, 8), st.data())
def test_pass_at_k_is_the_share_of_draws_with_a_pass(n: int, data: st.DataObject) -> None:
    passed = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, 9))
    draws = [any(one < passed for one in draw) for draw in combinations(range(n), k)]
    wanted = sum(draws) / len(draws) if draws else None
    assert code.pass_at_k(n, passed, k) == (None if wanted is None else pytest.approx(wanted))

"""`number` against the shapes that answers have, and their traps."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.questions import Asked

from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.scorers import (
    number,
)


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

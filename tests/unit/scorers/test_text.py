"""What of an answer is read, in its normal form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llamaburn.scorers import (
    _text,
)


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

"""The prompt of a judge."""

from __future__ import annotations

import pytest
from support.judging import CASE

from pytest_llamaburn.judges._prompt import absolute, defuse


def test_same_material_has_the_same_digest_under_every_key() -> None:
    one_, other = absolute(CASE, "accuracy"), absolute(CASE, "accuracy")
    assert one_.user != other.user
    assert one_.sha256 == other.sha256
    assert one_.sha256 != absolute(CASE, "coherence").sha256


def test_prompt_without_a_reference_says_so_and_one_with_a_rubric_has_it() -> None:
    bare = absolute(CASE._replace(reference=None), "accuracy").user
    assert "There is no reference" in bare
    assert "<<<REFERENCE" not in bare
    full = absolute(CASE._replace(rubric="Name the river."), "empathy")
    assert "Name the river." in full.user
    assert "criterion, empathy: in its usual sense." in full.system


@pytest.mark.parametrize(
    "code",
    [
        "cout << answer;",
        "Map<String, List<Question>> m;",
        ">>> 1 << 2",
        "if a < b: pass",
        "x <- 3 # R",
        "e\u0301 👩\u200d🔬",
        "<html><body></body></html>",
    ],
)
def test_code_in_an_answer_is_left_as_it_is(code: str) -> None:
    assert defuse(code) == code


def test_text_that_cannot_be_sent_is_made_to() -> None:
    assert defuse("half \ud83d pair") == "half \N{REPLACEMENT CHARACTER} pair"

"""`regex` against the shapes that answers have."""

from __future__ import annotations

import pytest
from support.questions import Asked

from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.scorers import (
    regex,
)


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

"""`includes` against the shapes that answers have."""

from __future__ import annotations

import pytest
from support.questions import Asked

from pytest_llamaburn.scorers import (
    includes,
)


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

"""`exact` against the shapes that answers have."""

from __future__ import annotations

import pytest
from support.questions import Asked

from pytest_llamaburn.scorers import (
    exact,
    includes,
)


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

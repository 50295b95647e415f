"""The agreement of a jury, with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from pytest_llamaburn.stats import jury

if TYPE_CHECKING:
    from collections.abc import Sequence

AGREED = [(1, 1), (3, 3), (5, 5), (2, 2), (4, 4)]
MIXED = [(1, 1), (3, 2), (5, 5), (2, 4), (4, 4), (1, 2), (5, 3), (3, 3)]


def ratings(pairs: Sequence[tuple[float, float]]) -> list[list[tuple[str | None, float | None]]]:
    return [[("a", a), ("b", b)] for a, b in pairs]


def test_judges_that_agree_have_an_alpha_of_one() -> None:
    found = jury.alpha(ratings(AGREED))
    assert found is not None
    assert (found.value, found.n, found.reason) == (1, 5, None)


def test_alpha_has_an_interval_that_is_narrower_with_more_answers() -> None:
    widths = []
    for times in (1, 9):
        found = jury.alpha(ratings(MIXED * times))
        assert found is not None
        low, high = found.ci95 or (1, 0)
        assert low < (found.value or 0) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_a_judge_rates_an_answer_by_the_median_of_its_scores() -> None:
    repeated = [[("a", a), ("a", a), ("a", 1.0), ("b", b)] for a, b in AGREED]
    found = jury.alpha(repeated)
    assert found is not None
    assert found.value == 1


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        ([[("a", 3.0), ("b", None)]], "no unit has two ratings"),
        ([[("a", 3.0), ("b", 3.0)]], "all ratings are equal"),
        ([[("a", 3.0), ("b", 4.0)]], "too few values differ for an interval"),
    ],
)
def test_without_a_value_or_an_interval_there_is_a_reason(
    given_: list[list[tuple[str | None, float | None]]], reason: str
) -> None:
    found = jury.alpha(given_)
    assert found is not None
    assert (found.ci95, found.reason) == (None, reason)


def test_one_judge_or_a_rule_is_no_jury() -> None:
    assert jury.alpha([[("a", 3.0), ("a", 4.0), (None, 1.0)]]) is None


@how(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=12))
def test_alpha_lies_in_its_interval_or_says_why_it_has_none(pairs: list[tuple[int, int]]) -> None:
    found = jury.alpha(ratings(pairs))
    assert found is not None
    assert (found.ci95 is None) == (found.reason is not None)
    assert found.value is None or found.value <= 1

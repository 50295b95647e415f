"""Statistics of agreement against scipy, scikit-learn and krippendorff, and on degenerate input."""

from __future__ import annotations

import json
import math
import warnings
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import krippendorff as oracle
import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from pytest_llamaburn.stats import agreement, figures, games, jury
from pytest_llamaburn.stats.games import Game

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_llamaburn.stats.agreement import Statistic
    from pytest_llamaburn.stats.figures import Figure

SCORES = st.integers(1, 5)
PAIRS = st.lists(st.tuples(SCORES, SCORES), min_size=0, max_size=40)
NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)
REAL_PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=20)
CORRELATIONS: dict[str, tuple[Statistic, str]] = {  # with the name of scipy's
    "pearson": (agreement.pearson, "pearsonr"),
    "spearman": (agreement.spearman, "spearmanr"),
    "kendall": (agreement.kendall, "kendalltau"),
}
EVERY: dict[str, Statistic] = {
    **{name: ours for name, (ours, _) in CORRELATIONS.items()},
    "qwk": agreement.qwk,
    "exact": agreement.exact,
    "within_one": agreement.within_one,
    "mae": agreement.mae,
    "bias": agreement.bias,
    "alpha": agreement.alpha,
}


def unzipped(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [float(a) for a, _ in pairs], [float(b) for _, b in pairs]


def theirs(work: Callable[..., Any], *arguments: Any, **named: Any) -> float:
    """Return an oracle's value, NaN where it has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = work(*arguments, **named)
    return float(getattr(found, "statistic", found))


def same(ours: Figure, other: float) -> None:
    """Check a figure against an oracle: our None is its NaN, and has a reason."""
    if ours.value is None:
        assert math.isnan(other)
        assert ours.reason
    else:
        assert ours.value == pytest.approx(other, abs=1e-9)


@pytest.mark.parametrize("name", CORRELATIONS)
@given(pairs=PAIRS.filter(lambda p: len(p) >= 3))
def test_correlations_of_scores_are_scipys(name: str, pairs: list[tuple[int, int]]) -> None:
    x, y = unzipped(pairs)
    ours, other = CORRELATIONS[name]
    same(ours(x, y), theirs(getattr(scipy.stats, other), x, y))


@pytest.mark.parametrize("name", ["spearman", "kendall"])
@given(pairs=REAL_PAIRS)
def test_rank_correlations_of_any_numbers_are_scipys(
    name: str, pairs: list[tuple[float, float]]
) -> None:
    x, y = unzipped(pairs)
    ours, other = CORRELATIONS[name]
    same(ours(x, y), theirs(getattr(scipy.stats, other), x, y))


@given(pairs=PAIRS.filter(lambda p: len(p) >= 3))
def test_weighted_kappa_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    from sklearn.metrics import cohen_kappa_score

    x, y = unzipped(pairs)
    labels = [1, 2, 3, 4, 5]
    other = theirs(cohen_kappa_score, x, y, labels=labels, weights="quadratic")
    same(agreement.qwk(x, y), other)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@given(
    table=st.integers(2, 4).flatmap(
        lambda raters: st.lists(
            st.lists(st.none() | SCORES, min_size=raters, max_size=raters), min_size=1, max_size=15
        )
    )
)
def test_alpha_is_krippendorffs(level: str, table: list[list[int | None]]) -> None:
    ratings = [list(rater) for rater in zip(*table, strict=True)]
    found = jury.krippendorff(ratings, level)
    shared = [unit for unit in table if sum(v is not None for v in unit) > 1]
    assert found.n == len(shared)
    if len({v for unit in shared for v in unit if v is not None}) < 2:
        assert found.value is None
        assert found.reason
        return
    data = [[math.nan if v is None else v for v in rater] for rater in ratings]
    other = theirs(oracle.alpha, reliability_data=data, level_of_measurement=level)
    assert found.value == pytest.approx(other, abs=1e-9)


@pytest.mark.parametrize("name", EVERY)
@how(max_examples=40)
@given(pairs=PAIRS)
def test_no_figure_is_ever_nan_and_none_has_a_reason(
    name: str, pairs: list[tuple[int, int]]
) -> None:
    found = EVERY[name](*unzipped(pairs))
    assert (found.value is None) == (found.reason is not None)
    assert found.value is None or math.isfinite(found.value)
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize("name", ["pearson", "spearman", "kendall", "qwk"])
def test_fewer_than_three_pairs_have_no_correlation(name: str) -> None:
    found = EVERY[name]([1, 2], [1, 2])
    assert (found.value, found.reason, found.n) == (None, "fewer than 3 pairs", 2)


def test_constant_rater_has_no_correlation_but_a_weighted_kappa_of_zero() -> None:
    constant, other = [3.0] * 4, [1.0, 2.0, 4.0, 5.0]
    for name in ("pearson", "spearman", "kendall"):
        assert EVERY[name](constant, other).reason == "a rater is constant"
        assert EVERY[name](other, constant).reason == "a rater is constant"
    assert agreement.qwk(constant, other).value == pytest.approx(0)
    assert agreement.qwk(constant, constant).reason == "both raters are constant and equal"


def test_raters_of_different_items_are_refused() -> None:
    with pytest.raises(ValueError, match="same items"):
        agreement.pearson([1, 2, 3], [1, 2])


def test_plain_figures_are_what_they_say() -> None:
    x, y = [1.0, 2, 3, 4], [1.0, 3, 5, 4]
    assert agreement.exact(x, y).value == 0.5
    assert agreement.within_one(x, y).value == 0.75
    assert agreement.mae(x, y).value == 0.75
    assert agreement.bias(x, y).value == 0.75
    assert agreement.confusion(x, y, (1, 3, 5)) == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


# Intervals


def test_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(60):
        x = rng.normal(size=40)
        y = 0.6 * x + 0.8 * rng.normal(size=40)
        low, high = agreement.with_interval(agreement.pearson, x, y).ci95 or (9, 9)
        held += low <= 0.6 <= high
    assert 50 <= held <= 60


TABLES = {  # how often people give the row's score and the judge the column's
    "strong": (
        (10, 1, 0, 0, 0),
        (1, 10, 1, 0, 0),
        (0, 1, 15, 1, 0),
        (0, 0, 2, 15, 1),
        (0, 0, 0, 1, 12),
    ),
    "good": (
        (6, 3, 1, 0, 0),
        (3, 10, 5, 1, 0),
        (1, 5, 16, 6, 1),
        (0, 1, 7, 16, 5),
        (0, 0, 1, 5, 9),
    ),
    "weak": ((3, 4, 4, 2, 1), (3, 6, 6, 4, 2), (2, 6, 10, 8, 4), (1, 4, 8, 10, 8), (1, 2, 4, 8, 9)),
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", ["qwk", "spearman", "alpha"])
def test_lower_end_for_ten_labels_is_rarely_above_the_truth(name: str, table: str) -> None:
    chances = np.array(TABLES[table], float).ravel() / np.sum(TABLES[table])
    x, y = (np.repeat([*range(1, 6)], 5), np.tile([*range(1, 6)], 5))
    whole = agreement.Pairs(x.astype(float), y.astype(float), chances[None] * 1e7)
    truth = float(EVERY[name].of_samples(whole)[0])
    rng, above, held = np.random.default_rng(3), 0, 0
    for chosen in (rng.choice(25, 10, p=chances) for _ in range(120)):
        low, high = agreement.with_interval(EVERY[name], x[chosen], y[chosen]).ci95 or (-1, 1)
        above += low > truth
        held += low <= truth <= high
    assert above <= 0.06 * 120
    assert held >= 0.92 * 120


@pytest.mark.parametrize(("n", "least"), [(6, 0.54), (12, 0.74), (200, 0.98)])
def test_perfect_agreement_of_few_labels_is_not_certain(n: int, least: float) -> None:
    x = [1.0, 2, 3, 4, 5, 3] * 40
    found = agreement.with_interval(agreement.qwk, x[:n], x[:n]).ci95
    assert found == pytest.approx((least, 1), abs=0.01)
    turned = agreement.with_interval(agreement.pearson, x[:n], [-v for v in x[:n]]).ci95
    assert turned == pytest.approx((-1, -least), abs=0.01)


RATED = st.lists(st.tuples(SCORES, SCORES), min_size=4, max_size=12)


@pytest.mark.parametrize("name", ["pearson", "spearman", "kendall", "qwk", "alpha"])
@how(max_examples=15)
@given(pairs=RATED, dice=st.randoms())
def test_interval_of_agreement_knows_no_order_of_labels_raters_and_scores(
    name: str, pairs: list[tuple[int, int]], dice: Any
) -> None:
    def ends(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
        return agreement.with_interval(EVERY[name], x, y).ci95 or (math.nan, math.nan)

    x, y = unzipped(pairs)
    found = pytest.approx(ends(x, y), abs=1e-6, nan_ok=True)
    assert ends(y, x) == found
    assert ends([6 - v for v in x], [6 - v for v in y]) == found
    assert ends(*unzipped(dice.sample(pairs, len(pairs)))) == found


@how(max_examples=20)
@given(RATED)
def test_interval_of_agreement_holds_its_value(pairs: list[tuple[int, int]]) -> None:
    for name in ("pearson", "qwk", "alpha"):
        found = agreement.with_interval(EVERY[name], *unzipped(pairs))
        if found.ci95 is not None:
            assert found.value is not None
            assert -1 <= found.ci95[0] <= found.value <= found.ci95[1] <= 1


def test_ratings_of_one_question_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    x = np.repeat(rng.integers(1, 6, 20), 5).astype(float)
    y = np.repeat(rng.integers(1, 6, 20), 5).astype(float)
    questions = [i // 5 for i in range(100)]
    alone = agreement.with_interval(agreement.pearson, x, y).ci95 or (0, 0)
    clustered = agreement.with_interval(agreement.pearson, x, y, questions).ci95 or (0, 0)
    assert clustered[1] - clustered[0] > 1.5 * (alone[1] - alone[0])


def test_figure_without_a_value_or_with_too_few_values_has_no_interval() -> None:
    assert agreement.with_interval(agreement.qwk, [1], [1]).ci95 is None
    nearly = agreement.with_interval(agreement.spearman, [3.0] * 9 + [4], [2.0] * 9 + [5])
    assert nearly.value == 1
    assert (nearly.ci95, nearly.reason) == (None, "too few values differ for an interval")


def test_mean_without_a_scale_has_students_interval_where_values_differ() -> None:
    assert figures.mean([]).reason == "no values"
    for equal in ([3.0], [3.0] * 50):
        found = figures.mean(equal)
        assert (found.value, found.ci95) == (3.0, None)
        assert found.reason == "one value, or all are equal: no interval"
    values = [1.0, 2, 3, 4, 9]
    spread = np.std(values, ddof=1) / math.sqrt(5)
    expected = scipy.stats.t.interval(0.95, 4, loc=3.8, scale=spread)
    assert figures.mean(values).ci95 == pytest.approx(expected)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (6, 6), (3, 7), (1, 40), (11_990, 12_000)])
def test_interval_of_a_share_is_clopper_and_pearsons(hits: int, n: int) -> None:
    exact = scipy.stats.binomtest(hits, n).proportion_ci(0.95, "exact")
    found = figures.mean([1.0] * hits + [0.0] * (n - hits), scale=(0, 1))
    assert found.value == hits / n
    assert found.ci95 == pytest.approx((exact.low, exact.high), abs=1e-6)


def test_equal_values_have_the_interval_of_what_is_unseen() -> None:
    exact = scipy.stats.binomtest(40, 40).proportion_ci(0.95, "exact")
    low, high = figures.mean([4.0] * 40, scale=(1, 5)).ci95 or (9, 9)
    assert (low, high) == pytest.approx((4 - 3 * (1 - exact.low), 5 - exact.low))


def test_ends_are_quantiles_of_the_mean_under_random_weights() -> None:
    values = [5.0, 4, 4, 3.5, 1, 5, 2]
    weights = np.random.default_rng(0).dirichlet(np.ones(8), 200_000)
    low, high = figures.mean(values, scale=(1, 5)).ci95 or (9, 9)
    assert low == pytest.approx(np.quantile(weights @ [*values, 1], 0.025), abs=0.01)
    assert high == pytest.approx(np.quantile(weights @ [*values, 5], 0.975), abs=0.01)


SCALED = st.lists(st.sampled_from((1.0, 1.5, 2, 3, 4, 4.5, 5)), min_size=1, max_size=12)


@how(max_examples=25)
@given(SCALED, st.randoms())
def test_interval_holds_the_mean_and_turns_and_moves_with_its_values(
    values: list[float], dice: Any
) -> None:
    found = figures.mean(values, scale=(1, 5))
    low, high = found.ci95 or (9, 9)
    assert 1 <= low <= (found.value or 9) + 1e-9
    assert (found.value or 9) - 1e-9 <= high <= 5
    mirrored = figures.mean([-value for value in values], scale=(-5, -1)).ci95
    assert mirrored == pytest.approx((-high, -low), abs=1e-12)
    longer = figures.mean([10 * value + 7 for value in values], scale=(17, 57)).ci95
    assert longer == pytest.approx((10 * low + 7, 10 * high + 7), abs=1e-6)
    shuffled = dice.sample(values, len(values))
    assert figures.mean(shuffled, scale=(1, 5)).ci95 == pytest.approx((low, high), abs=1e-9)


@how(max_examples=15)
@given(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=10))
def test_exchanging_the_sides_of_a_difference_flips_its_signs_only(
    pairs: list[tuple[int, int]],
) -> None:
    before, after = unzipped(pairs)
    one = figures.paired_difference(before, after, (1, 5))
    other = figures.paired_difference(after, before, (1, 5))
    low, high = one.ci95 or (9, 9)
    assert other.ci95 == pytest.approx((-high, -low), abs=1e-12)
    assert other.value == pytest.approx(-(one.value or 0))


def test_values_of_one_cluster_count_as_one() -> None:
    six = figures.mean([1.0] * 12, [*"abcdef"] * 2, (0, 1)).ci95
    assert six == figures.mean([1.0] * 6, scale=(0, 1)).ci95
    uneven = figures.mean([1.0, 1, 1, 0, 1], [*"aaabc"], (0, 1))
    assert uneven.value == 0.8
    narrow = figures.mean([1.0, 1, 1, 0, 1], scale=(0, 1)).ci95 or (0, 0)
    assert (uneven.ci95 or (9, 9))[0] < narrow[0]


def coverage(
    values: Sequence[float], chances: Sequence[float], n: int, scale: tuple[float, float]
) -> float:
    """Return how often the interval of n values drawn with these chances holds their mean.

    That is exact: every sample is looked at, with its chance.
    """
    truth, held = float(np.dot(values, chances)), 0.0
    for sample in combinations_with_replacement(range(len(values)), n):
        counts = np.bincount(sample, minlength=len(values))
        low, high = figures.mean([values[i] for i in sample], scale=scale).ci95 or (9, 9)
        if low - 1e-9 <= truth <= high + 1e-9:
            held += float(scipy.stats.multinomial.pmf(counts, n, chances))
    return held


@pytest.mark.parametrize(
    "chances",
    [
        (0.01, 0.01, 0.03, 0.15, 0.80),
        (0.05, 0, 0, 0.05, 0.90),
        (0.30, 0.05, 0.05, 0.10, 0.50),
        (0.60, 0.20, 0.10, 0.07, 0.03),
        (0, 0.02, 0.08, 0.80, 0.10),  # of which a bootstrap's interval holds the mean in 72 %
    ],
)
def test_interval_of_six_scores_holds_their_mean_in_94_percent(chances: tuple[float, ...]) -> None:
    assert coverage((1, 2, 3, 4, 5), chances, 6, (1, 5)) >= 0.94


@pytest.mark.parametrize("win", [0.05, 0.09, 0.33, 0.51, 0.7, 0.97])
@pytest.mark.parametrize("tie", [0, 0.02, 0.34, 0.8])
def test_interval_of_six_wins_losses_and_ties_holds_the_rate_in_94_percent(
    win: float, tie: float
) -> None:
    if win + tie <= 1:
        assert coverage((0, 0.5, 1), (1 - win - tie, tie, win), 6, (0, 1)) >= 0.94


@pytest.mark.parametrize(
    "chances", [(0, 0.6, 0.3, 0.1), (0.1, 0.85, 0.05, 0), (0.1, 0.2, 0.35, 0.35)]
)
def test_interval_of_six_differences_holds_their_mean_in_94_percent(
    chances: tuple[float, ...],
) -> None:
    assert coverage((-4, 0, 1, 4), chances, 6, (-4, 4)) >= 0.94


@pytest.mark.parametrize(("right", "wrong"), [(0.5, 0.5), (4, 0.3)])
def test_interval_of_three_answers_to_each_of_six_questions_holds_the_share_in_94_percent(
    right: float, wrong: float
) -> None:
    chances = scipy.stats.betabinom.pmf(range(4), 3, right, wrong)
    assert coverage((0, 1 / 3, 2 / 3, 1), tuple(chances), 6, (0, 1)) >= 0.94


def test_paired_difference_is_surer_than_two_means() -> None:
    hard = [1.0, 2, 3, 4] * 15
    after = [score + 1 for score in hard]
    low, high = figures.paired_difference(hard, after, (1, 5)).ci95 or (0, 9)
    assert 0 < low < 1 < high
    before, now = (figures.mean(scores, scale=(1, 5)).ci95 or (0, 0) for scores in (hard, after))
    assert high - low < (before[1] - before[0]) + (now[1] - now[0])


@given(st.integers(0, 60), st.integers(0, 60))
def test_sign_test_is_scipys_exact_one(wins: int, losses: int) -> None:
    found = games.sign_test(wins, losses)
    if wins + losses == 0:
        assert (found.value, found.reason) == (None, "no decisive pairs")
    else:
        other = scipy.stats.binomtest(wins, wins + losses).pvalue
        assert found.value == pytest.approx(other)


# Humans and the constant predictor


def test_ceiling_is_each_rater_against_the_others() -> None:
    ratings = [(1, 1, 2), (2, 2, 3), (3, 3, 4), (4, 4, 5), (5, 5, 5)]
    found = agreement.ceiling(agreement.exact, ratings)
    # Raters 1 and 2 are halfway off the median of the others four times, rater 3 is a point off.
    assert found.value == pytest.approx((3 / 5 + 3 / 5 + 1 / 5) / 3)
    assert found.n == 5


def test_ceiling_needs_two_raters_and_some_spread() -> None:
    assert agreement.ceiling(agreement.qwk, [(1,), (2,), (3,)]).reason == (
        "no item has two human ratings"
    )
    assert agreement.ceiling(agreement.qwk, [(1, 1), (2, 2)]).reason == (
        "too few items, or a constant rater"
    )
    assert agreement.ceiling(agreement.qwk, [(1, 1), (2, 2), (5, 5), (3,)]).value == 1


def test_constant_predictor_says_the_most_frequent_rating() -> None:
    found = agreement.constant([4.0, 4, 5, 1])
    assert found == {"values": [4], "exact": 0.5, "within_one": 0.75, "mae": 1.0}
    assert agreement.constant([])["values"] == []
    equally = agreement.constant([1.0, 1, 0, 0, -1])
    assert equally == {"values": [0, 1], "exact": 0.4, "within_one": 0.9, "mae": 0.7}


# Pairs of answers


def game(verdict: str | None, question: str = "q", **fields: Any) -> Game:
    shown = {"inconsistent": False, "first_picks": 1, "picks": 2, "length_delta": 0.0}
    return Game(verdict, question=question, **{**shown, **fields})


def test_games_are_counted_with_their_rates() -> None:
    played = [
        *[game("A", f"a{i}") for i in range(5)],
        *[game("B", f"b{i}") for i in range(2)],
        game("tie", "t", inconsistent=True, first_picks=2),
        game("tie", "u", picks=0, first_picks=0),
        game(None, "n"),
    ]
    found = games.games(played)
    assert [found[k] for k in ("n_total", "n_scored", "wins", "losses", "ties")] == [10, 9, 5, 2, 2]
    assert found["win_rate"]["value"] == pytest.approx(6 / 9)
    assert found["win_rate"]["ci95"][0] < 6 / 9 < found["win_rate"]["ci95"][1]
    assert found["decisive_rate"]["value"] == pytest.approx(5 / 7)
    assert found["consistency"]["value"] == pytest.approx(8 / 9)
    assert found["first_position_rate"]["value"] == pytest.approx(9 / 16)
    assert found["sign_test_p"]["value"] == pytest.approx(scipy.stats.binomtest(5, 7).pvalue)
    json.dumps(found, allow_nan=False)


def test_question_has_one_vote_however_often_it_is_judged() -> None:
    played = [game("A", q, length_delta=float(i)) for i, q in enumerate("abc") for _ in range(5)]
    once = games.games([game("A", q, length_delta=float(i)) for i, q in enumerate("abc")])
    found = games.games(played)
    assert found == once
    assert (found["n_total"], found["n_scored"], found["wins"]) == (3, 3, 3)
    assert found["sign_test_p"] == games.sign_test(3, 0).as_dict()
    assert found["decisive_rate"]["n"] == found["consistency"]["n"] == 3
    assert found["win_rate"]["ci95"] == pytest.approx((0.025 ** (1 / 3), 1))


def test_vote_of_a_question_is_that_of_most_of_its_games() -> None:
    played = [game(v, "a") for v in ("A", "A", "B", "tie", None)]
    played += [game(v, "b", inconsistent=v == "tie") for v in ("A", "B", "tie", "tie")]
    played += [game(v, "c") for v in ("B", "tie")] + [game(None, "d")]
    found = games.games(played)
    assert [found[k] for k in ("n_total", "n_scored", "wins", "losses", "ties")] == [4, 3, 1, 1, 1]
    assert found["win_rate"]["value"] == 0.5
    assert found["consistency"]["value"] == pytest.approx(2.5 / 3)


def test_no_games_have_reasons_and_no_rates() -> None:
    found = games.games([])
    for name in ("win_rate", "decisive_rate", "consistency", "first_position_rate"):
        assert found[name]["value"] is None
        assert found[name]["reason"]


def long_winded(n: int, seed: int = 0) -> list[Game]:
    """Return games of two equal models, of which the longer answer wins more often."""
    rng = np.random.default_rng(seed)
    deltas = rng.normal(120, 100, n)
    chances = 1 / (1 + np.exp(-2 * np.tanh(deltas / 100)))
    verdicts = np.where(rng.random(n) < chances, "A", "B")
    return [
        game(str(v), str(i), length_delta=float(d))
        for i, (v, d) in enumerate(zip(verdicts, deltas, strict=True))
    ]


def test_rate_at_equal_length_is_what_a_likelihood_fit_gives() -> None:
    played = long_winded(300)
    found = games.length_controlled(played)
    deltas = np.array([g.length_delta for g in played])
    x, y = np.tanh(deltas / deltas.std()), np.array([g.verdict == "A" for g in played], float)

    def loss(w: Any) -> float:
        z = w[0] + w[1] * x
        return float(np.sum(np.logaddexp(0, z) - y * z))

    fit = scipy.optimize.minimize(loss, [0.0, 0.0], method="BFGS").x
    assert found.value == pytest.approx(1 / (1 + math.exp(-fit[0])), abs=1e-4)
    low, high = found.ci95 or (9, 9)
    assert low < 0.5 < high
    assert (games.games(played)["win_rate"]["ci95"] or [0])[0] > 0.6


def test_rate_at_equal_length_is_refused_where_the_fit_does_not_converge() -> None:
    separated = [game("A" if d > 0 else "B", str(d), length_delta=d) for d in (-3.0, -1, 2, 5)]
    assert games.length_controlled(separated).reason == "the fit does not converge"
    won = [game("A", str(d), length_delta=d) for d in (-3.0, -1, 2, 5)]
    assert games.length_controlled(won).reason == "the fit does not converge"
    equal = [game("A", str(i)) for i in range(5)]
    assert "same length" in (games.length_controlled(equal).reason or "")


@how(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["A", "B", "tie"]), st.floats(-1e5, 1e5)), max_size=25))
def test_rate_at_equal_length_is_a_share_or_has_a_reason(drawn: list[tuple[str, float]]) -> None:
    played = [game(v, str(i), length_delta=d) for i, (v, d) in enumerate(drawn)]
    found = games.length_controlled(played)
    assert (found.value is None) == (found.reason is not None)
    if found.value is not None:
        assert found.ci95 is not None
        assert 0 <= found.ci95[0] <= found.value <= found.ci95[1] <= 1

"""Labels of people against a judge: no side is preferred, and no verdict is paid twice."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st
from support.judge_servers import KEY, OpenAI, judge_server, judging, preference, verdict_json
from support.scripted import Pause, Step

from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.judges import _calibration, _calibration_run
from pytest_llamaburn.judges._calibration import VERDICTS, Label, Preference
from pytest_llamaburn.kinds.eval import scores as eval_scores
from pytest_llamaburn.stats import agreement, games, jury
from pytest_llamaburn.stats.games import Game
from pytest_llamaburn.store.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MARKS = st.sampled_from([*VERDICTS.values()])
SCORES = st.integers(2, 10).map(lambda half: half / 2)
LABELLED = st.tuples(st.integers(0, 5), st.lists(MARKS, min_size=1, max_size=4), MARKS)
RATED = st.tuples(st.integers(0, 5), st.lists(SCORES, min_size=1, max_size=3), SCORES)


def label(question: int, human: Sequence[float], answers: tuple[str, ...] = ("a", "b")) -> Label:
    return Label(f"q{question}", answers, None, "x", tuple(human), True, None, "file:1")


def report(labelled: Sequence[tuple[int, Sequence[float], float]], answers: int) -> dict[str, Any]:
    labels = [label(question, human, ("a", "b")[:answers]) for question, human, _ in labelled]
    found = _calibration.report(labels, [judge for _, _, judge in labelled], {})
    criterion: dict[str, Any] = found["criteria"]["x"]
    return criterion


def mirrored(found: dict[str, Any], middle: float) -> dict[str, Any]:
    """Return what a report must be where every rating is on the other side of the middle."""
    figures = dict(found["figures"])
    bias = dict(figures["bias"])
    bias["value"] = None if bias["value"] is None else -bias["value"]
    bias["ci95"] = bias["ci95"] and [-end for end in reversed(bias["ci95"])]
    ceiling = dict(found["human_ceiling"])
    ceiling["bias"] = {**ceiling["bias"], "value": _negative(ceiling["bias"]["value"])}
    values = [2 * middle - value for value in found["constant_predictor"]["values"]]
    crossed = [row[::-1] for row in found["confusion"]["human_by_judge"][::-1]]
    return {
        **found,
        "figures": {**figures, "bias": bias},
        "human_ceiling": ceiling,
        "constant_predictor": {**found["constant_predictor"], "values": sorted(values)},
        "confusion": {**found["confusion"], "human_by_judge": crossed},
    }


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def same(one: Any, other: Any) -> bool:
    """Return whether two documents are equal but for the rounding of floats."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == (pytest.approx(other, abs=1e-9) if isinstance(other, float) else other))


@how(max_examples=30, deadline=None)
@given(st.lists(LABELLED, min_size=1, max_size=25))
def test_exchanging_the_sides_of_all_pairs_changes_nothing_but_signs(labelled: Any) -> None:
    other = [(q, [-mark for mark in human], -judge) for q, human, judge in labelled]
    assert same(report(other, 2), mirrored(report(labelled, 2), 0))


@how(max_examples=30, deadline=None)
@given(st.lists(RATED, min_size=1, max_size=25))
def test_turning_the_scale_round_changes_nothing_but_signs(labelled: Any) -> None:
    other = [(q, [6 - mark for mark in human], 6 - judge) for q, human, judge in labelled]
    assert same(report(other, 1), mirrored(report(labelled, 1), 3))


GAMES = st.lists(
    st.builds(
        Game,
        verdict=st.sampled_from(["A", "B", "tie", None]),
        inconsistent=st.booleans(),
        first_picks=st.integers(0, 2),
        picks=st.just(2),
        length_delta=st.integers(-50, 50).map(float),
        question=st.sampled_from("abcdefghij"),
    ),
    max_size=25,
)


def turned(figure: dict[str, Any], middle: float) -> dict[str, Any]:
    """Return a figure on the other side of the middle of its scale."""
    value, interval = figure["value"], figure["ci95"]
    ends = interval and [2 * middle - end for end in reversed(interval)]
    return {**figure, "value": None if value is None else 2 * middle - value, "ci95": ends}


@how(max_examples=30, deadline=None)
@given(GAMES)
def test_exchanging_the_models_of_all_games_changes_nothing_but_sides(played: Any) -> None:
    sides = {"A": "B", "B": "A"}
    exchanged = [
        g._replace(verdict=sides.get(g.verdict, g.verdict), length_delta=-g.length_delta)
        for g in played
    ]
    found, other = games.games(played), games.games(exchanged)
    expected = {**found, "wins": found["losses"], "losses": found["wins"]}
    for name, middle in (("win_rate", 0.5), ("decisive_rate", 0.5), ("length_delta", 0)):
        expected[name] = turned(found[name], middle)
    expected["length_controlled_rate"] = turned(found["length_controlled_rate"], 0.5)
    assert same(other, expected)


@how(max_examples=30, deadline=None)
@given(st.lists(SCORES, max_size=20))
def test_histogram_of_the_scale_turned_round_is_the_histogram_turned_round(scores: Any) -> None:
    found = eval_scores.histogram(scores)
    assert [*eval_scores.histogram([6 - s for s in scores]).values()] == [*found.values()][::-1]


def test_people_who_disagree_are_halfway_between() -> None:
    assert agreement.consensus([VERDICTS["A"], VERDICTS["tie"]]) == 0.5
    assert agreement.consensus([VERDICTS["tie"], VERDICTS["B"]]) == -0.5
    assert agreement.consensus([VERDICTS["A"], VERDICTS["B"]]) == 0
    halfway = report([(0, [1, 0], 1)], 2)
    assert halfway["figures"]["exact"]["value"] == 0.5
    assert halfway["confusion"]["human_by_judge"] == [[0.5, 0, 0], [0.5, 0, 0], [0, 0, 0]]


def test_mean_of_several_people_may_be_a_fraction(tmp_path: Path) -> None:
    lines = [
        {"question": "q", "response": "r", "human": 3.67, "judge": 4},
        {"question": "q", "response": "s", "human": [2, 2.5], "judge": 3.5},
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    labels = _calibration.read(path)
    assert [one.human for one in labels] == [(3.67,), (2, 2.5)]
    found = _calibration.report(labels, _calibration.recorded(labels), {})["criteria"]["accuracy"]
    assert found["figures"]["exact"]["value"] == 0.5  # 3.67 is nearest to 4
    assert found["figures"]["mae"]["value"] == pytest.approx((0.33 + 1.25) / 2)


@how(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(SCORES, SCORES, st.integers(0, 4)), min_size=6, max_size=20).filter(
        lambda rated: len({question for _, _, question in rated}) > 1
    )
)
def test_samples_are_the_ratings_without_one_question_each(rated: Any) -> None:
    x, y, questions = (list(column) for column in zip(*rated, strict=True))
    left = [[i for i, one in enumerate(questions) if one != q] for q in dict.fromkeys(questions)]
    for statistic in _calibration.FIGURES.values():
        pairs, place = agreement.distinct_pairs(x, y)
        (counts,) = agreement.counts_without_each(pairs, place, questions)
        ours = statistic.of_samples(pairs._replace(counts=counts))
        for found, items in zip(ours, left, strict=True):
            if len(items) >= statistic.fewest:
                theirs = statistic([x[i] for i in items], [y[i] for i in items]).value
                assert found == pytest.approx(
                    np.nan if theirs is None else theirs, abs=1e-9, nan_ok=True
                )


def test_alpha_of_two_raters_is_that_of_a_panel() -> None:
    x, y = [1.0, 2, 3, 3, 5, 1.5], [1.0, 2, 4, 3, 4, 2]
    panel = jury.krippendorff([x, y], "ordinal").value
    assert agreement.alpha(x, y).value == pytest.approx(panel)


def test_pairs_of_one_question_are_drawn_together() -> None:
    found = _calibration.pairwise([Preference("q", 1.0, 1.0, 1, 2) for _ in range(30)])
    assert (found["n_scored"], found["wins"], found["win_rate"]["value"]) == (30, 30, 1.0)
    assert found["win_rate"]["ci95"] == pytest.approx([0.025, 1.0])  # one question tells little
    several = _calibration.pairwise([Preference(f"q{i}", i % 2, 1.0, 1, 2) for i in range(30)])
    alike = _calibration.pairwise([Preference(f"q{i % 10}", i % 2, 1.0, 1, 2) for i in range(30)])
    wide, narrow = alike["win_rate"]["ci95"], several["win_rate"]["ci95"]
    assert wide[1] - wide[0] > 1.3 * (narrow[1] - narrow[0])
    assert (several["wins"], several["losses"], several["first_position_rate"]["value"]) == (
        15,
        15,
        0.5,
    )


# Verdicts that are paid for


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def scored(count: int) -> list[Label]:
    return [
        Label(f"q{i}", (f"a{i}",), None, "x", (3,), False, None, f"f:{i}") for i in range(count)
    ]


def nobody(state: str) -> None:
    """Hear of a verdict and go on."""


def work(
    name: str, labels: Sequence[Label], place: Path, run_id: str | None = None, **values: Any
) -> _calibration_run.Calibration:
    return _calibration_run.Calibration(judging(judge=(name,), **values), labels, place, run_id)


ABOUT = {"labels": "labels.jsonl"}


def test_verdicts_that_were_paid_for_are_not_asked_again_after_a_cut(tmp_path: Path) -> None:
    heard: list[str] = []

    def cut(state: str) -> None:
        heard.append(state)
        if len(heard) == 3:
            raise KeyboardInterrupt

    fake, labels = OpenAI([verdict_json(4)]), scored(6)
    with judge_server(fake, "m") as name:
        first = work(name, labels, tmp_path, judge_concurrency=1)
        with pytest.raises(KeyboardInterrupt):
            first.run(cut, ABOUT)
        paid = len(fake.calls)
        for run in ("last", first.id):
            assert _calibration_run.header_of(tmp_path, run)["run_id"] == first.id
        again = work(name, labels, tmp_path, first.id)
        known = again.earlier
        assert 3 <= known == len(again.known) <= paid
        found = again.run(heard.append, ABOUT)
        again.finish()
    assert len(found) == 6
    assert len(heard) == 3 + 6 - known
    assert len(fake.calls) == paid + 6 - known
    assert heard[0] == "scored"
    assert again.panel.spent()["calls"] == 6
    assert not [*(tmp_path / "calibrations" / ".journal").glob("*")]


def test_progress_is_told_of_the_verdict_that_comes_first_not_of_the_first_label(
    tmp_path: Path,
) -> None:
    told_of_second, in_time = threading.Event(), []

    def slowly() -> Iterator[Step]:
        yield Pause(told_of_second)
        in_time.append(told_of_second.is_set())
        yield fake.reply(verdict_json(4))

    first, second = scored(2)
    labels = [first._replace(answers=("a slow one",)), second]
    fake = OpenAI([lambda _, user: slowly() if "a slow one" in user else verdict_json(4)])
    with judge_server(fake, "m") as name:
        work(name, labels, tmp_path).run(lambda _: told_of_second.set(), ABOUT)
    assert in_time == [True]


def test_labels_that_were_added_are_judged_by_a_continued_calibration(tmp_path: Path) -> None:
    fake = OpenAI([verdict_json(4)])
    with judge_server(fake, "m") as name:
        first = work(name, scored(2), tmp_path)
        first.run(nobody, ABOUT)
        more = work(name, scored(3), tmp_path, first.id)
        assert len(more.run(nobody, ABOUT)) == 3
    assert len(fake.calls) == 3


def test_journal_without_a_header_is_not_continued(tmp_path: Path) -> None:
    Journal(tmp_path / "calibrations", "old", "main").close()
    with pytest.raises(ResultsError, match=r"'last'.*none was cut"):
        _calibration_run.header_of(tmp_path, "last")


def test_calls_beyond_the_budget_are_made_up_for_when_it_is_raised(tmp_path: Path) -> None:
    fake, labels = OpenAI([verdict_json(4)]), scored(5)
    with judge_server(fake, "m") as name:
        first = work(name, labels, tmp_path, max_judge_calls=2)
        first.run(nobody, ABOUT)
        first.finish()
        assert first.unfinished == 3
        second = work(name, labels, tmp_path, first.id, max_judge_calls=4)
        second.run(nobody, ABOUT)
        second.finish()
        assert second.unfinished == 1
        anew = work(name, labels, tmp_path)
        anew.run(nobody, ABOUT)
        anew.finish()
    assert len(fake.calls) == 2 + 2 + 5
    assert anew.unfinished == 0


def test_answers_that_several_lines_label_are_judged_once(tmp_path: Path) -> None:
    labels = [*scored(2), *scored(2)]
    fake = OpenAI([verdict_json(4)])
    with judge_server(fake, "m") as name:
        found = work(name, labels, tmp_path).run(nobody, ABOUT)
    assert len(fake.calls) == 2
    assert set(found) == {_calibration_run.name_of(one) for one in labels}


def test_pairs_are_journalled_too(tmp_path: Path) -> None:
    fake = OpenAI([preference("A")])
    with judge_server(fake, "m") as name:
        first = work(name, [label(1, [1])], tmp_path)
        ((compared,),) = first.run(nobody, ABOUT).values()
        assert len(work(name, [label(1, [1])], tmp_path, first.id).known) == 1
    assert (compared.state, len(first.kept)) == ("scored", 2)


def test_calibration_that_runs_elsewhere_is_left_alone(tmp_path: Path) -> None:
    with judge_server(OpenAI([verdict_json(4)]), "m") as name:
        one = work(name, scored(1), tmp_path)
        other = Journal(tmp_path / "calibrations", one.id, "main")
        with pytest.raises(SettingsError, match="right now"):
            work(name, scored(1), tmp_path).run(nobody, ABOUT)
        other.close()


def test_few_labels_that_agree_leave_the_share_of_agreement_uncertain() -> None:
    figures = report([(n, [mark], mark) for n, mark in enumerate([2, 5, 2])], 1)["figures"]
    assert figures["exact"]["ci95"] == pytest.approx([0.292, 1], abs=0.001)
    assert figures["mae"]["ci95"] == pytest.approx([0, 2.83], abs=0.01)
    low, high = figures["bias"]["ci95"]
    assert low < -1
    assert high == pytest.approx(-low)


def test_one_question_has_no_interval_of_agreement() -> None:
    alpha = report([(1, [4], 2)], 1)["figures"]["alpha"]
    assert (alpha["ci95"], alpha["reason"]) == (None, "too few values differ for an interval")

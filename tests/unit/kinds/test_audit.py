"""Findings of an audit, for judges of known sensitivity; and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.judge_servers import Sensitive, planted_in, worked

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.evalsets import load_eval_set
from pytest_llamaburn.judges import Comparison, Judgment, combined, comparison
from pytest_llamaburn.judges._planting import ERRORS
from pytest_llamaburn.kinds.audit import bounds, findings, material
from pytest_llamaburn.kinds.audit.settings import Audit
from pytest_llamaburn.option import model_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.audit.material import Probe

    Scores = Callable[[str, str, bool], int]  # of an answer, its reference, and whether accuracy


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> list[Probe]:
    return material.probes(questions(tmp_path_factory.mktemp("set"), 16), 0)


def questions(place: Path, count: int) -> Any:
    path = place / "fruit.json"
    path.write_text(json.dumps({"name": "fruit", "questions": worked(count)}))
    return load_eval_set(path).questions


def compared(first: str, second: str) -> Comparison:
    """Return the comparison of the verdicts in the order AB and in the order BA."""
    both = (Judgment("preference", "scored", verdict=one) for one in (first, second))
    return comparison(*both)


def rows(probes: list[Probe], score: Scores, sides: tuple[str, str] = ("A", "B")) -> list[Document]:
    """Return the rows of a judge with this score of an answer, and these choices between two."""
    found = []
    for probe in probes:
        if probe.kind == material.ORDER:
            found.append(findings.row(probe, [compared(*sides)]))
            continue
        value = score(probe.text, str(probe.question.reference), probe.criterion == "accuracy")
        judgment = Judgment(probe.criterion, "scored", score=float(value))
        found.append(findings.row(probe, [combined([judgment])]))
    return found


def audited(probes: list[Probe], score: Scores, sides: tuple[str, str] = ("A", "B")) -> Any:
    return findings.of(rows(probes, score, sides))


def of(found: Document, part: str, kind: str) -> Document:
    return next(one for one in found[part] if one["kind"] == kind)


def test_played_judge_counts_what_was_planted(probes: list[Probe]) -> None:
    for probe in probes:
        if probe.kind in ("wrong_number", "contradiction"):
            found = planted_in(probe.text, str(probe.question.reference))
            assert (found[probe.kind], found["missing"] > 0) == (
                probe.dose,
                probe.kind == "wrong_number",
            )


@pytest.mark.parametrize("kind", ["wrong_number", "contradiction"])
def test_slope_is_what_the_judge_deducts_for_each_error(probes: list[Probe], kind: str) -> None:
    found = of(audited(probes, Sensitive().score), "errors", kind)
    assert [dose["value"] for dose in found["doses"]] == [5, 4, 3, 2]
    assert found["slope"]["value"] == pytest.approx(-1)
    assert found["slope"]["ci95"][0] < -1 < found["slope"]["ci95"][1] < 0
    assert (found["noticed"]["value"], found["raised"]["value"]) == (1, 0)
    assert found["monotone"]["value"] == 1
    assert found["verdict"] == "seen"
    assert "each one costs 1.00 points, and 100 % of the texts" in found["says"]


def test_blind_judge_has_slope_0_within_its_interval(probes: list[Probe]) -> None:
    found = audited(probes, lambda *_: 3)
    for kind in ERRORS:
        one = of(found, "errors", kind)
        assert one["slope"]["value"] == 0
        assert one["slope"]["ci95"][0] < 0 < one["slope"]["ci95"][1]
        assert (one["noticed"]["value"], one["verdict"]) == (0, "not shown")


def test_judge_that_likes_errors_is_said_to_reward_them(probes: list[Probe]) -> None:
    found = of(audited(probes, Sensitive(cost=-1, top=1).score), "errors", "wrong_number")
    assert found["slope"]["value"] == pytest.approx(1)
    assert (found["verdict"], found["noticed"]["value"], found["raised"]["value"]) == (
        "rewarded",
        0,
        1,
    )


def test_score_of_a_cut_text_falls_with_each_quarter(probes: list[Probe]) -> None:
    def lines(text: str, reference: str, accuracy: bool) -> int:
        return 1 + text.count("\n")

    found = audited(probes, lines)
    for kind in ("truncation", "dropped_step"):
        assert of(found, "errors", kind)["slope"]["value"] == pytest.approx(-1)
    assert "each quarter that is cut off costs 1.00 points" in str(found["errors"])


def test_judge_that_rewards_length_shows_the_shift_of_padding_alone(probes: list[Probe]) -> None:
    found = audited(probes, Sensitive(padded=2).score)
    padding = of(found, "manipulations", "padding")
    assert padding["shift"]["value"] == 2
    assert padding["shift"]["ci95"][0] > 0
    assert (padding["verdict"], padding["changed"]["value"]) == ("up", 1)
    assert padding["says"] == "Padding sways the judge: it raises the score by 2.00 points."
    for kind in ("flattery", "self_praise", "instruction", "again"):
        assert of(found, "manipulations", kind)["shift"]["value"] == 0


def test_few_answers_do_not_prove_that_nothing_sways(probes: list[Probe]) -> None:
    few = of(audited(probes, lambda *_: 3), "manipulations", "padding")
    assert few["verdict"] == "open"
    many = of(audited(probes * 2, lambda *_: 3), "manipulations", "padding")
    assert many["shift"]["n"] == 32
    assert many["verdict"] == "steady"


def test_scores_at_the_top_are_said_to_leave_no_room(probes: list[Probe]) -> None:
    found = of(audited(probes, lambda *_: 5), "manipulations", "padding")
    assert found["at_top"] == 16
    assert "16 of 16 texts had the top score already" in found["says"]


@pytest.mark.parametrize(
    ("sides", "shift", "preferred"),
    [
        (("A", "A"), 1, 0.5),
        (("B", "B"), -1, 0.5),
        (("A", "B"), 0, 1),
        (("B", "A"), 0, 0),
        (("tie", "tie"), 0, 0.5),
        (("A", "tie"), 0.5, 0.5),
    ],
)
def test_order_bias_is_the_share_of_first_choices_less_that_of_second_ones(
    probes: list[Probe], sides: tuple[str, str], shift: float, preferred: float
) -> None:
    found = audited(probes, lambda *_: 3, sides)
    order = of(found, "manipulations", "order")
    assert (order["shift"]["value"], found["preference"]["value"]) == (shift, preferred)
    assert order["verdict"] == ("up" if shift > 0 else "down" if shift < 0 else "open")


SIDES = st.tuples(st.sampled_from(["A", "B", "tie"]), st.sampled_from(["A", "B", "tie"]))
SWAPPED = {"A": "B", "B": "A", "tie": "tie"}


@given(st.lists(SIDES, min_size=1, max_size=8))
def test_swapped_sides_only_change_signs(choices: list[tuple[str, str]]) -> None:
    def order(choices: list[tuple[str, str]]) -> Document:
        firsts = [findings.compared([compared(*one)])["first"] for one in choices]
        shift: Document = findings.manipulation(material.ORDER, firsts, 1.0, 0)["shift"]
        return shift

    found, other = order(choices), order([(SWAPPED[a], SWAPPED[b]) for a, b in choices])
    assert other["value"] == -found["value"]
    assert other["ci95"] == pytest.approx([-end for end in reversed(found["ci95"])])


def test_texts_without_a_verdict_are_counted_and_in_no_figure(probes: list[Probe]) -> None:
    found = rows(probes, Sensitive().score)
    for one, probe in zip(found, probes, strict=True):
        if probe.question.id == "q0":
            one.update(findings.row(probe, None))
    counted = findings.of(found)
    missing = sum(probe.question.id == "q0" for probe in probes)
    assert counted["by_state"] == {"scored": len(found) - missing, "unfinished": missing}
    assert of(counted, "errors", "wrong_number")["slope"]["n"] == 15
    assert of(counted, "manipulations", "order")["shift"]["n"] == 15
    nothing = findings.of([findings.row(probe, None) for probe in probes])
    assert {one["verdict"] for one in nothing["errors"]} == {"unknown"}
    assert nothing["preference"]["says"].startswith("Nothing is known of its choice")


def test_gates_need_the_whole_interval(probes: list[Probe]) -> None:
    found = audited(probes, Sensitive(padded=2).score, ("A", "A"))

    def verdicts(asked: bounds.Minima) -> dict[str, str]:
        gates = bounds.verdicts(found, asked)
        return {" ".join(gate["expression"].split()[:2]): gate["verdict"] for gate in gates}

    noticed = verdicts({bounds.NOTICED: 0.5})
    assert noticed["noticed wrong_number"] == "pass"
    assert noticed["noticed truncation"] == "fail"
    assert verdicts({bounds.NOTICED: 0.9})["noticed wrong_number"] == "undecided"
    shifts = verdicts({bounds.SHIFT: 1.5})
    assert shifts["shift padding"] in ("fail", "undecided")
    assert shifts["shift again"] == "pass"
    assert "shift order" not in shifts
    assert verdicts({bounds.ORDER: 0.2}) == {"shift order": "fail"}


@pytest.mark.parametrize("text", ["often", "-1", "2", "nan"])
def test_bound_without_a_meaning_is_one_sentence(text: str) -> None:
    with pytest.raises(SettingsError, match=f"--min-noticed: '{text}' is refused"):
        bounds.parse(bounds.NOTICED, text)


def settings(**values: Any) -> Any:
    return model_of(Audit)(judge=("openai:m",), **values)


def test_set_without_worked_answers_is_refused() -> None:
    with pytest.raises(SettingsError, match="--set: 'reasoning' has no worked reference answer"):
        material.questions(settings(set="reasoning"))


def test_shipped_set_has_room_for_every_error() -> None:
    _, asked = material.questions(settings())
    assert len(asked) == 30
    kinds = {(probe.kind, probe.dose) for probe in material.probes(asked, 0)}
    assert kinds >= {(error, dose) for error in ERRORS for dose in (1, 2, 3)}


def test_judge_is_shown_the_reference_unless_it_is_hidden(probes: list[Probe]) -> None:
    shown = material.tasks(probes, with_reference=True)
    hidden = material.tasks(probes, with_reference=False)
    assert len(shown) == len(probes)
    assert all(task.material.reference for task in shown.values())
    assert not any(task.material.reference for task in hidden.values())

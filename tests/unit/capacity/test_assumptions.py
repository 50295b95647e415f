"""Each assumption that a later load breaks is named, and no other."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support.virtual_llama import Llama, loaded, swept

from pytest_llamaburn.capacity import assumptions, observations, service
from pytest_llamaburn.capacity.service import Service
from pytest_llamaburn.load.step import CLIENTS, Step

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llamaburn.capacity.observations import Answer

RULES = Llama()


def answers(folder: Path, rules: Llama, number: int = 12) -> list[Answer]:
    folder.mkdir()
    (rows,) = loaded(folder, rules, [Step(number, CLIENTS, 144)], 5, think_time="0.5s-1s")
    return [observations.answer_of(row) for row in rows]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Service:
    runs = swept(tmp_path_factory.mktemp("sweep"), RULES)
    found = service.fit([[observations.answer_of(row) for row in run] for run in runs])
    assert isinstance(found, Service)
    return found


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, []),
        ({"queue": 2}, ["refused"]),
        ({"cached": 0.4}, ["cache"]),
        ({"read_ms": 0.6}, ["prefill"]),
        ({"write_ms": (13.0, 16.0, 18.0, 22.0)}, ["decode"]),
        ({"tokens": (16.0, 120.0)}, ["lengths"]),
    ],
)
def test_what_a_load_breaks_is_named(
    change: dict[str, Any], named: list[str], model: Service, tmp_path: Path
) -> None:
    load = answers(tmp_path / "load", Llama(**change))
    found = [one.assumption for one in assumptions.of_load(model, load)]
    assert [name for name in found if name in named] == named
    if not named:
        assert found == []


def test_a_sentence_has_the_numbers(model: Service, tmp_path: Path) -> None:
    load = answers(tmp_path / "load", Llama(queue=0, slots=2))
    (first, *_) = assumptions.of_load(model, load)
    refused = sum(answer.request.failure == "queue_full" for answer in load)
    assert first.sentence == (
        f"{refused} requests of the predicted load failed (queue_full × {refused}): the model "
        "knows only requests that wait"
    )


def test_a_fit_says_what_its_own_load_does_not_show(model: Service) -> None:
    assert [*assumptions.of_fit(model, Counter())] == []
    doubtful = model._replace(filled=False, stall=0.5)
    found = [*assumptions.of_fit(doubtful, Counter(queue_full=2, timeout_total=9))]
    assert [one.assumption for one in found] == ["slots", "reading", "refused"]
    assert found[2].sentence.startswith("2 requests of the measured load failed (queue_full × 2)")


def test_more_in_flight_than_was_ever_measured_is_named(tmp_path: Path, model: Service) -> None:
    few = model._replace(filled=False, most=4)
    found = {one.assumption for one in assumptions.of_load(few, answers(tmp_path / "load", RULES))}
    assert "slots" in found

"""What a short sweep shows of a server whose slots and rates are known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.virtual_llama import Llama, loaded, swept

from pytest_llamaburn.capacity import observations, service
from pytest_llamaburn.capacity.service import Service
from pytest_llamaburn.load.step import CLIENTS, Step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_llamaburn.load.rows import Row


def fitted(runs: Sequence[Sequence[Row]]) -> Service:
    found = service.fit([[observations.answer_of(row) for row in run] for run in runs])
    assert isinstance(found, Service), found
    return found


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("slots", [1, 2, 4])
def test_a_short_sweep_shows_slots_and_rates(slots: int, shared: bool, tmp_path: Path) -> None:
    rules = Llama(slots=slots, shared=shared)
    found = fitted(swept(tmp_path, rules))
    assert (found.slots, found.filled) == (slots, True)
    assert slots == 1 or found.shared is shared
    assert found.steps() == pytest.approx(rules.write_ms[:slots], rel=0.05)
    fixed_ms, token_ms, beside = found.line()
    assert token_ms == pytest.approx(rules.read_ms, rel=0.05)
    assert fixed_ms + 200 * token_ms == pytest.approx(rules.fixed_ms + 80, rel=0.05)
    assert beside == pytest.approx(float(shared and slots > 1), abs=0.15)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"slots": 3}, lambda found: found.slots == 3),
        ({"read_ms": 0.8}, lambda found: found.line()[1] > 0.75),
        ({"write_ms": (20.0,)}, lambda found: found.steps().min() > 19),
        ({"cached": 0.5}, lambda found: found.cached == pytest.approx(0.5, abs=0.02)),
    ],
)
def test_another_server_gives_another_model(
    change: dict[str, Any], differs: Any, tmp_path: Path
) -> None:
    assert not differs(fitted(swept(tmp_path, Llama())))
    (tmp_path / "other").mkdir()
    assert differs(fitted(swept(tmp_path / "other", Llama(**change))))


def test_each_interval_holds_its_number_and_most_hold_the_truth(tmp_path: Path) -> None:
    rules, inside = Llama(), 0
    for seed in range(6):
        (tmp_path / str(seed)).mkdir()
        found = fitted(swept(tmp_path / str(seed), rules, seed))
        for one in (*found.reading, *found.step_ms):
            assert one.ci95 is not None
            assert one.ci95[0] <= one.value <= one.ci95[1]
        low, high = found.reading[1].ci95 or (0, 0)
        inside += low <= rules.read_ms <= high
    assert inside >= 5


def test_a_load_that_fills_no_slots_does_not_show_their_number(tmp_path: Path) -> None:
    found = fitted(swept(tmp_path, Llama(slots=9), 0, 1, 2))
    assert (found.slots, found.filled, found.most) == (2, False, 2)


def test_prompts_of_one_length_cost_what_they_cost_by_the_token(tmp_path: Path) -> None:
    found = fitted(swept(tmp_path, Llama(prompt=(100, 101))))
    assert found.one_length
    assert found.line()[0] == 0
    assert 100 * found.line()[1] == pytest.approx(8 + 40, rel=0.05)


def test_short_prompts_are_told_to_share_by_tokens_that_come_together(tmp_path: Path) -> None:
    for shared in (True, False):
        rules = Llama(prompt=(2, 8), shared=shared, fixed_ms=1.0, write_ms=(10.0,))
        (tmp_path / str(shared)).mkdir()
        assert fitted(swept(tmp_path / str(shared), rules)).shared is shared


@pytest.mark.parametrize(
    ("rules", "level", "words"),
    [
        (Llama(tokens=(1, 1)), 2, "too few tokens"),
        (Llama(), 1, "only 6 prompts were read"),
    ],
)
def test_what_shows_no_server_has_a_reason(
    rules: Llama, level: int, words: str, tmp_path: Path
) -> None:
    runs = loaded(tmp_path, rules, [Step(level, CLIENTS, 6 if level == 1 else 60, pauses=False)])
    found = service.fit([[observations.answer_of(row) for row in run] for run in runs])
    assert isinstance(found, str)
    assert words in found


def test_nothing_shows_nothing() -> None:
    assert service.fit([]) == "no request was sent"


def test_more_slots_than_a_model_has_are_a_reason(tmp_path: Path) -> None:
    (run,) = loaded(tmp_path, Llama(slots=200), [Step(150, CLIENTS, 300, pauses=False)])
    found = service.fit([[observations.answer_of(row) for row in run]])
    assert isinstance(found, str)
    assert found.endswith("requests were worked on at once: a model has at most 128 slots")

"""Users are predicted as they are then seen: the real sender, in virtual time, on known servers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from support.virtual_llama import Llama, loaded, swept

from pytest_llamaburn.capacity import observations, service, users
from pytest_llamaburn.capacity.service import Service, Value
from pytest_llamaburn.capacity.users import Users
from pytest_llamaburn.load.step import CLIENTS, Step

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_llamaburn.capacity.users import Predicted
    from pytest_llamaburn.load.rows import Row

ITL, TTFT = "inter_token_latency_ms", "time_to_first_token_ms"
REQUESTS = 600
LIGHT = (4, True, 8)  # few of its requests wait, so that the p95 of 600 varies by a fifth


class Seen(NamedTuple):
    """The truth of a load of users, and what was predicted for it."""

    truth: dict[str, float]
    predicted: dict[str, Predicted]

    def off(self, name: str) -> float:
        """Return predicted / measured − 1."""
        value = self.predicted[name].value
        assert value is not None
        return value / self.truth[name] - 1


Case = tuple[int, bool, int]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Seen]:
    """Return what sends a load, once for all tests, and predicts it from a short sweep."""
    known: dict[Case, Seen] = {}

    def of(case: Case) -> Seen:
        if case not in known:
            slots, shared, number = case
            rules, folder = Llama(slots=slots, shared=shared), tmp_path_factory.mktemp("users")
            (folder / "users").mkdir()
            requests = REQUESTS if case != LIGHT else 5 * REQUESTS
            step = Step(number, CLIENTS, requests)
            (rows,) = loaded(folder / "users", rules, [step], 77, think_time="1s-3s")
            truth = {
                f"{short}.{label}": float(np.quantile([r.values[name] or 0 for r in rows], q))
                for short, name in (("ttft_ms", TTFT), ("itl_ms", ITL))
                for label, q in users.QUANTILES.items()
            }
            asked = Users(number, (1.0, 3.0), requests)
            known[case] = Seen(truth, users.predicted(fit(swept(folder, rules)), asked, 10))
        return known[case]

    return of


def fit(runs: list[list[Row]]) -> Service:
    found = service.fit([[observations.answer_of(row) for row in run] for run in runs])
    assert isinstance(found, Service)
    return found


CASES = [
    *[(1, True, 3), (1, True, 8), (2, True, 4), (2, True, 14), (4, True, 8), (4, True, 24)],
    *[(2, False, 14), (4, False, 12)],
]


@pytest.mark.parametrize("case", CASES)
def test_latencies_of_users_are_predicted_within_a_tenth(
    case: Case, seen: Callable[[Case], Seen]
) -> None:
    found = seen(case)
    for name in ("ttft_ms.p95", "itl_ms.p50", "itl_ms.p95"):
        assert abs(found.off(name)) < 0.1, (name, found)


def test_another_number_of_slots_or_slower_prompts_would_be_noticed(
    seen: Callable[[Case], Seen], tmp_path: Path
) -> None:
    truth = seen((4, True, 24)).truth
    for number, wrong in enumerate((Llama(slots=3), Llama(read_ms=0.8))):
        (tmp_path / str(number)).mkdir()
        model = fit(swept(tmp_path / str(number), wrong))
        found = users.predicted(model, Users(24, (1.0, 3.0), REQUESTS), 10)
        assert Seen(truth, found).off("ttft_ms.p95") > 0.15


def exact(slots: int = 1, *, shared: bool = True) -> Service:
    """Return a server without any spread: 10 ms + 0.5 ms a token to read, 10 ms a token to write.

    All prompts have 100 tokens and all answers 11, so a request alone takes 60 + 100 ms.
    """
    reading = (Value(10.0, None, 99), Value(0.5, None, 99), Value(0.0, None, 99))
    steps = (Value(10.0, None, 99),) * slots
    draws = ((10.0, 0.5, 0.0, *([10.0] * slots)),)
    spreads = (1.0,), (1.0,)
    return Service(
        *(slots, True, shared, None, reading, False, steps, ((100.0, 11.0),)),
        *(*spreads, 0.0, 2 * slots, draws),
    )


@pytest.mark.parametrize("shared", [True, False])
def test_a_single_user_sees_exactly_what_the_server_takes(shared: bool) -> None:
    found = users.simulate(exact(shared=shared), Users(1, (1.0, 1.0), 50))
    assert found.ttft_ms == pytest.approx(np.full(50, 60.0))
    assert found.itl_ms == pytest.approx(np.full(50, 10.0))
    assert found.total_ms == pytest.approx(np.full(50, 160.0))


@pytest.mark.parametrize("shared", [True, False])
def test_users_without_pauses_wait_for_all_before_them(shared: bool) -> None:
    found = users.simulate(exact(shared=shared), Users(5, (0.0, 0.0), 100, skipped=10))
    assert found.ttft_ms == pytest.approx(np.full(90, 4 * 160 + 60.0))
    assert len(found.ttft_ms) / found.seconds == pytest.approx(1 / 0.16, rel=0.1)


def test_prompts_stop_answers_only_where_they_share_the_processor() -> None:
    both = Users(2, (0.0, 0.0), 100)
    apart = users.simulate(exact(2, shared=False), both)
    assert apart.itl_ms == pytest.approx(np.full(100, 10.0))
    step = users.simulate(exact(2), Users(2, (0.01, 0.2), 400))
    assert step.itl_ms.max() > 14  # an answer of ten steps waited for a prompt of 60 ms


@pytest.mark.parametrize("shared", [True, False])
def test_a_deadline_drops_what_waits_too_long_and_counts_it_as_failed(shared: bool) -> None:
    asked = Users(5, (0.0, 0.0), 200, deadline_ms=500.0)
    found = users.simulate(exact(shared=shared), asked)
    assert found.failed.mean() > 0.2
    assert np.isnan(found.ttft_ms[found.failed]).all()
    assert np.nanmax(found.total_ms) <= 500


def test_users_stop_when_their_time_is_over() -> None:
    found = users.simulate(exact(), Users(1, (1.0, 1.0), seconds=60.0))
    assert len(found.ttft_ms) == pytest.approx(60 / 1.16, abs=1.5)


def test_more_users_never_wait_less() -> None:
    middle = [
        users.predicted(exact(2), Users(n, (0.5, 1.5), 300), 10)["ttft_ms.p95"].value or math.nan
        for n in (1, 2, 4, 8, 16, 32)
    ]
    assert middle == sorted(middle)
    assert middle[-1] > 5 * middle[0]


def test_one_seed_gives_one_prediction() -> None:
    asked = Users(4, (0.5, 1.5), 100)
    assert users.predicted(exact(2), asked, 5) == users.predicted(exact(2), asked, 5)

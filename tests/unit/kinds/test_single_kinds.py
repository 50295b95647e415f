"""What the kinds that make their own requests tell before a run starts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_llamaburn.kinds import _kind
from pytest_llamaburn.kinds._kind import Item
from pytest_llamaburn.option import model_of

REQUESTS = {
    "damage": 2 * (199 + 3 * 2),
    "depth": 5 * 4 * 5,
    "embed": 10 * 3 * 2,
    "chat": 3 * 15 + 2,
    "fit": 3 * 5,
    "tune": 6 * 5 * 2,
}
MORE = {"tune": {"option": ("num_batch=128,512", "num_thread=1,2,4")}}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_and_time_are_known_before_a_run(name: str) -> None:
    kind: Any = _kind.named(name)
    settings: Any = model_of(kind.settings_class)(model=("a", "b"), warmup=1, **MORE.get(name, {}))
    session: Any = SimpleNamespace(settings=lambda _: settings)
    (fixture,) = kind.functions
    assert kind.planned(Item(None, (fixture,), {}, {}, None), session) == REQUESTS[name]
    assert kind.planned(Item(None, (), {}, {}, None), session) == 0
    runs = len(kind.models(settings))
    assert kind.expected(settings, 2.0).seconds == runs * 2.0 * (1 + REQUESTS[name])
    short = settings.model_copy(update={"budget": 3.0})
    assert kind.expected(short, 2.0).seconds == runs * 3.0


@pytest.mark.parametrize(
    "name", ["benchmark", "eval", "depth", "chat", "embed", "damage", "bakeoff"]
)
@pytest.mark.parametrize(
    ("failed", "warned"), [(0, False), (9, False), (10, True), (99, True), (100, False)]
)
def test_all_kinds_warn_from_one_failure_in_ten(name: str, failed: int, warned: bool) -> None:
    kind: Any = _kind.named(name)
    found = {"totals": {"requests": 100, "failed": failed}, "errors": {"timeout": failed}}
    assert (kind.warning(found) is not None) is warned  # without any success the exit code is 5


@pytest.mark.parametrize("name", ["stress", "fit", "tune"])
def test_kinds_that_look_for_what_fails_do_not_warn(name: str) -> None:
    kind: Any = _kind.named(name)
    found = {"totals": {"requests": 10, "failed": 5}, "errors": {"timeout": 5}}
    assert kind.warning(found) is None

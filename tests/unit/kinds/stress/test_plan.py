"""What the options of a load mean together."""

from __future__ import annotations

import resource
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.stress import plan
from pytest_llamaburn.kinds.stress.plan import Window
from pytest_llamaburn.kinds.stress.settings import Stress
from pytest_llamaburn.load.think import think_seconds
from pytest_llamaburn.option import model_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def stress_settings(**values: Any) -> Any:
    return model_of(Stress)(**values)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, Window()),
        ("20", Window(requests=20)),
        ("10s", Window(seconds=10.0)),
        ("1m", Window(seconds=60.0)),
        ("250ms", Window(seconds=0.25)),
    ],
)
def test_a_window_is_a_time_or_a_number_of_requests(text: str | None, found: Window) -> None:
    assert plan.window(text, "--warmup-window") == found


@pytest.mark.parametrize("text", ["soon", "-3s", "1.5", "s", "infs", "nans"])
def test_what_is_no_window_is_refused_by_its_option(text: str) -> None:
    with pytest.raises(SettingsError, match=f"--warmup-window: '{text}' is refused"):
        plan.window(text, "--warmup-window")


@pytest.mark.parametrize(
    ("text", "found"), [("2s", (2.0, 2.0)), ("1s-3s", (1.0, 3.0)), ("500ms", (0.5, 0.5))]
)
def test_thinking_takes_a_time_or_one_between_two(text: str, found: tuple[float, float]) -> None:
    assert think_seconds(text) == found


@pytest.mark.parametrize("text", ["3s-1s", "now", "-1s", "", "inf", "1s-inf", "nan", "1-2-3"])
def test_what_is_no_time_to_think_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--think-time"):
        think_seconds(text)


def test_levels_are_numbers_that_rise() -> None:
    assert plan.named_levels("1,2, 3,5.5") == [1, 2, 3, 5.5]


@pytest.mark.parametrize("text", ["", "0,1", "2,1", "1,1", "1,x", "1,inf", "nan"])
def test_other_levels_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--levels"):
        plan.named_levels(text)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"concurrency": 4, "rate": 2}, "--concurrency 4 is refused"),
        ({"concurrency": 4, "arrival": "static"}, "--concurrency 4 is refused"),
        ({"concurrency": 4, "mode": "spike"}, "--concurrency 4 is refused"),
        ({"think_time": "1s", "rate": 2}, "--think-time is refused"),
        ({"think_time": "often"}, "--think-time: 'often'"),
        ({"levels": "2,1", "mode": "sweep"}, "--levels: '2,1'"),
        ({"levels": "0.5,1.5", "mode": "sweep"}, "'0.5,1.5' is refused: write whole numbers"),
        ({"concurrency": 40, "max_concurrency": 8}, "--max-concurrency 8 is refused"),
        ({"rate": 9, "max_rate": 3}, "--max-rate 3 is refused"),
        ({"mode": "spike", "rate": 9, "spike_rate": 3}, "--spike-rate 3 is refused"),
        (
            {"mode": "spike", "duration": 5},
            "--duration 5s is refused: to measure a recovery",
        ),
        (
            {"mode": "sustained", "duration": 10, "warmup_window": "6s", "cooldown_window": "4s"},
            "leave out 10 s, but a level has only 10",
        ),
        (
            {"mode": "sweep", "level_requests": 20, "warmup_window": "20"},
            "leave out 20 requests, but a level has only 20",
        ),
        (
            {"mode": "sweep", "warmup_window": "12"},
            "leave out 12 requests, but a level has only 12",
        ),
        (
            {"mode": "ramp", "cooldown_window": "13"},
            "leave out 13 requests, but a level has only 13",
        ),
        (
            {"arrival": "static", "cooldown_window": "40"},
            "leave out 40 requests, but a level has only 40",
        ),
        (
            {"mode": "sustained", "warmup_window": "15m"},
            "leave out 900 s, but a level has only 900",
        ),
    ],
)
def test_what_cannot_be_meant_together_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        plan.checked(stress_settings(**values))
    assert words in str(caught.value)


def test_a_load_that_does_not_rise_has_no_maximum_to_be_above() -> None:
    assert plan.checked(stress_settings(mode="sustained", concurrency=40)).concurrency == 40


def test_a_maximum_that_nobody_gave_is_called_the_default() -> None:
    with pytest.raises(SettingsError, match=r"32, the default, is refused.*40: raise it"):
        plan.checked(stress_settings(mode="ramp", concurrency=40))


@pytest.mark.parametrize(
    ("values", "least"),
    [
        ({"max_concurrency": 8}, 10 + 13 + 14 + 16 + 20),
        ({"max_concurrency": 8, "concurrency": 8}, 10 + 20),
        ({"max_concurrency": 500}, 750),
        ({"rate": 1, "max_rate": 2}, 10 + 40 + 200),
        ({"max_rate": 2}, 10 + 40),
        ({"arrival": "static", "max_concurrency": 4}, 10 + 2 * 40 + 200),
    ],
)
def test_the_requests_of_a_ramp_are_enough_for_one_search(
    values: dict[str, Any], least: int
) -> None:
    assert plan.checked(stress_settings(**values, level_requests=least)).level_requests == least
    with pytest.raises(
        SettingsError, match=f"--level-requests: {least - 1} is refused.*needs {least} to"
    ):
        plan.checked(stress_settings(**values, level_requests=least - 1))


def test_a_rate_wants_a_schedule_and_a_fixed_length_is_the_limit() -> None:
    found = plan.checked(stress_settings(rate=3.0, osl=17))
    assert (found.arrival, found.max_tokens) == ("poisson", 17)
    assert plan.checked(stress_settings(mode="spike")).arrival == "poisson"
    assert plan.checked(stress_settings(rate=3.0, arrival="static")).arrival == "static"
    assert plan.checked(stress_settings()).arrival is None


@pytest.mark.parametrize(
    "values",
    [
        {"mode": "sweep", "warmup_window": "11"},
        {"mode": "sweep", "warmup_window": "10s"},
        {"mode": "ramp", "concurrency": 20, "warmup_window": "30"},
        {"mode": "ramp", "level_requests": 200, "warmup_window": "10"},
        {"mode": "spike", "warmup_window": "10m"},
    ],
)
def test_windows_shorter_than_a_level_or_than_what_is_known_of_it_are_taken(
    values: dict[str, Any],
) -> None:
    assert plan.checked(stress_settings(**values))


def test_levels_of_a_rate_need_not_be_whole() -> None:
    assert plan.checked(stress_settings(mode="sweep", levels="0.5,1.5", arrival="static")).levels


@pytest.mark.parametrize(
    ("values", "most"),
    [
        ({"mode": "ramp"}, 32),
        ({"mode": "sweep", "levels": "1,120", "max_concurrency": 30}, 120),
        ({"mode": "sweep", "arrival": "static", "levels": "1,120"}, 60),
        ({"mode": "sweep", "arrival": "static", "levels": "1,120", "level_duration": 5}, 60),
        ({"mode": "sweep", "levels": "9", "level_requests": 6}, 6),
        ({"mode": "sweep", "rate": 2, "max_rate": 8}, 4),
        ({"mode": "ramp", "arrival": "static"}, 32),
        ({"mode": "sustained"}, 4),
        ({"mode": "sustained", "rate": 0.1}, 1),
        ({"mode": "spike", "rate": 4, "spike_rate": 20}, 12),
        ({"mode": "spike", "rate": 4, "spike_concurrency": 50}, 52),
    ],
)
def test_how_much_is_in_flight_at_once_follows_from_the_highest_load(
    values: dict[str, Any], most: int
) -> None:
    assert plan.at_once(plan.checked(stress_settings(**values)), total_s=0.5) == most


@pytest.fixture
def few_files() -> Iterator[int]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield 256
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_enough_files_are_left_as_they_are(few_files: int) -> None:
    plan.checked(stress_settings(max_concurrency=few_files - plan.SPARE_FILES))
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == few_files


def test_the_limit_of_open_files_is_raised_where_that_is_allowed(few_files: int) -> None:
    plan.checked(stress_settings(max_concurrency=400))
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 400 + plan.SPARE_FILES > few_files


@pytest.mark.parametrize(
    ("mode", "option", "spelling"),
    [
        ("ramp", "max_concurrency", "{}"),
        ("sweep", "levels", "1,{}"),
        ("spike", "spike_concurrency", "{}"),
        ("sustained", "concurrency", "{}"),
    ],
)
def test_more_clients_than_files_are_refused_with_the_limit_and_what_to_set(
    mode: str, option: str, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 4096
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, most))
    with pytest.raises(SettingsError, match=rf"at most {most}\).*raise the limit with ulimit -n"):
        plan.checked(stress_settings(mode=mode, **{option: spelling.format(most + 1)}))


def test_a_system_without_such_a_limit_asks_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert plan.checked(stress_settings(max_concurrency=100_000)).max_concurrency == 100_000

"""Energy is exact where power is known, null with a reason where it is not, and never lost."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llamaburn.energy import cost, integrate
from pytest_llamaburn.energy.integrate import (
    Curve,
    Energy,
    Source,
    Span,
    measure,
    shared,
    source,
    thawed,
)

S = 10**9
TENTH = S // 10


def every(seconds: float, watts: list[float], start: int = 0) -> list[tuple[int, float]]:
    return [(start + round(i * seconds * S), w) for i, w in enumerate(watts)]


def constant(watts: float, seconds: float = 10) -> list[tuple[int, float]]:
    return every(0.1, [watts] * (round(seconds * 10) + 1))


def single_source(points: list[tuple[int, float]], kind: str = "instant") -> Source:
    found = source(points, [], kind)
    assert found is not None
    return found


def test_constant_power_is_watts_times_seconds() -> None:
    found = measure([single_source(constant(200))], S, 4 * S)
    assert found == Energy(600.0, 200.0, 200.0, 1.0, "trapezoid")
    assert found.wh == pytest.approx(600 / 3600)


def test_ramp_is_exact_between_readings() -> None:
    curve = Curve(every(0.1, [10.0 * i for i in range(101)]))  # 100 W a second
    assert curve.joules(0, 10 * S) == pytest.approx(5000)
    assert curve.joules(S + 123_456_789, 3 * S + 7) == pytest.approx(
        50 * (3.000000007**2 - 1.123456789**2)
    )
    assert curve.watts(S + TENTH // 2) == pytest.approx(105)


def test_step_costs_what_the_trapezoid_across_it_costs() -> None:
    curve = Curve(every(0.1, [50.0] * 11 + [150.0] * 10))
    assert curve.joules(0, 2 * S) == pytest.approx(50 * 1.0 + 100 * 0.1 + 150 * 0.9)


@given(
    st.lists(st.integers(1, 10**8), min_size=2, max_size=40),
    st.floats(1, 500),
    st.floats(-5, 5),
)
def test_jittered_stamps_change_nothing_about_a_linear_power(
    steps: list[int], base: float, slope: float
) -> None:
    times = [sum(steps[:i]) for i in range(len(steps))]
    points = [(t, base + 20 + slope * t / S) for t in times]
    end = times[-1]
    expected = (base + 20) * end / S + slope / 2 * (end / S) ** 2
    assert Curve(points).joules(0, end) == pytest.approx(expected)


powers = st.lists(st.floats(0, 1000), min_size=2, max_size=30)
moments = st.lists(st.integers(-2 * S, 6 * S), min_size=2, max_size=10).map(sorted)


@given(watts=powers, edges=moments, counter=st.booleans())
def test_energies_of_adjacent_windows_add_up(
    watts: list[float], edges: list[int], *, counter: bool
) -> None:
    points = every(0.1, sorted(watts) if counter else watts)
    curve = Curve(points, counter=counter)
    parts = sum(curve.joules(a, b) for a, b in pairwise(edges))
    assert parts == pytest.approx(curve.joules(edges[0], edges[-1]), abs=1e-6)


def test_hole_is_not_covered_and_too_large_a_one_makes_it_null() -> None:
    points = [p for p in constant(100) if not 2 * S < p[0] < 4 * S]
    small = measure([single_source(points)], 0, 10 * S)
    assert small.joules == pytest.approx(1000)
    assert small.coverage == pytest.approx(0.8)
    large = measure([single_source(points)], S, 5 * S)
    assert (large.joules, large.reason, large.coverage) == (None, "low_coverage", 0.5)


def test_window_beyond_the_readings_is_not_covered() -> None:
    assert measure([single_source(constant(100))], 9 * S, 12 * S).reason == "low_coverage"
    assert measure([single_source(constant(100))], 20 * S, 30 * S).reason == "low_coverage"
    late = measure([single_source(constant(100))], 5 * S, 10 * S + S // 2)
    assert late.joules == pytest.approx(550)  # the last power holds


@pytest.mark.parametrize(
    ("kind", "period", "seconds", "reason"),
    [
        ("instant", 0.1, 0.99, "window_too_short"),
        ("instant", 0.1, 1.0, None),
        ("instant", 0.5, 3.9, "window_too_short"),
        ("instant", 0.5, 4.0, None),
        ("avg_1s", 0.1, 3.9, "window_too_short"),
        ("avg_1s", 0.1, 4.0, None),
        ("average", 0.1, 3.9, "window_too_short"),
        (None, 0.1, 4.0, None),
    ],
)
def test_window_must_be_as_long_as_the_sensor_resolves(
    kind: str | None, period: float, seconds: float, reason: str | None
) -> None:
    found = source(every(period, [100.0] * 200), [], kind)
    assert found is not None
    assert measure([found], S, S + round(seconds * S)).reason == reason


def test_nothing_to_measure_with_or_in() -> None:
    assert measure([], 0, S).reason == "no_provider"
    assert measure([single_source(constant(1))], 5, 5).reason == "window_too_short"
    assert source([(0, 1.0)], [], "instant") is None
    assert Energy(reason="no_provider").wh is None


def test_two_devices_are_added_and_the_peak_is_of_both_at_once() -> None:
    rising, falling = every(0.1, [float(i) for i in range(101)]), every(
        0.1, [100.0 - i for i in range(101)]
    )  # fmt: skip
    found = measure([single_source(rising), single_source(falling)], 0, 10 * S)
    assert found.joules == pytest.approx(1000)
    assert found.peak_watts == pytest.approx(100)


def counted(gain: float, watts: float = 100, kind: str = "instant") -> Source:
    counter = every(0.1, [5000 + gain * i / 10 for i in range(101)])
    found = source(constant(watts), counter, kind)
    assert found is not None
    return found


@pytest.mark.parametrize(("gain", "believed"), [(81, True), (124, True), (79, False), (126, False)])
def test_counter_is_believed_where_it_agrees_with_the_power(gain: float, *, believed: bool) -> None:
    found = measure([counted(gain)], S, 3 * S)
    assert found.method == ("counter" if believed else "trapezoid")
    assert found.joules == pytest.approx(2 * gain if believed else 200)
    assert (counted(gain).rejected is None) is believed


@pytest.mark.parametrize("gain", [0, -1])
def test_counter_that_stands_or_goes_back_is_rejected(gain: float) -> None:
    assert counted(gain).counter is None
    assert counted(gain).rejected


def test_counter_that_the_power_was_derived_from_is_believed() -> None:
    assert counted(500, kind="counter").counter is not None
    assert counted(0, kind="counter").counter is None


def test_counter_watched_for_too_short_is_not_believed() -> None:
    found = source(constant(100, 0.5), every(0.1, [0.0, 10, 20, 30, 40, 50]), "instant")
    assert found is not None
    assert "less than a second" in str(found.rejected)


def test_devices_with_and_without_a_counter_are_a_mixed_method() -> None:
    assert measure([counted(100), single_source(constant(50))], 0, 10 * S).method == "mixed"


def ramp_that_freezes() -> list[tuple[int, float]]:
    rising = [50.0 + i for i in range(100)]
    return every(0.1, rising + [149.0] * 301)


def test_sensor_that_freezes_under_changing_load_is_null_after_ten_seconds() -> None:
    points = ramp_that_freezes()
    kept, froze = thawed(points, [25 * S])
    assert froze
    assert kept[-1][0] == pytest.approx(19.9 * S)
    again = measure([single_source(kept)], 25 * S, 35 * S)
    assert (again.joules, again.reason) == (None, "low_coverage")


@pytest.mark.parametrize("changes", [[], [9 * S], [10 * S + S // 2], [60 * S]])
def test_sensor_that_stands_still_while_the_load_does_is_believed(changes: list[int]) -> None:
    assert thawed(ramp_that_freezes(), changes) == (ramp_that_freezes(), False)


# --- shares


def test_alone_a_request_takes_all() -> None:
    curve = Curve(constant(100))
    assert shared(curve.joules, [Span(S, S, 3 * S)]) == [pytest.approx(200)]
    assert shared(curve.joules, []) == []


def test_two_at_once_take_half_each_of_the_time_together() -> None:
    curve = Curve(constant(100))
    found = shared(curve.joules, [Span(0, 0, 4 * S), Span(2 * S, 2 * S, 6 * S)])
    assert found == [pytest.approx(300), pytest.approx(300)]


def test_queued_time_is_not_charged() -> None:
    curve = Curve(constant(100))
    found = shared(curve.joules, [Span(0, 0, 4 * S), Span(0, 4 * S, 6 * S)])
    assert found == [pytest.approx(400), pytest.approx(200)]


def test_where_queueing_cannot_be_told_nobody_concerned_is_charged() -> None:
    curve = Curve(constant(100))
    spans = [
        Span(0, 0, 4 * S),
        Span(2 * S, None, 5 * S),
        Span(6 * S, None, 7 * S),
        Span(8 * S, 8 * S, 9 * S),
    ]
    assert shared(curve.joules, spans) == [None, None, pytest.approx(100), pytest.approx(100)]


spans = st.lists(
    st.tuples(st.integers(0, 9 * S), st.integers(0, S), st.integers(0, S)).map(
        lambda t: Span(t[0], t[0] + t[1], t[0] + t[1] + t[2])
    ),
    max_size=30,
)


def idle_parts(requests: list[Span], end: int) -> list[tuple[int, int]]:
    """Return the times in which nobody is served."""
    found, busy_until = [], 0
    for span in sorted(requests, key=lambda span: span.start_ns):
        if span.start_ns > busy_until:
            found.append((busy_until, span.start_ns))
        busy_until = max(busy_until, span.end_ns)
    return [*found, (busy_until, end)]


@given(st.lists(st.floats(1, 1000), min_size=2, max_size=120), spans)
def test_shares_and_idle_time_add_up_to_the_whole(watts: list[float], requests: list[Span]) -> None:
    curve, end = Curve(every(0.1, watts)), 12 * S
    shares = shared(curve.joules, requests)
    assert None not in shares
    idle = sum(curve.joules(a, b) for a, b in idle_parts(requests, end))
    total = curve.joules(0, end)
    assert math.fsum(s for s in shares if s is not None) + idle == pytest.approx(total, rel=1e-9)


@given(st.lists(st.tuples(spans, st.sets(st.integers(0, 29))), min_size=1, max_size=1))
def test_a_doubtful_request_makes_those_beside_it_null_and_no_others(
    case: list[tuple[list[Span], set[int]]],
) -> None:
    ((requests, doubtful),) = case
    told = [
        Span(s.sent_ns, None if i in doubtful else s.served_ns, s.end_ns)
        for i, s in enumerate(requests)
    ]
    found = shared(lambda a, b: (b - a) / S, told)
    for i, mine in enumerate(told):
        beside = any(
            min(mine.end_ns, other.end_ns) > max(mine.start_ns, other.start_ns)
            and (other.served_ns is None or mine.served_ns is None)
            for j, other in enumerate(told)
            if j != i
        )
        assert (found[i] is None) >= beside


# --- cost


def test_the_specifications_formulas() -> None:
    energy_wh = 300 * 3600 / 3600  # 300 W for an hour
    assert cost.of_energy(energy_wh, 0.12) == pytest.approx(0.036)
    assert cost.of_energy(energy_wh, 0.12, 1.5) == pytest.approx(0.054)
    assert cost.per_1m_tokens(0.036, 500_000) == pytest.approx(0.072)


def test_published_energy_a_token_costs_what_was_published() -> None:
    energy_wh = 1.1709 * 1_000_000 / 3600  # joules a token, a million tokens
    assert energy_wh == pytest.approx(325.25, abs=0.01)
    per_million = cost.per_1m_tokens(cost.of_energy(energy_wh, 0.12), 1_000_000)
    assert per_million == pytest.approx(0.03903, abs=1e-5)


def test_a_month_has_730_hours() -> None:
    assert cost.per_month(1000, None, 0.1) == pytest.approx(73)
    assert cost.per_month(1000, 100, 0.1, 1.0, 0.5) == pytest.approx(0.55 * 73)
    assert cost.per_month(1000, None, 0.1, 1.0, 0.5) is None


def test_what_is_not_known_costs_null() -> None:
    found = [
        cost.of_energy(None, 0.1),
        cost.of_energy(1.0, None),
        cost.per_1m_tokens(None, 10),
        cost.per_1m_tokens(1.0, 0),
        cost.per_1m_tokens(1.0, None),
        cost.per_month(None, 1, 0.1),
        cost.per_month(1, 1, None),
        cost.co2_g(1.0, None),
    ]
    assert found == [None] * len(found)


def test_grams_of_co2_are_the_users_own_factor() -> None:
    assert cost.co2_g(1000, 381, 1.2) == pytest.approx(457.2)


NIGHT = cost.band("22:00-06:00=0.08")


@pytest.mark.parametrize(
    ("minute", "inside"), [(22 * 60, True), (0, True), (359, True), (360, False), (720, False)]
)
def test_band_may_reach_over_midnight(minute: int, *, inside: bool) -> None:
    assert NIGHT.holds(minute) is inside


def test_band_within_a_day_ends_before_its_end() -> None:
    day = cost.band("9:30-17=0.3")
    assert [day.holds(minute) for minute in (569, 570, 1019, 1020)] == [False, True, True, False]


def test_price_is_weighted_by_when_it_was_measured() -> None:
    minutes = [(0, 30.0), (720, 10.0)]
    assert cost.rate_over([NIGHT], 0.2, minutes) == pytest.approx((30 * 0.08 + 10 * 0.2) / 40)
    assert cost.rate_over([NIGHT], None, minutes) is None
    assert cost.rate_over([NIGHT], None, minutes[:1]) == pytest.approx(0.08)
    assert cost.rate_over([], 0.2, []) == 0.2
    assert cost.band("9-17=0.3") == (540, 1020, 0.3)


@pytest.mark.parametrize("text", ["", "22-6", "22-6=x", "25-6=1", "6-6=1", "6-25=1", "6:99-7=-1"])
def test_band_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write FROM-TO=RATE"):
        cost.band(text)


def test_limits_are_what_the_docs_say() -> None:
    assert (integrate.MIN_COVERAGE, integrate.COUNTER_AGREES) == (0.8, (0.8, 1.25))

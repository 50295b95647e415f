"""Charts: ticks that never overlap, scales that hold any number, labels in their place."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_llamaburn import charts
from pytest_llamaburn.charts import Axis, Band, Forest, Line, Mark, Plot, Point, Span
from pytest_llamaburn.reports import _scales
from pytest_llamaburn.reports._svg import drawn

finite = st.floats(allow_nan=False, allow_infinity=False)
positive = st.floats(min_value=1e-12, max_value=1e15)
LIMITS = (40.0, 360.0)


def plot(*points: Point, style: str = "line", **more: object) -> str:
    line = Line("speed", points, style)
    return drawn(Plot("title", Axis("load", "clients"), Axis("wait", "ms"), [line], **more), 40)  # type: ignore[arg-type]


def assert_apart(ticks: list[_scales.Tick]) -> None:
    spans = sorted((tick.start, tick.end) for tick in ticks)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(spans))


@settings(max_examples=150)
@given(st.lists(finite, min_size=1, max_size=4))
@example([0.0])
@example([1e300, -1e300])
@example([5e-324, 1e-323])
@example([0.1, 0.1000001])
def test_ticks_of_any_numbers_do_not_overlap_and_lie_inside(values: list[float]) -> None:
    scale = _scales.scale(values, 50.0, 340.0)
    for ticks in (_scales.ticks(scale, limits=LIMITS), _scales.ticks(scale, whole=True)):
        assert_apart(ticks)
        assert len({tick.label for tick in ticks}) == len(ticks)
        assert all(50.0 <= tick.place <= 340.0 for tick in ticks)
    horizontal = _scales.ticks(scale, limits=LIMITS)
    assert all(
        LIMITS[0] <= t.start and t.end <= LIMITS[1] + 1 for t in horizontal if len(t.label) < 30
    )
    assert all(50.0 <= scale(value) <= 340.0 for value in values)


@settings(max_examples=100)
@given(st.lists(positive, min_size=2, max_size=4))
def test_ticks_of_a_logarithmic_scale_do_not_overlap(values: list[float]) -> None:
    scale = _scales.scale(values, 50.0, 340.0, log=True)
    ticks = _scales.ticks(scale, limits=LIMITS)
    assert ticks
    assert_apart(ticks)


@settings(max_examples=60)
@given(st.lists(st.floats(0.01, 1e5), min_size=1, max_size=60), st.booleans())
@example([1.0, 2.0, 0.9921875], False)
def test_levels_get_ticks_where_there_is_room(levels: list[float], log: bool) -> None:
    scale = _scales.scale(levels, 50.0, 340.0, log=log)
    ticks = _scales.ticks(scale, levels, LIMITS)
    assert_apart(ticks)
    assert ticks
    assert len({tick.label for tick in ticks}) == len(ticks)


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0, 100, ["0", "20", "40", "60", "80", "100"]),
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0, 12_345, ["0", "2,500", "5,000", "7,500", "10,000"]),
        (0, 4e7, ["0", "1e7", "2e7", "3e7", "4e7"]),
        (0.0001, 0.0004, ["1e-4", "2e-4", "3e-4", "4e-4"]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, labels: list[str]) -> None:
    ticks = _scales.ticks(_scales.Scale(low, high, 50.0, 340.0), limits=LIMITS)
    assert [tick.label for tick in ticks] == labels


def test_counts_have_ticks_at_whole_numbers_only() -> None:
    scale = _scales.Scale(0, 3, 160.0, 0.0)
    assert [tick.label for tick in _scales.ticks(scale, whole=True)] == ["0", "1", "2", "3"]


def test_orders_of_magnitude_have_a_tick_each() -> None:
    scale = _scales.Scale(1, 1e6, 50.0, 340.0, log=True)
    labels = [tick.label for tick in _scales.ticks(scale, limits=LIMITS)]
    assert labels == ["1", "100", "10,000", "1e6"]


@given(st.lists(st.tuples(st.floats(0, 300), st.integers(1, 12)), max_size=12))
def test_labels_in_one_row_do_not_overlap(labels: list[tuple[float, int]]) -> None:
    spans = [_scales.extent(place, "x" * size, LIMITS) for place, size in labels]
    found = _scales.rows(spans, 3)
    for row in range(3):
        own = sorted(span for span, where in zip(spans, found, strict=True) if where == row)
        assert all(a[1] < b[0] for a, b in itertools.pairwise(own))


def test_a_chart_has_axes_with_units_points_and_intervals() -> None:
    picture = plot(Point(1, 20, 15, 30, "1 client"), Point(2, 40))
    assert ">load, clients</text>" in picture
    assert ">wait, ms</text>" in picture
    assert picture.count('class="dot"') == 2
    assert picture.count('class="whisker"') == 1
    assert "<title>1 client: speed 20.0 [15.0, 30.0]</title>" in picture
    assert 'aria-label="title: speed from 20.0 to 40.0 ms"' in picture


def test_states_are_labelled_bands_and_points_are_labelled_lines() -> None:
    bands = [Band(1, 2, "optimal", "optimal"), Band(2, 4, "<bad>", "failure")]
    picture = plot(Point(1, 1), Point(4, 2), bands=bands, marks=[Mark(3, "bend & break")])
    assert picture.count(">optimal</text>") == 1
    assert ">&lt;bad&gt;</text>" in picture
    assert ">bend &amp; break</text>" in picture
    assert 'fill="url(#cross)"' in picture


def test_neighbours_in_one_state_share_a_band() -> None:
    found = charts.bands([1, 2, 4, 8], ["idle", "idle", "busy", "busy"])
    assert [(band.start, band.end, band.label) for band in found] == [
        (1, 3, "idle"),
        (3, 8, "busy"),
    ]
    assert charts.bands([1, 4], ["a", "b"], log=True)[0].end == 2


def test_series_differ_by_shape_and_dash_not_by_colour_alone() -> None:
    lines = [Line(name, [Point(1, 1), Point(2, 2)]) for name in "abc"]
    picture = drawn(Plot("title", Axis("x"), Axis("y"), lines), 40)
    legend = picture.partition("</ul>")[0]
    assert len(set(re.findall(r'd="M13\.0 6\.0([^"]*)"', legend))) == 3


def test_a_level_without_a_value_keeps_its_place_on_the_axis() -> None:
    line = Line("speed", [Point(1, 5), Point(2, 6)])
    picture = drawn(Plot("title", Axis("load", at=(1, 2, 4)), Axis("y", low=0), [line]), 40)
    places = dict(re.findall(r'<text x="([\d.]+)" y="[\d.]+" class="mid">([124])</text>', picture))
    one, two, four = map(float, places)
    assert two - one == pytest.approx((four - one) / 3, abs=0.2)
    assert f'<path d="M{two:.1f} ' in picture  # its mark is above its tick


def test_a_tick_outside_of_the_scale_is_not_drawn() -> None:
    scale = _scales.Scale(1, 2, 50.0, 340.0)
    assert [tick.label for tick in _scales.ticks(scale, (0.5, 1, 2, 4), LIMITS)] == ["1", "2"]


def test_many_points_are_drawn_as_medians_with_their_range() -> None:
    picture = plot(*(Point(i, i % 7) for i in range(1000)), style="dots")
    assert picture.count('class="dot"') <= 40
    assert 'class="whisker"' in picture


def test_a_line_of_many_points_has_no_marks_on_it() -> None:
    line = Line("speed", [Point(i, i) for i in range(100)])
    picture = drawn(Plot("title", Axis("x"), Axis("y"), [line]), 200)
    assert 'class="line"' in picture
    assert 'class="dot"' not in picture


def test_labels_beside_points_do_not_overlap() -> None:
    points = [Point(1 + i / 1000, 5, label=f"level {i}") for i in range(5)]
    line = Line("speed", [Point(0, 0), *points, Point(2, 9)], labelled=True)
    picture = drawn(Plot("title", Axis("x"), Axis("y"), [line]), 40)
    assert picture.count(">level ") == 5 + 1  # in a title each, and one as text


def test_a_chart_without_values_is_an_empty_area() -> None:
    assert 'class="axis"' in drawn(Plot("title", Axis("x"), Axis("y"), []), 40)


@pytest.mark.parametrize(
    ("values", "bars"), [([5.0] * 10, 1), ([1.0, 2.0, 3.0, 4.0], 3), ([0.1, 1, 10, 1000], 3)]
)
def test_a_distribution_counts_each_value_once(values: list[float], bars: int) -> None:
    found = charts.distribution("title", values, Axis("wait", "ms"), [])
    assert sum(point.y for point in found.lines[0].points) == len(values)
    assert len(found.lines[0].points) == bars
    assert found.x.log == (max(values) / min(values) > 50)
    assert drawn(found, 40).count('class="bar"') == bars


@settings(max_examples=60)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_a_distribution_of_anything_holds_all_values(values: list[float]) -> None:
    found = charts.distribution("title", values, Axis("x"), [])
    assert sum(point.y for point in found.lines[0].points) == len(values)
    assert found.x.low <= min(values)  # type: ignore[operator]
    drawn(found, 40)


def test_intervals_stand_below_their_labels_and_beside_their_values() -> None:
    spans = [Span("B <x>", -5, 1, 9, "+1 %", "slower"), Span("y" * 99, 0, 1, 2, "+1 %")]
    picture = drawn(Forest("title", Axis("change", "%"), spans, 3.0, "a note"), 5)
    assert "B &lt;x&gt;" in picture
    assert "y…<title>" in picture
    assert '<g class="span slower">' in picture
    assert "<title>±3</title>" in picture
    assert "<p>a note</p>" in picture


def test_label_of_the_point_at_the_right_end_stands_to_its_left() -> None:
    points = [Point(1, 5, label="slow-model"), Point(9, 5.1, label="fast-model")]
    line = Line("models", points, "dots", labelled=True)
    picture = drawn(Plot("title", Axis("x"), Axis("y"), [line]), 40)
    slow, fast = (re.search(f"<text ([^>]*)>{name}-model", picture) for name in ("slow", "fast"))
    assert slow is not None
    assert fast is not None
    assert ('class="end"' in slow[1], 'class="end"' in fast[1]) == (False, True)
    place = re.search(r'x="([\d.]+)"', fast[1])
    assert place is not None
    assert float(place[1]) < 360 - 12


def test_interval_beyond_the_reach_ends_in_an_arrow_and_leaves_room_to_the_others() -> None:
    spans = [Span("A to B", -90, 2, 300, "+2 %"), Span("A to C", 4, 5, 6, "+5 %")]
    wide = drawn(Forest("title", Axis("change", "%"), spans, 3.0), 5)
    cut = drawn(Forest("title", Axis("change", "%"), spans, 3.0, reach=12), 5)
    assert "l-5 4l5 4" in cut
    assert "l5 4l-5 4" in cut
    assert "l5 4" not in wide
    assert "<title>-90.0 to 300</title>" in cut
    assert length(cut) > 10 * length(wide)


def length(picture: str) -> float:
    """Return the pixels of the last interval."""
    start, end = re.findall(r'M([\d.]+) [\d.]+H([\d.]+)M[^"]*" class="whisker"', picture)[-1]
    return float(end) - float(start)

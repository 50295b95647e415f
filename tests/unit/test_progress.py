"""Progress is told in the wanted way, on the one stream it was given."""

from __future__ import annotations

import io
import json
import os
import pty
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.benchmark_documents import failed_trace, row, trace_of

from pytest_llamaburn import progress
from pytest_llamaburn.progress import Event, Json, Live, Plain, Silent, make, of_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def progress_output(word: str, path: Path, steps: int, total: int) -> str:
    """Return what a style writes about a run to the descriptor it is given."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    shown = make(word, descriptor)
    shown.plan(total)
    for _ in range(steps):
        shown.step(of_request(row()))
    shown.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    return path.read_text(encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "progress"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Hold the clock still, and return what sets it."""
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return lambda moment: now.__setitem__(0, moment)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("total", "counts"),
    [
        (100, [*range(10, 101, 10)]),
        (10, [*range(1, 11)]),
        (3, [1, 2, 3]),
        (1, [1]),
        (25, [3, 6, 9, 12, 15, 18, 21, 24, 25]),
    ],
)
def test_plain_lines_come_each_tenth_and_at_the_end(
    place: Path, total: int, counts: list[int]
) -> None:
    lines = progress_output("plain", place, total, total).splitlines()
    assert [line.partition(" ")[0] for line in lines] == [f"{n}/{total}" for n in counts]


@pytest.mark.usefixtures("clock")
def test_a_plain_line_has_speed_and_no_control_bytes(place: Path) -> None:
    text = progress_output("plain", place, 1, 1)
    assert text == "1/1 request, 100.0 tokens/s, TTFT 100 ms\n"


def test_a_plain_line_comes_after_half_a_minute_of_silence(
    clock: Callable[[float], None],
) -> None:
    stream = io.StringIO()
    shown = Plain(stream)
    shown.plan(1000)
    for moment in (10.0, 29.9, 30.5, 31.0, 60.0, 61.0):
        clock(moment)
        shown.step(of_request(row()))
    assert [line.partition(" ")[0] for line in stream.getvalue().splitlines()] == [
        "3/1000",
        "6/1000",
    ]


@pytest.mark.usefixtures("clock")
def test_a_plan_that_grows_with_each_request_gives_no_line_for_each() -> None:
    stream = io.StringIO()
    shown = Plain(stream)
    shown.plan(20)
    for number in range(1, 41):
        if number > 20:
            shown.plan(1)
        shown.step(of_request(row()))
    counts = [line.partition(" ")[0] for line in stream.getvalue().splitlines()]
    assert counts[-6:] == ["20/20", "23/23", "26/26", "29/29", "33/33", "37/37"]


@pytest.mark.usefixtures("clock")
def test_a_plan_can_grow(place: Path) -> None:
    stream = io.StringIO()
    shown = Plain(stream)
    for _ in range(2):
        shown.plan(1)
        shown.step(of_request(row()))
    lines = stream.getvalue().splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["1/1", "2/2"]


def test_a_failure_is_told_by_its_kind() -> None:
    stream = io.StringIO()
    shown = Plain(stream)
    shown.plan(1)
    shown.step(of_request(row(failed_trace())))
    assert stream.getvalue() == "1/1 request, last failed: oom\n"


def test_json_is_an_object_a_request_with_what_is_known(
    place: Path, clock: Callable[[float], None]
) -> None:
    stream = io.StringIO()
    shown = Json(stream)
    shown.plan(30)
    for number in (1, 2, 3):
        clock(2.0 * number)
        shown.step(of_request(row()))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["done"] for event in events] == [1, 2, 3]
    assert abs(events[2].pop("at") - time.time()) < 60
    assert events[2] == {
        "event": "progress",
        "stage": "measuring",
        "unit": "requests",
        "done": 3,
        "planned": 30,
        "failed": 0,
        "state": "ok",
        "time_to_first_token_ms": 100.0,
        "tokens_per_sec": 100.0,
        "eta_s": 54.0,
    }


def test_json_tells_a_failure_and_leaves_out_what_is_unknown() -> None:
    stream = io.StringIO()
    shown = Json(stream)
    shown.plan(1)
    shown.step(of_request(row(failed_trace("reset"))))
    shown.plan(1)
    shown.step(of_request(row(trace_of(usage=None))))
    failed, uncounted = map(json.loads, stream.getvalue().splitlines())
    assert (failed["failure"], failed["state"], failed["failed"]) == ("reset", "failing", 1)
    assert "time_to_first_token_ms" not in failed
    assert not {"failure", "tokens_per_sec", "eta_s"} & uncounted.keys()


def test_json_has_the_numbers_of_a_load() -> None:
    stream = io.StringIO()
    event = Event(rate_per_sec=2.5, in_flight=3, requests_per_sec=2.4, total_p95_ms=80.0, failed=0)
    Json(stream).load(event)
    found = json.loads(stream.getvalue())
    del found["at"]
    assert found == {
        "event": "progress",
        "stage": "measuring",
        "unit": "requests",
        "rate_per_sec": 2.5,
        "in_flight": 3,
        "requests_per_sec": 2.4,
        "total_p95_ms": 80.0,
        "failed": 0,
    }


def test_a_plain_line_tells_how_a_load_goes_after_half_a_minute(
    clock: Callable[[float], None],
) -> None:
    stream = io.StringIO()
    shown = Plain(stream)
    event = Event(
        rate_per_sec=2.5, in_flight=3, requests_per_sec=2.4, tokens_per_sec=20, total_p95_ms=80
    )
    for moment in (10.0, 31.0, 32.0):
        clock(moment)
        shown.load(replace(event, failed=1))
    assert stream.getvalue() == (
        "2.5 requests/s: 3 in flight, 2.4 requests/s, 20 tokens/s, p95 now 80 ms, 1 failed\n"
    )


def test_live_draws_on_its_own_stream_only(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = progress_output("live", place, 2, 2)
    assert "2/2" in text
    assert "100.0 tokens/s" in text
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("word", "text"),
    [("plain", "Hello.\n"), ("json", '{"event": "note", "text": "Hello."}\n'), ("live", "Hello.")],
)
def test_a_sentence_is_told_in_each_style(place: Path, word: str, text: str) -> None:
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT)
    shown = make(word, descriptor)
    shown.plan(1)
    shown.say("Hello.")
    shown.close()
    assert text in place.read_text(encoding="utf-8")


def test_live_closed_before_a_plan_draws_nothing() -> None:
    stream = io.StringIO()
    shown = Live(stream)
    shown.step(of_request(row()))
    shown.close()
    assert stream.closed


def test_live_can_have_its_plan_made_longer() -> None:
    stream = io.StringIO()
    shown = Live(stream)
    shown.plan(2)
    shown.plan(3)
    shown.step(of_request(row()))
    assert "1/5" in stream.getvalue()
    shown.close()


def test_live_shows_how_a_load_goes_and_counts_no_request_for_it() -> None:
    stream = io.StringIO()
    shown = Live(stream)
    shown.plan(2)
    shown.load(
        Event(stage="loading the server", clients=8, in_flight=8, requests_per_sec=2, failed=0)
    )
    last = stream.getvalue().rpartition("sending")[2]
    assert "0/2" in last
    assert "8 clients: 8 in flight" in last
    shown.close()


def test_live_names_one_client_in_the_singular() -> None:
    stream = io.StringIO()
    shown = Live(stream)
    shown.plan(2)
    shown.load(Event(stage="sending", clients=1, in_flight=1, requests_per_sec=2, failed=0))
    assert "1 client: 1 in flight" in stream.getvalue()
    shown.close()


def test_none_writes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "stream").open("w+b") as stream:
        shown = make("none", stream.fileno())
        shown.plan(1)
        shown.say("Hello.")
        shown.step(of_request(row()))
        shown.close()
        assert stream.seek(0, os.SEEK_END) == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("word", ["auto", "live", "plain", "json", "none"])
def test_without_a_descriptor_there_is_no_progress(word: str) -> None:
    assert isinstance(make(word, None), Silent)


@pytest.mark.parametrize(
    ("term", "plain", "style"),
    [("xterm", "", Live), ("dumb", "", Plain), ("", "", Live), ("xterm", "1", Plain)],
)
def test_auto_is_live_on_a_terminal_that_can(
    monkeypatch: pytest.MonkeyPatch, term: str, plain: str, style: type
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("NO_COLOR", plain)
    outer, inner = pty.openpty()
    shown = make("auto", inner)
    assert type(shown) is style
    shown.close()
    os.close(outer)


def test_auto_is_plain_where_there_is_no_terminal(place: Path) -> None:
    text = progress_output("auto", place, 1, 1)
    assert text.startswith("1/1 request, ")


@pytest.mark.parametrize("word", ["live", "plain", "json"])
def test_progress_is_lost_where_the_terminal_is_gone_and_the_run_is_not(word: str) -> None:
    outer, inner = pty.openpty()
    shown = make(word, inner)
    shown.plan(1)
    os.close(outer)
    shown.say("Hello.")
    shown.step(of_request(row()))
    shown.close()


@pytest.mark.parametrize("style", [Json, Plain, Live])
def test_what_an_earlier_part_of_a_run_finished_counts_as_done(style: type[Json]) -> None:
    stream = io.StringIO()
    shown = style(stream)
    shown.plan(4)
    shown.resume(3)
    shown.step(of_request(row()))
    assert ("4/4" if style is not Json else '"done": 4, "planned": 4') in stream.getvalue()
    shown.close()


def test_an_earlier_part_of_a_run_has_no_pace(clock: Callable[[float], None]) -> None:
    stream = io.StringIO()
    shown = Json(stream)
    shown.plan(10)
    shown.resume(6)
    clock(2.0)
    shown.step(of_request(row()))
    event = json.loads(stream.getvalue())
    assert (event["done"], event["eta_s"]) == (7, 6.0)

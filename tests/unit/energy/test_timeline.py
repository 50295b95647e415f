"""What a run's sensors said: which devices count, what each moment was, what is null and why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.benchmark_documents import benchmark_document, failed_trace, header, record, row
from support.comparisons import comparison_document

from pytest_llamaburn import gates
from pytest_llamaburn.capacity.measuring_window import Stretch
from pytest_llamaburn.energy import profiles, timeline
from pytest_llamaburn.energy import words as power_report
from pytest_llamaburn.energy.timeline import Timeline, Window
from pytest_llamaburn.kinds import _energy
from pytest_llamaburn.kinds.benchmark.measures import MEASURES
from pytest_llamaburn.kinds.stress import levels, table
from pytest_llamaburn.load.rows import Row
from pytest_llamaburn.load.step import Step
from pytest_llamaburn.store import results

S = 10**9
WALL = 1_767_225_600 * S  # midnight, UTC
GPU: dict[str, Any] = {
    "id": "01:00.0",
    "name": "Example",
    "vendor": "nvidia",
    "scope": "gpu_board",
    "power_kind": "instant",
    "memory_kind": "vram",
    "integrated": False,
}
CHIP = {**GPU, "id": "c1:00.0", "vendor": "amd", "scope": "soc", "integrated": True}
PACKAGE = {
    **GPU,
    "id": "package-0",
    "vendor": "cpu",
    "scope": "cpu_package",
    "power_kind": "counter",
}


def about(*devices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    found = [{"name": "nvml", "version": "595", "devices": [d["id"] for d in devices]}]
    made = {
        "segment": "a",
        "wall_ns": WALL,
        "perf_ns": 0,
        "utc_offset_s": 0,
        "devices": list(devices),
        "providers": found if devices else [],
        "marks": [],
        "reason": None if devices else "no_provider",
    }
    return {**made, **fields}


def power(device: str = "01:00.0", watts: float = 100, seconds: float = 20, **more: Any) -> Any:
    """Return a device's readings, ten a second, no two alike: what stands still is frozen."""
    return [
        [device, i * S // 10, 0.1, {"power_w": watts + 1e-9 * (i % 2), **more}]
        for i in range(round(seconds * 10) + 1)
    ]


def host(seconds: int = 20, **values: float) -> list[list[Any]]:
    return [["host", i * S // 2, 0.1, values] for i in range(2 * seconds + 1)]


def clocked(start: float, end: float, segment: str = "a", **fields: Any) -> dict[str, Any]:
    """Return the row of a request between two seconds, its first token halfway."""
    middle = (start + end) / 2
    stamps = {n: round(t * S) for n, t in (("sent", start), ("first", middle), ("end", end))}
    clock = {"segment": segment, **{f"{name}_ns": t for name, t in stamps.items()}}
    return row(clock=clock, load_duration_ms=None, **fields)


def built(
    rows: list[dict[str, Any]], entries: list[dict[str, Any]], **config: Any
) -> dict[str, Any]:
    others = {"profile": entries}
    made = record(rows, header=header(config=config))._replace(others=others)
    return results.build(made)


def entry(readings: list[Any], *devices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "segment": fields.get("segment", "a"),
        "about": about(*devices, **fields),
        "readings": readings,
    }


ROWS = [clocked(5, 7), clocked(8, 10)]
WATCHED = entry([*power(), *host(cpu_pct=10.0)], GPU, marks=[["idle_loaded", 0, 3 * S]])


def test_requests_and_run_have_their_energy() -> None:
    found = built(ROWS, [WATCHED], kwh_rate=0.2)
    run = found["results"]["runs"][0]
    assert run["energy_wh"] == pytest.approx(200 / 3600)
    assert run["power_draw_watts"] == pytest.approx(100)
    assert "energy_wh" not in run["null_reasons"]
    assert "clock" not in run
    totals = found["results"]["totals"]
    assert totals["energy_wh"] == pytest.approx(500 / 3600)
    assert totals["power_draw_watts"] == pytest.approx(100)
    assert totals["power_peak_watts"] == pytest.approx(100)
    assert totals["energy_above_idle_wh"] == pytest.approx(0)
    assert totals["joules_per_output_token"] == pytest.approx(500 / 10)
    assert totals["output_tokens_per_joule"] == pytest.approx(10 / 500)
    assert totals["cpu_package_energy_wh"] is None
    assert found["results"]["summary"]["energy_wh"]["n"] == 2
    assert found["results"]["cost"]["cost_per_run"] == pytest.approx(500 / 3.6e6 * 0.2)
    assert found["results"]["cost"]["cost_per_month"] == pytest.approx(0.1 * 730 * 0.2)
    telemetry = found["telemetry"]
    assert (telemetry["provider"], telemetry["scope"], telemetry["reason"]) == (
        "nvml",
        "gpu_board",
        None,
    )
    assert telemetry["idle_power_w"] == pytest.approx(100)
    assert telemetry["sensor_error"].startswith("± 5 to 7 %")
    assert results.check(found) is None


def test_no_profile_at_all_is_no_provider() -> None:
    found = benchmark_document()
    assert found["telemetry"]["reason"] == "no_provider"
    assert found["system_profile"] == []
    assert found["results"]["totals"]["energy_wh"] is None


@pytest.mark.parametrize("reason", ["no_provider", "remote_server", "profile_off"])
def test_reason_of_the_profiler_is_the_reason_of_every_null(reason: str) -> None:
    found = built(ROWS, [entry(host(), reason=reason)], kwh_rate=0.1)
    assert found["results"]["runs"][0]["null_reasons"]["energy_wh"] == reason
    assert found["results"]["summary"]["energy_wh"]["reason"] == reason
    assert found["telemetry"]["reason"] == found["results"]["cost"]["reason"] == reason


def test_short_requests_are_null_and_the_run_is_not() -> None:
    found = built([clocked(5, 5.5), clocked(5.6, 6.1), clocked(6.2, 9)], [WATCHED])
    reasons = [run["null_reasons"].get("energy_wh") for run in found["results"]["runs"]]
    assert reasons == ["window_too_short", "window_too_short", None]
    assert found["results"]["totals"]["energy_wh"] == pytest.approx(400 / 3600)


def test_failed_request_has_no_energy_of_its_own_and_counts_in_the_run() -> None:
    clock = {"segment": "a", "sent_ns": 8 * S, "first_ns": None, "end_ns": 10 * S}
    found = built([clocked(5, 7), row(failed_trace(), clock=clock)], [WATCHED])
    assert found["results"]["runs"][1]["energy_wh"] is None
    assert found["results"]["runs"][1]["null_reasons"]["energy_wh"] == "failed"
    assert found["results"]["totals"]["energy_wh"] == pytest.approx(500 / 3600)


def test_tokens_that_are_not_counted_make_joules_a_token_null() -> None:
    uncounted: dict[str, Any] = {"output_sequence_length": None, "inter_token_latency_ms": None}
    rows = [clocked(5, 7, **uncounted), clocked(8, 10)]
    totals = built(rows, [WATCHED])["results"]["totals"]
    assert totals["joules_per_output_token"] is None
    assert totals["energy_wh"] is not None


def test_run_without_requests_has_no_energy() -> None:
    found = built([], [WATCHED])
    assert found["telemetry"]["reason"] == "no_samples"
    assert found["results"]["totals"]["measured_s"] is None


def test_two_profilers_of_a_run_are_added_and_a_missing_one_makes_the_total_null() -> None:
    second = entry(power(watts=300), GPU, segment="b", wall_ns=WALL + 100 * S)
    rows = [clocked(5, 10), clocked(5, 10, segment="b", repeat=1)]
    found = built(rows, [second, WATCHED])
    assert found["results"]["totals"]["energy_wh"] == pytest.approx(2000 / 3600)
    assert found["results"]["totals"]["power_draw_watts"] == pytest.approx(200)
    assert found["results"]["totals"]["energy_above_idle_wh"] is None  # one idled unwatched
    by_repeat = [r["energy_wh"] for r in found["results"]["energy_by_repeat"]]
    assert by_repeat == [pytest.approx(500 / 3600), pytest.approx(1500 / 3600)]
    lost = built(rows, [{**second, "readings": []}, WATCHED])
    assert lost["results"]["totals"]["energy_wh"] is None
    assert lost["telemetry"]["reason"] == "unsupported_field"


def test_entries_of_one_profiler_are_put_together() -> None:
    parts = [{"segment": "a", "readings": WATCHED["readings"][i::3]} for i in range(3)]
    found = built(ROWS, [*parts, {"segment": "a", "about": WATCHED["about"]}])
    assert found["results"]["totals"]["energy_wh"] == pytest.approx(500 / 3600)


# --- which devices count


@pytest.mark.parametrize(
    ("devices", "counted", "scope"),
    [
        ((GPU, CHIP, PACKAGE), ["01:00.0"], "gpu_board"),
        ((CHIP, PACKAGE), ["c1:00.0"], "soc"),
        ((PACKAGE,), ["package-0"], "cpu_package"),
        ((), [], None),
    ],
)
def test_energy_is_of_the_boards_else_the_chip_else_the_processors(
    devices: tuple[dict[str, Any], ...], counted: list[str], scope: str | None
) -> None:
    line = Timeline(about(*devices), [r for d in devices for r in power(d["id"])])
    assert ([d["id"] for d in line.counted], line.scope) == (counted, scope)


def test_processors_beside_a_gpu_are_told_apart() -> None:
    readings = [*power(), *power("package-0", 30)]
    found = built(ROWS, [entry(readings, GPU, PACKAGE)])
    assert found["results"]["totals"]["energy_wh"] == pytest.approx(500 / 3600)
    assert found["results"]["totals"]["cpu_package_energy_wh"] == pytest.approx(150 / 3600)


SECOND = {**GPU, "id": "02:00.0", "name": None}


def uses(**gpus: float) -> list[Any]:
    """Return a reading that says which GPUs the server uses, by their bus: `bus01=1.0`."""
    return ["server", S, 0.0, {f"{name[3:]}:00.0": use for name, use in gpus.items()}]


def left_out(line: Timeline) -> dict[str, str]:
    return {one["device"]: one["reason"] for one in line.not_counted}


def test_board_without_a_sensor_leaves_the_energy_of_the_others() -> None:
    found = built(ROWS, [entry([*power(), *power("package-0", 30)], GPU, SECOND, PACKAGE)])
    assert found["results"]["totals"]["energy_wh"] == pytest.approx(500 / 3600)
    assert found["telemetry"]["counted"] == ["01:00.0"]
    assert found["telemetry"]["not_counted"] == [
        {"device": "02:00.0", "reason": "no_power_sensor"},
        {"device": "package-0", "reason": "other_scope"},
    ]
    notes = [*power_report.notes(found)]
    assert "counted: Example 01:00.0" in notes
    assert "not counted: 02:00.0: it has no readable power sensor" in notes
    assert "device_not_counted" in {insight["id"] for insight in found["insights"]}
    assert results.check(found) is None


def test_no_device_with_a_sensor_is_no_energy() -> None:
    line = Timeline(about(GPU, SECOND), [])
    assert line.energy(5 * S, 10 * S).reason == "unsupported_field"
    assert line.idle_watts("idle_loaded") is None
    assert set(left_out(line).values()) == {"no_power_sensor"}


def test_second_die_is_in_the_reading_of_the_first() -> None:
    die = {**SECOND, "covered_by": "01:00.0"}
    readings = [*power(), uses(bus01=0.0, bus02=1.0)]
    line = Timeline(about(GPU, die), readings)
    assert [d["id"] for d in line.counted] == ["01:00.0"]
    assert left_out(line) == {"02:00.0": "other_die"}


def test_device_the_server_does_not_use_never_decides() -> None:
    both = [*power(), *power("02:00.0", 30)]
    one = Timeline(about(GPU, SECOND), [*both, uses(bus01=0.0, bus02=1.0)])
    assert one.energy(5 * S, 10 * S).watts == pytest.approx(30)
    assert left_out(one) == {"01:00.0": "not_used"}
    blind = Timeline(about(GPU, SECOND), [*power(), uses(bus01=0.0, bus02=1.0)])
    assert blind.energy(5 * S, 10 * S).reason == "unsupported_field"
    assert left_out(blind) == {"01:00.0": "not_used", "02:00.0": "no_power_sensor"}
    neither = Timeline(about(GPU, SECOND), [*both, uses(bus01=0.0, bus02=0.0)])
    assert neither.energy(5 * S, 10 * S).reason == "gpu_not_used"
    unknown = Timeline(about(GPU, SECOND), [*both, uses(bus01=1.0)])
    assert unknown.energy(5 * S, 10 * S).watts == pytest.approx(130)


def test_user_chooses_which_device_counts() -> None:
    readings = [*power(), *power("02:00.0", 30), uses(bus01=1.0, bus02=0.0)]
    line = Timeline(about(GPU, SECOND, chosen=["02:00.0"]), readings)
    assert line.energy(5 * S, 10 * S).watts == pytest.approx(30)
    assert left_out(line) == {"01:00.0": "not_chosen"}


def test_sensor_that_dies_in_the_run_is_named_and_costs_no_other() -> None:
    readings = [*power(), *power("02:00.0", 30, seconds=6)]
    found = built(ROWS, [entry(readings, GPU, SECOND)])
    assert found["results"]["totals"]["power_draw_watts"] == pytest.approx(100)
    assert found["telemetry"]["not_counted"] == [{"device": "02:00.0", "reason": "low_coverage"}]
    alone = built(ROWS, [entry(power(seconds=6), GPU)])
    assert alone["telemetry"]["reason"] == "low_coverage"
    assert alone["telemetry"]["counted"] == ["01:00.0"]


def test_parts_of_a_run_that_counted_different_devices_have_no_total() -> None:
    both = [*power(), *power("02:00.0", 30)]
    parts = [entry(both, GPU, SECOND), entry(power(), GPU, SECOND, segment="b", wall_ns=WALL + S)]
    found = built([clocked(5, 10), clocked(5, 10, segment="b", repeat=1)], parts)
    assert found["telemetry"]["reason"] == "devices_differ"
    assert found["results"]["totals"]["energy_wh"] is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from([GPU, CHIP, PACKAGE]), st.booleans(), st.sampled_from([None, 0.0, 1.0])
        ),
        max_size=4,
    )
)
@settings(max_examples=50, deadline=None)
def test_every_device_either_counts_or_has_its_reason(kinds: list[Any]) -> None:
    devices = [{**kind, "id": f"{i:02}:00.0"} for i, (kind, _, _) in enumerate(kinds)]
    said = {d["id"]: use for d, (_, _, use) in zip(devices, kinds, strict=True) if use is not None}
    sensed = zip(devices, kinds, strict=True)
    readings = [r for d, (_, has, _) in sensed if has for r in power(d["id"])]
    line = Timeline(about(*devices), [*readings, ["server", 0, 0.0, said]])
    counted = [d["id"] for d in line.counted]
    assert sorted([*counted, *left_out(line)]) == sorted(d["id"] for d in devices)
    assert set(left_out(line).values()) <= set(timeline.NOT_COUNTED)
    assert len({d["scope"] for d in line.counted}) <= 1
    assert (line.energy(5 * S, 10 * S).joules is not None) == bool(counted)
    assert not any(said.get(name) == 0.0 for name in counted)


def test_shares_of_requests_come_from_the_counted_devices() -> None:
    line = Timeline(about(GPU, CHIP), [*power(), *power("c1:00.0", 15)])
    assert line.joules(5 * S, 7 * S) == pytest.approx(200)


def test_idle_power_is_null_where_something_used_the_gpu() -> None:
    marks = [["idle_loaded", 0, 3 * S]]
    busy = Timeline(about(GPU, marks=marks), power(util_pct=50.0))
    calm = Timeline(about(GPU, marks=marks), power(util_pct=1.0))
    assert busy.idle_watts("idle_loaded") is None
    assert calm.idle_watts("idle_loaded") == pytest.approx(100)
    assert (
        Timeline(about(GPU, marks=[["idle_loaded", 90 * S, 91 * S]]), power()).idle_watts(
            "idle_loaded"
        )
        is None
    )


def test_counter_that_lies_is_noted() -> None:
    readings = [[d, t, c, {**v, "energy_j": 5.0}] for d, t, c, v in power()]
    found = built(ROWS, [entry(readings, GPU)])
    assert found["telemetry"]["measurement_method"] == "trapezoid"
    assert [n["code"] for n in found["telemetry"]["notes"]] == ["counter_rejected"]


def test_frozen_sensor_is_noted_and_null() -> None:
    readings = power(seconds=60)
    for i, reading in enumerate(readings):
        reading[3]["power_w"] = 50.0 + min(i, 100) / 2
    rows = [clocked(12, 15), clocked(40, 45)]
    found = built(rows, [entry(readings, GPU)])
    assert [n["code"] for n in found["telemetry"]["notes"]] == ["frozen_sensor"]
    first, last = found["results"]["runs"]
    assert first["energy_wh"] is not None
    assert (last["energy_wh"], last["null_reasons"]["energy_wh"]) == (None, "low_coverage")


def test_utilization_that_jumps_is_a_change_of_load() -> None:
    readings = power(seconds=30)
    for i, reading in enumerate(readings):
        reading[3]["power_w"] = 100.0
        reading[3]["util_pct"] = 0.0 if i > 150 else 90.0
    line = Timeline(about(GPU), readings)
    assert line.energy(20 * S, 30 * S).reason == "low_coverage"


# --- system_profile


def phases(
    requests: list[Window], marks: list[list[Any]], at: list[float]
) -> list[tuple[str, int]]:
    readings = [["host", round(t * S), 0.1, {}] for t in at]
    line = Timeline(about(marks=marks), readings, requests)
    return [(s["phase"], s["active"]) for s in line.samples(0)]


def test_each_sample_says_what_was_going_on() -> None:
    requests = [Window(10 * S, 12 * S, 14 * S, 1000.0), Window(13 * S, None, 15 * S)]
    marks = [["idle_before_load", 0, 2 * S], ["load", 2 * S, 4 * S], ["warmup", 5 * S, 8 * S]]
    at = [1, 3, 4.5, 6, 9, 10.5, 11.5, 12.5, 13.5, 14.5, 16]
    assert phases(requests, marks, at) == [
        ("idle_before_load", 0),
        ("load", 0),
        ("idle", 0),
        ("warmup", 0),
        ("idle", 0),
        ("load", 1),
        ("prompt_eval", 1),
        ("generate", 1),
        ("mixed", 2),
        ("prompt_eval", 1),
        ("cooldown", 0),
    ]


def test_old_reading_of_a_gpu_is_not_repeated() -> None:
    readings = [*power(seconds=5, util_pct=7.0), *host()]
    samples = built(ROWS, [entry(readings, GPU)])["system_profile"]
    assert samples[4]["gpus"][0]["power_w"] == 100
    assert samples[4]["gpus"][0]["temp_c"] is None
    assert all(value is None for k, value in samples[-1]["gpus"][0].items() if k != "id")


def test_samples_of_a_later_profiler_are_later() -> None:
    second = entry(host(1), segment="b", wall_ns=WALL + 100 * S)
    samples = built([], [second, entry(host(1))])["system_profile"]
    assert [s["t_ms"] for s in samples] == [0, 500, 1000, 100_000, 100_500, 101_000]
    assert samples[0]["gpus"] == []


def test_device_read_once_is_fresh_for_a_while() -> None:
    line = Timeline(about(GPU), [*power(seconds=0), *host(5)])
    seen = [sample["gpus"][0]["power_w"] for sample in line.samples(0)]
    assert seen == [100] * 6 + [None] * 5


# --- cost


def test_price_by_the_hour_is_weighted_by_when_it_was_measured() -> None:
    night = built(ROWS, [WATCHED], kwh_rate=0.4, tariff=("22-6=0.1",))["results"]["cost"]
    assert night["cost_per_run"] == pytest.approx(500 / 3.6e6 * 0.1)
    assert night["cost_per_month"] == pytest.approx(0.1 * 730 * (8 * 0.1 + 16 * 0.4) / 24)
    noon = entry(WATCHED["readings"], GPU, utc_offset_s=12 * 3600)
    day = built(ROWS, [noon], kwh_rate=0.4, tariff=("22-6=0.1",))["results"]["cost"]
    assert day["cost_per_run"] == pytest.approx(500 / 3.6e6 * 0.4)
    only = built(ROWS, [noon], tariff=("22-6=0.1",))["results"]["cost"]
    assert only["cost_per_run"] is None


def test_month_at_a_duty_cycle_and_co2_are_what_the_user_asked_for() -> None:
    config = {"kwh_rate": 0.2, "duty": 0.5, "pue": 1.2, "co2_g_per_kwh": 400.0}
    found = built(ROWS, [WATCHED], **config)["results"]["cost"]
    assert found["cost_per_month_at_duty"] == pytest.approx(0.1 * 730 * 0.2 * 1.2)  # idle is 100 W
    assert found["co2_g"] == pytest.approx(500 / 3.6e6 * 400 * 1.2)


# --- levels of a load


def sent_row(start: float, end: float, tokens: float | None = 5, error: Any = None) -> Row:
    """Return a request of a load, as its rows have it."""
    stamps = (round(start * S), round(start * S), round(start * S) + 1, None, round(end * S))
    return Row(1, 0, 0, "p", *stamps, {"output_sequence_length": tokens}, [], error)


def levelled(*parts: list[Row], entries: Any = (WATCHED,)) -> dict[str, Any]:
    windows = [_energy.window(row) for rows in parts for row in rows]
    whole = [
        (
            levels.Visit(Step(1), rows, rows[0].sent_ns),
            Stretch(min(row.sent_ns for row in rows), max(row.end_ns for row in rows)),
        )
        for rows in parts
        if rows
    ]
    stretches, tokens = [stretch for _, stretch in whole], levels.tokens(whole)
    return _energy.level(_energy.lines(entries, windows), stretches, tokens)


def test_level_takes_what_its_steps_took_failed_requests_too() -> None:
    found = levelled(
        [sent_row(5, 7), sent_row(5, 8)], [], [sent_row(10, 12, error={"kind": "oom"})]
    )
    assert found["energy_wh"] == pytest.approx(500 / 3600)
    assert found["power_draw_watts"] == pytest.approx(100)
    assert found["power_peak_watts"] == pytest.approx(100)
    assert found["joules_per_output_token"] == pytest.approx(50)
    assert found["output_tokens_per_joule"] == pytest.approx(0.02)
    assert found["energy_reason"] is None


def test_energy_of_a_level_is_of_its_held_stretch_and_of_the_tokens_inside() -> None:
    rows = [sent_row(5, 7), sent_row(7, 9), sent_row(9, 11)]
    visit, stretch = levels.Visit(Step(1), rows, 0), Stretch(7 * S, 9 * S)
    lines = _energy.lines((WATCHED,), [_energy.window(row) for row in rows])
    found = _energy.level(lines, [stretch], levels.tokens([(visit, stretch)]))
    assert found["energy_wh"] == pytest.approx(200 / 3600)
    assert found["joules_per_output_token"] == pytest.approx(200 / 5)


@pytest.mark.parametrize(
    ("parts", "entries", "reason"),
    [
        (([],), [WATCHED], "no_samples"),
        (([sent_row(5, 7)],), [], "no_provider"),
        (([sent_row(5, 7)],), [entry(host(), reason="remote_server")], "remote_server"),
        (([sent_row(50, 70)],), [WATCHED], "low_coverage"),
        (([sent_row(5, 5.2)],), [WATCHED], "window_too_short"),
    ],
)
def test_level_whose_energy_is_not_known_is_null_with_a_reason(
    parts: tuple[list[Row], ...], entries: Any, reason: str
) -> None:
    found = levelled(*parts, entries=entries)
    assert found.pop("energy_reason") == reason
    assert set(found.values()) == {None}


def test_level_without_token_counts_has_no_joules_a_token() -> None:
    found = levelled([sent_row(5, 7, None)])
    assert (found["joules_per_output_token"], found["output_tokens_per_joule"]) == (None, None)


def test_requests_of_a_load_are_in_the_profile() -> None:
    rows = [sent_row(5, 7), sent_row(6, 8)]
    found = _energy.seen([WATCHED], [_energy.window(row) for row in rows])
    assert {s["phase"] for s in found["system_profile"]} >= {"generate", "mixed", "cooldown"}
    assert found["telemetry"]["reason"] is None


# --- tables


def test_table_says_what_a_run_took_and_cost() -> None:
    config = {"kwh_rate": 0.2, "currency": "EUR", "duty": 0.25, "co2_g_per_kwh": 400.0}
    energy, sensor, cost, co2 = power_report.notes(built(ROWS, [WATCHED], **config))
    taken = "0.139 Wh, 100 W mean, 100 W peak, 0.000 Wh above idle, 50.0 J per output token"
    assert energy == f"energy of the GPU board only: {taken}"
    assert sensor.startswith("sensor nvml, trapezoid; its error: ± 5 to 7 %")
    price = (
        "0.0000278 EUR per run, 2.78 EUR per million tokens, 14.6 EUR per month at sustained load"
    )
    assert cost == f"cost of that energy: {price}, 14.6 EUR per month at 25% load"
    assert co2 == "CO2 of that energy: 0.0556 g per run"


def test_table_leaves_out_what_is_not_known() -> None:
    unwatched = entry(WATCHED["readings"], GPU)
    uncounted: dict[str, Any] = {"output_sequence_length": None, "inter_token_latency_ms": None}
    first, *others = power_report.notes(built([clocked(5, 7, **uncounted)], [unwatched]))
    assert first == "energy of the GPU board only: 0.0556 Wh, 100 W mean, 100 W peak"
    assert len(others) == 1  # the sensor; without a price there is no cost
    assert list(power_report.notes(built(ROWS, []))) == []


def test_table_of_levels_says_what_each_took() -> None:
    telemetry: dict[str, Any] = {
        "scope": "soc",
        "provider": "amd-sysfs",
        "sensor_error": "unvalidated",
    }
    telemetry |= {"counted": ["c1:00.0"], "devices": [CHIP]}
    clients = {**levelled([sent_row(5, 7)]), "concurrency": 4}
    rate = {**levelled([sent_row(5, 7, None)]), "rate": 2.5}
    unknown = {**levelled([]), "concurrency": 8}
    made = {"results": {"levels": [clients, rate, unknown]}, "telemetry": telemetry}
    assert list(table.energy(made)) == [
        "4 clients: 0.0556 Wh, 100 W mean, 40.0 J per output token",
        "2.5 requests/s: 0.0556 Wh, 100 W mean",
        "energy of the whole chip only, from amd-sysfs; its error: unvalidated",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.5, "1,230"),
        (153.12, "153"),
        (0.22949, "0.229"),
        (2.754e-05, "0.0000275"),
        (0.0, "0.00"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert power_report.digits(value) == text


# --- gates, comparisons, insights


@pytest.mark.parametrize(
    ("expression", "verdict"),
    [
        ("energy_wh.mean<0.5", "pass"),
        ("energy_wh.mean<50 mWh", "fail"),
        ("run_energy_wh<200mWh", "pass"),
        ("joules_per_output_token<49", "fail"),
        ("output_tokens_per_joule>0.01", "pass"),
        ("power_peak_watts<101", "pass"),
    ],
)
def test_energy_is_gated(expression: str, verdict: str) -> None:
    (found,) = gates.judged(built(ROWS, [WATCHED]), MEASURES, [expression], "point")
    assert found["verdict"] == verdict


def test_energy_that_is_not_known_decides_nothing() -> None:
    (found,) = gates.judged(built(ROWS, []), MEASURES, ["run_energy_wh<1"], "point")
    assert (found["verdict"], found["value"]) == ("undecided", None)
    (of_one_test,) = gates.judged({"results": {}}, MEASURES, ["run_energy_wh<1"], "point")
    assert of_one_test["verdict"] == "undecided"


def test_energy_a_token_is_compared() -> None:
    sources = []
    for name, watts in (("a", 100), ("b", 150)):
        made = built(ROWS, [entry(power(watts=watts), GPU)])
        sources.append({**made, "run_id": name})
    found = comparison_document("benchmark", *sources, columns=["joules_per_output_token"])[
        "results"
    ]
    (change,) = found["changes"]
    assert (change["unit"], change["better"]) == ("J", "lower")
    assert change["change"] == pytest.approx(0.5)
    assert found["files"][1]["runs"][0]["values"] == {"joules_per_output_token": pytest.approx(75)}


def test_energy_a_token_that_is_not_known_is_not_compared() -> None:
    sources = [{**built(ROWS, []), "run_id": name} for name in "ab"]
    found = comparison_document("benchmark", *sources, columns=["joules_per_output_token"])
    (change,) = found["results"]["changes"]
    assert (change["value"], change["verdict"]) == (None, "inconclusive")


def energies(*sides: tuple[list[Any], tuple[Any, ...]], **machine: Any) -> dict[str, Any]:
    """Return the comparison of the energy of two runs, by their readings and devices."""
    sources = []
    for name, (readings, devices) in zip("ab", sides, strict=True):
        made = {**built(ROWS, [entry(readings, *devices)]), "run_id": name}
        made["environment"] = {**made["environment"], "fingerprint": machine.get(name, "same")}
        sources.append(made)
    found: dict[str, Any] = comparison_document("benchmark", *sources, columns=["run_energy_wh"])[
        "results"
    ]
    return found


def test_energy_of_different_devices_is_not_compared() -> None:
    both = ([*power(), *power("02:00.0", 50)], (GPU, SECOND))
    found = energies((power(), (GPU, SECOND)), both)
    (change,) = found["changes"]
    reason = "the energy of different devices was counted: 01:00.0 and 01:00.0, 02:00.0"
    assert (change["verdict"], change["change"], change["reason"]) == ("inconclusive", None, reason)
    text = "device whose energy counts differs: 01:00.0 (A); 01:00.0, 02:00.0 (B)"
    assert {"id": "counted", "text": text} in found["warnings"]


def test_energy_of_another_machine_is_compared_where_it_is_of_the_same_scope() -> None:
    other = (power("02:00.0", 50), (SECOND,))
    (change,) = energies((power(), (GPU,)), other, b="other")["changes"]
    assert change["change"] == pytest.approx(-0.5)
    chip = (power("c1:00.0", 50), (CHIP,))
    (change,) = energies((power(), (GPU,)), chip, b="other")["changes"]
    assert change["change"] is None


def insight_ids(readings: list[Any], *devices: dict[str, Any], **fields: Any) -> set[str]:
    watched = entry([*readings, *host(server_cpu_pct=190.0)], *devices, **fields)
    found = built([clocked(5, 19.5)], [watched])
    told = found["insights"]
    assert all(insight["text"].endswith(".") and insight["evidence"] for insight in told)
    return {insight["id"] for insight in told}


def test_ordinary_readings_are_not_commented() -> None:
    calm = power(util_pct=90.0, temp_c=60.0, clock_mhz=2000.0, power_limit_w=300.0)
    assert insight_ids(calm, GPU) == {"early_stop"}


@pytest.mark.parametrize("name", ["clock_mhz", "power_w"])
def test_clock_or_power_that_falls_when_it_is_hot_is_throttling(name: str) -> None:
    readings = power(temp_c=70.0)
    for reading in readings:
        hot = reading[1] > 12 * S
        reading[3]["temp_c"] = 90.0 if hot else 70.0
        reading[3][name] = 100.0 if hot else 150.0
    assert "thermal_throttling" in insight_ids(readings, GPU)


def test_power_at_its_limit_is_said() -> None:
    assert "power_cap" in insight_ids(power(power_limit_w=101.0), GPU)
    assert "power_cap" not in insight_ids(power(power_limit_w=110.0), GPU)


def test_memory_that_is_nearly_full_is_said() -> None:
    assert "vram_nearly_full" in insight_ids(power(vram_used_mb=96.0, vram_total_mb=100.0), GPU)
    assert "vram_nearly_full" not in insight_ids(power(vram_used_mb=90.0, vram_total_mb=100.0), GPU)


def test_idle_gpu_beside_a_busy_server_is_said() -> None:
    assert "gpu_idle_cpu_busy" in insight_ids(power(util_pct=2.0), GPU)


def test_idle_power_that_is_most_of_the_energy_is_said() -> None:
    marks = [["idle_loaded", 0, 3 * S]]
    assert "idle_energy" in insight_ids(power(), GPU, marks=marks)


def test_facts_without_a_profile_are_null() -> None:
    profile = profiles.Profile((), [])
    found = profiles.facts(profile, profile.total())
    assert (found["provider"], found["scope"], found["missed_ticks"]) == (None, None, None)

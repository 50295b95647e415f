"""What tables, charts and pages say of each mode of a load."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from support.stress_documents import (
    BASELINE,
    SECOND,
    Taken,
    baseline,
    closed_loop,
    failed_row,
    level,
    open_loop,
    saved_stress,
    search_facts,
    spike_load,
    stress_document,
    sustained_load,
)

from pytest_llamaburn.kinds.stress import chart, table
from pytest_llamaburn.load.step import CLIENTS, RATE, SERVER_GONE, Step
from pytest_llamaburn.reports import csv, html, markdown
from pytest_llamaburn.reports import table as text_table
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from pathlib import Path

CALIBRATION = {
    "streams": 8,
    "chunks_per_sec": 50.0,
    "requests": 8,
    "ttft_error_ms": {"p50": 0.1, "p99": 0.4},
    "itl_error_ms": {"p50": 0.01, "p99": 0.02},
}


def failing(clients: int, every: int) -> Taken:
    rows = closed_loop(clients, 12, 100, 2)
    for i in range(0, len(rows), every):
        rows[i] = failed_row(rows[i].sent_ns / 1e6, (rows[i].end_ns - rows[i].sent_ns) / 1e6, "oom")
    return Step(clients, CLIENTS, len(rows)), rows


def table_text(directory: Path, *taken: Taken, **fields: Any) -> str:
    """Return the table of a run."""
    return text_table.render([saved_stress(directory, [baseline(), *taken], **fields)])


def test_a_sweep_has_a_row_a_level_its_points_and_its_insights(tmp_path: Path) -> None:
    text = table_text(
        tmp_path, level(1), level(2), level(8), failing(16, 3), threshold=("ttft_ms<1",)
    )
    assert re.search(r"^ *8 clients +degraded +96 +0 +20\.0 +200 ", text, re.MULTILINE)
    assert re.search(r"^ *16 clients +failure +192 +64 ", text, re.MULTILINE)
    for words in (
        "complete: sweep, 270 of 334 requests succeeded",
        "baseline, one client: total p50 100 ms, TTFT p50 10.0 ms; deadline of a request 10 s",
        "failure point (over 5% fail, deadline 10 s): ",
        "highest passing 8, lowest failing 16",
        "degradation point (time_to_first_token_from_schedule_ms.p",
        "optimal: 2 clients: 20 requests/s, within 5 % of the best, 20",
        "failed: oom × 64",
        "gate ttft_ms<1: fail: 10 ",
        "Throughput does not grow above",
        "● tokens/s, top",
    ):
        assert words in text, words


def test_a_search_shows_the_interval_of_its_point(tmp_path: Path) -> None:
    text = table_text(tmp_path, failing(8, 3), facts=search_facts(7.5, 7, 8))
    assert "fail, deadline 10 s): 7.5 clients [7, 8]; highest passing 7, lowest failing 8" in text


def test_a_run_that_lost_its_server_says_where_it_stopped(tmp_path: Path) -> None:
    facts = {"findings": {"stop_reason": SERVER_GONE}}
    text = table_text(tmp_path, level(1), failing(8, 2), facts=facts)
    assert "partial: sweep" in text
    assert "stopped before the end: the server is gone" in text


def test_what_the_machine_did_before_the_load_is_told(tmp_path: Path) -> None:
    path = saved_stress(tmp_path, [baseline(), level(2)])
    made = json.loads(path.read_text())
    gpus = [{"id": "01:00.0", "util_pct": 3.0, "vram_used_mb": 512.0}]
    read = {"samples": 4, "cpu_pct": 2.0, "ram_used_mb": None, "server_rss_mb": 300.0, "gpus": gpus}
    for idle, words in (
        (read, "CPU 2.00 %, the server's memory 300 MB, GPU 01:00.0 3.00 %, VRAM 512 MB"),
        (dict.fromkeys(read), None),
    ):
        made["results"]["idle"] = idle | {"gpus": idle["gpus"] or []}
        path.write_text(json.dumps(made))
        assert ("idle, before the load: " in text_table.render([path])) is bool(words)
        assert (words or "") in text_table.render([path])


def test_a_level_that_an_idle_server_did_not_begin_says_so(tmp_path: Path) -> None:
    text = table_text(tmp_path, level(1), level(8), idle={1: True, 2: False})
    assert "8 clients: the server was not idle before this level" in text
    assert "1 client: the server was" not in text


def test_bounds_of_good_requests_have_their_columns(tmp_path: Path) -> None:
    path = saved_stress(tmp_path, [baseline(), level(2), level(8)], slo="e2e_ms<150")
    text = text_table.render([path])
    assert "goodput/s goodput %" in re.sub(" +", " ", text)
    assert re.search(r"^ *2 clients .* 20\.0 +100\.0%", text, re.MULTILINE)
    assert re.search(r"^ *8 clients .* +[\d.]+%", text, re.MULTILINE)
    head, first = csv.render([path]).splitlines()[:2]
    row = dict(zip(head.split(","), first.split(","), strict=True))
    assert float(row["goodput.share"]) == 1
    assert float(row["total_generation_ms.p99"]) == float(row["total_generation_ms.adj_p99"]) == 100
    assert {"total_generation_ms.p99_9", "goodput.requests_per_sec"} <= row.keys()


def test_shorter_deadlines_stand_beside_the_point(tmp_path: Path) -> None:
    said = {"baseline": {**BASELINE, "deadline_s": 1.0}}
    taken = [level(n, slots=1, each=24) for n in (1, 2, 4, 8)]
    text = table_text(tmp_path, *taken, failing(16, 3), facts=said)
    assert re.search(r"lowest failing 16 \(by 0\.5 s: [\d.]+, by 0\.25 s: [\d.]+\)", text)


def test_what_was_not_reached_says_why(tmp_path: Path) -> None:
    text = table_text(tmp_path, level(1), level(2))
    assert "failure point (over 5% fail, deadline 10 s): not reached up to 2: maximum" in text
    assert "over 2× the baseline): not reached: up to 2 it stays below 2×" in text


def test_a_level_without_a_state_says_why(tmp_path: Path) -> None:
    text = table_text(tmp_path, level(1), level(4), warmup_window="12")
    assert "1 client: all of 12 requests left out by the windows" in text


def test_a_point_that_the_levels_only_bracket_has_no_number(tmp_path: Path) -> None:
    text = table_text(tmp_path, failing(1, 12))
    assert (
        "deadline 10 s): somewhere at or below 1 client; lower levels were not measured; " in text
    )
    older = {"concurrency": None, "passing": 2, "failing": 8}  # of a file without brackets
    assert table.place_of(older) == "between 2 and 8 clients"


def test_goodput_without_numbers_says_why(tmp_path: Path) -> None:
    step, rows = level(2)
    rows[-1].doubts = {"time_to_first_token_ms": "implausible"}
    text = table_text(tmp_path, (step, rows), slo="ttft_ms<5")
    assert "2 clients: goodput: 1 of " in text


def test_a_rate_without_throughput_says_why(tmp_path: Path) -> None:
    text = table_text(tmp_path, (Step(40, RATE, 6), open_loop(40, 0.15, 100)), arrival="static")
    assert "40 requests/s: throughput: the schedule ended too soon" in text


def test_a_server_that_counts_no_tokens_has_none_in_file_table_and_chart(tmp_path: Path) -> None:
    taken = [baseline(), level(1), level(2)]
    for _, rows in taken:
        for one in rows:
            one.values["output_sequence_length"] = None
    path = saved_stress(tmp_path, taken)
    found = results.load(path)["results"]
    assert found["totals"]["output_tokens"] is None
    assert found["tokens_reason"].startswith("the server sent no token counts")
    text = text_table.render([path])
    assert "1 client, 2 clients: tokens/s: the server sent no token counts" in text
    assert "● tokens/s, top –" in text


def test_rates_are_told_as_rates(tmp_path: Path) -> None:
    rates = [(Step(rate, RATE, 300), open_loop(rate, 10, 100, 2)) for rate in (10, 30)]
    text = table_text(tmp_path, *rates, arrival="static")
    assert "sweep, static arrivals" in text
    assert re.search(r"^ *30 requests/s +degraded ", text, re.MULTILINE)
    assert "optimal: 10 requests/s" in text


def test_a_spike_tells_how_its_burst_went_and_looks_for_no_points(tmp_path: Path) -> None:
    step, rows = spike_load()
    rows[-2:] = [failed_row(25_000, 900), failed_row(25_000, 1, "queue_full")]
    for one in rows[-2:]:
        one.burst = True
    text = table_text(tmp_path, (step, rows), mode="spike", arrival="poisson")
    assert (
        "burst 1: 500 requests, 2 failed (timeout_total × 1, queue_full × 1), TTFT p50 100 ms, "
        "p95 100, total p50 1,000 ms, p95 1,000"
    ) in text
    assert "no failure and no degradation point: a spike run has only one steady level" in text
    assert "failure point (" not in text


def test_a_spike_without_a_steady_time_before_it_has_no_bound_of_its_recovery(
    tmp_path: Path,
) -> None:
    step, rows = spike_load()
    early = [one for one in rows if one.scheduled_ns >= 15_000_000_000]
    text = table_text(tmp_path, (step, early), mode="spike", arrival="poisson")
    assert "recovery: –: fewer than 3 windows before the spike had successful requests" in text


def test_a_recovery_within_the_resolution_is_under_it() -> None:
    found = {"recovery_time_ms": 0.0, "range_ms": [0.0, 6000.0], "spikes": [1, 2]}
    text = table.recovery_row({**found, "resolution_ms": 5000.0, "steady_rate": 2.0})
    assert text.startswith("recovery after a spike: under 5,000 ms (of 2 spikes, under 5,000 to ")


def test_a_spike_tells_its_recovery_or_that_there_was_none(tmp_path: Path) -> None:
    fields = {"mode": "spike", "arrival": "poisson"}
    text = table_text(tmp_path / "a", spike_load(), **fields)
    assert (
        "recovery after a spike: 5,000 ms (of 1 spike, 5,000 to 5,000 ms), resolution 5,000 ms, "
        "steady load 10 requests/s"
    ) in text
    text = table_text(tmp_path / "b", spike_load(comes_back=False), **fields)
    assert (
        "recovery: at least 25,000 ms: latency did not return to the baseline before the run ended"
        in text
    )


def test_a_sustained_load_tells_drift_and_plateau(tmp_path: Path) -> None:
    text = table_text(tmp_path / "a", sustained_load(), mode="sustained")
    assert "tokens_per_sec over time: does not drift (p 1), steady at 200" in text
    short = table_text(tmp_path / "b", sustained_load(4), mode="sustained")
    assert "total_p50_ms over time: no verdict: fewer than 8 batches" in short
    path = saved_stress(tmp_path / "c", [baseline(), sustained_load()], mode="sustained")
    found = results.load(path)
    judged = found["results"]["sustained"]["total_p50_ms"]
    judged["trend"] |= {"drifts": True, "share": 0.42, "p": 0.001}
    judged["steady"] = None
    results.write(tmp_path / "c", found)
    assert "total_p50_ms over time: drifts by +42.0% (p 0.001), no steady" in text_table.render(
        [path]
    )


def profile(seconds: int) -> list[dict[str, Any]]:
    """Return what was read each second: both processes grow, the server's by 1 MB a second."""
    values = [{"server_rss_mb": 500.0 + s, "client_rss_mb": 80.0 + s / 10} for s in range(seconds)]
    about = {"wall_ns": 0, "perf_ns": 0, "devices": [], "providers": [], "marks": []}
    readings = [["host", s * SECOND, 0.1, value] for s, value in enumerate(values)]
    return [{"segment": "a", "about": {**about, "segment": "a"}, "readings": readings}]


def test_a_sustained_load_tells_memory_by_the_minute_from_its_own_begin(tmp_path: Path) -> None:
    path = saved_stress(
        tmp_path, [baseline(), sustained_load(90)], mode="sustained", profile=profile(120)
    )
    minutes = results.load(path)["results"]["sustained"]["per_minute"]
    assert [minute["server_rss_mb"] for minute in minutes] == [531.5, 577]  # from second 2 on
    text = text_table.render([path])
    assert "the server's memory: 532 MB in the first minute, 577 in the last" in text
    assert "the client's memory: 83.2 MB in the first minute, 87.7 in the last" in text


def test_memory_that_nobody_read_is_told_to_be_unknown(tmp_path: Path) -> None:
    text = table_text(tmp_path, sustained_load(), mode="sustained")
    assert "memory per minute: the machine was not profiled during the load" in text


def test_a_run_cut_in_its_baseline_has_a_table_all_the_same(tmp_path: Path) -> None:
    said = {"baseline": None, "findings": None}
    text = text_table.render([saved_stress(tmp_path, [baseline()], facts=said, mode="sustained")])
    assert "10 of 10 requests succeeded" in text
    assert "baseline, one client" not in text
    assert "0 of 0" in text_table.render([saved_stress(tmp_path / "none", [], facts=said)])


def test_the_instruments_error_and_a_client_that_was_the_limit_are_told(tmp_path: Path) -> None:
    rows = closed_loop(8, 12, 100, 2)
    for one in rows:
        one.scheduled_ns -= 200_000_000
    limited = (Step(8, CLIENTS, 96), rows)
    text = table_text(tmp_path, limited, facts={"calibration": CALIBRATION})
    assert "8 clients: the client was too slow (schedule_lateness_p99_ms is 200 ms" in text
    assert "use --workers" in text
    assert "clock error, 8 streams: TTFT error p50 0.100 ms, p99 0.400 ms" in text
    other = table_text(tmp_path / "b", level(1), facts={"calibration": {"reason": "not here"}})
    assert "TTFT error" not in other


def test_a_point_between_two_levels_far_apart_is_printed_as_these(tmp_path: Path) -> None:
    text = table_text(tmp_path, level(1), level(2), level(8), failing(16, 3))
    assert "deadline 10 s): between 8 and 16 clients; highest passing 8, lowest failing 16" in text
    assert re.search(r"degradation point \(.*\): between 2 and 8 clients; highest", text)


def test_a_point_above_all_that_was_sent_is_said_to_be_there() -> None:
    at = table.place_of({"rate": None, "bracket": (4, None), "passing": 4, "failing": None})
    assert at == "above 4 requests/s"


def test_spreadsheets_have_a_row_a_level_with_its_distributions(tmp_path: Path) -> None:
    path = saved_stress(tmp_path, [baseline(), level(1), level(4)])
    head, *lines = csv.render([path]).splitlines()
    assert {"concurrency", "state", "total_generation_ms.p95"} <= set(head.split(","))
    assert len(lines) == 2
    assert re.findall(r"\d clients? \|", markdown.render([path])) == ["1 client |", "4 clients |"]


def test_the_page_draws_levels_states_and_points(tmp_path: Path) -> None:
    path = saved_stress(
        tmp_path, [baseline(), level(1), level(2), level(3), level(12), failing(16, 3)]
    )
    page = html.render([path])
    assert "<figcaption>Throughput against latency</figcaption>" in page
    by_level = page.partition("<figcaption>Throughput by level")[2].partition("</figure>")[0]
    for state in ("optimal", "degraded", "failure"):
        assert by_level.count(f'class="band s-{state}"') == 1
        assert f">{state}</text>" in by_level
    assert "failure point</text>" in by_level
    assert "degradation point</text>" in by_level
    one = html.render([saved_stress(tmp_path / "one", [baseline(), level(1)])])
    assert "by level" not in one


def drawn(values: list[tuple[float | None, float | None]]) -> list[str]:
    levels = [
        {"output_tokens_per_sec": speed, "total_generation_ms": {"p50": total}}
        for speed, total in values
    ]
    return chart.lines(levels, [2.0**i for i in range(len(levels))])


def test_the_chart_draws_each_series_on_its_own_scale() -> None:
    lines = drawn([(50, 10), (100, 20), (100, 40)])
    assert lines[0] == "│         ●     ●○"
    assert lines[7] == "│"
    assert lines[9].split() == ["1", "2", "4"]
    assert "● tokens/s, top 100   ○ total p50, ms, top 40.0" in lines[10]


def test_what_was_not_measured_is_not_drawn() -> None:
    lines = "\n".join(drawn([(50, None), (None, None)]))
    assert lines.count("●") == 2  # its own and the legend's
    assert lines.count("○") == 1
    assert drawn([(50, 1)]) == []


def test_a_run_that_got_no_answer_was_cut_or_found_nothing_says_so(tmp_path: Path) -> None:
    nothing = (Step(1, CLIENTS, 3), [failed_row(100 * i, 50, "oom") for i in range(3)])
    wanted = {"failed": [nothing], "interrupted": [baseline()], "partial": [baseline()]}
    for status, taken in wanted.items():
        (tmp_path / status).mkdir()
        said = {"findings": None, "baseline": None}
        cut = status == "interrupted"
        made = stress_document(tmp_path / status, taken, facts=said, interrupted=cut)
        assert made["status"] == status


def test_the_chart_in_text_is_drawn_in_text_alone(tmp_path: Path) -> None:
    path = saved_stress(tmp_path, [baseline(), level(1), level(2)])
    assert "```text\n│" in markdown.render([path])
    page = html.render([path])
    assert "│" not in page
    assert "<svg" in page

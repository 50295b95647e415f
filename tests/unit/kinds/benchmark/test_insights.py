"""Insights speak only where their evidence is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.benchmark_documents import benchmark_document, failed_trace, header, row

from pytest_llamaburn import flags
from pytest_llamaburn.kinds.benchmark import insights

if TYPE_CHECKING:
    from pytest_llamaburn.insights import Insight

FULL_LENGTH = {"max_tokens": 5}  # as many tokens as the samples have: none stops early


def insights_by_id(made: list[dict[str, Any]], **fields: Any) -> dict[str, Insight]:
    """Return what is said about a run of these rows, by rule."""
    fields.setdefault("header", header(config=FULL_LENGTH))
    found = benchmark_document(made, **fields)["insights"]
    for insight in found:
        assert insight["text"].endswith(".")
        assert insight["evidence"]
    return {insight["id"]: insight for insight in found}


def with_ratios(*ratios: float | None) -> list[dict[str, Any]]:
    """Return requests in which the client saw these multiples of the server's speed."""
    return [
        row(tokens_per_sec=None if ratio is None else 100 * ratio, server_tokens_per_sec=100.0)
        for ratio in ratios
    ]


def with_latencies(*latencies_ms: float) -> list[dict[str, Any]]:
    return [
        row(
            inter_token_latency_ms=ms,
            tokens_per_sec=None,
            iteration=index,
            timestamp=f"2026-01-13T10:30:{index:02}Z",
        )
        for index, ms in enumerate(latencies_ms)
    ]


def test_an_ordinary_run_is_not_commented() -> None:
    assert insights_by_id([row()] * 5) == {}


@pytest.mark.parametrize("made", [[], [row(failed_trace())]], ids=["none", "failed"])
def test_without_a_success_nothing_is_said(made: list[dict[str, Any]]) -> None:
    assert insights_by_id(made) == {}


@pytest.mark.parametrize(
    ("ratio", "words"),
    [(1.051, "5 % more"), (0.949, "5 % fewer"), (2.0, "100 % more"), (0.25, "75 % fewer")],
)
def test_clocks_that_differ_by_more_than_a_twentieth_disagree(ratio: float, words: str) -> None:
    found = insights_by_id(with_ratios(ratio))["clocks_disagree"]
    assert f"The client measured {words} tokens per second" in found["text"]
    assert found["evidence"] == {"median_ratio": pytest.approx(ratio), "requests": 1}


@pytest.mark.parametrize("ratio", [0.951, 1.0, 1.049, None])
def test_clocks_that_differ_by_less_agree(ratio: float | None) -> None:
    assert insights_by_id(with_ratios(ratio)) == {}


def test_a_server_without_a_clock_is_not_compared() -> None:
    assert insights_by_id([row(server_tokens_per_sec=None, tokens_per_sec=1000.0)]) == {}


def test_the_middle_request_decides_and_not_one_that_stands_out() -> None:
    assert insights_by_id(with_ratios(1.0, 1.01, 9.0)) == {}
    found = insights_by_id(with_ratios(1.0, 1.2, 1.3))["clocks_disagree"]
    assert found["evidence"] == {"median_ratio": pytest.approx(1.2), "requests": 3}


@pytest.mark.parametrize(
    ("prompt_ms", "said"),
    [(97.0, False), (98.0, True), (140.0, True), (141.0, False), (None, False)],
)
def test_a_prompt_that_takes_seven_tenths_of_the_wait_dominates(
    prompt_ms: float | None, said: bool
) -> None:
    found = insights_by_id([row(prompt_eval_ms=prompt_ms, total_generation_ms=140.0)])
    assert ("prompt_dominates" in found) is said
    if said:
        assert found["prompt_dominates"]["evidence"]["of_first_token"] == min(
            1, (prompt_ms or 0) / 100
        )


def test_the_share_on_the_cpu_is_told() -> None:
    held = [{"name": "llama3.1:q4", "gpu_share": 0.62}]
    found = insights_by_id([row()], facts={"loaded_before": held})["cpu_spill"]
    assert "1 of 1 request: 38% of the model runs on the CPU" in found["text"]
    assert found["evidence"]["cpu_share"] == pytest.approx(0.38)


@pytest.mark.parametrize(
    ("latencies_ms", "said"),
    [
        ((22.1, 10, 11, 10, 10), True),
        ((21.9, 10, 11, 10, 10), False),
        ((10, 10, 11, 10, 22.1), False),
        ((22.1, 10, 11, 10), False),
    ],
)
def test_a_first_request_twice_as_slow_as_any_other_was_not_warm(
    latencies_ms: tuple[float, ...], said: bool
) -> None:
    found = insights_by_id(with_latencies(*latencies_ms))
    assert ("first_run_slow" in found) is said


@pytest.mark.parametrize(("spread", "said"), [(0.01, False), (0.2, True)])
def test_a_mean_known_to_less_than_a_twentieth_asks_for_more_requests(
    spread: float, said: bool
) -> None:
    speeds = [100 * (1 + spread * k) for k in (-1, -0.5, 0, 0.5, 1)]
    made = [row(tokens_per_sec=speed, server_tokens_per_sec=None) for speed in speeds]
    found = insights_by_id(made)
    assert ("spread_wide" in found) is said
    if said:
        evidence = found["spread_wide"]["evidence"]
        assert evidence["n"] == 5
        assert evidence["needed"] > 5
        assert evidence["half_width"] > 0.05
        assert f"use --iterations {evidence['needed']}." in found["spread_wide"]["text"]
    assert "spread_wide" not in insights_by_id(made[:4])


def test_more_requests_of_the_correctness_mode_are_more_numbers() -> None:
    made = [row(tokens_per_sec=speed, server_tokens_per_sec=None) for speed in (50, 75, 100, 125)]
    asked = header(config={**FULL_LENGTH, "mode": "correctness"})
    found = insights.spread_wide({**benchmark_document(made * 2), "config": asked["config"]})
    assert found is not None
    assert f"use --numbers {found['evidence']['needed']}." in found["text"]


def test_requests_far_from_the_middle_half_stand_out() -> None:
    latencies = [10.0, 10.1, 10.2, 10.3, 10.4, 10.5, 10.6, 10.7, 10.8]
    found = insights_by_id(with_latencies(*latencies, 50.0))["outliers"]
    assert found["evidence"]["values_ms"] == [50.0]
    assert found["text"].startswith("1 of 10 requests")
    assert "outliers" not in insights_by_id(with_latencies(*latencies, 11.0))
    assert "outliers" not in insights_by_id(with_latencies(*latencies[1:], 50.0))


@pytest.mark.parametrize(("share", "said"), [(None, False), (0.09, False), (0.1, True)])
def test_other_programs_are_told_of_from_a_tenth_of_the_machine_on(
    share: float | None, said: bool
) -> None:
    found = insights_by_id([row()], facts={"other_cpu_share": share})
    assert ("other_load" in found) is said


@pytest.mark.parametrize(
    ("asked", "loaded", "said"),
    [(4096, 8192, True), (4096, 4096, False), (None, 8192, False), (4096, None, False)],
)
def test_another_context_length_than_asked_for_is_told(
    asked: int | None, loaded: int | None, said: bool
) -> None:
    head = header(config=FULL_LENGTH)
    head["config"]["sent"]["options"] = {} if asked is None else {"num_ctx": asked}
    other = {"name": "other", "context_length": 1, "gpu_share": 1}
    mine = {"name": "llama3.1:q4", "context_length": loaded, "gpu_share": 1}
    found = insights_by_id([row()], header=head, facts={"loaded_after": [other, mine]})
    assert ("context_differs" in found) is said
    if said:
        assert found["context_differs"]["evidence"] == {"asked": 4096, "loaded": [8192]}
    assert insights_by_id([row()], header=head, facts={"loaded_after": None}) == {}


@pytest.mark.parametrize(
    ("slots", "kind", "said"),
    [(1, "openai", True), (4, "openai", False), (None, "openai", False), (1, "embedded", False)],
)
def test_a_server_with_one_slot_is_told_of(slots: int | None, kind: str, said: bool) -> None:
    head = header(config=FULL_LENGTH)
    head["server"]["kind"] = kind
    assert ("one_slot" in insights_by_id([row()], header=head, facts={"slots": slots})) is said


def test_a_flag_is_told_once_with_the_number_of_its_requests() -> None:
    found = insights_by_id([*([row()] * 3), *(row(load_duration_ms=101.0) for _ in range(2))])
    assert list(found) == ["reloaded"]
    assert found["reloaded"]["text"].startswith("reloaded on 2 of 5 requests: ")
    assert found["reloaded"]["evidence"] == {"requests": 2, "of": 5}


def test_every_flag_has_its_words() -> None:
    assert insights.FLAG_TEXTS.keys() >= flags.FLAGS.keys()
    for name in insights.FLAG_TEXTS:
        assert list(insights_by_id([row(flags=[name])])) == [name]

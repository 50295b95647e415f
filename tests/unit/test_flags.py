"""Flags say with what a request's numbers must be read."""

from __future__ import annotations

from typing import Any

import pytest
from support.benchmark_documents import benchmark_document, failed_trace, header, row, trace_of

from pytest_llamaburn import flags
from pytest_llamaburn.trace import Usage


def flagged(
    *made: dict[str, Any], options: dict[str, Any] | None = None, **facts: Any
) -> list[list[str]]:
    """Return the flags of each request in a run that asked for five tokens."""
    head = header(config={"max_tokens": 5})
    head["config"]["sent"]["options"] = options or {}
    before = [dict(one) for one in made]
    found = [
        run["flags"]
        for run in benchmark_document(list(made), header=head, facts=facts)["results"]["runs"]
    ]
    assert list(made) == before
    return found


def test_an_ordinary_request_has_no_flag() -> None:
    assert flagged(row()) == [[]]


def test_the_wire_s_flags_come_first_and_stay() -> None:
    assert flagged(row(flags=["repetition_guard"], load_duration_ms=500.0)) == [
        ["repetition_guard", "reloaded"]
    ]


def test_a_failed_request_has_only_the_wire_s_flags() -> None:
    refused = row(failed_trace(), flags=["repetition_guard"], load_duration_ms=500.0)
    assert flagged(refused) == [["repetition_guard"]]


@pytest.mark.parametrize(
    ("tokens", "characters", "num_ctx", "cut"),
    [
        (2048, 40_000, 4096, True),
        (4096, 40_000, 4096, True),
        (2048, 12_000, 4096, False),
        (1600, 40_000, 4096, False),
        (5000, 40_000, 4096, False),
        (2048, 40_000, None, False),
        (None, 40_000, 4096, False),
        (2048, None, 4096, False),
    ],
)
def test_a_prompt_of_too_few_tokens_that_fills_the_context_was_cut(
    tokens: int | None, characters: int | None, num_ctx: int | None, cut: bool
) -> None:
    made = row(input_sequence_length=tokens, prompt_characters=characters, cached_tokens=0)
    options = {} if num_ctx is None else {"num_ctx": num_ctx}
    assert flagged(made, options=options) == [["truncated_prompt"] if cut else []]


@pytest.mark.parametrize(
    ("tokens", "expected", "cut"),
    [(1620, 1600, False), (1200, 1600, False), (1199, 1600, True), (900, None, False)],
)
def test_a_prompt_of_fewer_tokens_than_its_frames_take_was_cut(
    tokens: int, expected: int | None, cut: bool
) -> None:
    made = row(input_sequence_length=tokens, cached_tokens=0)
    made |= {} if expected is None else {"expected_media_tokens": expected}
    assert flagged(made) == [["truncated_prompt"] if cut else []]


def test_more_cached_tokens_than_all_requests_share_are_a_hit() -> None:
    made = [row(cached_tokens=n, iteration=i) for i, n in enumerate((10, 34, 35, None))]
    assert flagged(*made) == [[], [], ["cache_hit"], []]


@pytest.mark.parametrize(
    ("start", "load_ms", "said"),
    [("warm", 100.0, False), ("warm", 100.1, True), ("cold", 900.0, False), ("warm", None, False)],
)
def test_a_warm_request_that_waited_for_the_model_was_reloaded(
    start: str, load_ms: float | None, said: bool
) -> None:
    assert flagged(row(start=start, load_duration_ms=load_ms)) == [["reloaded"] if said else []]


@pytest.mark.parametrize(
    ("loaded", "said"),
    [
        ({"llama3.1:q4": 0.62}, True),
        ({"other": 1.0, "llama3.1:q4": 0.62}, True),
        ({"other": 0.62, "llama3.1:q4": 1.0}, False),
        ({"llama3.1:q4": 0.0}, False),
        ({"llama3.1:q4": None}, False),
        ({"other": 0.62}, False),
        ({}, False),
    ],
)
def test_a_model_partly_outside_the_gpu_has_spilled(
    loaded: dict[str, float | None], said: bool
) -> None:
    before = [{"name": name, "gpu_share": share} for name, share in loaded.items()]
    assert flagged(row(), loaded_before=before) == [["cpu_spill"] if said else []]


@pytest.mark.parametrize(
    ("gaps", "per_chunk", "said"),
    [
        ([10.0] * 9 + [0.0], 1.0, False),
        ([10.0] * 8 + [0.0] * 2, 1.0, True),
        ([10.0], 1.49, False),
        ([10.0], 1.5, True),
        ([], None, False),
    ],
)
def test_tokens_that_came_together_are_coalesced(
    gaps: list[float], per_chunk: float | None, said: bool
) -> None:
    made = row(chunk_gaps_ms=gaps, tokens_per_chunk=per_chunk)
    assert flagged(made) == [["coalesced"] if said else []]


@pytest.mark.parametrize(
    ("reason", "tokens", "said"),
    [("stop", 4, True), ("stop", 5, False), ("length", 4, False), ("stop", None, False)],
)
def test_an_answer_that_ended_by_itself_before_the_limit_stopped_early(
    reason: str, tokens: int | None, said: bool
) -> None:
    trace = trace_of(usage=Usage(prompt=20, cached=4, completion=tokens))
    made = row(trace, finish_reason=reason, tokens_per_chunk=None)
    assert flagged(made) == [["early_stop"] if said else []]


def test_every_flag_says_what_it_means() -> None:
    assert all(rule.__doc__ for rule in flags.FLAGS.values())

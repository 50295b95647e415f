"""Goodput counts requests that keep every bound; adjusted percentiles count those that failed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llamaburn.capacity import slo
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.stats import samples


def row(ttft: float | None, itl: float | None, *, failed: bool = False) -> dict[str, Any]:
    error = {"kind": "reset"} if failed else None
    return {"time_to_first_token_ms": ttft, "inter_token_latency_ms": itl, "error": error}


ROWS = [row(400, 40), row(500, 40), row(400, 60), row(400, None), row(None, None, failed=True)]


def test_a_request_is_good_if_it_keeps_every_bound() -> None:
    bounds = slo.parse("ttft_ms<0.5s, itl_ms<=50")
    assert [slo.keeps(bounds, r) for r in ROWS] == [True, False, False, False, False]
    found = slo.goodput(bounds, ROWS, seconds=2)
    assert (found.good, found.requests, found.share, found.requests_per_sec) == (1, 5, 0.2, 0.5)
    assert found.wilson95 == samples.wilson(1, 5)


def test_goodput_of_nothing_is_unknown() -> None:
    assert slo.goodput(slo.parse("ttft_ms<1"), [], 0) == slo.Goodput(None, None, None, 0, 0)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("ttft_ms<5,", "--slo: '' is refused"),
        ("ttft<5", "--slo: 'ttft<5': unknown metric"),
        ("ttft_ms<5 parsecs", "unit 'parsecs'"),
        ("ttft_ms.p95<500", "a single request has no statistic"),
        ("error_rate<1%", "unknown metric 'error_rate'"),
        ("chunk_gap_ms<9", "unknown metric 'chunk_gap_ms'"),
    ],
)
def test_what_is_no_bound_on_one_request_is_refused(expression: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        slo.parse(expression)


values = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)


@given(values)
def test_without_failures_adjusted_percentiles_are_the_plain_ones(seen: list[float]) -> None:
    found = slo.adjusted(seen, 0)
    plain = np.percentile(seen, list(samples.PERCENTILES.values()))
    assert list(found.values()) == plain.tolist()


@given(values, st.integers(1, 50))
def test_failures_only_raise_percentiles(seen: list[float], failed: int) -> None:
    found, plain = slo.adjusted(seen, failed), slo.adjusted(seen, 0)
    assert found["adj_reason"] == "failures"
    for name, value in plain.items():
        assert (math.inf if found[name] is None else found[name]) >= value * (1 - 1e-12)


def test_a_percentile_below_the_failures_is_kept() -> None:
    found = slo.adjusted([float(n) for n in range(90)], 10)
    assert found["adj_p50"] == 49.5
    assert found["adj_p90"] is None
    assert slo.adjusted([], 0) == {
        **dict.fromkeys(f"adj_{name}" for name in samples.PERCENTILES),
        "adj_reason": "no_samples",
    }

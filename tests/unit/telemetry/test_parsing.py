"""What tools print becomes a number only where it is one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llamaburn.telemetry._base import FIELDS, Base, Machine
from pytest_llamaburn.telemetry._parsing import (
    Counter,
    first_json,
    lookup,
    number,
    pci,
    plausible,
)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("12", 12.0),
        (" 12.5 W", 12.5),
        ("-3.0", -3.0),
        ("1e3", 1000.0),
        ("98 %", 98.0),
        ("2171mW", 2171.0),
        ({"value": 10, "unit": "W"}, 10.0),
        ({"value": "N/A", "unit": "W"}, None),
        (0, 0.0),
        ("[N/A]", None),
        ("N/A", None),
        ("N/A (Secondary die)", None),
        ("[Not Supported]", None),
        ("[Unknown Error]", None),
        ("ERR!", None),
        ("", None),
        ("0x1002", None),
        ("1 2", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        (None, None),
        (True, None),
        ({}, None),
        ([1], None),
    ],
)
def test_number_is_read_or_null(said: Any, value: float | None) -> None:
    assert number(said) == value


@given(st.text() | st.dictionaries(st.text(), st.text()) | st.lists(st.integers()))
def test_number_never_raises(said: Any) -> None:
    assert number(said) is None or isinstance(number(said), float)


@given(st.text())
def test_looking_for_json_never_raises(text: str) -> None:
    assert first_json(text, lambda found: isinstance(found, dict)) is None or "{" in text


def test_brackets_in_a_warning_are_not_the_json() -> None:
    text = 'WARNING [0] {x}\nGPU[0]\n{"card0": {}}'
    assert first_json(text, lambda found: isinstance(found, dict)) == {"card0": {}}
    assert first_json(text, lambda found: found == 1) is None


def test_json_nested_without_end_is_none() -> None:
    assert first_json("[" * 2000, lambda found: True) is None


def test_lookup_takes_the_first_spelling_with_a_number() -> None:
    table = {"Average Power (W):": "N/A", "current power (w)": "5"}
    assert lookup(table, ("Average Power (W)", "Current Power (W)")) == "5"
    assert lookup(table, ("Other",)) is None


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("0000:03:00.0", "03:00.0"),
        ("00000000:0C:00.0", "0c:00.0"),
        ("03:00.1", "03:00.1"),
        ("0009:01:00.0", "0009:01:00.0"),
        ("GPU-1234", None),
    ],
)
def test_pci_address_is_one_spelling(address: str, plain: str | None) -> None:
    assert pci(address) == plain


@pytest.mark.parametrize(
    ("field", "value", "limit", "kept"),
    [
        ("util_pct", 100.0, None, True),
        ("util_pct", 101.0, None, False),
        ("util_pct", -1.0, None, False),
        ("util_pct", 0.0, None, True),
        ("temp_c", 131.0, None, False),
        ("temp_c", -21.0, None, False),
        ("temp_mem_c", 0.0, None, True),
        ("power_w", 0.0, None, False),
        ("power_w", -5.0, None, False),
        ("power_w", 1999.0, None, True),
        ("power_w", 2001.0, None, False),
        ("power_w", 601.0, 300.0, False),
        ("power_w", 599.0, 300.0, True),
        ("vram_total_mb", 0.0, None, False),
        ("vram_used_mb", 0.0, None, True),
        ("energy_j", 0.0, None, True),
    ],
)
def test_value_that_cannot_be_true_is_null_and_noted(
    field: str, value: float, limit: float | None, *, kept: bool
) -> None:
    provider = Base(Machine())
    values = plausible(provider, {field: value, "power_limit_w": limit})
    assert tuple(values) == FIELDS
    assert values[field] == (value if kept else None)
    assert (("implausible", field) in provider.notes) is not kept


def test_counter_begins_at_0_and_means_a_power() -> None:
    counter = Counter()
    assert counter.add(100.0, 0) == (0.0, None)
    assert counter.add(150.0, 500_000_000) == (50.0, 100.0)
    assert counter.add(150.0, 500_000_000) == (50.0, None)


def test_counter_goes_on_where_it_wraps_and_starts_anew_where_it_cannot() -> None:
    wrapping, plain = Counter(wrap_j=1000.0), Counter()
    for counter in (wrapping, plain):
        counter.add(990.0, 0)
    assert wrapping.add(10.0, 10**9) == (20.0, 20.0)
    assert plain.add(10.0, 10**9) == (0.0, None)


def test_base_promises_what_providers_do() -> None:
    provider = Base(Machine())
    with pytest.raises(NotImplementedError):
        provider.probe()
    with pytest.raises(NotImplementedError):
        provider.read()
    provider.close()

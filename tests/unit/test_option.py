"""What is derived from a declaration: spellings, and a model that checks values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_llamaburn.kinds.benchmark.settings import Benchmark
from pytest_llamaburn.option import Option, model_of, options_of, seconds
from pytest_llamaburn.settings import Display, Run, Storage


def option(name: str, kind: type = Benchmark) -> Option:
    return next(o for o in options_of(kind) if o.name == name)


def test_inherited_options_come_first_and_once() -> None:
    names = [o.name for o in options_of(Benchmark)]
    own = [name for name in names if name in Benchmark.__annotations__]
    assert names[-len(own) :] == own
    assert {o.name for o in options_of(Run)} <= set(names)
    assert len(set(names)) == len(names)


def test_the_spellings_follow_from_the_name() -> None:
    ttft = option("timeout_first_token")
    assert ttft.spelling == "timeout-first-token"
    assert ttft.toml_key == "defaults.timeout_first_token"
    assert ttft.variables == ("LLAMABURN_TIMEOUT_FIRST_TOKEN",)


def test_a_declaration_may_set_other_spellings() -> None:
    assert option("mode").scope == "benchmark"
    assert option("iterations").toml_key == "defaults.benchmark_iterations"
    assert option("host").variables == ("LLAMABURN_HOST", "OLLAMA_HOST")


def test_settings_are_frozen() -> None:
    checked: Any = model_of(Storage)()
    with pytest.raises(ValidationError):
        checked.results_dir = "elsewhere"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90),
        ("15m", 900),
        ("1h", 3600),
        ("250ms", 0.25),
        (" 1.5 S ", 1.5),
        ("2 M", 120),
        ("1e3ms", 1),
        ("12", "12"),
        ("s", "s"),
        ("soon", "soon"),
        ("atoms", "atoms"),
        ("1d", "1d"),
        (7.5, 7.5),
        (None, None),
    ],
)
def test_a_duration_is_read_by_its_unit_and_anything_else_left(text: Any, expected: Any) -> None:
    assert seconds(text) == expected


@given(st.floats(1e-3, 1e6), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)]))
def test_a_duration_in_any_unit_is_the_same_time(amount: float, unit: tuple[str, float]) -> None:
    suffix, scale = unit
    assert seconds(f"{amount}{suffix}") == pytest.approx(amount * scale)


@pytest.mark.parametrize("text", ["infs", "nan", "infh", "1e308h"])
def test_an_endless_duration_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match=r"finite number|greater than 0"):
        model_of(Run)(timeout_total=text)


@pytest.mark.parametrize("kind", [Display, Benchmark])
def test_an_invalid_word_is_refused_with_the_valid_ones(kind: type) -> None:
    for o in options_of(kind):
        if o.choices:
            with pytest.raises(ValidationError, match=f"must be one of {', '.join(o.choices())}"):
                model_of(kind)(**{o.name: "no such word"})

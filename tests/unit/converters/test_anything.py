"""Whatever a file to import holds, it becomes an eval set or is refused in one sentence."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_llamaburn import registry
from pytest_llamaburn.commands import main
from pytest_llamaburn.evalsets import load_eval_set

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = registry.own("converters")
FIELDS = (
    *("question", "answer", "choices", "A", "B", "C", "D", "subject", "problem", "category"),
    *("instruction", "input", "output", "generator", "uid", "prompt", "question_id", "turns"),
    *(
        "reference",
        "user_input",
        "retrieved_contexts",
        "task_id",
        "entry_point",
        "canonical_solution",
        "test",
        "dataset",
    ),
)
PYTHON_S_WORDS = (
    "object has no attribute",
    "indices must",
    "not subscriptable",
    "NoneType",
    "'int'",
)
TEXTS = st.sampled_from(["", "1", "B", "x", "x\n#### 7", "f", "def f():", "a\x00", "\ud800", "0"])
SCALARS = TEXTS | st.text() | st.none() | st.booleans() | st.integers() | st.floats()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4), max_leaves=6)
ROWS = st.dictionaries(st.sampled_from(FIELDS), VALUES) | st.fixed_dictionaries(
    dict.fromkeys(FIELDS, TEXTS | VALUES)
)


def imported(name: str, content: str, form: str) -> str:
    """Import a file; return what was said, nothing where it became an eval set."""
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / name, Path(folder) / "made.json"
        source.write_text(content, encoding="utf-8", errors="surrogatepass")
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stderr", said)
            code = main(["evalset", "import", str(source), "--format", form, "-o", str(target)])
        if code == 0:
            assert load_eval_set(target).questions
            return ""
        assert code == 4, said.getvalue()
        return said.getvalue().replace(str(source), name)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("write", [json.dumps, lambda rows: "\n".join(map(json.dumps, rows))])
@settings(max_examples=25)
@given(rows=st.lists(ROWS | VALUES, max_size=3))
def test_any_json_is_an_eval_set_or_one_sentence(
    form: str, write: Callable[[Any], str], rows: list[Any]
) -> None:
    suffix = "json" if write is json.dumps else "jsonl"
    said = imported(f"a.{suffix}", write(rows), form)
    assert said.count("\n") <= 1
    assert not any(words in said for words in PYTHON_S_WORDS)


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=25)
@given(rows=st.lists(st.lists(TEXTS | st.text(), max_size=6), max_size=4), names=st.booleans())
def test_any_csv_is_an_eval_set_or_one_sentence(
    form: str, rows: list[list[str]], names: bool
) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([FIELDS[:6], *rows] if names else rows)
    said = imported("a.csv", text.getvalue(), form)
    assert said.count("\n") <= 1
    assert not any(words in said for words in PYTHON_S_WORDS)


@given(st.text())
@settings(max_examples=25)
def test_any_text_is_an_eval_set_or_one_sentence(content: str) -> None:
    assert imported("a.json", content, "mmlu").count("\n") <= 1

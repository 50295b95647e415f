"""`wer` against transcripts and their traps."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.questions import Asked

from pytest_llamaburn.scorers import (
    wer,
)


@pytest.mark.parametrize(
    ("said", "reference", "rate", "raw"),
    [
        ("the cat sat", "the cat sat", 0, 0),
        ("The cat sat.", "the cat sat", 0, 2 / 3),
        ("the cat", "the cat sat", 1 / 3, 1 / 3),
        ("the big cat sat", "the cat sat", 1 / 3, 1 / 3),
        ("the hat sat", "the cat sat", 1 / 3, 1 / 3),
        ("fifty dollars", "$50", 0, 2),
        ("colour", "color", 0, 1),
    ],
)
def test_word_error_rate(said: str, reference: str, rate: float, raw: float) -> None:
    verdict = wer.score(said, Asked(reference, {"max_wer": 0.1}))
    assert verdict.correct is (rate <= 0.1)
    assert verdict.details["wer"] == pytest.approx(rate)
    assert verdict.details["wer_raw"] == pytest.approx(raw)
    assert verdict.details["normaliser"] == "whisper-english"


def test_errors_are_counted_by_kind() -> None:
    details = wer.score("a b x d e", Asked("b c d e f", {"language": "xx"})).details
    counts = [details[kind] for kind in ("substitutions", "deletions", "insertions")]
    assert sum(counts) == 3
    assert details["reference_words"] == 5
    assert details["wer"] == 3 / 5


def test_rate_without_a_bound_is_measured_not_judged() -> None:
    verdict = wer.score("the hat", Asked("the cat"))
    assert verdict[:3] == (None, "scored", "measured only: no max_wer is set")
    assert wer.score("the hat", Asked("the cat", {"max_wer": 0.2})).reason == (
        "WER is 0.500, above 0.2"
    )


def test_other_languages_are_normalised_by_form_alone() -> None:
    verdict = wer.score("zwei Häuser!", Asked("Zwei häuser", {"language": "de", "max_wer": 0}))
    assert verdict.correct
    assert verdict.details["normaliser"] == "basic"


def test_languages_without_spaces_are_counted_by_the_letter() -> None:
    details = wer.score("你好吗", Asked("你好", {"language": "zh"})).details
    assert (details["insertions"], details["reference_words"]) == (1, 2)


def test_silence_is_right_where_nothing_was_said() -> None:
    assert wer.score("", Asked("", {"max_wer": 0}))[:2] == (True, "scored")
    verdict = wer.score("two words", Asked(" "))
    assert verdict[:3] == (False, "scored", "the answer has words, the reference has none")
    assert verdict.details["wer"] is None
    assert verdict.details["insertions"] == 2


def test_silence_loses_every_word() -> None:
    verdict = wer.score("", Asked("the cat sat"))
    assert verdict[:2] == (False, "empty")
    assert (verdict.details["wer"], verdict.details["deletions"]) == (1, 3)


@pytest.mark.parametrize(
    ("hidden", "call", "said"),
    [
        ("jiwer", "wer.score('a', Q('b', {}))", "pip install 'pytest-llamaburn[audio]'"),
        ("jsonschema", "json_schema.score('1', Q('', {'schema': {}}))", "needs the extra [judge]"),
        ("whisper_normalizer", "wer.score('a', Q('b', {})).details['normaliser']", "basic"),
    ],
)
def test_missing_extra_is_named(hidden: str, call: str, said: str) -> None:
    program = (
        f"import sys; sys.modules[{hidden!r}] = None\n"
        "from collections import namedtuple\n"
        "from pytest_llamaburn.scorers import json_schema, wer\n"
        "Q = namedtuple('Q', 'reference options')\n"
        f"try: print({call})\nexcept Exception as err: print(err)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert said in done.stdout

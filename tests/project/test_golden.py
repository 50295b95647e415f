"""Results are what they were: files, tables and comparisons are made again from golden journals.

Where a change is meant, `python tests/golden/record.py --render` writes what it makes of them now.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from golden import record

from pytest_llamaburn.kinds import _kind

JOURNALS = sorted(path.name for path in record.HOME.iterdir() if path.is_dir())


def to_nine_digits(text: str) -> Any:
    """Return a document with its numbers as all processors agree on them; other text as it is."""
    return json.loads(text, parse_float=lambda number: f"{float(number):.9g}")


def check(made: dict[str, str], folder: Any) -> None:
    for name, text in made.items():
        golden = (folder / name).read_text(encoding="utf-8")
        read = to_nine_digits if name.endswith(".json") else str
        assert read(text) == read(golden), name


def test_every_kind_of_run_has_a_golden_journal_and_four_of_them_have_four() -> None:
    states = ("complete", "cut", "failed", "resumed")
    kinds = ("benchmark", "damage", "eval", "stress")
    four = [f"{kind}-{state}" for kind in kinds for state in states]
    assert sorted({*four, *(f"{kind.name}-complete" for kind in _kind.own())}) == JOURNALS


@pytest.mark.parametrize("name", JOURNALS)
def test_a_golden_journal_gives_the_golden_result_and_table(name: str) -> None:
    check(record.made_from(record.HOME / name), record.HOME / name)


@pytest.mark.parametrize("name", record.COMPARISONS)
def test_golden_results_compare_as_they_did(name: str) -> None:
    check(record.comparison_reports(name), record.COMPARED)


def test_verdicts_of_the_golden_audit_come_to_what_they_did() -> None:
    check(record.audit_reports(), record.AUDITED)

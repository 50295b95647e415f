"""What is special about a kind of run is said in its own package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_llamaburn.kinds import _kind

ROOT = Path(__file__).parents[2]
HOME = ROOT / "pytest_llamaburn"
MODULES = ("plugin", "fixtures", "session", "options", "settings", "registry", "tables", "insights")
FILES = (
    *(HOME / f"{name}.py" for name in MODULES),
    *(path for folder in ("commands", "reports", "store") for path in HOME.glob(f"{folder}/*.py")),
    ROOT / "scripts" / "generate.py",
)
OF_ONE_KIND = {
    "capacity.py": "the command predicts from the file of a stress run",
    "rejudge.py": "the command scores the answers of an eval again",
    "benchstat.py": "the format compares speeds of benchmarks",
}
NAMES = "|".join(kind.name for kind in _kind.own())
NAMED = re.compile(rf"kinds\.({NAMES})\b|[\"'](llamaburn/|llm_)?({NAMES})[\"']")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_outside_of_kinds_names_no_kind_of_run(path: Path) -> None:
    if path.name not in OF_ONE_KIND:
        assert NAMED.findall(path.read_text(encoding="utf-8")) == []


def test_kinds_of_runs_are_told_from_kinds_of_files_that_no_run_writes() -> None:
    names = [
        "bakeoff",
        "benchmark",
        "chat",
        "damage",
        "depth",
        "embed",
        "eval",
        "fit",
        "stress",
        "tune",
    ]
    assert [kind.name for kind in _kind.own()] == names
    assert not isinstance(_kind.named("comparison"), _kind.RunKind)


@pytest.mark.parametrize("kind", _kind.own(), ids=lambda kind: kind.name)
def test_a_kind_of_run_says_all_that_is_needed_of_it(kind: _kind.RunKind) -> None:
    assert kind.package.rpartition(".")[2] == kind.name
    assert kind.schema == f"llamaburn/{kind.name}"
    assert kind.load(kind.run).kind is kind
    assert "thresholds" in kind.marker_keywords
    assert kind.example.startswith(f"llamaburn {kind.name} ")
    for path, text in kind.functions.values():
        assert callable(kind.load(path))
        assert text.startswith("Return a function")

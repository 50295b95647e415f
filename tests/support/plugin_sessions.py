"""Sessions of pytest with the plugin, in a directory of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.scripted import (
    Close,
    ScriptedServer,
    Steps,
    sized,
)

if TYPE_CHECKING:
    import pytest

SUITES = Path(__file__).parents[2] / "suites" / "benchmark"


QUIET = ("-p", "no:cacheprovider")


BROKEN: Steps = [sized(500, {"error": "boom"}), Close()]


USER_TEST = """
    import pytest

    @pytest.mark.llm_benchmark(iterations=3)
    def test_answers_quickly(measure):
        result = measure("Name three colours.")
        assert result.ttft_ms.p50 < 60_000
        assert result.osl.mean == 4
"""


def benchmark_session(
    pytester: pytest.Pytester, server: ScriptedServer, *args: str
) -> pytest.RunResult:
    options = (f"--llamaburn-host={server.host}", "--llamaburn-model=tiny:latest")
    return pytest_session(pytester, *options, *args)


def pytest_session(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    """Run a session in this process, or in its own where it has workers."""
    apart = any(arg.startswith("-n") and arg != "-n0" for arg in args)
    start = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
    return start(*QUIET, *args)


def result_files(pytester: pytest.Pytester) -> list[dict[str, Any]]:
    paths = sorted((pytester.path / "results" / "benchmarks").glob("*.json"))
    return [json.loads(path.read_text()) for path in paths]

"""What a session writes: reports, progress, JUnit, and no secret."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from support.plugin_sessions import (
    QUIET,
    SUITES,
    USER_TEST,
    benchmark_session,
    pytest_session,
    result_files,
)

if TYPE_CHECKING:
    from support.scripted import (
        ScriptedServer,
    )


def test_json_output_can_be_written_to_a_file(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    benchmark_session(pytester, server, str(SUITES), "--llamaburn-output=out.json").assert_outcomes(
        passed=5
    )
    out = json.loads((pytester.path / "out.json").read_text())
    assert out == result_files(pytester)[0]


def test_key_reaches_the_server_and_no_file(
    pytester: pytest.Pytester, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMABURN_API_KEY", "secret-5b1f")
    monkeypatch.setenv("OPENAI_API_KEY", "other-77aa")
    result = benchmark_session(pytester, server, str(SUITES))
    sent = b"".join(server.requests)
    assert b"Bearer secret-5b1f" in sent
    assert b"other-77aa" not in sent
    everything = result.stdout.str() + result.stderr.str()
    everything += "".join(p.read_text() for p in (pytester.path / "results").rglob("*.json"))
    assert "secret-5b1f" not in everything


def test_an_output_of_no_known_format_is_refused_before_anything_is_measured(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    options = (f"--llamaburn-host={server.host}", "--llamaburn-output=x.foo")
    result = pytest_session(pytester, *options, str(SUITES))
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --output: unknown format 'x.foo'*"])
    assert server.requests == []


def test_file_that_cannot_be_written_is_told_in_the_summary(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(
        """
        from pathlib import Path

        def test_one(measure):
            measure("Hi?", iterations=1)
            Path("results/benchmarks").touch()
        """
    )
    result = benchmark_session(pytester, server)
    assert result.ret == 4
    result.stdout.fnmatch_lines(["llamaburn: *cannot be written*its journal is kept in*"])


def test_junit_report_carries_the_headline_numbers(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(USER_TEST)
    benchmark_session(pytester, server, "--junitxml=report.xml")
    report = (pytester.path / "report.xml").read_text()
    properties = ET.fromstring(report).iter("property")  # noqa: S314 - pytest's own writing
    found = {one.attrib["name"]: float(one.attrib["value"]) for one in properties}
    assert found["output_sequence_length_p50"] == 4
    assert found["time_to_first_token_ms_p50"] > 0
    assert found["total_generation_ms_p50"] >= found["time_to_first_token_ms_p50"]


@pytest.mark.parametrize("shown", ["-q", "-v", "-s"])
def test_progress_is_whole_lines_in_pytest_s_report(
    shown: str, pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(USER_TEST)
    result = benchmark_session(pytester, server, "--llamaburn-progress=auto", shown)
    steps = [line for line in result.outlines if re.search(r"\d/3 requests", line)]
    assert [line.partition(" requests")[0] for line in steps] == [
        f"llamaburn: {number}/3" for number in (1, 2, 3)
    ]
    assert result.stderr.str() == ""
    result.assert_outcomes(passed=1)


def test_progress_events_go_to_standard_error(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(USER_TEST)
    options = (f"--llamaburn-host={server.host}", "--llamaburn-model=tiny:latest")
    result = pytester.runpytest_subprocess(*QUIET, *options, "--llamaburn-progress=json")
    events = [json.loads(line) for line in result.errlines if line.startswith("{")]
    assert [event["done"] for event in events if event["event"] == "progress"] == [1, 2, 3]

"""Sessions that do not measure are left alone."""

from __future__ import annotations

import re
import sys

import pytest
from support.plugin_sessions import QUIET, USER_TEST


@pytest.mark.usefixtures("installed_plugins_are_loaded")
def test_switched_off_plugin_has_no_options_and_no_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(USER_TEST.replace("@pytest.mark.llm_benchmark(iterations=3)", ""))
    result = pytester.runpytest_inprocess(*QUIET, "-p", "no:asyncio", "-p", "no:llamaburn")
    result.stdout.fnmatch_lines(["*fixture 'measure' not found"])


@pytest.mark.usefixtures("installed_plugins_are_loaded")
def test_unrelated_session_is_left_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_plain():\n    assert True\n")

    def output(*args: str) -> list[str]:
        lines = pytester.runpytest_subprocess("-p", "no:cacheprovider", *args).outlines
        kept = (line for line in lines if not line.startswith("plugins:"))
        return [re.sub(r"in [\d.]+s", "", line) for line in kept]

    without = output("-p", "no:llamaburn")
    before = {path.name for path in pytester.path.iterdir()}
    assert output() == without
    assert {p.name for p in pytester.path.iterdir()} - before == {"runpytest-1"}


def test_a_session_without_our_items_imports_little_of_us_and_nothing_heavy(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    pytester.makeconftest(
        """
        import sys

        def pytest_unconfigure():
            ours = (name for name in sys.modules if name.startswith("pytest_llamaburn."))
            print("ours:", *sorted(name.partition(".")[2] for name in ours))
            print("heavy:", *sorted(sys.modules.keys() & {
                "httpx", "msgspec", "numpy", "pandas", "pydantic", "rich", "uvloop", "asyncio",
            }))
        """
    )
    plain = ("--disable-plugin-autoload", "-p", "pytest_llamaburn.plugin")
    result = pytester.runpytest_subprocess(*plain, "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    ours = "errors fixtures kinds kinds._listed kinds._target plugin registry session"
    assert f"ours: {ours}" in result.outlines
    assert "heavy:" in map(str.rstrip, result.outlines)


def test_library_that_a_run_loads_first_stays_loaded(pytester: pytest.Pytester) -> None:
    """This is of the tests themselves: httpx and numpy do not bear being loaded twice."""
    sys.modules.pop("colorsys", None)
    pytester.makepyfile(test_users="import colorsys\ndef test_it(): pass")
    pytester.runpytest_inprocess(*QUIET).assert_outcomes(passed=1)
    assert "colorsys" in sys.modules
    assert "test_users" not in sys.modules

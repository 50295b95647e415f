"""The fixture `llm_depth` in a test of a user, with thresholds of its marker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.plugin_sessions import pytest_session
from support.rated_server import RatedFacade
from support.scripted import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIONS = (
    *("--llamaburn-warmup=0", "--llamaburn-gpu-provider=host"),
    *("--llamaburn-depth-osl=4", "--llamaburn-depths=0", "--llamaburn-depth-isl=16,32,48"),
    *("--llamaburn-chat-osl=4", "--llamaburn-chat-turns=2", "--llamaburn-chat-isl=8"),
)
USER_TEST = """
    import pytest

    @pytest.mark.llm_depth
    def test_works(llm_depth):
        found = llm_depth()
        assert [at["depth"] for at in found["depths"]] == [0]

    @pytest.mark.llm_depth(thresholds=["error_rate>0.5"])
    def test_is_impossible(llm_depth):
        llm_depth()
"""


@pytest.fixture
def host() -> Iterator[str]:
    with ScriptedServer(RatedFacade()) as server:
        yield server.host


def test_a_users_test_gets_the_results_and_fails_by_its_thresholds(
    pytester: pytest.Pytester, host: str
) -> None:
    pytester.makepyfile(USER_TEST)
    options = (f"--llamaburn-host={host}", "--llamaburn-model=tiny:latest", *OPTIONS)
    result = pytest_session(pytester, *options)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*error_rate>0.5: fail: *"])
    (path,) = (pytester.path / "results" / "depths").glob("*.json")
    assert '"status": "complete"' in path.read_text()

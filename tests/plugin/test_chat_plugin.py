"""The fixture `llm_chat` in a test of a user, with thresholds of its marker."""

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

    @pytest.mark.llm_chat
    def test_works(llm_chat):
        found = llm_chat()
        assert found["turns"][0]["ttft_ms"]["n"] == 3

    @pytest.mark.llm_chat(thresholds=["turn_ttft_ms@1<1e-9"])
    def test_is_impossible(llm_chat):
        llm_chat()
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
    result.stdout.fnmatch_lines(["*turn_ttft_ms@1<1e-9: fail: *"])
    (path,) = (pytester.path / "results" / "chats").glob("*.json")
    assert '"status": "complete"' in path.read_text()

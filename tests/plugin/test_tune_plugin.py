"""The fixture `llm_tune` in a test of a user, with thresholds of its marker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.plugin_sessions import pytest_session
from support.scripted import OllamaFacade, Request, ScriptedServer, Steps

if TYPE_CHECKING:
    import pytest

OPTIONS = (
    *("--llamaburn-warmup=0", "--llamaburn-gpu-provider=host", "--llamaburn-answers=1"),
    *("--llamaburn-tune-osl=4", "--llamaburn-tune-iterations=3", "--llamaburn-tune-isl=40"),
    "--llamaburn-option=num_thread=1,2",
)
USER_TEST = """
    import pytest

    @pytest.mark.llm_tune
    def test_works(llm_tune):
        assert len(llm_tune()["settings"]) == 2

    @pytest.mark.llm_tune(thresholds=["error_rate>0.5"])
    def test_is_impossible(llm_tune):
        llm_tune()
"""


class Counting(OllamaFacade):
    """An Ollama that counts the words of a prompt as tokens."""

    def __call__(self, request: Request) -> Steps:
        asked = request.json if request.path == "/api/chat" else {}
        words = sum(len(str(one["content"]).split()) for one in asked.get("messages", ()))
        self.final = {"prompt_eval_count": words + 10, "eval_count": 2}
        return super().__call__(request)


def test_a_users_test_gets_the_results_and_fails_by_its_thresholds(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(USER_TEST)
    with ScriptedServer(Counting()) as server:
        options = (f"--llamaburn-host={server.host}", "--llamaburn-model=tiny:latest", *OPTIONS)
        result = pytest_session(pytester, *options)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*error_rate>0.5: fail: *"])
    (path,) = (pytester.path / "results" / "tunings").glob("*.json")
    assert '"status": "complete"' in path.read_text()

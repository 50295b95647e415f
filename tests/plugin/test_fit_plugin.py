"""The fixture `llm_fit` in a test of a user, with thresholds of its marker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.gpu_server import Gpu, GpuOllama
from support.plugin_sessions import pytest_session
from support.scripted import ScriptedServer

if TYPE_CHECKING:
    import pytest

OPTIONS = (
    *("--llamaburn-warmup=0", "--llamaburn-gpu-provider=host", "--llamaburn-max-ctx=4096"),
    *("--llamaburn-fit-osl=4", "--llamaburn-fit-iterations=1", "--llamaburn-edge=1024"),
)
USER_TEST = """
    import pytest

    @pytest.mark.llm_fit
    def test_works(llm_fit):
        (series,) = llm_fit()["series"]
        assert series["largest_context"] == 3072

    @pytest.mark.llm_fit(thresholds=["largest_context>=4096"])
    def test_is_impossible(llm_fit):
        llm_fit()
"""


def test_a_users_test_gets_the_results_and_fails_by_its_thresholds(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(USER_TEST)
    with ScriptedServer(GpuOllama(gpu=Gpu(holds=3500))) as server:
        options = (f"--llamaburn-host={server.host}", "--llamaburn-model=tiny:latest", *OPTIONS)
        result = pytest_session(pytester, *options)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*largest_context>=4096: fail: *"])
    (path,) = (pytester.path / "results" / "fits").glob("*.json")
    assert '"status": "complete"' in path.read_text()

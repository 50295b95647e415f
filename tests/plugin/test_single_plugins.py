"""The fixtures of runs that send their own requests, in a user's test with thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.embedding_server import EmbeddingFacade
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

    @pytest.mark.llm_{kind}
    def test_works(llm_{kind}):
        found = llm_{kind}()
        assert {expected}

    @pytest.mark.llm_{kind}(thresholds=["{gate}"])
    def test_is_impossible(llm_{kind}):
        llm_{kind}()
"""


@pytest.fixture
def host() -> Iterator[str]:
    with ScriptedServer(RatedFacade()) as server:
        yield server.host


@pytest.mark.parametrize(
    ("kind", "expected", "gate"),
    [
        ("chat", 'found["turns"][0]["ttft_ms"]["n"] == 3', "turn_ttft_ms@1<1e-9"),
        ("depth", '[at["depth"] for at in found["depths"]] == [0]', "error_rate>0.5"),
    ],
)
def test_a_users_test_gets_the_results_and_fails_by_its_thresholds(
    pytester: pytest.Pytester, host: str, kind: str, expected: str, gate: str
) -> None:
    pytester.makepyfile(USER_TEST.format(kind=kind, expected=expected, gate=gate))
    options = (f"--llamaburn-host={host}", "--llamaburn-model=tiny:latest", *OPTIONS)
    result = pytest_session(pytester, *options)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([f"*{gate}: fail: *"])
    (path,) = (pytester.path / "results" / f"{kind}s").glob("*.json")
    assert '"status": "complete"' in path.read_text()


def test_a_users_test_gets_embeddings_and_fails_by_its_thresholds(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        USER_TEST.format(
            kind="embed",
            expected='[c["batch"] for c in found["cells"]] == [1, 2]',
            gate="checks_failed>1",
        )
    )
    asked = ("--llamaburn-batch=1,2", "--llamaburn-embed-isl=4", "--llamaburn-embed-iterations=1")
    with ScriptedServer(EmbeddingFacade()) as server:
        options = (f"--llamaburn-host={server.host}", "--llamaburn-model=tiny:latest", *asked)
        result = pytest_session(pytester, *options, *OPTIONS[:2])
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*checks_failed>1: fail: *"])

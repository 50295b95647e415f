"""The Ollama client of a test, blocking and async."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.plugin_sessions import benchmark_session

if TYPE_CHECKING:
    from support.scripted import (
        ScriptedServer,
    )


def test_ollama_client_is_blocking_and_async(
    pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(
        """
        import asyncio

        def test_blocking(ollama_client):
            assert ollama_client.list()["models"][0]["name"] == "tiny:latest"
            assert ollama_client.load("tiny:latest")["done_reason"] == "load"
            assert len(ollama_client.ps()["models"]) == 1
            assert ollama_client.show("tiny:latest")["capabilities"] == ["completion"]
            assert ollama_client.unload("tiny:latest")["done_reason"] == "unload"

        def test_async(ollama_client):
            async def names():
                return [m["name"] for m in (await ollama_client.aio.list())["models"]]
            assert asyncio.run(names()) == ["tiny:latest"]
        """
    )
    benchmark_session(pytester, server).assert_outcomes(passed=2)


@pytest.mark.parametrize("call", ["measure('Hi?')", "ollama_client.list()"])
def test_what_blocks_says_so_in_an_async_test(
    call: str, pytester: pytest.Pytester, server: ScriptedServer
) -> None:
    pytester.makepyfile(
        f"""
        import asyncio

        def test_async({call.partition("(")[0].partition(".")[0]}):
            async def blocking():
                {call}
            asyncio.run(blocking())
        """
    )
    result = benchmark_session(pytester, server)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["LlamaBurn's fixtures block: use them in a test*"])

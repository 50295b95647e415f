"""What the tests of judges share."""

from __future__ import annotations

import pytest
from support.judge_servers import (
    KEY,
    PROVIDERS,
    Fake,
)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(params=PROVIDERS, ids=lambda kind: kind.provider)
def kind(request: pytest.FixtureRequest) -> type[Fake]:
    found: type[Fake] = request.param
    return found

"""schemathesis over the whole API. `tox -e api` brings it: it slows each pytest session down."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from support.web_api import TOKEN, keep

from pytest_llamaburn.web import app, child, security
from pytest_llamaburn.web.service import Service

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

schemathesis: Any = pytest.importorskip("schemathesis", reason="tox -e api has schemathesis")


def test_no_request_is_a_fault_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error

    async def run(words: Sequence[str], *_: object) -> child.Said:
        return child.Said(0, b"[]" if words[0] == "models" else b"{}", "")

    def check(case: Any) -> None:
        headers = {"authorization": f"Bearer {TOKEN}"}
        case.call_and_validate(headers=headers, checks=[not_a_server_error])

    monkeypatch.setattr(child, "run", run)
    keep(tmp_path, "benchmark-complete", "benchmarks", "one")
    rules = security.rules("127.0.0.1", 7737, ["testserver"], TOKEN)
    service = Service(tmp_path, [sys.executable, "-c", ""])
    service.bus.close()  # so that each stream of events ends
    schema = schemathesis.openapi.from_asgi("/openapi.json", app.make(service, rules))
    few = hypothesis.settings(
        max_examples=50,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=[*hypothesis.HealthCheck],
    )
    asked = [one.ok() for one in schema.get_all_operations()]
    for operation in asked:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            requests = operation.as_strategy(generation_mode=mode)
            with suppress(hypothesis.errors.Unsatisfiable):  # nothing can be wrong with some
                few(hypothesis.given(requests)(check))()  # type: ignore[no-untyped-call,unused-ignore]
    assert len(asked) > 15

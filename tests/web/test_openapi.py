"""The API as it describes itself: true, readable offline, and never a fault of ours."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from web_api import TOKEN, keep

from pytest_llamaburn.web import app, child, docs, security
from pytest_llamaburn.web.service import Service

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from schemathesis import Case

NOTHING = [sys.executable, "-c", ""]


def test_no_request_is_a_fault_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(words: Sequence[str], *_: object) -> child.Said:
        return child.Said(0, b"[]" if words[0] == "models" else b"{}", "")

    def check(case: Case) -> None:
        case.call_and_validate(
            headers={"authorization": f"Bearer {TOKEN}"}, checks=[not_a_server_error]
        )

    monkeypatch.setattr(child, "run", run)
    keep(tmp_path, "benchmark-complete", "benchmarks", "one")
    rules = security.rules("127.0.0.1", 7737, ["testserver"], TOKEN)
    guarded = app.make(Service(tmp_path, NOTHING), rules)
    schema = schemathesis.openapi.from_asgi("/openapi.json", guarded).exclude(path="/events")
    few = hypothesis.settings(
        max_examples=5,
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
                few(hypothesis.given(requests)(check))()
    assert len(asked) > 15


def test_the_document_says_what_needs_the_token(tmp_path: Path) -> None:
    document = app.described(app.unguarded(Service(tmp_path, NOTHING)))
    assert document["openapi"].startswith("3.1")
    assert document["security"] == [{"token": []}]
    assert document["paths"]["/health"]["get"]["security"] == []
    assert {"/results/{type}", "/results/{type}/{id}", "/compare"} <= document["paths"].keys()
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert all(one["description"] for path in document["paths"].values() for one in path.values())


def test_the_page_names_each_path_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    document = app.described(app.unguarded(Service(tmp_path, NOTHING)))
    page = docs.page(document)
    assert all(f" {path}</code>" in page for path in document["paths"])
    assert set(re.findall(r'(?:src|href)="([^"]*)"', page)) == {"/docs.css", "/openapi.json"}
    assert "<script" not in page
    assert "style=" not in page
    assert "--iterations" not in page
    assert "<td><code>iterations</code></td>" in page


def test_words_of_the_document_never_become_html() -> None:
    evil = "<script>alert(1)</script>"
    about = {"title": evil, "version": evil, "description": evil}
    field = {"description": evil, "enum": [evil], "default": evil}
    body = {"content": {"application/json": {"schema": {"properties": {evil: field}}}}}
    answers = {"200": {"description": evil}}
    one = {"description": evil, "requestBody": body, "responses": answers}
    page = docs.page({"info": about, "paths": {evil: {"get": one}}})
    assert "<script" not in page

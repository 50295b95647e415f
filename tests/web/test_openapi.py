"""The API as it describes itself: true, readable offline, and never a fault of ours."""

from __future__ import annotations

import asyncio
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import hypothesis
from hypothesis import strategies as st
from support.web_api import keep, serving

from pytest_llamaburn.web import app, child, docs
from pytest_llamaburn.web.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pytest
    from hypothesis.strategies import DrawFn, SearchStrategy

NOTHING = [sys.executable, "-c", ""]
JSON: SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


class Document(dict[str, Any]):
    """The OpenAPI document; Hypothesis would print all of it."""

    def __repr__(self) -> str:
        return "document"


def described(results_dir: Path) -> Document:
    """Return the OpenAPI document."""
    return Document(app.described(app.unguarded(Service(results_dir, NOTHING))))


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each path with its method and what is said of it; the stream has no end."""
    for path, methods in document["paths"].items():
        yield from ((path, m, about) for m, about in methods.items() if path != "/events")


def value(schema: dict[str, Any], document: dict[str, Any]) -> SearchStrategy[Any]:
    """Return values that a schema means, more or less, and others."""
    name = schema.get("$ref", "").rpartition("/")[2]
    found = document["components"]["schemas"][name] if name else schema
    if "anyOf" in found:
        return st.one_of([value(one, document) for one in found["anyOf"]])
    if "enum" in found:
        return st.sampled_from(found["enum"]) | JSON
    if "properties" in found:
        fields = {n: value(one, document) for n, one in found["properties"].items()}
        return st.fixed_dictionaries({}, optional=fields) | JSON
    items = value(found["items"], document) if "items" in found else JSON
    of_type = {
        "string": st.sampled_from(["one", "last", "x" * 300, "2026"]) | st.text(),
        "integer": st.integers(-1, 600),
        "number": st.integers(-1, 60),
        "boolean": st.booleans(),
        "array": st.lists(items, max_size=3),
    }
    return of_type.get(found.get("type", ""), JSON)


@st.composite
def request(draw: DrawFn, document: Document) -> dict[str, Any]:
    """Draw a request to any path."""
    path, method, about = draw(st.sampled_from([*operations(document)]))
    given: dict[str, dict[str, str]] = {"path": {}, "query": {}, "header": {}}
    for one in about.get("parameters", ()):
        text = str(draw(value(one["schema"], document)))
        given[one["in"]][one["name"]] = text
    for name, text in given["path"].items():
        path = path.replace(f"{{{name}}}", quote(text, safe="") or "x")
    bodies = about.get("requestBody", {}).get("content", {}).values()
    content = [draw(value(body["schema"], document)) for body in bodies]
    return {"method": method, "url": path, "params": given["query"], "json": (*content, None)[0]}


def test_no_request_is_a_fault_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(words: Sequence[str], *_: object) -> child.Said:
        return child.Said(0, b"[]" if words[0] == "models" else b"{}", "")

    async def ask(requests: list[dict[str, Any]]) -> None:
        async with serving(tmp_path) as api:
            for one in requests:
                answer = await api.request(**one)
                assert answer.status_code < 500, one
                assert answer.status_code < 400 or answer.json()["detail"], one

    @hypothesis.settings(
        max_examples=6, deadline=None, database=None, phases=[hypothesis.Phase.generate]
    )
    @hypothesis.given(st.lists(request(described(tmp_path)), min_size=20, max_size=30))
    def check(requests: list[dict[str, Any]]) -> None:
        asyncio.run(ask(requests))

    monkeypatch.setattr(child, "run", run)
    keep(tmp_path, "benchmark-complete", "benchmarks", "one")
    check()


def test_the_document_says_what_needs_the_token(tmp_path: Path) -> None:
    document = described(tmp_path)
    assert document["openapi"].startswith("3.1")
    assert document["security"] == [{"token": []}]
    assert document["paths"]["/health"]["get"]["security"] == []
    assert {"/results/{type}", "/results/{type}/{id}", "/compare"} <= document["paths"].keys()
    assert "HTTPValidationError" not in document["components"]["schemas"]
    assert all(one["description"] for path in document["paths"].values() for one in path.values())


def test_the_page_names_each_path_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    document = described(tmp_path)
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

"""What a server says of itself, of any JSON type: read, or null with a note; never an exception."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import benchmark_documents
from support.scripted import (
    LlamaCppFacade,
    OllamaFacade,
    Request,
    ScriptedServer,
    Steps,
    settings_for,
    sized,
)

from pytest_llamaburn.backends import ollama, openai
from pytest_llamaburn.backends._base import Backend, Model, Server
from pytest_llamaburn.backends._lenient import ServerFields
from pytest_llamaburn.errors import ModelError, ServerError
from pytest_llamaburn.kinds._run import RECORDED_FIELDS
from pytest_llamaburn.store import results

WORDS = st.text(max_size=4)
ODD = st.sampled_from(["\ud800", "8192", -1, 10**400, 4096.0, 0, "tiny"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def having(*names: str, **known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with some of these fields, which hold anything."""
    return st.fixed_dictionaries({}, optional={**dict.fromkeys(names, JSON), **known})


def lists(entry: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(entry | JSON, max_size=3) | JSON


NAME = st.just("tiny") | JSON
DETAILS = having("family", "parameter_size", "quantization_level", "context_length") | JSON
TAGGED = having(
    *("size", "size_vram", "digest", "context_length", "capabilities", "remote_model"),
    *("expires_at", "modified_at"),
    name=NAME,
    details=DETAILS,
)
LISTED = having(
    *("owned_by", "max_model_len", "created"),
    id=NAME,
    meta=having("n_ctx", "n_params", "size", "ftype") | JSON,
)
ANSWERS = st.fixed_dictionaries(
    {
        "/api/version": having("version") | JSON,
        "/api/tags": having(models=lists(TAGGED)) | JSON,
        "/api/ps": having(models=lists(TAGGED)) | JSON,
        "/api/show": having("capabilities", model_info=having("llama.context_length") | JSON)
        | JSON,
        "/v1/models": having(data=lists(LISTED)) | JSON,
        "/props": having("total_slots", "build_info") | JSON,
        "/api/v1/models": having("models", "data") | JSON,
    }
)


class _Told:
    """Answers untimed calls with what it was told to."""

    answers: dict[str, Any]

    async def get(self, path: str) -> Any:
        return self.answers.get(path)

    async def post(self, path: str, *_: object) -> Any:
        return self.answers.get(path)


class ToldOllama(_Told, ollama.Backend):
    """An Ollama of given answers."""


class ToldOpenAI(_Told, openai.Backend):
    """An OpenAI-compatible server of given answers."""


async def everything(backend: Backend) -> list[Any]:
    """Return what a backend makes of all that a server says of itself."""
    asked = (
        *(backend.server(), backend.models(), backend.described(), backend.only_model()),
        *(backend.describe("tiny"), backend.loaded(), backend.slots()),
    )
    found = []
    for question in asked:
        try:
            found.append(await question)
        except (ModelError, ServerError) as err:
            str(err).encode()
    return found


def fits_a_file(found: list[Any], notes: list[str]) -> None:
    """Check that a result file which holds all of it is a valid one, and can be written."""
    document = benchmark_documents.benchmark_document()
    models = [one for part in found for one in (part if isinstance(part, list) else [part])]
    held = [one for one in models if isinstance(one, dict)]
    document["telemetry"] |= {"loaded_before": held, "server_notes": notes}
    for model in models:
        if isinstance(model, Model):
            facts = asdict(model)
            json.dumps(facts, allow_nan=False, ensure_ascii=False).encode()
            document["model"] = {name: facts[name] for name in RECORDED_FIELDS}
            assert results.check(document) is None
        elif isinstance(model, Server):
            document["server"] = model._asdict()
    assert results.check(document) is None
    json.dumps(document, allow_nan=False, ensure_ascii=False).encode()


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(answers=ANSWERS, kind=st.sampled_from(["llama.cpp", "openai"]))
@example(
    answers={
        "/api/tags": {"models": [{"name": "tiny", "size": 10**400, "details": []}]},
        "/api/ps": {"models": [{"name": "tiny", "size": 10**400}]},
        "/v1/models": {"data": [{"id": "tiny", "meta": {"size": 10**400, "n_params": "many"}}]},
    },
    kind="llama.cpp",
)
def test_whatever_a_server_says_of_itself_is_read_or_refused_in_a_sentence(
    answers: dict[str, Any], kind: str
) -> None:
    for made in (ToldOllama, ToldOpenAI):
        backend: Any = made(settings_for("127.0.0.1:1"))
        backend.answers = answers
        backend.connect_to({"host": "127.0.0.1:1", "kind": kind})
        backend._identify = lambda: asyncio.sleep(0, (kind, None))
        found = asyncio.run(everything(backend))
        fits_a_file(found, [*backend.notes])


def said(value: Any) -> tuple[ServerFields, dict[str, None]]:
    notes: dict[str, None] = {}
    return ServerFields(value, "/api/ps", notes), notes


@pytest.mark.parametrize("value", ["8192", 8192.0, 8192], ids=repr)
def test_a_count_is_read_however_it_is_written(value: Any) -> None:
    told, notes = said({"n": value})
    assert (told.count("n"), told.amount("n"), notes) == (8192, 8192.0, {})
    assert isinstance(told.count("n"), int)


@pytest.mark.parametrize(
    "value", ["large", -1, 0.5, [], True, float("inf"), float("nan")], ids=repr
)
def test_what_is_no_count_is_null_with_a_note(value: Any) -> None:
    told, notes = said({"n": value})
    assert told.count("n") is None
    (note,) = notes
    assert note.startswith("/api/ps: 'n' is ")


@pytest.mark.parametrize("name", ["text", "texts", "amount", "count", "part", "each"])
def test_what_is_not_said_leaves_no_note(name: str) -> None:
    for value in ({}, {"n": None}, None):
        told, notes = said(value)
        assert not getattr(told, name)("n")
        assert notes == {}


def test_what_is_no_object_leaves_a_note() -> None:
    told, notes = said(["x"])
    assert not told
    assert [*notes] == ['/api/ps: the value is ["x"], not an object']


def test_texts_are_those_of_a_list_and_fit_in_a_file() -> None:
    told, notes = said({"n": ["a", 5, "\ud800"], "m": "a"})
    assert (told.texts("n"), told.texts("m")) == (("a", "?"), ())
    assert [*notes] == ["/api/ps: 'm' is \"a\", not a list"]


def test_a_share_is_no_more_than_the_whole() -> None:
    told, notes = said({"size": 100, "all": 100, "half": "50", "more": 101, "none": 0})
    assert (told.share("all", "size"), told.share("half", "size")) == (1.0, 0.5)
    assert told.share("half", "none") is None
    assert told.share("missing", "size") is None
    assert notes == {}
    assert told.share("more", "size") is None
    assert [*notes] == ["/api/ps: 'more' is 101.0, not at most 'size', 100"]


def test_entries_that_are_no_objects_are_empty_with_a_note() -> None:
    told, notes = said({"models": [{"name": "a"}, 5], "other": {}})
    assert [entry.text("name") for entry in told.each("models")] == ["a", None]
    assert told.each("other") == []
    assert [*notes] == [
        "/api/ps: models: the value is 5, not an object",
        "/api/ps: 'other' is {}, not a list",
    ]


class Odd(OllamaFacade):
    """An Ollama whose every fact about a model is of another type."""

    def __call__(self, request: Request) -> Steps:
        entry = {
            "name": "tiny:latest",
            "size": "large",
            "size_vram": [],
            "digest": 7,
            "details": {"quantization_level": 4, "family": ["llama"], "context_length": "8192"},
            "capabilities": {"completion": True},
        }
        answers: dict[str, Any] = {
            **{key: {"models": [entry, {"name": ["x"]}, 5]} for key in ("/api/tags", "/api/ps")},
            "/api/show": {"model_info": {"llama.context_length": 4096.0}, "capabilities": "all"},
            "/api/version": {"version": 0.5},
        }
        found = answers.get(request.path)
        return super().__call__(request) if found is None else [sized(200, found)]


def test_facts_of_other_types_come_to_a_model_with_notes() -> None:
    with ScriptedServer(Odd()) as server:
        backend = ollama.Backend(settings_for(server.host))
        found = asyncio.run(backend.describe("tiny"))
        assert asyncio.run(backend.server()).version is None
        assert asyncio.run(backend.loaded()) == [
            {"name": "tiny:latest", "size_mb": None, "gpu_share": None, "context_length": None}
        ]
    assert found == Model("tiny:latest", "tiny:latest", context_length=4096, loaded=True)
    assert "/api/tags: models: details: 'quantization_level' is 4, not a text" in backend.notes


@pytest.mark.parametrize("body", ["[" * 100_000, "1" * 5000, "{}", "[1]", "null", '"x"', "NaN"])
def test_an_answer_that_is_no_list_of_models_is_a_sentence(body: str) -> None:
    with ScriptedServer([sized(200, body)]) as server:
        for backend in (ollama.Backend(settings_for(server.host)),
                        openai.Backend(settings_for(server.host))):  # fmt: skip
            with pytest.raises(ServerError, match="has no model list in"):
                asyncio.run(backend.models())
            with pytest.raises(ServerError):
                asyncio.run(backend.describe("tiny"))


def test_owners_of_other_types_are_no_owners() -> None:
    owned = [{"id": "m", "owned_by": ["vllm"]}, {"id": "n", "owned_by": {"a": 1}}]

    def script(request: Request) -> Steps:
        if request.path == "/v1/models":
            return [sized(200, {"data": owned})]
        return [sized(200, {"error": "unknown path"})]

    with ScriptedServer(script) as server:
        backend = openai.Backend(settings_for(server.host))
        assert asyncio.run(backend.server()).kind == "openai"


@pytest.mark.parametrize(("slots", "read"), [("4", 4), (4.0, 4), ("many", None), ([], None)])
def test_slots_are_a_whole_number_or_unknown(slots: Any, read: int | None) -> None:
    with ScriptedServer(LlamaCppFacade(slots=slots)) as server:
        backend = openai.Backend(settings_for(server.host))
        asyncio.run(backend.server())
        assert asyncio.run(backend.slots()) == read

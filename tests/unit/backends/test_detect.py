"""Which model and server are meant where the user does not say."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.benchmark_documents import benchmark_settings

from pytest_llamaburn import options
from pytest_llamaburn.backends import _detect, embedded, ollama, openai
from pytest_llamaburn.errors import ModelError
from pytest_llamaburn.kinds import benchmark
from pytest_llamaburn.kinds.benchmark.settings import Benchmark
from pytest_llamaburn.store import resume


def settled(environ: dict[str, str] | None = None, **flags: Any) -> tuple[Benchmark, str | None]:
    values, origins = options.resolve(Benchmark, flags, environ or {}, Path("/nonexistent"))
    return _detect.settle(values, origins)


def test_with_neither_model_nor_server_the_embedded_model_is_meant_and_said() -> None:
    values, note = settled(seed="7")
    assert (values.model, values.backend, values.seed) == (("smollm2-135m",), "embedded", 7)
    assert note == (
        "no --model given and none configured: using the embedded SmolLM2-135M-Instruct"
    )


def test_a_host_that_is_only_configured_names_no_server() -> None:
    values, note = settled({"OLLAMA_HOST": "box"})
    assert (values.backend, values.host) == ("embedded", "box")
    assert note is not None


@pytest.mark.parametrize(
    ("environ", "flags"),
    [
        ({}, {"model": ["llama3.1"]}),
        ({"LLAMABURN_MODEL": "llama3.1"}, {}),
        ({}, {"host": "box"}),
        ({}, {"backend": "openai"}),
        ({"LLAMABURN_BACKEND": "ollama"}, {}),
    ],
)
def test_a_model_a_server_or_a_backend_of_the_user_s_is_kept(
    environ: dict[str, str], flags: dict[str, Any]
) -> None:
    values, note = settled(environ, **flags)
    assert values == options.resolve(Benchmark, flags, environ, Path("/nonexistent"))[0]
    assert note is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [("smollm2-135m", True), ("some/model.gguf", True), ("llama3.1", False), ("gguf", False)],
)
def test_the_catalogue_s_models_and_files_are_embedded(name: str, expected: bool) -> None:
    assert _detect.is_embedded(name) is expected


@pytest.mark.parametrize(
    ("kind", "backend"),
    [("ollama", ollama.Backend), ("openai", openai.Backend), ("embedded", embedded.Backend)],
)
def test_a_backend_is_made_by_its_name(kind: str, backend: type) -> None:
    assert type(_detect.make(kind, benchmark_settings(host="box"))) is backend


def test_the_embedded_engine_without_a_name_means_the_catalogue_s_default() -> None:
    engine = _detect.make("embedded", benchmark_settings(backend="embedded"))
    assert asyncio.run(engine.only_model()) == "smollm2-135m"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("./nofile.gguf", None, "./nofile.gguf does not exist"),
        ("./report.html", b"<html>", "./report.html is not a GGUF file (it does not begin"),
        (
            "./model.bin",
            b"GGUF",
            "./model.bin is refused: rename the file so that its name ends in",
        ),
    ],
)
def test_what_is_no_model_file_is_refused_before_anything_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_bytes(content)
    given = options.resolve(Benchmark, {"model": [name]}, {}, tmp_path)
    with pytest.raises(ModelError) as caught:
        resume.settled(benchmark.KIND, *given)
    assert str(caught.value).startswith(f"--model: {reason}")


def test_a_model_file_and_a_server_s_names_are_no_concern_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("real.gguf").write_bytes(b"GGUF")
    for flags in (
        {"model": ["real.gguf", "llama3.1"]},
        {"model": ["far.gguf"], "backend": "openai"},
    ):
        given = options.resolve(Benchmark, flags, {}, tmp_path)
        assert resume.settled(benchmark.KIND, *given)[1] is None

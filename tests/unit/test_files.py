"""Files of others are read in any encoding that people have, and nothing else is waited for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pytest_llamaburn import files, options, registry, settings
from pytest_llamaburn.datasets import Prompt, load_prompts
from pytest_llamaburn.errors import DatasetError, SettingsError
from pytest_llamaburn.evalsets import load_eval_set
from pytest_llamaburn.kinds.benchmark.settings import Benchmark
from pytest_llamaburn.option import options_of

ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32")
MARKED_BE = {"utf-16-be": b"\xfe\xff", "utf-32-be": b"\x00\x00\xfe\xff"}


def encoded(text: str, encoding: str) -> bytes:
    """Return a text as an editor saves it: with line ends of Windows, and its mark in front."""
    return MARKED_BE.get(encoding, b"") + text.replace("\n", "\r\n").encode(encoding)


@pytest.mark.parametrize("encoding", [*ENCODINGS, *MARKED_BE])
def test_text_is_read_in_the_encoding_that_its_mark_names(encoding: str) -> None:
    assert files.text(encoded("grün\n日本\n", encoding)) == "grün\n日本\n"


@pytest.mark.parametrize("encoding", [*ENCODINGS, *MARKED_BE])
def test_configuration_is_read_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    text = '[ollama]\nhost = "http://a:1"\n[cost]\ncurrency = "€"\n'
    (tmp_path / options.CONFIG_NAME).write_bytes(encoded(text, encoding))
    found, _ = options.resolve(Benchmark, {}, {}, tmp_path)
    assert (found.host, found.currency) == ("http://a:1", "€")


def test_configuration_in_another_encoding_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / options.CONFIG_NAME).write_bytes("# grün".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"llamaburn\.toml: not readable as TOML: "):
        options.resolve(Benchmark, {}, {}, tmp_path)


PATHS = {
    (kind.__name__, option.name): (kind, option)
    for kind in settings.classes(registry.own("kinds"))
    for option in options_of(kind)
    if option.path
}


@pytest.mark.parametrize("key", sorted(PATHS))
def test_a_tilde_is_the_home_directory_in_flags_variables_and_files(
    key: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    kind, option = PATHS[key]
    written = '["~/x.json"]' if option.repeats else '"~/x.json"'
    (tmp_path / options.CONFIG_NAME).write_text(f"{option.toml_key} = {written}\n")
    flag = ("~/x.json",) if option.repeats else "~/x.json"
    sources: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({option.name: flag}, {}),
        ({}, {option.variables[0]: "~/x.json"}),
        ({}, {}),
    ]
    for flags, environ in sources:
        found: Any = options.resolve(kind, flags, environ, tmp_path)[0]
        value = getattr(found, option.name)
        assert (value[0] if option.repeats else value) == "/home/me/x.json"


def test_only_the_options_of_files_take_a_tilde(tmp_path: Path) -> None:
    found, _ = options.resolve(Benchmark, {"currency": "~"}, {}, tmp_path)
    assert found.currency == "~"


PROMPTS = {
    "list of texts": ("a.json", '["Say hello.", "Grün?"]'),
    "list of objects": ("a.json", '[{"prompt": "Say hello."}, {"prompt": "Grün?"}]'),
    "JSONL of objects": ("a.jsonl", '{"prompt": "Say hello."}\n\n{"prompt": "Grün?"}\n'),
    "JSONL of texts": ("a.jsonl", '"Say hello."\n"Grün?"\n'),
    "text": ("a.txt", "Say hello.\n\n  Grün?\n"),
    "CSV": ("a.csv", "id,prompt\n,Say hello.\n,Grün?\n"),
    "CSV with semicolons": ("a.csv", "id;prompt\n;Say hello.\n;Grün?\n"),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(("name", "content"), PROMPTS.values(), ids=PROMPTS.keys())
def test_prompts_are_read_as_people_have_them(
    name: str, content: str, encoding: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(encoded(content, encoding))
    expected = [Prompt("a-1", "custom", "Say hello."), Prompt("a-2", "custom", "Grün?")]
    assert load_prompts([str(tmp_path / name)]) == expected


def test_ids_may_be_whole_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 7, "prompt": "Who?", "reference": 42}\n')
    (question,) = load_eval_set(tmp_path / "a.jsonl").questions
    assert (question.id, question.reference) == ("7", "42")
    (tmp_path / "b.json").write_text('{"name": "b", "prompts": [{"id": 7, "prompt": "Who?"}]}')
    assert load_prompts([str(tmp_path / "b.json")])[0].id == "7"
    (tmp_path / "a.jsonl").write_text('{"id": true, "prompt": "Who?"}\n')
    with pytest.raises(DatasetError, match="line 1: id: input should be a valid string"):
        load_eval_set(tmp_path / "a.jsonl")


def test_questions_are_read_from_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("prompt,reference,scorer\n1 + 1?,2,number\nWhy?,,\n")
    first, second = load_eval_set(tmp_path / "a.csv").questions
    assert (first.id, first.reference, first.scorer) == ("a-1", "2", "number")
    assert (second.reference, second.scorer) == (None, None)


def test_what_would_block_or_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is not a regular file"):
        files.plain_bytes(tmp_path / "pipe")
    with pytest.raises(OSError, match="it is not a regular file"):
        files.plain_bytes(tmp_path)
    (tmp_path / "large").write_bytes(b"ab")
    with pytest.raises(OSError, match=r"it is larger than 9\.31e-10 GB"):
        files.plain_bytes(tmp_path / "large", most=1)


@pytest.mark.parametrize("name", ["~nobody-here/x", "~\x00/x", "~\ud800"])
def test_home_of_nobody_stays_as_it_is(name: str) -> None:
    assert files.home(name) == Path(name)


def test_reason_is_never_empty() -> None:
    assert files.reason(OSError(2, "No such file", "x")) == "No such file"
    assert files.reason(ValueError("why")) == "why"
    assert files.reason(MemoryError()) == "MemoryError"

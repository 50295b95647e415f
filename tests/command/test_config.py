"""`llamaburn config show`: what is in force, and who said so."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from support.command_line import run_cli

from pytest_llamaburn import registry, settings
from pytest_llamaburn.kinds.benchmark.settings import Benchmark
from pytest_llamaburn.option import options_of
from pytest_llamaburn.options import record, resolve

if TYPE_CHECKING:
    from pathlib import Path

FILE = """\
[defaults]
benchmark_iterations = 7
seed = 3

[ollama]
host = "http://elsewhere:1"

[thresholds]
ttft_ms.p95 = "<500"
"""


def configure(directory: Path, text: str = FILE) -> str:
    path = directory / "llamaburn.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def shown_settings(cwd: Path, **env: str) -> dict[str, dict[str, Any]]:
    done = run_cli("config", "show", "-o", "json", cwd=cwd, check=0, **env)
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def test_every_setting_is_shown_with_its_default(tmp_path: Path) -> None:
    found = shown_settings(tmp_path)
    kinds = settings.classes(registry.own("kinds"))
    assert found.keys() == {o.toml_key for kind in kinds for o in options_of(kind)}
    assert {entry["origin"] for entry in found.values()} == {"default"}
    assert found["defaults.benchmark_iterations"]["value"] == 5


def test_each_value_says_where_it_comes_from(tmp_path: Path) -> None:
    path = configure(tmp_path)
    found = shown_settings(tmp_path, LLAMABURN_SEED="9", OLLAMA_HOST="http://there:2")
    assert found["defaults.benchmark_iterations"] == {
        "value": 7,
        "origin": f"{path}: defaults.benchmark_iterations",
    }
    assert found["defaults.seed"] == {"value": 9, "origin": "LLAMABURN_SEED"}
    assert found["ollama.host"] == {"value": "http://there:2", "origin": "OLLAMA_HOST"}
    assert found["defaults.start"]["origin"] == "default"


def test_lines_give_the_origin_only_when_asked(tmp_path: Path) -> None:
    path = configure(tmp_path)
    plain = run_cli("config", "show", cwd=tmp_path).stdout.splitlines()
    assert "defaults.seed = 3" in plain
    assert "# defaults.top_p is not set" in plain
    told = run_cli("config", "show", "--origin", cwd=tmp_path).stdout.splitlines()
    assert f"defaults.seed = 3  # {path}: defaults.seed" in told
    assert "# defaults.top_p is not set  # default" in told
    assert len(plain) == len(told)


def test_lines_are_a_file_that_says_the_same(tmp_path: Path) -> None:
    configure(tmp_path)
    awkward = 'quote " back\\slash \u007f gr\u00fcn'
    before = run_cli("config", cwd=tmp_path, LLAMABURN_KEEP_ALIVE=awkward).stdout
    assert tomllib.loads(before)["thresholds"] == {"ttft_ms": {"p95": "<500"}}
    configure(tmp_path, before)
    assert run_cli("config", cwd=tmp_path).stdout == before
    values, _ = resolve(Benchmark, {}, {}, tmp_path)
    assert record(values, Benchmark)["keep_alive"] == awkward


def test_wrong_value_is_one_sentence_with_its_place(tmp_path: Path) -> None:
    done = run_cli("config", "show", cwd=tmp_path, check=4, LLAMABURN_SEED="x")
    assert done.stdout == ""
    assert done.stderr.startswith("llamaburn: LLAMABURN_SEED: 'x' is refused")

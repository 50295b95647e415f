"""Output is UTF-8 and files have names, whatever the locale."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.benchmark_documents import row, saved_benchmark
from support.command_line import COMMAND

from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from pathlib import Path

POSIX = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LOCALES = {"POSIX": POSIX, "cp1252": {"PYTHONIOENCODING": "cp1252"}}


@pytest.mark.parametrize("form", ["table", "csv", "json"])
@pytest.mark.parametrize("locale", LOCALES.values(), ids=LOCALES.keys())
def test_data_is_utf_8_in_every_locale(form: str, locale: dict[str, str], tmp_path: Path) -> None:
    path = saved_benchmark(tmp_path, [row(prompt_id="日本")])
    words = [*COMMAND, "results", "show", str(path), "-o", form]
    done = subprocess.run(words, env={**os.environ, **locale}, capture_output=True, check=True)
    assert "?" not in done.stdout.decode("utf-8")
    assert form == "table" or "日本" in done.stdout.decode("utf-8")


def test_errors_are_told_where_the_locale_lacks_their_characters(tmp_path: Path) -> None:
    words = [*COMMAND, "results", "show", "日本"]
    done = subprocess.run(
        words, env={**os.environ, **POSIX}, cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 4
    assert done.stderr.startswith(b"llamaburn: no result '")
    assert b"Traceback" not in done.stderr


def test_file_of_a_model_whose_name_the_file_system_lacks_is_written(tmp_path: Path) -> None:
    script = (
        "import json, sys; from pathlib import Path; from pytest_llamaburn.store import results;"
        "print(results.write(Path(sys.argv[1]), json.load(open(sys.argv[2], encoding='utf-8'))))"
    )
    made = json.loads(saved_benchmark(tmp_path / "made").read_text(encoding="utf-8"))
    made["model"]["id"] = "modèle-日本"
    (tmp_path / "made.json").write_text(json.dumps(made), encoding="utf-8")
    words = [sys.executable, "-c", script, str(tmp_path / "results"), str(tmp_path / "made.json")]
    done = subprocess.run(words, env={**os.environ, **POSIX}, capture_output=True, check=True)
    (path,) = (tmp_path / "results" / "benchmarks").iterdir()
    assert done.stdout.decode().strip() == str(path)
    assert path.name.startswith("mod_le_2026-")
    assert results.load(path)["model"]["id"] == "modèle-日本"


def test_half_a_surrogate_pair_is_written_as_its_escape(tmp_path: Path) -> None:
    script = "from pytest_llamaburn.commands import _encode; _encode(); print('a\\ud800b')"
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout == b"a\\ud800b\n"

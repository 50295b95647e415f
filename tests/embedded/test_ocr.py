"""Documents to a real OCR engine: it reads them right, and a broken one is shown to read wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support import ocr_peer
from support.command_line import run_cli

from pytest_llamaburn.modalities import _drawing
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("rapidocr", reason="the OCR engine is in the extra [test-media]")
LINES = ["Silver bridge over the river", "Winter market, 24 tickets"]
FORM = ["Number: 58935", "Date: 2026-07-01", "Total: 79.98"]


@pytest.fixture(scope="module")
def read() -> Callable[[bytes], list[str]]:
    return ocr_peer.engine()


def page(path: Path, lines: list[str]) -> None:
    items = [{"text": line, "at": [20, 20 + 40 * n], "size": 26} for n, line in enumerate(lines)]
    spec = {"size": [460, 40 + 40 * len(lines)], "items": items}
    _drawing.drawn(spec).save(path)


def documents(folder: Path) -> Path:
    folder.mkdir()
    page(folder / "text.png", LINES)
    page(folder / "form.png", FORM)
    fields = dict(line.split(": ") for line in FORM)
    rows = [
        {"media": "text.png", "reference": "\n".join(LINES)},
        {"media": "form.png", "scorer": "fields", "options": {"fields": fields}},
    ]
    (folder / "manifest.json").write_text(json.dumps(rows))
    return folder


def rates(tmp_path: Path, host: str) -> dict[str, Any]:
    options = (f"--host={host}", "--set=ocr_documents", f"--input={documents(tmp_path / 'pages')}")
    run_cli("eval", "rapidocr", *options, "--no-profile", "--warmup=1", cwd=tmp_path)
    (path,) = (tmp_path / "results" / "multimodal" / "image").glob("*.json")
    found: dict[str, Any] = results.load(path)["results"]["rates"]
    return {name: one["mean"] for name, one in found.items()}


def test_documents_are_read_right(tmp_path: Path, read: Callable[[bytes], list[str]]) -> None:
    with ocr_peer.serving(read) as host:
        found = rates(tmp_path, host)
    assert found["cer"] <= 0.03
    assert found["wer"] <= 0.2
    assert found["field_accuracy"] == 1.0


def test_an_engine_that_loses_letters_is_measured_as_such(
    tmp_path: Path, read: Callable[[bytes], list[str]]
) -> None:
    with ocr_peer.serving(read, broken=True) as host:
        found = rates(tmp_path, host)
    assert 0.3 < found["cer"] < 0.4  # each third letter is gone
    assert found["wer"] > 0.5
    assert found["field_accuracy"] == 0.0

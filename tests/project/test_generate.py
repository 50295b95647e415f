"""What is generated is what is shipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import generate
import pytest

if TYPE_CHECKING:
    from pathlib import Path

FILES = {**generate.schemas(), **generate.pages()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_generated_file_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == FILES[path], "run scripts/generate.py"


def test_every_shipped_schema_is_generated() -> None:
    folder = generate.ROOT / "pytest_llamaburn" / "schemas"
    assert set(folder.glob("*.json")) == generate.schemas().keys()

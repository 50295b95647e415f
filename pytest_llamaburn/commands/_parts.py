"""The optional parts of this package: its extras."""

from __future__ import annotations

from typing import Any

_NOT_PARTS = ("all", "docs", "frontend", "test", "test-media")  # for those who work on this package


def installed() -> dict[str, bool]:
    """Return the optional parts, and whether each is completely installed."""
    from importlib.metadata import metadata

    from packaging.requirements import Requirement

    package = metadata("pytest-llamaburn")
    needs = [Requirement(text) for text in package.get_all("Requires-Dist") or ()]
    names = [n for n in package.get_all("Provides-Extra") or () if n not in _NOT_PARTS]
    wanted = {name: _of_extra(needs, name) for name in names}  # empty: not for this system
    return {name: all(map(_is_installed, parts)) for name, parts in wanted.items() if parts}


def _of_extra(needs: list[Any], extra: str) -> list[Any]:
    conditional = [need for need in needs if need.marker]
    return [
        need
        for need in conditional
        if need.marker.evaluate({"extra": extra}) and not need.marker.evaluate({"extra": ""})
    ]


def _is_installed(need: Any) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return bool(need.specifier.contains(version(need.name), prereleases=True))
    except PackageNotFoundError:
        return False

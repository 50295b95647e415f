"""What a release needs besides a build: a checked tag, and a list of the software in it.

    python scripts/release.py check v0.1.0   the tag is the version, and the changelog has it
    python scripts/release.py sbom dist      write dist/sbom.cdx.json (CycloneDX 1.5)

It uses the standard library only, so that it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*([^;]*)")


def main() -> int:
    """Run a step; return 1 with a sentence if the release is not in order."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("step", choices=("check", "sbom"))
    parser.add_argument("value", help="the tag, or the folder of the distributions")
    chosen = parser.parse_args()
    if chosen.step == "sbom":
        folder = Path(chosen.value)
        text = json.dumps(sbom(project(), sorted(folder.glob("*.*"))), indent=2)
        (folder / "sbom.cdx.json").write_text(text + "\n", encoding="utf-8")
        return 0
    problem = fault(chosen.value, project()["version"], (ROOT / "CHANGELOG.md").read_text("utf-8"))
    if problem:
        print(f"release: {problem}", file=sys.stderr)
    return 1 if problem else 0


def project() -> dict[str, Any]:
    """Return the table `project` of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def fault(tag: str, version: str, changelog: str) -> str | None:
    """Return why a tag cannot be released, or None."""
    if tag != f"v{version}":
        return f"the tag is {tag}, the version is {version}: tag v{version}, or change the version"
    if f"## {version}" not in changelog:
        return f"CHANGELOG.md has no entry {version}: run towncrier build"
    return None


def sbom(about: dict[str, Any], built: list[Path]) -> dict[str, Any]:
    """Return the bill of materials: the distributions with digests, and what they require.

    Components of extras have the property `extra`. The versions are floors, as in pyproject.toml.
    """
    required = [("", one) for one in about["dependencies"]]
    required += [
        (extra, one)
        for extra, each in about["optional-dependencies"].items()
        if not extra.startswith("test")
        for one in each
        if not one.startswith(about["name"])
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": _component(about["name"], about["version"], built)},
        "components": [_required(extra, one) for extra, one in required],
    }


def _component(name: str, version: str, built: list[Path]) -> dict[str, Any]:
    digests = [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in built]
    return {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
        "licenses": [{"license": {"id": "MIT"}}],
        "properties": [{"name": f"sha256:{file}", "value": digest} for file, digest in digests],
    }


def _required(extra: str, requirement: str) -> dict[str, Any]:
    match = _REQUIREMENT.match(requirement)
    name, bounds = match.groups() if match else (requirement, "")
    component = {"type": "library", "name": name, "purl": f"pkg:pypi/{name.lower()}"}
    properties = [{"name": "requirement", "value": bounds.strip()}]
    properties += [{"name": "extra", "value": extra}] if extra else []
    return {**component, "properties": properties}


if __name__ == "__main__":
    sys.exit(main())

"""Builds the web page into sdist and wheel; editable installs build it when it is first served."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageHook(BuildHookInterface[Any]):
    """Has npm build the page, if its bundle is not current."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page and add it, or end with a sentence where that cannot be."""
        if version == "editable":
            return
        bundle = _bundle(Path(self.root))
        try:
            if not bundle.is_current():
                bundle.build()
        except bundle.BundleError as err:
            self.app.abort(str(err))
        build_data["artifacts"].append("/pytest_llamaburn/web/static/")


def _bundle(root: Path) -> Any:
    """Return the package's module, without the package: its dependencies are not here."""
    spec = importlib.util.spec_from_file_location("bundle", root / "pytest_llamaburn/web/bundle.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(root)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

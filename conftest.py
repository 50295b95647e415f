"""What all of our own tests share: a clean environment and pytest's own test bench."""

import os
import tempfile

import pytest

pytest_plugins = ["pytester"]
_KEPT = ("LLAMABURN_OLLAMA_PREFIX", "LLAMABURN_CACHE_DIR")  # what costs minutes to make anew

_FOREIGN = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL")


@pytest.fixture(autouse=True)
def _nothing_from_outside(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Hide the user's own settings and keys from the tests; the model cache is shared."""
    for name in os.environ:
        if name.startswith("LLAMABURN_") and name not in _KEPT:
            monkeypatch.delenv(name)
    for name in (*_FOREIGN, "OLLAMA_HOST", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(base / "no-config"))
    monkeypatch.setenv("TMPDIR", str(base))  # and so a lock of our own: no other run is waited for
    monkeypatch.setattr(tempfile, "tempdir", None)

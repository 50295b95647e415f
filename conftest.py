"""What all of our own tests share: a clean environment and pytest's own test bench."""

import gc
import os
import sys
import tempfile

import pytest

pytest_plugins = ["pytester"]
_KEPT = ("LLAMABURN_OLLAMA_PREFIX", "LLAMABURN_CACHE_DIR")  # what costs minutes to make anew

# Without it, each run rewrites the assertions of all files anew, in each of its processes.
sys.dont_write_bytecode = False

_FOREIGN = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL")


def pytest_configure(config: pytest.Config) -> None:
    """Let xdist take the files in their order, in which the slow ones come first.

    By itself it takes files with many tests first. The files with the slowest tests, which have
    few, would come last: one process then works for minutes while the other has nothing to do.
    """
    config.option.loadscopereorder = False


def pytest_collection_finish() -> None:
    """Leave the tests themselves out of each collection of garbage, of which runs make many."""
    gc.collect()
    gc.freeze()


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

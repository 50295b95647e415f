"""Compare our speeds with llama-bench's, on the same build, model and threads.

A llama-server of the same build as llama-bench answers one stream of ours. Both tools take turns;
every pair has the reverse order. llama-bench generates at the context depth of our prompt. It
processes as many prompt tokens as were not cached, after as many as were cached. Goals:
tokens_per_sec within 5 % of its tg, prompt_tokens_per_sec within 10 % of its pp.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median, stdev
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.error import URLError
from urllib.request import urlopen

from _report import Line, report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_PREFIX = Path.home() / ".cache/llamaburn-dev/ollama-0.32.15"
_GGUF = Path.home() / ".cache/llamaburn/models/smollm2-135m.gguf"
_COMMAND = [str(Path(sys.executable).with_name("llamaburn")), "benchmark", "--progress=none"]
_STORY = (
    "Tell the long story of a lighthouse keeper who writes a letter to every ship that passes, "
    "and of the one ship that came back many years later with an answer for him."
)
_ENTRY = {"id": "story", "category": "creative", "expected_length": "long", "prompt": _STORY}
_PROMPTS = {"name": "story", "version": "1.0", "description": "One story.", "prompts": [_ENTRY]}
_SPEEDS = ("tokens_per_sec", "prompt_tokens_per_sec", "server_tokens_per_sec")
_READY_WITHIN_S = 60.0


Found = TypeVar("Found")


class Speeds(NamedTuple):
    """Generated and processed tokens per second, and the tokens of the prompt."""

    tg: float
    pp: float
    uncached: int = 0
    cached: int = 0
    own_tg: float = 0.0  # the server's own figure


def main() -> int:
    """Compare; return 1 if a goal is missed."""
    chosen = parser(__doc__).parse_args()
    with serve(chosen) as url:
        ours = partial(_ours, chosen, url)
        shape = ours()
        bench = partial(_bench, chosen, shape)
        pairs = [pair(bench, ours, turn) for turn in range(chosen.pairs)]
    theirs, measured = zip(*pairs, strict=True)
    depth = (
        f"{shape.uncached} uncached prompt tokens after {shape.cached}, {chosen.tokens} answered"
    )
    title = f"llama-bench and ours, {chosen.pairs} pairs, {chosen.threads} threads, {depth}"
    lines = [*_lines("tg", theirs, measured, 5), *_lines("pp", theirs, measured, 10)]
    own = median(speeds.tg / speeds.own_tg for speeds in measured)
    return report(title, [*lines, Line("tg ours / the server's own", own, "")])


def parser(about: str | None) -> argparse.ArgumentParser:
    """Return the arguments of a comparison with llama-bench."""
    parser = argparse.ArgumentParser(description=about)
    prefix = Path(os.environ.get("LLAMABURN_OLLAMA_PREFIX") or _PREFIX)
    parser.add_argument("--bin", type=Path, default=prefix / "lib/ollama", help="the build")
    parser.add_argument("--model", type=Path, default=_GGUF)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=64, help="length of an answer")
    parser.add_argument("--repetitions", type=int, default=3, help="answers in each turn")
    return parser


def pair(bench: Callable[[], Found], ours: Callable[[], Found], turn: int) -> tuple[Found, Found]:
    """Return what both tools measure; they begin in turn."""
    if turn % 2:
        return bench(), ours()
    measured = ours()
    return bench(), measured


def _lines(
    name: str, theirs: Sequence[Speeds], ours: Sequence[Speeds], goal_percent: float
) -> Iterator[Line]:
    first, second = ([getattr(speeds, name) for speeds in side] for side in (theirs, ours))
    ratios = [b / a for a, b in zip(first, second, strict=True)]
    yield Line(f"{name} llama-bench, median", median(first), "t/s")
    yield Line(f"{name} llama-bench, spread", 100 * stdev(first) / median(first), "%")
    yield Line(f"{name} ours, median", median(second), "t/s")
    yield Line(f"{name} ours, spread", 100 * stdev(second) / median(second), "%")
    yield Line(f"{name} ours / llama-bench, median of pairs", median(ratios), "")
    yield Line(f"{name} off by", 100 * abs(median(ratios) - 1), "%", goal_percent)


def command(chosen: argparse.Namespace) -> list[str]:
    """Return llama-bench with what all tests share."""
    run = [str(chosen.bin / "llama-bench"), "-m", str(chosen.model), "-t", str(chosen.threads)]
    return [*run, "-fa", "1", "-o", "json", "-r", str(chosen.repetitions)]


def _bench(chosen: argparse.Namespace, shape: Speeds) -> Speeds:
    run = command(chosen)
    depth = shape.uncached + shape.cached
    generated = test([*run, "-p", "0", "-n", str(chosen.tokens), "-d", str(depth)])
    processed = test([*run, "-p", str(shape.uncached), "-n", "0", "-d", str(shape.cached)])
    return Speeds(generated, processed)


def test(command: list[str]) -> float:
    """Return the median speed of the single test of a command."""
    said = subprocess.check_output(command, stderr=subprocess.DEVNULL, text=True)
    (test,) = json.loads(said)
    return float(median(test["samples_ts"]))


def _ours(chosen: argparse.Namespace, url: str) -> Speeds:
    with tempfile.TemporaryDirectory() as folder:
        prompts = Path(folder, "prompts.json")
        prompts.write_text(json.dumps(_PROMPTS), encoding="utf-8")
        where = [f"--host={url}", "--backend=openai", f"--results-dir={folder}"]
        what = [f"--prompts={prompts}", f"--max-tokens={chosen.tokens}"]
        often = [f"--iterations={chosen.repetitions}", "--warmup=1"]
        environ = {**os.environ, "TMPDIR": folder}  # a lock of its own, so it never waits
        words = [*_COMMAND, *where, *what, *often]
        subprocess.run(words, env=environ, stdout=subprocess.DEVNULL, check=True)
        (path,) = Path(folder).glob("benchmarks/*.json")
        runs = json.loads(path.read_text(encoding="utf-8"))["results"]["runs"]
    return _speeds(runs)


def _speeds(runs: list[dict[str, Any]]) -> Speeds:
    cached = int(median(run["cached_tokens"] for run in runs))
    length = int(median(run["input_sequence_length"] for run in runs))
    tg, pp, own = (median(run[name] for run in runs) for name in _SPEEDS)
    return Speeds(tg, pp, length - cached, cached, own)


@contextmanager
def serve(chosen: argparse.Namespace) -> Iterator[str]:
    """Run a llama-server of the same build; yield its address once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(chosen.bin / "llama-server"), "-m", str(chosen.model), "-t", str(chosen.threads)]
    command += ["-c", "2048", "-np", "1", "-fa", "on", "--host", "127.0.0.1", "--port", str(port)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen([*command, "--cache-ram", "0"], stdout=quiet, stderr=quiet) as server:
        try:
            _wait(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def _wait(url: str) -> None:
    deadline = monotonic() + _READY_WITHIN_S
    while monotonic() < deadline:
        try:
            with urlopen(f"{url}/health"):  # noqa: S310 - our own loopback address
                return
        except (URLError, OSError):
            sleep(0.1)
    raise TimeoutError(f"{url} is not ready after {_READY_WITHIN_S:g} s")


if __name__ == "__main__":
    sys.exit(main())

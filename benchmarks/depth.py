"""Compare `llamaburn depth` with llama-bench at each depth, on the same build, model and threads.

Both tools take turns; every pair has the reverse order. llama-bench generates at the context that
our requests had. It processes our shortest and our longest prompt at the depth; its prefill rate is
the slope between them, as ours is: what every prompt costs alike is in neither. Goals at every depth: decode within 5 % of its tg, prefill within 10 % of its pp.

    python benchmarks/depth.py [--pairs 5] [--depths 0,512,1024]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import llama_bench
from _report import Line, report

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

_LENGTHS = (128, 256, 384)
_COMMAND = [str(Path(sys.executable).with_name("llamaburn")), "depth", "--progress=none"]


class Rates(NamedTuple):
    """Prefill and decode rate at a depth, in tokens per second, and the tokens of the context."""

    prefill: float
    decode: float
    context: int


def main() -> int:
    """Compare; return 1 if a goal is missed."""
    chosen = _arguments()
    with llama_bench.serve(chosen) as url:
        ours = partial(_ours, chosen, url)
        contexts = [one.context for one in ours()]
        bench = partial(_bench, chosen, contexts)
        pairs = [llama_bench.pair(bench, ours, turn) for turn in range(chosen.pairs)]
    title = f"llama-bench and depth, {chosen.pairs} pairs, {chosen.threads} threads"
    return report(title, [*_lines(chosen.depths, pairs)])


def _arguments() -> argparse.Namespace:
    parser = llama_bench.parser(__doc__)
    parser.add_argument("--depths", default="0,512,1024")
    chosen = parser.parse_args()
    chosen.depths = [int(depth) for depth in chosen.depths.split(",")]
    return chosen


def _ours(chosen: argparse.Namespace, url: str) -> list[Rates]:
    with tempfile.TemporaryDirectory() as folder:
        depths = ",".join(map(str, chosen.depths))
        asked = [f"--depths={depths}", f"--isl={','.join(map(str, _LENGTHS))}"]
        asked += [f"--osl={chosen.tokens}", f"--iterations={chosen.repetitions}", "--warmup=1"]
        where = [f"--host={url}", "--backend=openai", f"--results-dir={folder}"]
        environ = {**os.environ, "TMPDIR": folder}  # a lock of its own, so it never waits
        command = [*_COMMAND, *where, *asked]
        subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, check=True)
        (path,) = Path(folder).glob("depths/*.json")
        found = json.loads(path.read_text(encoding="utf-8"))["results"]["depths"]
    return [
        Rates(at["prefill"]["tokens_per_sec"], at["decode"]["p50"], round(at["context_tokens"]))
        for at in found
    ]


def _bench(chosen: argparse.Namespace, contexts: Sequence[int]) -> list[Rates]:
    run = llama_bench.command(chosen)
    found = []
    for depth, context in zip(chosen.depths, contexts, strict=True):
        decode = llama_bench.test([*run, "-p", "0", "-n", str(chosen.tokens), "-d", str(context)])
        found.append(Rates(_slope(run, depth), decode, context))
    return found


def _slope(run: Sequence[str], depth: int) -> float:
    """Return the tokens per second between the shortest and the longest prompt."""
    lengths = (_LENGTHS[0], _LENGTHS[-1])
    first_s, last_s = (
        length / llama_bench.test([*run, "-p", str(length), "-n", "0", "-d", str(depth)])
        for length in lengths
    )
    return (lengths[1] - lengths[0]) / (last_s - first_s)


def _lines(
    depths: Sequence[int], pairs: Sequence[tuple[list[Rates], list[Rates]]]
) -> Iterator[Line]:
    for place, depth in enumerate(depths):
        for name, goal in (("decode", 5), ("prefill", 10)):
            theirs, ours = zip(
                *((getattr(one[place], name) for one in pair) for pair in pairs), strict=True
            )
            ratio = median(b / a for a, b in zip(theirs, ours, strict=True))
            yield Line(f"depth {depth}: {name} llama-bench, median", median(theirs), "t/s")
            yield Line(f"depth {depth}: {name} ours, median", median(ours), "t/s")
            yield Line(f"depth {depth}: {name} off by", 100 * abs(ratio - 1), "%", goal)


if __name__ == "__main__":
    sys.exit(main())

"""Each insight is told by the real command when its one condition is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support.command_line import results_in, run_cli
from support.scripted import (
    LlamaCppFacade,
    OllamaFacade,
    Pause,
    Script,
    ScriptedServer,
    Steps,
    chunked,
    ollama_line,
    ollama_stream,
)

from pytest_llamaburn import flags
from pytest_llamaburn.kinds.benchmark import insights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WARM_UP = 2
TEXTS = ("Red", ",", " green", ".")
WHOLE = {"eval_count": 4, "prompt_eval_count": 13}
FULL = "--max-tokens=4"  # as many as the answers have: none stops early
LONG = "Say it all again. " * 200
BY_CLOCK = {  # a machine that is busy by itself may show them without our doing
    *("clocks_disagree", "coalesced", "first_run_slow", "other_load", "outliers"),
    *("prompt_dominates", "spread_wide"),
}


class Case(NamedTuple):
    """A condition: the server that shows it, flags, and what is said."""

    server: Callable[[], Script]
    words: str
    args: tuple[str, ...] = ()
    busy: bool = False


def paced(gap_s: float, first_s: float = 0.0, stall_s: float = 0.0, **final: Any) -> Steps:
    """Return an answer with a pause before its first piece, between pieces and in the middle."""
    first, *rest = ollama_stream(TEXTS, **final)
    stream = [Pause(first_s), first, *(step for one in rest for step in (Pause(gap_s), one))]
    return [*stream[:4], Pause(stall_s), *stream[4:]]


def timed(*answers: Steps) -> Script:
    """Return a server whose timed requests get these answers, its warm-up the usual one."""
    return OllamaFacade(faults={WARM_UP + n: steps for n, steps in enumerate(answers)})


def repeating() -> Script:
    return timed(chunked(*[ollama_line("ha ")] * 31))


# These need a GPU: tests/unit/energy/test_timeline.py makes its readings up.
OF_SENSORS = {
    *("gpu_idle_cpu_busy", "idle_energy", "power_cap", "thermal_throttling", "vram_nearly_full"),
    "device_not_counted",
}

OF_THE_WIRE = {"repetition_guard", "implausible_counts", "not_streamed"}

CASES = {
    "cpu_spill": Case(
        lambda: OllamaFacade(held={"size_vram": 0.62 * 98_362_745}),
        "cpu_spill on 5 of 5 requests: 38% of the model runs on the CPU",
    ),
    "context_differs": Case(
        OllamaFacade,
        "2048 was requested, but the server loaded the model with 4096",
        ("--num-ctx=2048",),
    ),
    "reloaded": Case(
        lambda: OllamaFacade(
            token_s=0.03, final={"load_duration": 120_000_000, "total_duration": None}
        ),
        "reloaded on 5 of 5 requests: the model was loaded again although it was warm",
    ),
    "coalesced": Case(
        lambda: OllamaFacade(final={"eval_count": 16}),
        "coalesced on 5 of 5 requests: several tokens came at once",
        ("--max-tokens=16",),
    ),
    "early_stop": Case(
        OllamaFacade,
        "early_stop on 5 of 5 requests: the model ended before the limit of 5",
        ("--max-tokens=5",),
    ),
    "truncated_prompt": Case(
        lambda: OllamaFacade(final={"prompt_eval_count": 258}, held={"context_length": 512}),
        "truncated_prompt on 5 of 5 requests: the server cut the prompt",
        ("--num-ctx=512", "--prompts=long.json"),
    ),
    "cache_hit": Case(
        lambda: timed(
            paced(0, prompt_eval_count=113, prompt_eval_cached_count=0),
            *[paced(0, prompt_eval_count=113, prompt_eval_cached_count=100)] * 4,
        ),
        "cache_hit on 4 of 5 requests: part of the prompt came from the cache",
    ),
    "repetition_guard": Case(
        repeating, "repetition_guard on 1 of 5 requests: the server ended an answer"
    ),
    "implausible_counts": Case(
        lambda: OllamaFacade(final={"eval_count": -1}),
        "implausible_counts on 5 of 5 requests: the server sent counts or durations that are not",
    ),
    "not_streamed": Case(
        lambda: timed(*[chunked(ollama_line("Red.", done=True, **WHOLE))] * 5),
        "not_streamed on 5 of 5 requests: the server sent the whole answer at once",
    ),
    "prompt_dominates": Case(
        lambda: timed(
            *[paced(0, first_s=0.2, prompt_eval_duration=190_000_000, total_duration=None)] * 5
        ),
        "of the total time. Shorten the prompts",
    ),
    "first_run_slow": Case(
        lambda: timed(paced(0.4), *[paced(0.01)] * 4),
        "times slower than the others. Raise --warmup.",
    ),
    "spread_wide": Case(
        lambda: timed(*(paced(0.01 * n) for n in range(1, 6))), "tokens_per_sec is known only to ± "
    ),
    "outliers": Case(
        lambda: timed(*[paced(0.01)] * 8, paced(0.01, stall_s=1.5), *[paced(0.01)] * 3),
        "of 12 requests generated far slower or faster than the rest",
        ("--iterations=12",),
    ),
    "other_load": Case(
        lambda: OllamaFacade(token_s=0.05), "of this machine's processors during the run", busy=True
    ),
    "clocks_disagree": Case(
        lambda: OllamaFacade(token_s=0.01, final={"eval_duration": 3_000_000}),
        "fewer tokens per second than the server reported",
    ),
    "one_slot": Case(LlamaCppFacade, "The server has one slot", ("--max-tokens=12",)),
}


@pytest.fixture
def load() -> Iterator[Callable[[], None]]:
    """Return a function that keeps every processor busy until the test is over."""
    with ExitStack() as closing:

        def start() -> None:
            for _ in range(os.cpu_count() or 1):
                command = [sys.executable, "-c", "while True: pass"]
                closing.callback(closing.enter_context(subprocess.Popen(command)).kill)

        yield start


def benchmark_insights(server: Script, cwd: Path, *args: str) -> tuple[dict[str, Any], str]:
    """Return the insights of a benchmark, by id, and the table."""
    with ScriptedServer(server) as running:
        host = f"--host={running.host}"
        shown = run_cli("benchmark", "tiny:latest", host, FULL, *args, cwd=cwd).stdout
    (document,) = results_in(cwd / "results")
    return {insight["id"]: insight for insight in document["insights"]}, shown


def test_every_insight_of_the_catalogue_is_a_case() -> None:
    rules = {rule.__name__ for rule in insights.RULES} - OF_SENSORS
    assert CASES.keys() == rules | flags.FLAGS.keys() | OF_THE_WIRE


@pytest.mark.parametrize("name", CASES)
def test_insight_is_told_where_its_condition_is(
    name: str, load: Callable[[], None], tmp_path: Path
) -> None:
    case = CASES[name]
    long = {"name": "long", "prompts": [{"id": f"l{n}", "prompt": LONG} for n in range(5)]}
    (tmp_path / "long.json").write_text(json.dumps(long))
    if case.busy:
        load()
    found, shown = benchmark_insights(case.server(), tmp_path, *case.args)
    assert found.keys() - BY_CLOCK <= {name}
    assert case.words in found[name]["text"]
    assert found[name]["text"] in shown
    assert found[name]["evidence"]


@pytest.mark.parametrize(
    "server", [OllamaFacade(token_s=0.01), LlamaCppFacade(slots=4)], ids=["ollama", "llama.cpp"]
)
def test_without_a_condition_nothing_is_told_but_what_the_clock_shows(
    server: Script, tmp_path: Path
) -> None:
    limit = "--max-tokens=12" if isinstance(server, LlamaCppFacade) else FULL
    assert benchmark_insights(server, tmp_path, limit)[0].keys() <= BY_CLOCK

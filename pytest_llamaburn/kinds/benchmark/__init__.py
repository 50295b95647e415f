"""Benchmarks: they send one request at a time and measure how fast a model answers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import LlamaBurnError
from pytest_llamaburn.kinds._kind import Expected, Params, RunKind, count, expressions, or_broken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_llamaburn.datasets import Planned
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds._kind import Item, Session
    from pytest_llamaburn.kinds._target import Target

PROMPT = "llm_prompt"  # the argument of a test that is parametrized with the prompts
NO_SET = {"sets": [], "available": 0}  # for tests with prompts of their own


class _Benchmark(RunKind):
    description = "Measure how fast a model answers, and show the result as a table."
    name = "benchmark"
    folder = "benchmarks"
    comparison = "comparison"
    settings = "settings.Benchmark"
    run = "run.BenchmarkRun"
    help = "measure how fast a model answers"
    example = "llamaburn benchmark llama3.1:8b --iterations 20 --prompts coding -o report.md"
    example_test = '''\
"""An example. Run it with `pytest test_llm.py --llamaburn-model NAME`. Without a model, it measures
the embedded one.
"""

import pytest


@pytest.mark.llm_benchmark(iterations=3)
def test_answers_quickly(measure):
    result = measure("Name three colours.")
    assert not result.errors
    assert result.ttft_ms.p50 < 5000
    assert result.tokens_per_sec.mean > 1
'''
    first = ("mode", "iterations", "prompts", "max_tokens")
    fixture = "llm"
    fixture_help = """Return the server and model under test, loaded and warmed up.

    The fixture is parametrized by model and repeat. It has session scope, so that each model is
    loaded once.
    """
    functions = {  # noqa: RUF012
        "measure": (
            "calls.measure",
            """Return a function that sends the timed requests of a prompt and returns the results.

    `measure("Name three colours.")` returns a `Measured`: `result.ttft_ms.p50`,
    `result.tokens_per_sec.mean`, `result.errors`. The number of requests is the argument
    `iterations`; by default, that of the marker or of `--llamaburn-iterations`.
    """,
        ),
        "measure_more": (
            "calls.measure_more",
            "Return a function that measures until --precision is reached or --budget is used up.",
        ),
    }
    marker_help = "measures a model: iterations=N, thresholds=['ttft_ms.p50<500']"

    @property
    def marker_keywords(self) -> dict[str, Callable[[str, Any], Any]]:
        """The keywords of the marker, each with a function that checks it."""
        return {"iterations": count, "thresholds": expressions}

    def check(self, settings: object) -> None:
        """Raise SettingsError for an unknown metric, or for settings that contradict each other."""
        self.load("result.check")(settings)

    def expected(self, settings: Any, request_s: float) -> Expected:
        """Return about how long a run will take if a request of its model takes `request_s`."""
        timed = settings.numbers if settings.mode == "correctness" else settings.iterations
        timed *= 2 if settings.start == "both" else 1
        each_s = max((settings.warmup + timed) * request_s, settings.budget or 0.0)
        note = None if settings.precision is None else "longer if the precision needs it"
        return Expected(len(self.models(settings)) * settings.repeats * each_s, note)

    def parametrize(self, session: Session, fixtures: Sequence[str]) -> list[Params]:
        """Return the runs, and the prompts if the test has an argument for one."""
        runs = self.runs(session)
        if PROMPT not in fixtures:
            return [runs]
        prompts = or_broken(lambda: self.prompts(session)[0])
        broken = [prompt for prompt in prompts if isinstance(prompt, LlamaBurnError)]
        ids = ["unusable" if broken else planned.prompt.id for planned in prompts]
        if broken:
            runs = Params(runs.names, broken, ids)
        return [Params((PROMPT,), prompts, ids), runs]

    def prompts(self, session: Session) -> tuple[list[Planned], Document]:
        """Return the prompts with their iterations, and the description for the result file."""
        if self.name not in session.memory:
            session.memory[self.name] = self.load("calls.prompts")(session.settings(self.name))
        chosen: tuple[list[Planned], Document] = session.memory[self.name]
        return chosen

    def wanted(self, item: Item, session: Session) -> bool:
        """Return whether to run an item; `measure_more` needs --precision or --budget."""
        if "measure_more" not in item.fixtures:
            return True
        settings = session.settings(self.name) if item.target else None
        return bool(settings and (settings.precision, settings.budget) != (None, None))

    def planned(self, item: Item, session: Session) -> int:
        """Return the number of timed requests of an item; 0 if it does not use `measure`."""
        if "measure" not in item.fixtures:
            return 0
        both = 2 if session.settings(self.name).start == "both" else 1
        return self.iterations(item, session) * both

    def iterations(self, item: Item, session: Session) -> int:
        """Return the number of timed requests of an item for each start."""
        planned = item.params.get(PROMPT)
        iterations = planned.iterations if planned else item.keywords.get("iterations")
        return int(session.settings(self.name).iterations if iterations is None else iterations)

    def order(self, items: list[Item], session: Session) -> list[Item]:
        """Shuffle the prompts of each run by the seed, so that their order favours none."""
        ordered = items[:]
        places: dict[Target, list[int]] = {}
        for place, item in enumerate(items):
            if item.target and PROMPT in item.params:
                places.setdefault(item.target, []).append(place)
        for target, own in places.items():
            shuffled = own[:]
            random.Random(f"{session.common.seed}/{target.repeat}").shuffle(shuffled)  # noqa: S311
            for place, source in zip(own, shuffled, strict=True):
                ordered[place] = items[source]
        return ordered

    def header(self, target: Target, session: Session) -> Document:  # noqa: ARG002
        """Return the description of the chosen prompts."""
        return {"prompts": self.prompts(session)[1] if self.name in session.memory else NO_SET}

    def of_tests(self, header: Mapping[str, Any]) -> bool:
        """Return whether a run's prompts come from tests; then no command can repeat the run."""
        return not header["prompts"]["sets"]


KIND = _Benchmark()

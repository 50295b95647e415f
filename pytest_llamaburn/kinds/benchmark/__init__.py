"""Benchmarks: one request at a time to one model, prompt after prompt."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.errors import LlamaBurnError
from pytest_llamaburn.kinds._kind import Params, RunKind, count, expressions, or_broken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_llamaburn.datasets import Planned
    from pytest_llamaburn.kinds._kind import Item, Session, Target

PROMPT = "llm_prompt"  # the argument by which a test is parametrized with the prompts
NO_SET = {"sets": [], "available": 0}  # tests that bring their own prompts


class _Benchmark(RunKind):
    description = (
        "Measure how fast a model answers: one pytest session, then the table of its result file."
    )
    name = "benchmark"
    folder = "benchmarks"
    comparison = "comparison"
    settings = "settings.Benchmark"
    run = "run.BenchmarkRun"
    help = "measure how fast a model answers"
    example = "llamaburn benchmark llama3.1:8b --iterations 20 --prompts coding -o report.md"
    example_test = '''\
"""An example. Run it with `pytest test_llm.py --llamaburn-model NAME`, or without a model: then the
embedded one is measured.
"""

import pytest


@pytest.mark.llm_benchmark(iterations=3)
def test_answers_quickly(measure):
    result = measure("Name three colours.")
    assert not result.errors
    assert result.ttft_ms.p50 < 5000
    assert result.tokens_per_sec.mean > 1
'''
    fixture = "llm"
    fixture_help = """Give the server and model under test, loaded and warmed up.

    Parametrized by model and repeat; session scope, so that each model is loaded once.
    """
    functions = {  # noqa: RUF012
        "measure": (
            "calls.measure",
            """Return a function that sends a prompt's timed requests and returns what it measured.

    `measure("Name three colours.")` returns a `Measured`: `result.ttft_ms.p50`,
    `result.tokens_per_sec.mean`, `result.errors`. The number of requests is the keyword
    `iterations`, else the marker's, else `--llamaburn-iterations`.
    """,
        ),
        "measure_more": (
            "calls.measure_more",
            "Return a function that measures until --precision is met or --budget is spent.",
        ),
    }
    marker_help = "measures a model: iterations=N, thresholds=['ttft_ms.p50<500']"

    @property
    def marker_keywords(self) -> dict[str, Callable[[str, Any], Any]]:
        """The keywords of the marker, each with a function that checks it."""
        return {"iterations": count, "thresholds": expressions}

    def check(self, settings: Any) -> None:
        """Raise SettingsError for a setting that only the metrics or other settings can refuse."""
        self.load("result.check")(settings)

    def parametrize(self, session: Session, fixtures: Sequence[str]) -> list[Params]:
        """Return the runs, and the prompts for a test that asks for one."""
        runs = self.runs(session)
        if PROMPT not in fixtures:
            return [runs]
        prompts = or_broken(lambda: self.prompts(session)[0])
        broken = [one for one in prompts if isinstance(one, LlamaBurnError)]
        ids = ["unusable" if broken else one.prompt.id for one in prompts]
        if broken:
            runs = Params(runs.names, broken, ids)
        return [Params((PROMPT,), prompts, ids), runs]

    def prompts(self, session: Session) -> tuple[list[Planned], dict[str, Any]]:
        """Return the prompts with their iterations, and how a file describes the choice."""
        if self.name not in session.memory:
            session.memory[self.name] = self.load("calls.prompts")(session.settings(self.name))
        chosen: tuple[list[Planned], dict[str, Any]] = session.memory[self.name]
        return chosen

    def wanted(self, item: Item, session: Session) -> bool:
        """Return whether an item measures on although neither --precision nor --budget asks it."""
        if "measure_more" not in item.fixtures:
            return True
        settings = session.settings(self.name) if item.target else None
        return bool(settings and (settings.precision, settings.budget) != (None, None))

    def planned(self, item: Item, session: Session) -> int:
        """Return how many timed requests an item makes: none if it only looks at the model."""
        if "measure" not in item.fixtures:
            return 0
        both = 2 if session.settings(self.name).start == "both" else 1
        return self.iterations(item, session) * both

    def iterations(self, item: Item, session: Session) -> int:
        """Return how many timed requests of each start an item asks for."""
        planned = item.params.get(PROMPT)
        asked = planned.iterations if planned else item.keywords.get("iterations")
        return int(session.settings(self.name).iterations if asked is None else asked)

    def order(self, items: list[Item], session: Session) -> list[Item]:
        """Shuffle the prompts of each model's run, by the seed: order must not favour any."""
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

    def header(self, target: Target, session: Session) -> dict[str, Any]:  # noqa: ARG002
        """Return which prompts the session chose."""
        return {"prompts": self.prompts(session)[1] if self.name in session.memory else NO_SET}

    def of_tests(self, header: Mapping[str, Any]) -> bool:
        """Return whether a run is of tests that bring their own prompts, which no command has."""
        return not header["prompts"]["sets"]


KIND = _Benchmark()

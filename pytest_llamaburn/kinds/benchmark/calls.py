"""The functions that tests call to measure prompts, and the choice of prompts by the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import datasets
from pytest_llamaburn.datasets import Planned, Prompt
from pytest_llamaburn.kinds._kind import count
from pytest_llamaburn.kinds.benchmark import KIND, number_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds._kind import Item, Session
    from pytest_llamaburn.kinds.benchmark.measured import Measured
    from pytest_llamaburn.kinds.benchmark.run import BenchmarkRun
    from pytest_llamaburn.kinds.benchmark.settings import Benchmark


def measure(run: BenchmarkRun, item: Item, session: Session) -> Callable[..., Measured]:
    """Return the function of the fixture `measure`."""
    calls = 0

    def measured(prompt: str | Planned, *, iterations: int | None = None) -> Measured:
        nonlocal calls
        calls += 1
        planned = _planned(prompt, item, session)
        requests = planned.iterations if iterations is None else count("measure", iterations)
        key = f"{item.node.nodeid}#{calls}"
        result: Measured = session.run(run.measure(planned.prompt, requests, key))
        item.node.user_properties.extend(run.properties(result))
        broken = run.gate(item.keywords.get("thresholds", ()), result)
        if broken:
            raise AssertionError("; ".join(broken))
        return result

    return measured


def measure_more(
    run: BenchmarkRun,
    item: Item,  # noqa: ARG001 - all such functions take it
    session: Session,
) -> Callable[[], Measured]:
    """Return the function of the fixture `measure_more`."""
    return lambda: session.run(run.extend(KIND.prompts(session)[0]))


def prompts(settings: Benchmark) -> tuple[list[Planned], Document]:
    """Return the prompts with their iterations, and the description for the result file."""
    if settings.mode == "correctness":
        questions = number_words.prompts(settings.numbers, settings.seed, settings.lang)
        facts = {"sets": [f"numbers in words, {settings.lang}"], "available": len(questions)}
        return [Planned(question, 1) for question in questions], facts
    available = datasets.load_prompts(settings.prompts)
    chosen = datasets.plan(available, settings.iterations, settings.seed)
    return chosen, {"sets": list(settings.prompts), "available": len(available)}


def _planned(prompt: str | Planned, item: Item, session: Session) -> Planned:
    if isinstance(prompt, Planned):
        return prompt
    name = getattr(item.node, "originalname", None) or item.node.name
    return Planned(Prompt(name, "test", prompt), KIND.iterations(item, session))

"""pytest's hooks. Inert in sessions that have no item of ours and no option of ours.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llamaburn import options
from pytest_llamaburn.errors import LlamaBurnError
from pytest_llamaburn.fixtures import (
    FIXTURES,
    HARNESS,
    MARKERS,
    PREFIX,
    PROMPT_ARGUMENT,
    Broken,
    Harness,
    Outcome,
    Target,
    gpu_profiler,
    iterations_of,
    llm,
    measure,
    measure_more,
    ollama_client,
    params_of,
)
from pytest_llamaburn.settings import Benchmark, Display

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pytest_llamaburn.load.bench import Bench

__all__ = ["gpu_profiler", "llm", "measure", "measure_more", "ollama_client"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options, all of them under one prefix."""
    group = parser.getgroup("llamaburn", "benchmarks of local language models")
    options.declare(group.addoption, Benchmark, PREFIX)
    options.declare(group.addoption, Display, PREFIX)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers and the session's harness, which opens nothing yet."""
    for name, text in MARKERS.items():
        config.addinivalue_line("markers", f"{name}(**options): {text}")
    harness = config.stash[HARNESS] = Harness(config)
    harness.keep_stderr()
    config.pluginmanager.register(Outcome(harness), "llamaburn-outcome")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker which session it belongs to."""
    node.workerinput["llamaburn_session"] = node.config.stash[HARNESS].session_id


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize `llm` by model and repeat, and `llm_prompt` by the chosen prompts."""
    harness = metafunc.config.stash[HARNESS]
    targets: list[Any] = []
    if "llm" in metafunc.fixturenames:
        targets = _or_broken(harness.targets)
    if PROMPT_ARGUMENT in metafunc.fixturenames:
        planned = _or_broken(lambda: harness.prompts[0])
        metafunc.parametrize(PROMPT_ARGUMENT, planned, ids=map(_prompt_id, planned))
        targets = [p for p in planned if isinstance(p, Broken)] or targets
    if targets:
        metafunc.parametrize("llm", targets, indirect=True, ids=map(_target_id, targets))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle the prompts of each model's run, by the seed: order must not favour any."""
    harness = config.stash[HARNESS]
    items[:] = [item for item in items if not _pointless(item, harness)]
    groups: dict[Target, list[int]] = {}
    for index, item in enumerate(items):
        params = params_of(item)
        if isinstance(params.get("llm"), Target) and PROMPT_ARGUMENT in params:
            groups.setdefault(params["llm"], []).append(index)
    for target, places in groups.items():
        order = places[:]
        random.Random(f"{harness.settings.seed}/{target.repeat}").shuffle(order)  # noqa: S311
        for place, item in zip(places, [items[i] for i in order], strict=True):
            items[place] = item


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note what is planned; from here on SIGTERM ends a measuring session as Ctrl-C does."""
    harness = session.config.stash[HARNESS]
    ours = [item for item in session.items if is_ours(item)]
    if not ours:
        return
    harness.end_on_sigterm()
    for item in ours:
        target = params_of(item).get("llm")
        if isinstance(target, Target):
            more = "measure_more" in item.fixturenames  # type: ignore[attr-defined]
            both = 2 if harness.settings.start == "both" else 1
            count = 0 if more else iterations_of(item, harness) * both
            harness.planned.setdefault(target, {})[f"{item.nodeid}#1"] = count


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure alone on this machine, whatever other sessions and workers do."""
    if not isinstance(params_of(item).get("llm"), Target):
        return (yield)
    with item.config.stash[HARNESS].alone():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say our errors in one sentence, and let the report carry what the controller must know."""
    report = yield
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, LlamaBurnError):
        report.longrepr = str(error)
    if is_ours(item):
        harness = item.config.stash[HARNESS]
        code = error.exit_code if isinstance(error, LlamaBurnError) else 0
        report.llamaburn = {  # type: ignore[attr-defined]
            "runs": list(harness.run_ids),
            "exit_code": code,
            "message": str(error) if code else "",
        }
    if report.when == "call":
        _sync(item)
    return report


def is_ours(item: pytest.Item) -> bool:
    """Return whether an item measures with our fixtures or carries one of our markers."""
    names = getattr(item, "fixturenames", ())
    return any(f in names for f in FIXTURES) or any(item.get_closest_marker(m) for m in MARKERS)


def _sync(item: pytest.Item) -> None:
    bench: Bench | None = getattr(item, "funcargs", {}).get("llm")
    if bench is not None:
        bench.sync()


def _pointless(item: pytest.Item, harness: Harness) -> bool:
    """Return whether an item would go on measuring although nothing asks for that."""
    if "measure_more" not in getattr(item, "fixturenames", ()):
        return False
    if not isinstance(params_of(item).get("llm"), Target):
        return True
    return harness.settings.precision is None and harness.settings.budget is None


def _or_broken(make: Callable[[], list[Any]]) -> list[Any]:
    """Return the parameters, or one that fails its own tests only: others' tests must run."""
    try:
        return make()
    except LlamaBurnError as err:
        return [Broken(err)]


def _target_id(target: Any) -> str:
    if isinstance(target, Broken):
        return "unusable"
    return f"{target.model}-{target.repeat}" if target.repeat else str(target.model)


def _prompt_id(planned: Any) -> str:
    return "unusable" if isinstance(planned, Broken) else planned.prompt.id

"""pytest's hooks. Inert in sessions that have no item of ours and no option of ours.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import dataclasses
import random
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llamaburn import files, options
from pytest_llamaburn.errors import LlamaBurnError, SettingsError
from pytest_llamaburn.fixtures import (
    FIXTURES,
    HARNESS,
    MARKERS,
    PROMPT_ARGUMENT,
    QUESTION_ARGUMENT,
    exam,
    exam_answer,
    exam_scores,
    gpu_profiler,
    iterations_of,
    judge,
    llm,
    llm_under_load,
    marked,
    measure,
    measure_more,
    ollama_client,
    params_of,
    stress,
    target_of,
)
from pytest_llamaburn.session import KINDS, PREFIX, Broken, Harness, Target
from pytest_llamaburn.settings import Display

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = [
    "exam",
    "exam_answer",
    "exam_scores",
    "gpu_profiler",
    "judge",
    "llm",
    "llm_under_load",
    "measure",
    "measure_more",
    "ollama_client",
    "stress",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options, all of them under one prefix."""
    group = parser.getgroup("llamaburn", "benchmarks of local language models")
    kinds = (kind.settings for kind in KINDS.values())
    options.declare(group.addoption, *kinds, Display, prefix=PREFIX)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers and the session's harness, which opens nothing yet."""
    for name, text in MARKERS.items():
        config.addinivalue_line("markers", f"{name}(**options): {text}")
    harness = config.stash[HARNESS] = Harness(config)
    harness.keep_stderr()
    _check_output(config)
    config.pluginmanager.register(Outcome(harness), "llamaburn-outcome")


def _check_output(config: pytest.Config) -> None:
    """Raise UsageError for a format that is none: it would be told when all is measured."""
    wanted = getattr(config.option, "llamaburn_output", None)
    if wanted:
        from pytest_llamaburn.reports import check

        try:
            check(wanted)
        except SettingsError as err:
            raise pytest.UsageError(str(err)) from None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker which session it belongs to."""
    node.workerinput["llamaburn_session"] = node.config.stash[HARNESS].session_id


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize what opens a run by model and repeat, prompts and questions by those chosen."""
    harness = metafunc.config.stash[HARNESS]
    for fixture in filter(metafunc.fixturenames.__contains__, KINDS):
        if QUESTION_ARGUMENT in metafunc.fixturenames:
            found = _or_broken(partial(_pairs, harness, fixture))
            pairs = [(p, p) if isinstance(p, Broken) else p for p in found]
            names = (fixture, QUESTION_ARGUMENT)
            ids = map(_pair_id, pairs)
            metafunc.parametrize(names, pairs, indirect=[fixture], ids=ids, scope="session")
            continue
        targets: list[Any] = _or_broken(partial(harness.targets, fixture))
        if PROMPT_ARGUMENT in metafunc.fixturenames:
            planned = _or_broken(lambda: harness.prompts[0])
            metafunc.parametrize(PROMPT_ARGUMENT, planned, ids=map(_prompt_id, planned))
            targets = [p for p in planned if isinstance(p, Broken)] or targets
        metafunc.parametrize(fixture, targets, indirect=True, ids=map(_target_id, targets))


def _pairs(harness: Harness, fixture: str) -> list[Any]:
    """Return every run with each of its questions."""
    targets = harness.targets(fixture)
    return [(target, question) for target in targets for question in harness.questions(target)]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle the prompts of each model's run, by the seed: order must not favour any."""
    harness = config.stash[HARNESS]
    items[:] = [item for item in items if not _pointless(item, harness)]
    _answers_first(items)
    groups: dict[Target, list[int]] = {}
    for index, item in enumerate(items):
        target = target_of(item)
        if target and PROMPT_ARGUMENT in params_of(item):
            groups.setdefault(target, []).append(index)
    for target, places in groups.items():
        order = places[:]
        random.Random(f"{harness.common.seed}/{target.repeat}").shuffle(order)  # noqa: S311
        for place, item in zip(places, [items[i] for i in order], strict=True):
            items[place] = item


def _answers_first(items: list[pytest.Item]) -> None:
    """Put exams one after another, in each all answers before the first mark."""
    places = [i for i, item in enumerate(items) if _fixture_of(item) == "exam"]
    targets = list(dict.fromkeys(target_of(items[i]) for i in places))

    def turn(item: pytest.Item) -> tuple[int, bool]:
        return targets.index(target_of(item)), "exam_scores" in getattr(item, "fixturenames", ())

    for place, item in zip(places, sorted((items[i] for i in places), key=turn), strict=True):
        items[place] = item


def _fixture_of(item: pytest.Item) -> str | None:
    target = target_of(item)
    return target.fixture if target else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note what is planned; from here on signals end a measuring session as Ctrl-C does."""
    harness = session.config.stash[HARNESS]
    ours = [item for item in session.items if is_ours(item)]
    if not ours:
        return
    harness.end_on_signals()
    for item in ours:
        target = target_of(item)
        if target:
            count = _planned(item, harness)
            harness.planned.setdefault(target, {})[_key(item)] = count


def _key(item: pytest.Item) -> str:
    """Return the name, in a run's plan, of what an item measures first."""
    return f"{item.nodeid}#1"


def _planned(item: pytest.Item, harness: Harness) -> int:
    """Return how many rows an item is known to journal: none if it only looks at the model."""
    names = getattr(item, "fixturenames", ())
    if "measure" in names:
        both = 2 if harness.settings("llm").start == "both" else 1
        return iterations_of(item, harness) * both
    if "exam_scores" in names:
        return 1
    return int(harness.settings("exam").samples) if "exam_answer" in names else 0


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Let the session come to its end where its directory was removed: pytest goes back to it."""
    try:
        return (yield)
    finally:
        config, params = session.config, session.config.invocation_params
        if not params.dir.is_dir():
            config.invocation_params = dataclasses.replace(params, dir=files.lasting())


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let nothing cut the end of a measuring session: workers stop, files are written."""
    session.config.stash[HARNESS].stop_once()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a wrong marker, in its test alone and before anything is opened for it."""
    marked(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure alone on this machine, whatever other sessions and workers do."""
    target = target_of(item)
    if target is None:
        return (yield)
    with item.config.stash[HARNESS].alone(target):
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
            "skipped": _skipped(item, harness) if report.skipped else None,
            "lost": harness.lost,
        }
    if report.when == "call":
        _sync(item)
    return report


def _skipped(item: pytest.Item, harness: Harness) -> list[str] | None:
    """Return the run of a skipped item and its key in the run's plan, None if it has no run."""
    target = target_of(item)
    return [harness.run_id(target), _key(item)] if target else None


def is_ours(item: pytest.Item) -> bool:
    """Return whether an item measures with our fixtures or carries one of our markers."""
    names = getattr(item, "fixturenames", ())
    return any(f in names for f in FIXTURES) or any(item.get_closest_marker(m) for m in MARKERS)


def _sync(item: pytest.Item) -> None:
    target = target_of(item)
    run = getattr(item, "funcargs", {}).get(target.fixture) if target else None
    if run is not None:
        try:
            run.sync()
        except LlamaBurnError as err:
            item.config.stash[HARNESS].misplaced(str(err))


def _pointless(item: pytest.Item, harness: Harness) -> bool:
    """Return whether an item would ask or go on measuring although nothing asks for that."""
    names = getattr(item, "fixturenames", ())
    if "exam_answer" in names and target_of(item) is not None:
        return bool(harness.settings("exam").answers)
    if "measure_more" not in names:
        return False
    if target_of(item) is None:
        return True
    settings = harness.settings("llm")
    return settings.precision is None and settings.budget is None


def _or_broken(make: Callable[[], list[Any]]) -> list[Any]:
    """Return the parameters, or one that fails its own tests only: others' tests must run."""
    try:
        return make()
    except LlamaBurnError as err:
        return [Broken(err)]


def _target_id(target: Any) -> str:
    if isinstance(target, Broken):
        return "unusable"
    words = (str(target.model), PurePath(target.variant).stem, str(target.repeat or ""))
    return "-".join(filter(None, words))


def _pair_id(pair: tuple[Any, Any]) -> str:
    target, question = pair
    return _target_id(target) + ("" if isinstance(target, Broken) else f"-{question.id}")


def _prompt_id(planned: Any) -> str:
    return "unusable" if isinstance(planned, Broken) else planned.prompt.id


def _has_line(entry: Any) -> bool:
    """Return whether the interpreter knows where it was: a signal may come where it does not.

    pytest's own report of the interrupt fails on such an entry, and with it the session.
    """
    return entry._rawentry.tb_lineno is not None  # noqa: SLF001 - its public names need a line


class Outcome:
    """What a session comes to: files written, failures told, the exit code."""

    def __init__(self, harness: Harness) -> None:
        """Watch a harness."""
        self.harness = harness

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Remember that the session was cut, so that its files say so."""
        self.harness.interrupted = True
        self.harness.stop_once()
        excinfo.traceback = excinfo.traceback.filter(_has_line)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather on the controller what its own or its workers' items measured."""
        harness, carried = self.harness, getattr(report, "llamaburn", None)
        if carried is None:
            harness.mixed = True
            return
        if carried["runs"] and not harness.run_ids:
            harness.end_on_signals()  # the controller of workers learns it here
        harness.run_ids.update(dict.fromkeys(carried["runs"]))
        if carried["skipped"]:
            run_id, key = carried["skipped"]
            harness.skipped.setdefault(run_id, []).append(key)
        for sentence in carried["lost"]:
            harness.misplaced(sentence)
        if carried["exit_code"]:
            harness.exit_code = carried["exit_code"]
            if carried["message"] not in harness.failures:
                harness.failures.append(carried["message"])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the result files, and say with the exit code what kind of end this is."""
        harness = self.harness
        for run in [*harness.open_runs]:
            harness.end(run)
        if harness.worker != "main":
            harness.settle()
        if harness.run_ids and harness.worker == "main":
            from pytest_llamaburn.reports import _github as github

            harness.write()
            harness.annotations += github.annotate([*harness.paths, *harness.comparisons])
        if harness.interrupted:
            return
        if harness.exit_code and not harness.mixed:
            session.exitstatus = harness.exit_code
        elif harness.gated and session.exitstatus == 0:
            session.exitstatus = 1

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the tables, and what else is to be told."""
        harness, write = self.harness, terminalreporter.write
        if not harness.shows_tables or harness.worker != "main":
            return
        if harness.paths:
            from pytest_llamaburn.reports import show

            terminalreporter.ensure_newline()
            show(harness.paths, harness.display.output, write)
            write("\n" if harness.comparisons else "")
            show(harness.comparisons, (), write)
        for line in (*(f"llamaburn: {told}" for told in harness.failures), *harness.annotations):
            terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        """Close what the session opened."""
        self.harness.close()

"""pytest's hooks. Inert in sessions that have no item of ours and no option of ours.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import dataclasses
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llamaburn import files, fixtures, options
from pytest_llamaburn.errors import LlamaBurnError, SettingsError
from pytest_llamaburn.fixtures import (
    HARNESS,
    gpu_profiler,
    judge,
    marked,
    ollama_client,
    seen,
    target_of,
)
from pytest_llamaburn.kinds import _kind
from pytest_llamaburn.kinds._kind import RunKind, Target
from pytest_llamaburn.session import PREFIX, Harness
from pytest_llamaburn.settings import Display

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from pytest_llamaburn.settings import Option

__all__ = ["gpu_profiler", "judge", "ollama_client"]


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the options of our own kinds of runs, all of them under one prefix."""
    if _asked(pluginmanager.get_plugin("pytestconfig")):
        _declare(parser, _options_of(_kind.own()))


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser) -> None:
    """Declare the options of other distributions' kinds: their plugins are loaded by now."""
    foreign = _foreign(early_config)
    if foreign and _asked(early_config):
        known = {option.key for option in _options_of(_kind.own())}
        _declare(parser, [o for o in _options_of(foreign) if o.key not in known])


def _asked(config: Any) -> bool:
    """Return whether the command line may name an option of ours, or asks for help.

    In all other sessions they are not declared: that would take a third of the time that we cost.
    """
    try:
        stored = config.getini("addopts")
    except ValueError:  # we are loaded before any configuration file
        return True
    words = [*config.invocation_params.args, os.environ.get("PYTEST_ADDOPTS", ""), *stored]
    return any(PREFIX in word or word[:1] == "@" or word in ("-h", "--help") for word in words)


def _options_of(kinds: Iterable[RunKind]) -> list[Option]:
    return options.distinct(*(kind.settings_class for kind in kinds), Display)


def _declare(parser: pytest.Parser, declared: Iterable[Option]) -> None:
    """Declare options in small groups: pytest compares each with all others of its group."""
    for option in declared:
        group = parser.getgroup(f"llamaburn {option.group}")
        options.declare_one(group.addoption, option, PREFIX)


def _foreign(config: pytest.Config) -> list[RunKind]:
    """Return the kinds of runs of other distributions: modules that are plugins and have KIND."""
    modules = (p for p in config.pluginmanager.get_plugins() if isinstance(p, ModuleType))
    found = (vars(module).get("KIND") for module in modules)
    ours = {kind.name for kind in _kind.own()}
    kinds = [k for k in found if isinstance(k, RunKind) and k.name not in ours]
    return sorted(kinds, key=lambda kind: kind.name)


def pytest_configure(config: pytest.Config) -> None:
    """Register markers, fixtures and the session's harness, which opens nothing yet."""
    kinds = [*_kind.own(), *_foreign(config)]
    for kind in kinds:
        config.addinivalue_line("markers", f"{kind.marker}(**options): {kind.marker_help}")
    harness = config.stash[HARNESS] = Harness(config, kinds)
    harness.keep_stderr()
    _check_output(config)
    config.pluginmanager.register(fixtures.of_kinds(kinds), "llamaburn-fixtures")
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
    """Parametrize what opens a run, and what else its kind has parameters for."""
    harness = metafunc.config.stash[HARNESS]
    for kind in harness.kinds.values():
        if kind.fixture not in metafunc.fixturenames:
            continue
        for params in kind.parametrize(harness, metafunc.fixturenames):
            opening = [kind.fixture] if kind.fixture in params.names else []
            names, values, ids, scope = params
            metafunc.parametrize(",".join(names), values, indirect=opening, ids=ids, scope=scope)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the settings do not ask for; let each kind of run order its items."""
    harness = config.stash[HARNESS]
    items[:] = [item for item in items if _wanted(item, harness)]
    for kind in harness.kinds.values():
        own = {i: seen(item) for i, item in enumerate(items) if _is_of(target_of(item), kind)}
        ordered = kind.order([*own.values()], harness)
        for place, item in zip(own, ordered, strict=True):
            items[place] = item.node


def _wanted(item: pytest.Item, harness: Harness) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    used = [kind for kind in harness.kinds.values() if kind.fixture in fixtures]
    return all(kind.wanted(seen(item), harness) for kind in used)


def _is_of(target: Target | None, kind: RunKind) -> bool:
    return target is not None and target.kind == kind.name


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
            count = harness.kinds[target.kind].planned(seen(item), harness)
            harness.planned.setdefault(target, {})[_key(item)] = count


def _key(item: pytest.Item) -> str:
    """Return the name, in a run's plan, of what an item measures first."""
    return f"{item.nodeid}#1"


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
    """Return whether an item opens a run or carries the marker of a kind of run."""
    fixtures = getattr(item, "fixturenames", ())
    kinds = item.config.stash[HARNESS].kinds.values()
    return any(k.fixture in fixtures or item.get_closest_marker(k.marker) for k in kinds)


def _sync(item: pytest.Item) -> None:
    target = target_of(item)
    if target is None:
        return
    harness = item.config.stash[HARNESS]
    run = getattr(item, "funcargs", {}).get(harness.kinds[target.kind].fixture)
    if run is not None:
        try:
            run.sync()
        except LlamaBurnError as err:
            harness.misplaced(str(err))


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

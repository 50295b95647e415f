"""pytest's hooks. They do nothing in a session without LlamaBurn's items and options.

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
    audio_device,
    gpu_profiler,
    judge,
    marked,
    media,
    ollama_client,
    seen,
    target_of,
)
from pytest_llamaburn.kinds import _kind
from pytest_llamaburn.kinds._kind import RunKind, Target
from pytest_llamaburn.session import PREFIX, Harness
from pytest_llamaburn.settings import Audio, Display

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from pytest_llamaburn.option import Option

__all__ = ["audio_device", "gpu_profiler", "judge", "media", "ollama_client"]


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the options of our own kinds of run, all with one prefix."""
    if _asked(pluginmanager.get_plugin("pytestconfig")):
        _declare(parser, _options_of(_kind.own()))


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser) -> None:
    """Declare the options of other distributions' kinds, whose plugins are now loaded."""
    foreign = _foreign(early_config)
    if foreign and _asked(early_config):
        known = {option.key for option in _options_of(_kind.own())}
        _declare(parser, [o for o in _options_of(foreign) if o.key not in known])


def _asked(config: Any) -> bool:
    """Return whether the command line may contain an option of LlamaBurn or asks for help.

    In other sessions the options are not declared, which saves a third of the plugin's start time.
    """
    try:
        stored = config.getini("addopts")
    except ValueError:  # the plugin is loaded before any configuration file
        return True
    words = [*config.invocation_params.args, os.environ.get("PYTEST_ADDOPTS", ""), *stored]
    return any(PREFIX in word or word[:1] == "@" or word in ("-h", "--help") for word in words)


def _options_of(kinds: Iterable[RunKind]) -> list[Option]:
    return options.distinct(*(kind.settings_class for kind in kinds), Audio, Display)


def _declare(parser: pytest.Parser, declared: Iterable[Option]) -> None:
    """Declare options in small groups: pytest compares each with all others of its group."""
    for option in declared:
        group = parser.getgroup(f"llamaburn {option.group}")
        options.declare_one(group.addoption, option, PREFIX)


def _foreign(config: pytest.Config) -> list[RunKind]:
    """Return the kinds of run of other distributions: pytest plugins with a KIND."""
    modules = (p for p in config.pluginmanager.get_plugins() if isinstance(p, ModuleType))
    candidates = (vars(module).get("KIND") for module in modules)
    ours = {kind.name for kind in _kind.own()}
    kinds = [k for k in candidates if isinstance(k, RunKind) and k.name not in ours]
    return sorted(kinds, key=lambda kind: kind.name)


def pytest_configure(config: pytest.Config) -> None:
    """Register markers, fixtures and the session's harness; nothing is opened yet."""
    kinds = [*_kind.own(), *_foreign(config)]
    for kind in kinds:
        for marker in kind.markers:
            config.addinivalue_line("markers", f"{marker}(**options): {kind.marker_help}")
    harness = config.stash[HARNESS] = Harness(config, kinds)
    harness.keep_stderr()
    _check_output(config)
    config.pluginmanager.register(fixtures.of_kinds(kinds), "llamaburn-fixtures")
    config.pluginmanager.register(Outcome(harness), "llamaburn-outcome")


def _check_output(config: pytest.Config) -> None:
    """Reject an unknown output format now, not after the run."""
    wanted = getattr(config.option, "llamaburn_output", None)
    if wanted:
        from pytest_llamaburn.reports import check

        try:
            check(wanted)
        except SettingsError as err:
            raise pytest.UsageError(str(err)) from None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give an xdist worker the id of its session."""
    node.workerinput["llamaburn_session"] = node.config.stash[HARNESS].session_id


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize the fixtures that open a run, and the other arguments of its kind."""
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
    """Drop the items that the settings do not select; let each kind order its items."""
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
    """Count the planned requests; from now on, signals end a session as Ctrl-C does."""
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
    """Return the key, in a run's plan, of the first measurement of an item."""
    return f"{item.nodeid}#1"


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Give pytest another directory if its start directory, to which it returns, is gone."""
    try:
        return (yield)
    finally:
        config, params = session.config, session.config.invocation_params
        if not params.dir.is_dir():
            config.invocation_params = dataclasses.replace(params, dir=files.lasting())


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Ignore signals while workers stop and files are written."""
    session.config.stash[HARNESS].stop_once()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Reject an invalid marker, only in its test and before anything is opened."""
    marked(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Hold the machine-wide lock while an item measures."""
    target = target_of(item)
    if target is None:
        return (yield)
    with item.config.stash[HARNESS].alone(target):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shorten our errors to one sentence, and add to the report what the controller needs."""
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
    """Return a skipped item's run and its key in the plan, or None if it has no run."""
    target = target_of(item)
    return [harness.run_id(target), _key(item)] if target else None


def is_ours(item: pytest.Item) -> bool:
    """Return whether an item opens a run or carries the marker of a kind of run."""
    fixtures = getattr(item, "fixturenames", ())
    markers = {marker.name for marker in item.iter_markers()}
    kinds = item.config.stash[HARNESS].kinds.values()
    return any(kind.fixture in fixtures or markers.intersection(kind.markers) for kind in kinds)


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
    """Return whether a traceback entry has a line number; a signal may come where there is none.

    pytest's report of an interrupt fails on an entry without one.
    """
    return entry._rawentry.tb_lineno is not None  # noqa: SLF001 - its public names need a line


class Outcome:
    """The end of a session: it writes the files, reports failures and sets the exit code."""

    def __init__(self, harness: Harness) -> None:
        """Take the session's harness."""
        self.harness = harness

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Record the interrupt, so that the files have the status interrupted."""
        self.harness.interrupted = True
        self.harness.stop_once()
        excinfo.traceback = excinfo.traceback.filter(_has_line)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect, on the controller, the runs of its own items and of its workers' items."""
        harness, carried = self.harness, getattr(report, "llamaburn", None)
        if carried is None:
            harness.mixed = True
            return
        if carried["runs"] and not harness.run_ids:
            harness.end_on_signals()  # on the controller of workers, this is the first report
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
        """Write the result files and set the exit code."""
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
        """Show the tables, failures and annotations."""
        harness, write = self.harness, terminalreporter.write
        if not harness.shows_tables or harness.worker != "main":
            return
        if harness.paths:
            from pytest_llamaburn.grids import columns_of
            from pytest_llamaburn.reports import show

            screen = terminalreporter._tw._file  # noqa: SLF001 - sys.stdout may be captured
            width = columns_of(screen, wide=harness.display.wide)
            terminalreporter.ensure_newline()
            show(harness.paths, harness.display.output, write, width)
            write("\n" if harness.comparisons else "")
            show(harness.comparisons, (), write, width)
        failures = (f"llamaburn: {sentence}" for sentence in harness.failures)
        for line in (*failures, *harness.annotations):
            terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        """Close what the session opened."""
        self.harness.close()

"""The harness: the state of one pytest session."""

from __future__ import annotations

import os
import select
import signal
import threading
import zlib
from contextlib import ExitStack, nullcontext, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import options
from pytest_llamaburn.errors import (
    LlamaBurnError,
    NothingMeasuredError,
    ResultsError,
    SettingsError,
    StoppedError,
)
from pytest_llamaburn.kinds._kind import Target
from pytest_llamaburn.settings import Audio, Display, Judging
from pytest_llamaburn.settings import Run as Common
from pytest_llamaburn.texts import whole

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine, Iterable, Mapping
    from contextlib import AbstractContextManager

    from pytest_llamaburn.kinds._kind import RunKind
    from pytest_llamaburn.kinds._run import Run
    from pytest_llamaburn.progress import Progress

PREFIX = "llamaburn-"
# Signals that end a run as Ctrl-C does, with its result file. A closed terminal sends SIGHUP.
ENDING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)


class Harness:
    """The state of a pytest session; each part is made when it is first needed."""

    def __init__(self, config: Any, kinds: Iterable[RunKind]) -> None:
        """Take the pytest configuration and the kinds of run; opens nothing."""
        workerinput = getattr(config, "workerinput", {})
        self._config = config
        self.kinds = {kind.name: kind for kind in kinds}
        self.memory: dict[str, Any] = {}
        self.session_id: str = (
            workerinput.get("llamaburn_session")
            or f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{os.urandom(3).hex()}"
        )
        self.worker: str = workerinput.get("workerid", "main")
        self.planned: dict[Target, dict[str, int]] = {}
        self.open_runs: list[Run] = []
        self._runs: list[Run] = []
        self._settings: dict[str, Any] = {}
        self.run_ids: dict[str, None] = {}
        self.skipped: dict[str, list[str]] = {}  # keys of items, by run
        self.interrupted = False
        self.paths: list[Path] = []
        self.comparisons: list[Path] = []
        self.failures: list[str] = []
        self.exit_code = 0
        self.mixed = False
        self.shows_tables = True
        self.gated = False
        self.broken_gates: list[str] = []
        self.annotations: list[str] = []
        self._stderr: int | None = None
        self._closing = ExitStack()

    @cached_property
    def common(self) -> Common:
        """The checked settings that all kinds of run share; raises SettingsError."""
        return options.resolve(Common, options.given(self._config.option, Common, PREFIX))[0]

    def settings(self, kind: str) -> Any:
        """Return the checked settings of a kind of run; raises SettingsError."""
        if kind not in self._settings:
            self._settings[kind] = self._settled(self.kinds[kind])
        return self._settings[kind]

    def _settled(self, kind: RunKind) -> Any:
        from pytest_llamaburn.store.resume import header_of, settled

        given = options.given(self._config.option, kind.settings_class, PREFIX)
        settings = settled(kind, *options.resolve(kind.settings_class, given))[0]
        if settings.resume:
            header = header_of(Path(settings.results_dir), settings.resume)
            self.session_id = header["session_id"]
        return settings

    @cached_property
    def display(self) -> Display:
        """The checked display settings; in pytest, the default of the progress is none."""
        given = {"progress": "none", **options.given(self._config.option, Display, PREFIX)}
        return options.resolve(Display, given, {})[0]

    @cached_property
    def judging(self) -> Judging:
        """The checked settings of the judges for the fixture `judge`; the default is claude."""
        given = options.given(self._config.option, Judging, PREFIX)
        settings = options.resolve(Judging, given)[0]
        return (
            settings
            if settings.judge
            else options.resolve(Judging, {**given, "judge": ("claude",)})[0]
        )

    @cached_property
    def audio(self) -> Audio:
        """The checked settings of the audio devices; raises SettingsError."""
        return options.resolve(Audio, options.given(self._config.option, Audio, PREFIX))[0]

    @cached_property
    def runner(self) -> asyncio.Runner:
        """The event loop of the timed path, in the main thread; uvloop if it is installed."""
        import asyncio  # at the top, it would add 40 ms to the start of every session

        from pytest_llamaburn.load.loop import loop_factory

        return self._closing.enter_context(asyncio.Runner(loop_factory=loop_factory()))

    def keep_stderr(self) -> None:
        """Duplicate standard error before pytest captures it, if progress will be shown."""
        wanted = getattr(self._config.option, "llamaburn_progress", None)
        if self.worker == "main" and wanted not in (None, "none"):
            self._stderr = os.dup(2)

    @cached_property
    def progress(self) -> Progress:
        """The display of the progress."""
        from pytest_llamaburn import progress

        word = self.display.progress if self._stderr is not None else "none"
        if self.shows_tables and word not in ("none", "json"):
            shown: Progress = progress.Plain(progress.Lines(self._config))
        else:
            shown = progress.make(word, self._stderr)
        self._closing.callback(shown.close)
        shown.plan(sum(n for items in self.planned.values() for n in items.values()))
        return shown

    def targets(self, kind: str) -> list[Target]:
        """Return all runs of a kind: each variant, model and repeat."""
        run_kind, settings = self.kinds[kind], self.settings(kind)
        models, repeats = run_kind.models(settings), range(getattr(settings, "repeats", 1))
        variants = run_kind.variants(settings)
        return [Target(kind, m, r, v) for v in variants for m in models for r in repeats]

    def open(self, target: Target) -> Run:
        """Return a warmed-up run for a target; raises UsageError."""
        from pytest_llamaburn.kinds._run import Identity

        kind, run_id = self.kinds[target.kind], self.run_id(target)
        worker = f"{self.worker}-{target.repeat}"
        identity = Identity(self.session_id, run_id, worker, self._moment, target.variant)
        make = kind.load(kind.run)
        run: Run = make(self.settings(kind.name), identity, target.repeat, self.progress)
        if self.shows_tables:
            run.alarm = self.tell
        self.open_runs.append(run)
        self._runs.append(run)
        planned = self.planned.get(target, {})
        self.run(run.prepare(target.model, planned, kind.header(target, self)))
        self.run_ids[run_id] = None
        return run

    @property
    def _moment(self) -> str:
        """The start of the session, in the format of result files."""
        moment = datetime.strptime(self.session_id[:19], "%Y-%m-%dT%H-%M-%S").replace(tzinfo=UTC)
        return moment.isoformat().replace("+00:00", "Z")

    def run_id(self, target: Target) -> str:
        """Return the id of a target's run; it is the same in every worker of the session."""
        words = [target.kind, str(target.model), target.variant]
        key = "/".join(filter(None, words))
        return f"{self.session_id}-{zlib.crc32(whole(key).encode()):08x}"

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run on the timed loop, in this thread; raises SettingsError if a loop already runs."""
        from pytest_llamaburn.load.loop import completed, is_running

        if is_running():
            work.close()
            raise SettingsError(
                "LlamaBurn's fixtures block: use them in a test that is not async, or await the "
                "coroutines of ollama_client.aio in an async test"
            )
        try:
            return completed(self.runner.get_loop(), work)
        except KeyboardInterrupt:
            self.stop_once()
            raise

    def write(self) -> None:
        """Write the result files, made from the journals."""
        from pytest_llamaburn.store.finish import write_result

        homes = self.settle()
        written: dict[str, Path] = {}
        for run_id in self.run_ids:
            home = homes.get(run_id, Path(self.common.results_dir))
            try:
                path = write_result(home, run_id, self.skipped.get(run_id, ()), self.misplaced)
                if path is not None:
                    self.paths.append(path)
                    written[run_id] = path
                    self._judge(path)
            except LlamaBurnError as err:
                self.failures.append(str(err))
                self.exit_code = err.exit_code
        if not self.interrupted:
            for path in self.paths:
                self._compare(path)
            self._contrast(written)

    def settle(self) -> dict[str, Path]:
        """Return the results directory of each run of this process; a lost one is replaced."""
        homes = {}
        for run in self._runs:
            if run.journal is None:
                continue
            try:
                run.settle()
            except LlamaBurnError as err:
                self.misplaced(str(err))
            homes[run.identity.run_id] = run.journal.results_dir
        for sentence in self.lost:
            self.misplaced(sentence)
        return homes

    @property
    def lost(self) -> list[str]:
        """A sentence for each results directory that was removed or moved during a run."""
        journals = (run.journal for run in self._runs)
        return list(dict.fromkeys(journal.lost for journal in journals if journal and journal.lost))

    def misplaced(self, sentence: str) -> None:
        """Record a sentence about something that is not where the user wanted it."""
        if sentence not in self.failures:
            self.failures.append(sentence)
        self.exit_code = ResultsError.exit_code

    def _judge(self, path: Path) -> None:
        from pytest_llamaburn import gates
        from pytest_llamaburn.store import results

        document = results.load(path)
        content = document["results"]
        kind = results.kind_of(document)
        self.failures += filter(None, [kind.warning(content)])
        if (failure := kind.failure(content)) is not None:
            self.failures.append(failure)
            self.gated = True
        if not content["totals"]["succeeded"] and self.exit_code in (0, StoppedError.exit_code):
            self.failures.append("nothing was measured: no request succeeded")
            self.exit_code = NothingMeasuredError.exit_code
        broken = gates.not_passed(content["gates"])
        self.broken_gates += [f"gate {words}" for words in broken]
        self.gated |= bool(broken)

    def _compare(self, path: Path) -> None:
        """Compare a new file with the baseline of --compare, if there is one."""
        from pytest_llamaburn.kinds.comparison import engine

        try:
            kind = self.kinds[engine.kind_of(path)].settings_class
            given = options.given(self._config.option, kind, PREFIX)
            comparison, broken = engine.with_baseline(path, options.resolve(kind, given)[0])
        except LlamaBurnError as err:
            self.failures.append(f"--compare: {err}")
            self.exit_code = err.exit_code
            return
        self.comparisons += [comparison] if comparison else []
        self.failures += broken
        self.gated |= bool(broken)

    def _contrast(self, written: Mapping[str, Path]) -> None:
        """Compare the files of runs that differ in one setting."""
        from pytest_llamaburn.kinds.comparison import engine

        pairs = (pair for name in self._settings for pair in self.kinds[name].contrasts(self))
        for before, after in pairs:
            files = [written[run] for run in map(self.run_id, (before, after)) if run in written]
            try:
                if len(files) == 2:
                    self.comparisons.append(engine.contrast(Path(self.common.results_dir), *files))
            except LlamaBurnError as err:
                self.failures.append(f"--vary: {err}")
                self.exit_code = err.exit_code

    def end_on_signals(self) -> None:
        """Until `close`, let each signal of ENDING end the session as Ctrl-C does.

        A signal that was ignored at the start, such as SIGHUP by nohup, stays ignored.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                handler = signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
                self._closing.callback(signal.signal, number, handler)

    def stop_once(self) -> None:
        """Ignore further signals while the session stops.

        `close` restores the handlers. The command restores them itself, after the tables.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        numbers = (signal.SIGINT, *ENDING)
        handlers = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
        drop_gone_streams()
        self._find_begun()
        measured = self.open_runs or self.run_ids or self.planned
        for number, handler in handlers.items():
            if not measured:
                signal.signal(number, handler)
            elif self.shows_tables:
                self._closing.callback(signal.signal, number, handler)

    def _find_begun(self) -> None:
        """Find the runs of interrupted xdist workers, which may not have sent a report yet."""
        if self.interrupted and getattr(self._config.option, "numprocesses", None):
            from pytest_llamaburn.store import journal

            with suppress(SettingsError):
                directory = Path(self.common.results_dir)
                self.run_ids.update(dict.fromkeys(journal.of_session(directory, self.session_id)))

    def close(self) -> None:
        """Close what the session opened, and restore the signal handlers."""
        for run in self._runs:
            run.forget()
        self._runs.clear()
        self._closing.close()

    def end(self, run: Run) -> None:
        """Finish a run; after an interrupt, an error here must not prevent the result file."""
        self.open_runs.remove(run)
        try:
            self.run(run.finish("interrupted" if self.interrupted else "finished"))
        except LlamaBurnError as err:
            if not self.interrupted:
                raise
            self.misplaced(str(err))

    def alone(self, target: Target) -> AbstractContextManager[None]:
        """Return a context manager that holds the machine-wide lock of measurements."""
        from pytest_llamaburn.load import turn

        if self.common.allow_parallel:
            return nullcontext()
        main = self.worker == "main"  # workers of one session always take turns
        pid = os.getpid() if main else os.getppid()
        holder = turn.Holder(pid, self._moment, self.run_id(target), target.model)
        return turn.alone(holder, self._tell_wait if main else str)

    def _tell_wait(self, text: str) -> None:
        """Say whom the session waits for; a program that reads the progress gets a stage too."""
        from pytest_llamaburn.progress import Event

        if self.display.progress == "json":
            self.progress.say(text)
            self.progress.load(Event(stage="waiting for another measurement"))
        else:
            self.tell(f"{text}; Ctrl-C ends the wait")

    def tell(self, text: str) -> None:
        """Print a message at once, even while pytest captures output."""
        from pytest_llamaburn import progress

        with suppress(OSError):  # the terminal may be gone
            if self.shows_tables and self._config.pluginmanager.hasplugin("terminalreporter"):
                progress.Lines(self._config).write(f"{text}\n")
            else:
                os.write(2, f"{text}\n".encode())


def drop_gone_streams() -> None:
    """Redirect standard output and error to the null device if their reader is gone.

    An error there would end the session before its files are written.
    """
    for number in (1, 2):
        with suppress(OSError, AttributeError):  # closed, or the system has no poll
            watch = select.poll()
            watch.register(number, 0)
            if watch.poll(0):  # the reader is gone
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, number)
                os.close(nowhere)

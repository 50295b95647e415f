"""The fixtures, and the harness behind them: what one pytest session shares."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import tempfile
import threading
import zlib
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_llamaburn import options
from pytest_llamaburn.errors import LlamaBurnError, NothingMeasuredError, SettingsError
from pytest_llamaburn.settings import Benchmark, Display

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from pytest_llamaburn.datasets import Planned
    from pytest_llamaburn.load.bench import Bench
    from pytest_llamaburn.load.measured import Measured
    from pytest_llamaburn.profiler import Profiler
    from pytest_llamaburn.progress import Progress

PREFIX = "llamaburn-"
MARKERS = {
    "llm_benchmark": "measures a model: iterations=N, thresholds=['ttft_ms.p50<500']",
}
FIXTURES = ("llm", "measure", "measure_more")
PROMPT_ARGUMENT = "llm_prompt"
HEADLINES = (
    "time_to_first_token_ms",
    "inter_token_latency_ms",
    "tokens_per_sec",
    "total_generation_ms",
    "output_sequence_length",
)
NO_SET = {"sets": [], "available": 0}  # tests that bring their own prompts


class Target(NamedTuple):
    """One parameter of `llm`: a model and which independent run of it this is."""

    model: str | None
    repeat: int


class Broken(NamedTuple):
    """A parameter that could not be made; asking for it tells why, in that test alone."""

    error: LlamaBurnError


class Harness:
    """Everything a session needs for our items, made when the first one asks."""

    def __init__(self, config: pytest.Config) -> None:
        """Note the session; opens nothing."""
        workerinput = getattr(config, "workerinput", {})
        self._config = config
        self.session_id: str = workerinput.get("llamaburn_session") or _new_session_id()
        self.worker: str = workerinput.get("workerid", "main")
        self.planned: dict[Target, dict[str, int]] = {}
        self.benches: list[Bench] = []
        self.run_ids: dict[str, None] = {}
        self.interrupted = False
        self.paths: list[Path] = []
        self.failures: list[str] = []
        self.exit_code = 0
        self.mixed = False
        self.shows_tables = True
        self.gated = False
        self.annotations: list[str] = []
        self._stderr: int | None = None
        self._closing = ExitStack()

    @cached_property
    def settings(self) -> Benchmark:
        """The checked settings; raises SettingsError."""
        from pytest_llamaburn.load.filing import header_of, settled

        given = options.given(self._config.option, Benchmark, PREFIX)
        settings = settled(*options.resolve(Benchmark, given))[0]
        if settings.resume:
            header = header_of(Path(settings.results_dir), settings.resume)
            self.session_id = header["session_id"]
        return settings

    @cached_property
    def display(self) -> Display:
        """The checked display settings; inside pytest, progress is silent unless asked for."""
        given = {"progress": "none", **options.given(self._config.option, Display, PREFIX)}
        return options.resolve(Display, given, {})[0]

    @cached_property
    def prompts(self) -> tuple[list[Planned], dict[str, Any]]:
        """The prompts to use with their iterations, and how a file describes the choice."""
        from pytest_llamaburn import datasets

        settings = self.settings
        if settings.mode == "correctness":
            asked = datasets.number_prompts(settings.numbers, settings.seed, settings.lang)
            facts = {"sets": [f"numbers in words, {settings.lang}"], "available": len(asked)}
            return [datasets.Planned(prompt, 1) for prompt in asked], facts
        available = datasets.load_prompts(settings.prompts)
        chosen = datasets.plan(available, settings.iterations, settings.seed)
        return chosen, {"sets": list(settings.prompts), "available": len(available)}

    @cached_property
    def runner(self) -> asyncio.Runner:
        """The event loop of the timed path: in the main thread, uvloop where there is one."""
        return self._closing.enter_context(asyncio.Runner(loop_factory=_loop_factory()))

    def keep_stderr(self) -> None:
        """Keep standard error as it is before pytest captures it, if progress is to be shown."""
        wanted = getattr(self._config.option, "llamaburn_progress", None)
        if self.worker == "main" and wanted not in (None, "none"):
            self._stderr = os.dup(2)

    @cached_property
    def progress(self) -> Progress:
        """Where finished requests are told."""
        from pytest_llamaburn import progress

        word = self.display.progress if self._stderr is not None else "none"
        shown = progress.make(word, self._stderr)
        self._closing.callback(shown.close)
        shown.plan(sum(n for items in self.planned.values() for n in items.values()))
        return shown

    def targets(self) -> list[Target]:
        """Return the parameters of `llm`: each model, each repeat."""
        models, repeats = self.settings.model or (None,), range(self.settings.repeats)
        return [Target(model, repeat) for model in models for repeat in repeats]

    def bench(self, target: Target) -> Bench:
        """Return a warmed-up bench for a target; raises UsageError."""
        from pytest_llamaburn.load.bench import Bench, Identity

        settings = self.settings
        run_id = self.run_id(target.model)
        moment = datetime.strptime(self.session_id[:19], "%Y-%m-%dT%H-%M-%S").replace(tzinfo=UTC)
        timestamp = moment.isoformat().replace("+00:00", "Z")
        worker = f"{self.worker}-{target.repeat}"
        identity = Identity(self.session_id, run_id, worker, timestamp)
        bench = Bench(settings, identity, target.repeat, self.progress)
        self.benches.append(bench)
        prompts = self.prompts[1] if "prompts" in self.__dict__ else NO_SET
        self.run(bench.prepare(target.model, self.planned.get(target, {}), prompts))
        self.run_ids[run_id] = None
        return bench

    def run_id(self, model: str | None) -> str:
        """Return the id of the run of a model, the same in every worker of the session."""
        return f"{self.session_id}-{zlib.crc32(f'benchmark/{model}'.encode()):08x}"

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run on the timed loop, in this thread."""
        return self.runner.run(work)

    def write(self) -> None:
        """Make the result files from the journals; signals wait until they are whole."""
        from pytest_llamaburn.load.filing import write_result

        directory = Path(self.settings.results_dir)
        handlers = {s: signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            for run_id in self.run_ids:
                path = write_result(directory, run_id)
                if path is not None:
                    self.paths.append(path)
                self._judge(path)
        except LlamaBurnError as err:
            self.failures.append(f"{err}; its journal is kept in {directory / '.journal'}")
            self.exit_code = err.exit_code
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _judge(self, path: Path | None) -> None:
        from pytest_llamaburn.results import load

        if path is None:
            return
        found = load(path)["results"]
        if not found["totals"]["succeeded"] and not self.exit_code:
            self.failures.append("nothing was measured: no request succeeded")
            self.exit_code = NothingMeasuredError.exit_code
        self.gated |= any(gate["verdict"] != "pass" for gate in found["gates"])

    def end_on_sigterm(self) -> None:
        """Have SIGTERM end the session as Ctrl-C does, its files written, until `close`."""
        if threading.current_thread() is threading.main_thread():
            handler = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
            self._closing.callback(signal.signal, signal.SIGTERM, handler)

    def close(self) -> None:
        """Give back what the session took."""
        self._closing.close()

    def end(self, bench: Bench) -> None:
        """Finish one bench."""
        self.benches.remove(bench)
        self.run(bench.finish("interrupted" if self.interrupted else "finished"))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the machine-wide lock: nothing else of ours measures meanwhile."""
        from filelock import FileLock, Timeout

        if self.settings.allow_parallel:
            yield
            return
        lock = FileLock(Path(tempfile.gettempdir()) / "llamaburn-measuring.lock", mode=0o666)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if self.worker == "main":  # workers of one session take turns by design
                os.write(2, b"waiting: another LlamaBurn measurement runs on this machine\n")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


class Outcome:
    """What a session comes to: files written, failures told, the exit code."""

    def __init__(self, harness: Harness) -> None:
        """Watch a harness."""
        self.harness = harness

    def pytest_keyboard_interrupt(self) -> None:
        """Remember that the session was cut, so that its files say so."""
        self.harness.interrupted = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather on the controller what its own or its workers' items measured."""
        harness, carried = self.harness, getattr(report, "llamaburn", None)
        if carried is None:
            harness.mixed = True
            return
        harness.run_ids.update(dict.fromkeys(carried["runs"]))
        if carried["exit_code"]:
            harness.exit_code = carried["exit_code"]
            if carried["message"] not in harness.failures:
                harness.failures.append(carried["message"])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the result files, and say with the exit code what kind of end this is."""
        from pytest_llamaburn.reports import _github as github

        harness = self.harness
        for bench in [*harness.benches]:
            harness.end(bench)
        if harness.run_ids and harness.worker == "main":
            harness.write()
            harness.annotations += github.annotate(harness.paths)
        if harness.interrupted:
            return
        if harness.exit_code and not harness.mixed:
            session.exitstatus = harness.exit_code
        elif harness.gated and session.exitstatus == 0:
            session.exitstatus = 1

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the tables."""
        if self.harness.paths and self.harness.shows_tables:
            from pytest_llamaburn.reports import show

            terminalreporter.ensure_newline()
            show(self.harness.paths, self.harness.display.output, terminalreporter.write)
            for line in self.harness.annotations:
                terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        """Close what the session opened."""
        self.harness.close()


HARNESS = pytest.StashKey[Harness]()


@pytest.fixture(scope="session")
def llm(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Give the server and model under test, loaded and warmed up.

    Parametrized by model and repeat; session scope, so that each model is loaded once.
    """
    harness = request.config.stash[HARNESS]
    target = getattr(request, "param", Target(None, 0))
    if isinstance(target, Broken):
        raise target.error
    bench = harness.bench(target)
    yield bench
    harness.end(bench)


@pytest.fixture
def measure(request: pytest.FixtureRequest, llm: Bench) -> Callable[..., Measured]:
    """Return a function that sends a prompt's timed requests and says what they measured.

    `measure("Name three colours.")` returns a `Measured`: `result.ttft_ms.p50`,
    `result.tokens_per_sec.mean`, `result.errors`. The number of requests is the keyword
    `iterations`, else the marker's, else `--llamaburn-iterations`.
    """
    harness = request.config.stash[HARNESS]
    calls = 0

    def run(prompt: str | Planned, *, iterations: int | None = None) -> Measured:
        nonlocal calls
        calls += 1
        planned = _planned(prompt, request.node, harness)
        count = iterations or planned.iterations
        if count < 1:
            raise SettingsError(f"measure: iterations={count} is refused: must be at least 1")
        key = f"{request.node.nodeid}#{calls}"
        measured: Measured = harness.run(llm.measure(planned.prompt, count, key))
        request.node.user_properties.extend(_headlines(measured))
        broken = llm.gate(_marked(request.node).get("thresholds", ()), measured)
        if broken:
            raise AssertionError("; ".join(broken))
        return measured

    return run


@pytest.fixture
def measure_more(request: pytest.FixtureRequest, llm: Bench) -> Callable[[], Measured]:
    """Return a function that goes on measuring until --precision is met or --budget is spent."""
    harness = request.config.stash[HARNESS]
    return lambda: harness.run(llm.extend(harness.prompts[0]))


@pytest.fixture
def gpu_profiler(request: pytest.FixtureRequest) -> Callable[[], Profiler]:
    """Return a function that makes a profiler: `with make() as p:` watches a block.

    Afterwards `p.energy_wh`, `p.power_draw_watts`, `p.power_peak_watts` and `p.system_profile` are
    about the block; what is None has its code in `p.reason`. The provider is `--gpu-provider`.
    """
    from pytest_llamaburn.profiler import Profiler

    harness = request.config.stash[HARNESS]
    server = request.getfixturevalue("llm").server if "llm" in request.fixturenames else None
    return lambda: Profiler(harness.settings, server)


@pytest.fixture(scope="session")
def ollama_client(request: pytest.FixtureRequest) -> OllamaClient:
    """Return Ollama's untimed calls, blocking; `.aio` has the same ones as coroutines."""
    from pytest_llamaburn.backends.ollama import Backend, Client

    harness = request.config.stash[HARNESS]
    return OllamaClient(Client(Backend(harness.settings)), harness.run)


class OllamaClient:
    """The blocking face of `backends.ollama.Client`.

    list, show, ps, chat, generate, embed, load and unload take and return what their coroutines
    in `.aio` do.
    """

    def __init__(self, aio: Any, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        """Wrap the coroutines of `aio`."""
        self.aio = aio
        self._run = run

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a blocking twin of the coroutine function `name`."""
        coroutine = getattr(self.aio, name)
        return lambda *args, **fields: self._run(coroutine(*args, **fields))


def params_of(item: pytest.Item) -> dict[str, Any]:
    """Return the parameters of an item."""
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec else {}


def iterations_of(item: pytest.Item, harness: Harness) -> int:
    """Return how many timed requests an item asks for."""
    planned = params_of(item).get(PROMPT_ARGUMENT)
    if planned:
        return int(planned.iterations)
    return int(_marked(item).get("iterations", 0)) or harness.settings.iterations


def _marked(item: pytest.Item) -> dict[str, Any]:
    marker = item.get_closest_marker("llm_benchmark")
    return dict(marker.kwargs) if marker else {}


def _headlines(measured: Measured) -> Iterator[tuple[str, float]]:
    """Yield what a JUnit report shows of a measurement."""
    for name in HEADLINES:
        found = getattr(measured, name).values
        if found["n"]:
            yield f"{name}_p50", found["p50"]


def _planned(prompt: str | Planned, item: pytest.Item, harness: Harness) -> Planned:
    from pytest_llamaburn.datasets import Planned, Prompt

    if isinstance(prompt, Planned):
        return prompt
    name = getattr(item, "originalname", None) or item.name
    return Planned(Prompt(name, "test", prompt), iterations_of(item, harness))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # Windows has none
        return None
    return uvloop.new_event_loop


def _new_session_id() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{secrets.token_hex(3)}"

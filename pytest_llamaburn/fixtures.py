"""The fixtures, which tests use; `harness.py` has what they share."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llamaburn.errors import MissingKeyError, SettingsError
from pytest_llamaburn.session import KINDS, Broken, Harness, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from pytest_llamaburn.datasets import Planned
    from pytest_llamaburn.energy.profiler import Profiler
    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.judges import JudgeResult
    from pytest_llamaburn.kinds.benchmark.measured import Measured
    from pytest_llamaburn.kinds.benchmark.run import Bench
    from pytest_llamaburn.kinds.eval.run import Exam
    from pytest_llamaburn.kinds.stress.run import Stress

MARKERS = {
    "llm_benchmark": "measures a model: iterations=N, thresholds=['ttft_ms.p50<500']",
    "llm_eval": "asks a model questions: thresholds=['accuracy.mean>=4']",
    "llm_stress": "loads a model: thresholds=['error_rate<0.01']",
}
_KEYWORDS = {
    "llm_benchmark": ("iterations", "thresholds"),
    "llm_eval": ("thresholds",),
    "llm_stress": ("thresholds",),
}
FIXTURES = (*KINDS, "measure", "measure_more", "exam_answer", "exam_scores", "stress")
PROMPT_ARGUMENT = "llm_prompt"
QUESTION_ARGUMENT = "llm_question"
HEADLINES = (
    "time_to_first_token_ms",
    "inter_token_latency_ms",
    "tokens_per_sec",
    "total_generation_ms",
    "output_sequence_length",
)

HARNESS = pytest.StashKey[Harness]()


@pytest.fixture(scope="session")
def llm(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Give the server and model under test, loaded and warmed up.

    Parametrized by model and repeat; session scope, so that each model is loaded once.
    """
    yield from _opened(request)


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
        count = planned.iterations if iterations is None else _count("measure", iterations)
        key = f"{request.node.nodeid}#{calls}"
        measured: Measured = harness.run(llm.measure(planned.prompt, count, key))
        request.node.user_properties.extend(_headlines(measured))
        broken = llm.gate(marked(request.node).get("thresholds", ()), measured)
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
    from pytest_llamaburn.energy.profiler import Profiler

    harness = request.config.stash[HARNESS]
    server = request.getfixturevalue("llm").server if "llm" in request.fixturenames else None
    return lambda: Profiler(harness.common, server)


@pytest.fixture(scope="session")
def exam(request: pytest.FixtureRequest) -> Iterator[Exam]:
    """Give the model that is asked the questions of an eval set, loaded and warmed up.

    Parametrized by model and set; session scope, so that each model is loaded once.
    """
    yield from _opened(request)


@pytest.fixture
def exam_answer(
    request: pytest.FixtureRequest, exam: Exam
) -> Callable[[Question], list[dict[str, Any]]]:
    """Return a function that has the model answer a question and returns a row for each answer."""
    harness = request.config.stash[HARNESS]
    return lambda question: harness.run(exam.answer(question))


@pytest.fixture
def exam_scores(request: pytest.FixtureRequest, exam: Exam) -> Callable[[Question], dict[str, Any]]:
    """Return a function that marks the answers to a question: scorers, and judges if any.

    The thresholds of the marker are held against this question alone.
    """

    def mark(question: Question) -> dict[str, Any]:
        row = exam.scores(question)
        expressions = marked(request.node).get("thresholds", ())
        broken = exam.gate_question(expressions, question) if expressions else []
        if broken:
            raise AssertionError("; ".join(broken))
        return row

    return mark


@pytest.fixture(scope="session")
def judge(request: pytest.FixtureRequest) -> Iterator[Callable[..., JudgeResult]]:
    """Return a function that has an answer judged, from 1 to 5 unless another criterion is given.

    `judge(question, answer, reference="Paris")` returns a `JudgeResult`: `result.score`,
    `result.reasoning`. `criterion` is the name of a built-in one, such as `grade`
    (`result.verdict`) or `faithfulness` (with `evidence`), or your own:
    `criterion="politeness=it stays polite"`. The judge is that of `--llamaburn-judge` or of the
    configuration, else claude; without its key the test is skipped. An answer that could not be
    judged raises UnscoredError.
    """
    from pytest_llamaburn import judges

    harness = request.config.stash[HARNESS]
    try:
        queue = judges.JudgeQueue(judges.Panel.of(harness.judging))
    except MissingKeyError as err:
        pytest.skip(str(err))
    yield queue.ask
    queue.close()


@pytest.fixture(scope="session")
def llm_under_load(request: pytest.FixtureRequest) -> Iterator[Stress]:
    """Give the server and model that a load is sent to, warmed up; `stress` sends it."""
    yield from _opened(request)


@pytest.fixture
def stress(request: pytest.FixtureRequest, llm_under_load: Stress) -> Callable[[], dict[str, Any]]:
    """Return a function that sends the load of `--llamaburn-stress-mode` and says what it found.

    It returns `results` as the result file has them: `found["levels"]`, `found["failure_point"]` …
    Raises NothingMeasuredError if one client alone gets no answer, SettingsError for a threshold of
    the marker that this load never decides.
    """
    from pytest_llamaburn.gates import sentence
    from pytest_llamaburn.kinds.stress.result import check_gates

    harness = request.config.stash[HARNESS]

    def run() -> dict[str, Any]:
        wanted = list(marked(request.node).get("thresholds", ()))
        check_gates(wanted, llm_under_load.settings)
        llm_under_load.expect(wanted)
        harness.run(llm_under_load.drive())
        found = llm_under_load.results()
        judged = [gate for gate in found["gates"] if gate["expression"] in wanted]
        broken = [sentence(gate) for gate in judged if gate["verdict"] != "pass"]
        if broken:
            raise AssertionError("; ".join(broken))
        return found

    return run


@pytest.fixture(scope="session")
def ollama_client(request: pytest.FixtureRequest) -> OllamaClient:
    """Return Ollama's untimed calls, blocking; `.aio` has the same ones as coroutines."""
    from pytest_llamaburn.backends.ollama import Backend, Client

    harness = request.config.stash[HARNESS]
    return OllamaClient(Client(Backend(harness.common)), harness.run)


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


def _opened(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Yield the run that a fixture's parameter means, and end it."""
    harness = request.config.stash[HARNESS]
    target = getattr(request, "param", Target(request.fixturename or "", None))
    if isinstance(target, Broken):
        raise target.error
    run = harness.open(target)
    yield run
    harness.end(run)


def target_of(item: pytest.Item) -> Target | None:
    """Return what an item runs on, None if it opens no run."""
    return next((v for v in params_of(item).values() if isinstance(v, Target)), None)


def params_of(item: pytest.Item) -> dict[str, Any]:
    """Return the parameters of an item."""
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec else {}


def iterations_of(item: pytest.Item, harness: Harness) -> int:
    """Return how many timed requests an item asks for."""
    planned = params_of(item).get(PROMPT_ARGUMENT)
    if planned:
        return int(planned.iterations)
    count: int = harness.settings("llm").iterations
    with suppress(SettingsError):  # its own test tells it; here it would end the session
        count = marked(item).get("iterations", count)
    return count


def marked(item: pytest.Item) -> dict[str, Any]:
    """Return the keywords of an item's markers; raises SettingsError for a wrong one."""
    markers = filter(None, map(item.get_closest_marker, MARKERS))
    return {name: value for marker in markers for name, value in _keywords(marker).items()}


def _keywords(marker: pytest.Mark) -> dict[str, Any]:
    valid = _KEYWORDS[marker.name]
    if marker.args:
        words = f"{marker.args[0]!r} is refused: name what it is: {', '.join(valid)}"
        raise SettingsError(f"{marker.name}: {words}")
    for name in marker.kwargs:
        if name not in valid:
            from pytest_llamaburn import registry

            raise SettingsError(f"{marker.name}: {registry.unknown('keyword', name, valid)}")
    return {name: _CHECKS[name](marker.name, value) for name, value in marker.kwargs.items()}


def _count(who: str, value: Any) -> int:
    """Return a number of requests; raises SettingsError for what is none."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise SettingsError(
        f"{who}: iterations={value!r} is refused: must be a whole number, at least 1"
    )


def _expressions(who: str, value: Any) -> list[str]:
    """Return thresholds, of which one may stand alone; raises SettingsError for what is none."""
    found = [value] if isinstance(value, str) else value
    if isinstance(found, list | tuple) and all(isinstance(one, str) for one in found):
        return [*found]
    raise SettingsError(
        f"{who}: thresholds={value!r} is refused: must be texts, as ['ttft_ms<500']"
    )


_CHECKS = {"iterations": _count, "thresholds": _expressions}


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

"""The fixtures, which tests use; `session.py` has what they share.

Those of a kind of run are made from what its `KIND` says.
"""

from __future__ import annotations

from inspect import Parameter, Signature
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llamaburn.errors import LlamaBurnError, MissingKeyError, SettingsError
from pytest_llamaburn.kinds._kind import Item, Target
from pytest_llamaburn.session import Harness

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator

    from pytest_llamaburn.energy.profiler import Profiler
    from pytest_llamaburn.judges import JudgeResult
    from pytest_llamaburn.kinds._kind import RunKind

HARNESS = pytest.StashKey[Harness]()


def of_kinds(kinds: Iterable[RunKind]) -> ModuleType:
    """Return a module, to be a plugin of one session, with the fixtures of kinds of runs."""
    made = ModuleType(f"{__name__}.of_kinds")
    for kind in kinds:
        setattr(made, kind.fixture, _opening(kind))
        for name, (path, text) in kind.functions.items():
            setattr(made, name, _function(kind, name, path, text))
    return made


def _opening(kind: RunKind) -> object:
    def opened(request: pytest.FixtureRequest) -> Iterator[Any]:
        harness = request.config.stash[HARNESS]
        target = getattr(request, "param", Target(kind.name, None))
        if isinstance(target, LlamaBurnError):
            raise target
        run = harness.open(target)
        yield run
        harness.end(run)

    opened.__doc__ = kind.fixture_help
    return pytest.fixture(scope="session", name=kind.fixture)(opened)


def _function(kind: RunKind, name: str, path: str, text: str) -> object:
    def made(request: pytest.FixtureRequest, **fixtures: Any) -> Any:
        item = seen(request.node)._replace(keywords=marked(request.node))
        return kind.load(path)(fixtures[kind.fixture], item, request.config.stash[HARNESS])

    made.__doc__ = text
    names = ("request", kind.fixture)
    made.__signature__ = Signature(  # type: ignore[attr-defined]  # pytest reads it
        [Parameter(name, Parameter.KEYWORD_ONLY) for name in names]
    )
    return pytest.fixture(name=name)(made)


@pytest.fixture
def gpu_profiler(request: pytest.FixtureRequest) -> Callable[[], Profiler]:
    """Return a function that makes a profiler: `with make() as p:` watches a block.

    Afterwards `p.energy_wh`, `p.power_draw_watts`, `p.power_peak_watts` and `p.system_profile` are
    about the block; what is None has its code in `p.reason`. The provider is `--gpu-provider`.
    """
    from pytest_llamaburn.energy.profiler import Profiler

    harness = request.config.stash[HARNESS]
    opening = (kind.fixture for kind in harness.kinds.values())
    run = next((name for name in opening if name in request.fixturenames), None)
    server = request.getfixturevalue(run).server if run else None
    return lambda: Profiler(harness.common, server)


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
def ollama_client(request: pytest.FixtureRequest) -> OllamaClient:
    """Return Ollama's untimed calls, blocking; `.aio` has the same ones as coroutines."""
    from pytest_llamaburn.backends._ollama_client import Client
    from pytest_llamaburn.backends.ollama import Backend

    harness = request.config.stash[HARNESS]
    return OllamaClient(Client(Backend(harness.common)), harness.run)


class OllamaClient:
    """The blocking face of `backends._ollama_client.Client`.

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


def target_of(item: pytest.Item) -> Target | None:
    """Return what an item runs on, None if it opens no run."""
    return next((v for v in params_of(item).values() if isinstance(v, Target)), None)


def params_of(item: pytest.Item) -> dict[str, Any]:
    """Return the parameters of an item."""
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec else {}


def seen(item: pytest.Item) -> Item:
    """Return an item as kinds see it; a wrong marker has no keywords here."""
    try:
        keywords = marked(item)
    except SettingsError:  # its own test tells it; here it would end the session
        keywords = {}
    fixtures = getattr(item, "fixturenames", ())
    return Item(target_of(item), fixtures, params_of(item), keywords, item)


def marked(item: pytest.Item) -> dict[str, Any]:
    """Return the keywords of an item's markers; raises SettingsError for a wrong one."""
    kinds = item.config.stash[HARNESS].kinds.values()
    found = ((kind, item.get_closest_marker(kind.marker)) for kind in kinds)
    pairs = [(kind, marker) for kind, marker in found if marker]
    return {name: value for pair in pairs for name, value in _keywords(*pair).items()}


def _keywords(kind: RunKind, marker: pytest.Mark) -> dict[str, Any]:
    checks = kind.marker_keywords
    if marker.args:
        words = f"{marker.args[0]!r} is refused: name what it is: {', '.join(checks)}"
        raise SettingsError(f"{marker.name}: {words}")
    for name in marker.kwargs:
        if name not in checks:
            from pytest_llamaburn import registry

            words = registry.unknown("keyword", name, [*checks])
            raise SettingsError(f"{marker.name}: {words}")
    return {name: checks[name](marker.name, value) for name, value in marker.kwargs.items()}

"""The fixtures for tests. They share the `Harness` of `session.py`.

The fixtures of a kind of run are made from its `KIND`.
"""

from __future__ import annotations

from inspect import Parameter, Signature
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llamaburn.errors import (
    AudioError,
    LlamaBurnError,
    MissingExtraError,
    MissingKeyError,
    SettingsError,
)
from pytest_llamaburn.kinds._target import Target
from pytest_llamaburn.session import Harness

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator

    from pytest_llamaburn.audio.chosen import AudioDevice
    from pytest_llamaburn.energy.profiler import Profiler
    from pytest_llamaburn.judges import JudgeResult
    from pytest_llamaburn.kinds._kind import Item
    from pytest_llamaburn.kinds._listed import Listed
    from pytest_llamaburn.modalities._sample import SampleMedia

HARNESS = pytest.StashKey[Harness]()


def of_kinds(kinds: Iterable[Listed]) -> ModuleType:
    """Return a module with the fixtures of kinds of run, for use as a pytest plugin."""
    made = ModuleType(f"{__name__}.of_kinds")
    for kind in kinds:
        setattr(made, kind.fixture, _opening(kind))
        for name in kind.functions:
            setattr(made, name, _function(kind, name))
    return made


def _opening(kind: Listed) -> object:
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


def _function(listed: Listed, name: str) -> object:
    def made(request: pytest.FixtureRequest, **fixtures: object) -> Any:
        item = seen(request.node)._replace(keywords=marked(request.node))
        path, _ = listed.kind.functions[name]
        make = listed.kind.load(path)
        return make(fixtures[listed.fixture], item, request.config.stash[HARNESS])

    made.__doc__ = listed.functions[name]
    names = ("request", listed.fixture)
    made.__signature__ = Signature(  # type: ignore[attr-defined]  # pytest reads it
        [Parameter(name, Parameter.KEYWORD_ONLY) for name in names]
    )
    return pytest.fixture(name=name)(made)


@pytest.fixture
def gpu_profiler(request: pytest.FixtureRequest) -> Callable[[], Profiler]:
    """Return a function that makes a profiler: `with make() as p:` measures a block.

    Afterwards `p.energy_wh`, `p.power_draw_watts`, `p.power_peak_watts` and `p.system_profile` have
    the values of the block. If one is None, `p.reason` is the code of the reason. `--gpu-provider`
    chooses the provider.
    """
    from pytest_llamaburn.energy.profiler import Profiler

    harness = request.config.stash[HARNESS]
    run = next((name for name in harness.openers if name in request.fixturenames), None)
    server = request.getfixturevalue(run).server if run else None
    return lambda: Profiler(harness.common, server)


@pytest.fixture(scope="session")
def judge(request: pytest.FixtureRequest) -> Iterator[Callable[..., JudgeResult]]:
    """Return a function that asks a judge to score an answer, by default from 1 to 5.

    `judge(question, answer, reference="Paris")` returns a `JudgeResult`: `result.score`,
    `result.reasoning`. `criterion` is the name of a built-in one, such as `grade`
    (`result.verdict`) or `faithfulness` (with `evidence`), or your own:
    `criterion="politeness=it stays polite"`. `--llamaburn-judge` or the configuration names the
    judge; the default is claude. If its API key is missing, the test is skipped. If the answer
    cannot be judged, the function raises UnscoredError.
    """
    from pytest_llamaburn import judges

    harness = request.config.stash[HARNESS]
    try:
        queue = judges.JudgeQueue(judges.Panel.of(harness.options.judging))
    except MissingKeyError as err:
        pytest.skip(str(err))
    yield queue.ask
    queue.close()


@pytest.fixture(scope="session")
def audio_device(request: pytest.FixtureRequest) -> AudioDevice:
    """Return the audio devices that the configuration chooses, by default those of the system.

    `audio_device.record(seconds=5)` returns a recording: `.clip`, `.overruns`, `.ended`.
    `audio_device.play(clip)` plays one. If this machine has no audio device, the test is skipped.
    """
    from pytest_llamaburn.audio import devices
    from pytest_llamaburn.audio.chosen import AudioDevice

    harness = request.config.stash[HARNESS]
    try:
        known = devices.devices()
    except AudioError as err:
        pytest.skip(str(err))
    if not known:
        pytest.skip("this machine has no audio device")
    return AudioDevice(harness.options.audio)


@pytest.fixture
def media(request: pytest.FixtureRequest) -> SampleMedia:
    """Return the media of a sample: those of the test's question, or of the marker's `sample`.

    `@pytest.mark.llm_multimodal(sample="image_qa/colour-1")` names a question of a set.
    `media.image`, `.audio` and `.video` are the file of the only medium of that kind, `media.paths`
    all files, `media.encoded()` what a request carries, and `media.question` the question. Media of
    shipped sets are made at first use. Without their libraries, the test is skipped.
    """
    from pytest_llamaburn.modalities import _sample

    harness = request.config.stash[HARNESS]
    asked = next((one for one in params_of(request.node).values() if hasattr(one, "media")), None)
    sample = marked(request.node).get("sample")
    if asked is None and sample is None:
        raise SettingsError(
            "media: the test has no question: name a sample, such as "
            "@pytest.mark.llm_multimodal(sample='image_qa/colour-1')"
        )
    try:
        return _sample.SampleMedia(asked or _sample.named(str(sample)), harness.common)
    except MissingExtraError as err:
        pytest.skip(str(err))


@pytest.fixture(scope="session")
def ollama_client(request: pytest.FixtureRequest) -> OllamaClient:
    """Return a blocking client of Ollama's API, without timing; `.aio` has the coroutines."""
    from pytest_llamaburn.backends._ollama_client import Client
    from pytest_llamaburn.backends.ollama import Backend

    harness = request.config.stash[HARNESS]
    return OllamaClient(Client(Backend(harness.common)), harness.run)


class OllamaClient:
    """A blocking client with the methods of `backends._ollama_client.Client`.

    list, show, ps, chat, generate, embed, load and unload have the arguments and results of the
    coroutines in `.aio`.
    """

    def __init__(self, aio: object, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        """Wrap the coroutines of `aio`."""
        self.aio = aio
        self._run = run

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a blocking version of the coroutine function `name`."""
        coroutine = getattr(self.aio, name)
        return lambda *args, **fields: self._run(coroutine(*args, **fields))


def target_of(item: pytest.Item) -> Target | None:
    """Return the target of an item, or None if it opens no run."""
    return next((v for v in params_of(item).values() if isinstance(v, Target)), None)


def params_of(item: pytest.Item) -> dict[str, Any]:
    """Return the parameters of an item."""
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec else {}


def seen(item: pytest.Item) -> Item:
    """Return the Item of a pytest item; an invalid marker has no keywords here."""
    from pytest_llamaburn.kinds._kind import Item

    try:
        keywords = marked(item)
    except SettingsError:  # the item's test raises it; here it would end the session
        keywords = {}
    fixtures = getattr(item, "fixturenames", ())
    return Item(target_of(item), fixtures, params_of(item), keywords, item)


def marked(item: pytest.Item) -> dict[str, Any]:
    """Return the keywords of an item's markers; raises SettingsError for an invalid one."""
    kinds = item.config.stash[HARNESS].markers
    closest = {mark.name: mark for mark in reversed([*item.iter_markers()]) if mark.name in kinds}
    pairs = [(kind, closest[name]) for name, kind in kinds.items() if name in closest]
    return {name: value for pair in pairs for name, value in _keywords(*pair).items()}


def _keywords(listed: Listed, marker: pytest.Mark) -> dict[str, Any]:
    checks = listed.kind.marker_keywords
    if marker.args:
        words = f"{marker.args[0]!r} is refused: use a keyword: {', '.join(checks)}"
        raise SettingsError(f"{marker.name}: {words}")
    for name in marker.kwargs:
        if name not in checks:
            from pytest_llamaburn import registry

            words = registry.unknown("keyword", name, [*checks])
            raise SettingsError(f"{marker.name}: {words}")
    return {name: checks[name](marker.name, value) for name, value in marker.kwargs.items()}

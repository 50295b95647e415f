"""The description of a kind of run: name, settings, command, fixtures and items.

Every package in `kinds/` exports its `KIND`. All code that is specific to a kind is in its package;
the plugin, the command, the store and the reports loop over kinds. This module and the packages'
`__init__.py` use only the standard library, because pytest loads them in every session.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache, cached_property
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pytest_llamaburn import registry
from pytest_llamaburn.errors import DatasetError, LlamaBurnError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Protocol

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.settings import Run

    class Session(Protocol):
        """The part of a pytest session that a kind may use."""

        memory: Document  # a cache until the session ends, by the kind's name

        @property
        def common(self) -> Run:
            """The checked settings that all kinds of run share; raises SettingsError."""

        def settings(self, kind: str) -> Any:
            """Return the checked settings of a kind of run; raises SettingsError."""

        def targets(self, kind: str) -> list[Target]:
            """Return all runs of a kind: each variant, model and repeat."""

        def run_id(self, target: Target) -> str:
            """Return the id of the run of a target."""

        def run(self, work: Coroutine[Any, Any, Any]) -> Any:
            """Run on the timed loop, in this thread."""


class Target(NamedTuple):
    """A run to make; the parameter of a fixture that opens a run.

    `kind` is the name of the kind, `repeat` the number of the independent run, and `variant` its
    mode or set.
    """

    kind: str
    model: str | None
    repeat: int = 0
    variant: str = ""


MANY_FAILED = 0.1  # of the requests: a warning says so


class Item(NamedTuple):
    """A pytest item as a kind sees it: its target, fixtures, parameters and marker."""

    target: Target | None
    fixtures: Sequence[str]
    params: Mapping[str, Any]
    keywords: Mapping[str, Any]  # of its marker; empty if the marker is invalid
    node: Any  # pytest's own object


class Params(NamedTuple):
    """Values for the arguments of a test, with an id for each: pytest's parametrization."""

    names: tuple[str, ...]
    values: Sequence[Any]
    ids: Sequence[str]
    scope: Literal["session"] | None = None


class Expected(NamedTuple):
    """About how long a run will take in seconds, None if unknown; `note` says why or on what."""

    seconds: float | None
    note: str | None = None


class Kind:
    """A kind of result file: that of a run or of a comparison."""

    name: str  # its name in the command, and in the file's `schema`
    folder: str  # the folder of its files, in the results directory
    more_folders: tuple[str, ...] = ()  # patterns of further folders, as `multimodal/*`

    def place(self, header: Mapping[str, Any]) -> str:  # noqa: ARG002
        """Return the folder of a file, from the journal's header or the file's content."""
        return self.folder

    def file_stem(self, header: Mapping[str, Any]) -> str:
        """Return the start of a file's name, from the journal's header or the file's content."""
        return str(header["model"]["id"])

    def brief(self) -> type:
        """Return the subclass of `_brief.Results` with which lists read a file's `results`."""
        from pytest_llamaburn.kinds._brief import Results

        return Results

    def file_model(self) -> Any:
        """Return the pydantic model of the result file."""
        return self.load("result.File")

    @property
    def comparison(self) -> str | None:
        """The kind of comparisons of its files, or None if they cannot be compared."""
        return None

    @property
    def schema(self) -> str:
        """The `schema` of a result file."""
        return f"llamaburn/{self.name}"

    @property
    def package(self) -> str:
        """The full name of the kind's package."""
        return type(self).__module__

    def load(self, path: str) -> Any:
        """Return the object at a path such as `module.name` in the kind's package."""
        module, _, name = path.partition(".")
        return getattr(import_module(f"{self.package}.{module}"), name)


class RunKind(Kind):
    """A kind of run: its settings, its fixtures, its items and its command."""

    settings: str  # path of the class of its settings: module.Class
    run: str  # path of the class of its runs: module.Class

    # the command
    help: str
    description: str
    example: str
    example_test = ""  # the test that `llamaburn init` writes
    # Suffixes of --output that a run writes itself, each with the setting of the file.
    own_outputs: dict[str, str] = {}  # noqa: RUF012 - never written to
    first: tuple[str, ...] = ()  # the settings that a form shows at once; by default, its own

    # fixtures and marker
    fixture: str  # name of the fixture that opens a run
    fixture_help: str
    # Function-scoped fixtures by name: the path module.function and the docstring. The function
    # takes the run, the Item and the Session, and returns the function that the test calls.
    functions: dict[str, tuple[str, str]] = {}  # noqa: RUF012 - never written to
    marker_help: str
    more_markers: tuple[str, ...] = ()  # further names of the marker
    seeks_failures = False  # whether a request that fails is what a run looks for
    several_servers = False  # whether --host may name several
    variant_setting: str | None = None  # the setting of which each value is a separate run

    @cached_property
    def settings_class(self) -> type:
        """The class of the settings."""
        loaded: type = self.load(self.settings)
        return loaded

    @property
    def comparison(self) -> str | None:
        """The kind of comparisons of its files, or None if they cannot be compared."""
        is_compared = registry.has(f"kinds.{self.name}", "comparable")
        return f"{self.name}-comparison" if is_compared else None

    @property
    def marker(self) -> str:
        """The marker of its tests."""
        return f"llm_{self.name.replace('-', '_')}"

    @property
    def markers(self) -> tuple[str, ...]:
        """All markers of its tests."""
        return (self.marker, *self.more_markers)

    @property
    def marker_keywords(self) -> dict[str, Callable[[str, Any], Any]]:
        """The keywords of the marker, each with a function that checks it."""
        return {"thresholds": expressions}

    def check(self, settings: Any) -> None:
        """Raise SettingsError for settings that contradict each other or have no meaning."""

    def preview(self, settings: Any) -> Iterable[str] | None:  # noqa: ARG002
        """Return the lines to print instead of running, or None to run."""
        return None

    def variants(self, settings: Any) -> Sequence[str]:
        """Return the variants to run, such as the sets of an eval; `("",)` if it has none."""
        values = getattr(settings, self.variant_setting) if self.variant_setting else ""
        return (values,) if isinstance(values, str) else values

    def contrasts(self, session: Session) -> Sequence[tuple[Target, Target]]:  # noqa: ARG002
        """Return the pairs of runs that are compared when all are finished, baseline first."""
        return ()

    def models(self, settings: Any) -> tuple[str | None, ...]:
        """Return the models to run on; None means the only model of the server."""
        return settings.model or (None,)

    def expected(self, settings: Any, request_s: float) -> Expected:  # noqa: ARG002
        """Return about how long a run will take if a request of its model takes `request_s`."""
        return Expected(None, "this kind of run does not tell how long it takes")

    def parametrize(self, session: Session, fixtures: Sequence[str]) -> list[Params]:  # noqa: ARG002
        """Return the parameters of a test that opens a run and uses these fixtures."""
        return [self.runs(session)]

    def runs(self, session: Session) -> Params:
        """Return the targets, as the parameter of the fixture that opens a run."""
        targets = or_broken(lambda: session.targets(self.name))
        return Params((self.fixture,), targets, [*map(target_id, targets)])

    def wanted(self, item: Item, session: Session) -> bool:  # noqa: ARG002
        """Return whether the settings select an item; other items do not run."""
        return True

    def planned(self, item: Item, session: Session) -> int:  # noqa: ARG002
        """Return the number of journal rows that an item is expected to write."""
        return 0

    def order(self, items: list[Item], session: Session) -> list[Item]:  # noqa: ARG002
        """Return the items in the order in which they should run."""
        return items

    def header(self, target: Target, session: Session) -> Document:  # noqa: ARG002
        """Return the fields that the session adds to the header of a run's journal."""
        return {}

    def of_tests(self, header: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Return whether a run's prompts come from tests; then no command can repeat the run."""
        return False

    def write_companions(self, record: Any, path: Path) -> None:
        """Write the files that belong beside a result file."""

    def resumable(self, results: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Return whether a complete run can be continued; then its journal is kept."""
        return False

    def warning(self, results: Mapping[str, Any]) -> str | None:
        """Return a sentence about a run of which many requests failed, or None.

        Such a run is no failure: a threshold on `error_rate` decides that.
        """
        failed, requests = (results["totals"][name] for name in ("failed", "requests"))
        if self.seeks_failures or not 0 < failed < requests or failed < MANY_FAILED * requests:
            return None
        kinds = ", ".join(f"{kind} × {count}" for kind, count in results["errors"].items())
        return (
            f"warning: {failed} of {requests} requests failed ({kinds}), and the numbers are those "
            "of the others: --threshold 'error_rate<1%' makes it exit code 1"
        )

    def failure(self, results: Mapping[str, Any]) -> str | None:  # noqa: ARG002
        """Return why a whole run failed, or None."""
        return None


class SingleKind(RunKind):
    """A kind of run whose `plan.requests` says how many requests a test sends.

    Its only function sends them. `slower` says when a request takes longer than a usual one.
    """

    slower: str

    def planned(self, item: Item, session: Session) -> int:
        """Return the number of timed requests of an item."""
        if self.functions.keys().isdisjoint(item.fixtures):
            return 0
        return int(self.load("plan.requests")(session.settings(self.name)))

    def expected(self, settings: Any, request_s: float) -> Expected:
        """Return about how long a run will take if a request of its model takes `request_s`."""
        each_s = (settings.warmup + self.load("plan.requests")(settings)) * request_s
        seconds = min(each_s, settings.budget or each_s)
        return Expected(len(self.models(settings)) * seconds, self.slower)


def named(name: str) -> Kind:
    """Return the kind with this name; raises SettingsError if there is none."""
    kind: Kind = registry.load("kinds", name).KIND
    return kind


def of_runs(names: Iterable[str]) -> tuple[RunKind, ...]:
    """Return the kinds of run among these kinds: their packages have settings."""
    of_run = (name for name in names if registry.has(f"kinds.{name}", "settings"))
    return tuple(kind for kind in map(named, of_run) if isinstance(kind, RunKind))


@cache
def own() -> tuple[RunKind, ...]:
    """Return the kinds of run of this package."""
    return of_runs(registry.own("kinds"))


def every() -> tuple[RunKind, ...]:
    """Return all kinds of run. To look for those of other distributions takes 20 ms."""
    return of_runs(registry.names("kinds"))


def or_broken(make: Callable[[], list[Any]]) -> list[Any]:
    """Return the parameters, or the error as the only parameter.

    The tests of the kind raise that error, so that tests of other kinds still run.
    """
    try:
        return make()
    except LlamaBurnError as err:
        return [err]


@contextmanager
def naming(flag: str) -> Iterator[None]:
    """In an error about a set, name the option that gave the set, if it names none itself."""
    try:
        yield
    except DatasetError as err:
        words = str(err)
        raise SettingsError(words if words.startswith("--") else f"{flag}: {words}") from None


def target_id(target: Target | LlamaBurnError) -> str:
    """Return the part of a test's id that names the run."""
    if isinstance(target, LlamaBurnError):
        return "unusable"
    name, _, setting = target.variant.partition("?")
    words = (str(target.model), PurePath(name).stem, setting, str(target.repeat or ""))
    return "-".join(filter(None, words))


def count(who: str, value: Any) -> int:
    """Return a number of requests; raises SettingsError unless it is a whole number above 0."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise SettingsError(
        f"{who}: iterations={value!r} is refused: must be a whole number, at least 1"
    )


def expressions(who: str, value: Any) -> list[str]:
    """Return thresholds from a text or a list of texts; raises SettingsError for other values."""
    texts = [value] if isinstance(value, str) else value
    if isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts):
        return [*texts]
    raise SettingsError(
        f"{who}: thresholds={value!r} is refused: must be texts, as ['ttft_ms<500']"
    )

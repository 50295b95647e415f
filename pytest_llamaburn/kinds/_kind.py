"""What the tool has to know of a kind of run before one begins.

Every package in `kinds/` has `KIND`. All that is special about a kind is said there or in the other
modules of its package; the plugin, the command, the store and the reports are loops over kinds.
Standard library only: pytest loads the kinds in every session of the environment.
"""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pytest_llamaburn import registry
from pytest_llamaburn.errors import LlamaBurnError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Protocol

    from pytest_llamaburn.settings import Run

    class Session(Protocol):
        """What a kind may ask a pytest session for."""

        memory: dict[str, Any]  # what kinds keep until the session ends, by the kind's name

        @property
        def common(self) -> Run:
            """The checked settings that all kinds of runs share; raises SettingsError."""

        def settings(self, kind: str) -> Any:
            """Return the checked settings of a kind of run; raises SettingsError."""

        def targets(self, kind: str) -> list[Target]:
            """Return all runs of a kind: each variant, model and repeat."""

        def run_id(self, target: Target) -> str:
            """Return the id of the run of a target."""

        def run(self, work: Coroutine[Any, Any, Any]) -> Any:
            """Run on the timed loop, in this thread."""


class Target(NamedTuple):
    """The parameter of a fixture that opens a run: what is run on which model.

    `kind` is the kind's name, `repeat` which independent run it is, `variant` its mode or set.
    """

    kind: str
    model: str | None
    repeat: int = 0
    variant: str = ""


class Item(NamedTuple):
    """A pytest item as a kind sees it: what it runs on, and what it asks for."""

    target: Target | None
    fixtures: Sequence[str]
    params: Mapping[str, Any]
    keywords: Mapping[str, Any]  # of its marker; none where the marker is wrong
    node: Any  # pytest's own object


class Params(NamedTuple):
    """Values for arguments of a test function, with an id for each, as pytest parametrizes."""

    names: tuple[str, ...]
    values: Sequence[Any]
    ids: Sequence[str]
    scope: Literal["session"] | None = None


class Kind:
    """A kind of result file: of a run, or of a comparison, which no run writes."""

    name: str  # in the command, and in the file's `schema`
    folder: str  # of its files, below the results directory

    def file_stem(self, header: Mapping[str, Any]) -> str:
        """Return what a file's name begins with, from its journal's header or its content."""
        return str(header["model"]["id"])

    def brief(self) -> type:
        """Return the dataclass of what lists read of a file's `results`, a `_brief.Results`."""
        from pytest_llamaburn.kinds._brief import Results

        return Results

    def file_model(self) -> Any:
        """Return the model that a result file is checked against."""
        return self.load("result.File")

    @property
    def comparison(self) -> str | None:
        """What comparisons of its files are called; None if files of the kind are not compared."""
        return None

    @property
    def schema(self) -> str:
        """The `schema` of a result file."""
        return f"llamaburn/{self.name}"

    @property
    def package(self) -> str:
        """The full name of the package that has the kind's modules."""
        return type(self).__module__

    def load(self, path: str) -> Any:
        """Return what a path as module.name means in the kind's package."""
        module, _, name = path.partition(".")
        return getattr(import_module(f"{self.package}.{module}"), name)


class RunKind(Kind):
    """A kind of run: its settings, its fixtures, its items and its command."""

    settings: str  # class of its settings, as module.Class
    run: str  # class of its runs, as module.Class

    # the command
    help: str
    description: str
    example: str
    example_test = ""  # what `llamaburn init` writes

    # fixtures and marker
    fixture: str  # opens a run
    fixture_help: str
    # Fixtures for one test, by name: what makes one, as module.function, and the docstring. The
    # function gets the run, the Item and the Session, and returns what the test calls.
    functions: dict[str, tuple[str, str]] = {}  # noqa: RUF012 - never written to
    marker_help: str
    variant_setting: str | None = None  # each of its values is a run of its own

    @cached_property
    def settings_class(self) -> type:
        """The class of the settings."""
        found: type = self.load(self.settings)
        return found

    @property
    def comparison(self) -> str | None:
        """What comparisons of its files are called; None if files of the kind are not compared."""
        is_compared = registry.has(f"kinds.{self.name}", "comparable")
        return f"{self.name}-comparison" if is_compared else None

    @property
    def marker(self) -> str:
        """The marker of its tests."""
        return f"llm_{self.name.replace('-', '_')}"

    @property
    def marker_keywords(self) -> dict[str, Callable[[str, Any], Any]]:
        """The keywords of the marker, each with a function that checks it."""
        return {"thresholds": expressions}

    def check(self, settings: Any) -> None:
        """Raise SettingsError for settings that contradict each other or mean nothing."""

    def preview(self, settings: Any) -> Iterable[str] | None:  # noqa: ARG002
        """Return what to print instead of running, None to run."""
        return None

    def models(self, settings: Any) -> tuple[str | None, ...]:
        """Return the models to run on; None is the only one that the server has."""
        return settings.model or (None,)

    def parametrize(self, session: Session, fixtures: Sequence[str]) -> list[Params]:  # noqa: ARG002
        """Return the parameters of a test that opens a run and uses these fixtures."""
        return [self.runs(session)]

    def runs(self, session: Session) -> Params:
        """Return the targets as the parameter of the fixture that opens a run."""
        targets = or_broken(lambda: session.targets(self.name))
        return Params((self.fixture,), targets, [*map(target_id, targets)])

    def wanted(self, item: Item, session: Session) -> bool:  # noqa: ARG002
        """Return whether the settings ask for an item; others are left out."""
        return True

    def planned(self, item: Item, session: Session) -> int:  # noqa: ARG002
        """Return how many rows of the journal an item is known to write."""
        return 0

    def order(self, items: list[Item], session: Session) -> list[Item]:  # noqa: ARG002
        """Return the items in the order in which they should run."""
        return items

    def header(self, target: Target, session: Session) -> dict[str, Any]:  # noqa: ARG002
        """Return what the session adds to the header of a run's journal."""
        return {}

    def of_tests(self, header: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Return whether a run is of tests that bring their own prompts, which no command has."""
        return False

    def write_companions(self, record: Any, path: Path) -> None:
        """Write what belongs beside a result file."""

    def resumable(self, results: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Return whether there is more to do though a run is complete: then its journal stays."""
        return False

    def failure(self, results: Mapping[str, Any]) -> str | None:  # noqa: ARG002
        """Return why a run failed as a whole, None if it did not."""
        return None


def named(name: str) -> Kind:
    """Return a kind by its name; raises SettingsError if there is none."""
    kind: Kind = registry.load("kinds", name).KIND
    return kind


def of_runs(names: Iterable[str]) -> list[RunKind]:
    """Return those of these kinds that are of runs: their packages have settings."""
    having = (name for name in names if registry.has(f"kinds.{name}", "settings"))
    return [kind for kind in map(named, having) if isinstance(kind, RunKind)]


def own() -> list[RunKind]:
    """Return our own kinds of runs."""
    return of_runs(registry.own("kinds"))


def every() -> list[RunKind]:
    """Return all kinds of runs; looking for those of other distributions costs 20 ms."""
    return of_runs(registry.names("kinds"))


def or_broken(make: Callable[[], list[Any]]) -> list[Any]:
    """Return the parameters, or an error, which its own tests raise: others' tests must run."""
    try:
        return make()
    except LlamaBurnError as err:
        return [err]


def target_id(target: Target | LlamaBurnError) -> str:
    """Return what a test's id calls a run."""
    if isinstance(target, LlamaBurnError):
        return "unusable"
    words = (str(target.model), PurePath(target.variant).stem, str(target.repeat or ""))
    return "-".join(filter(None, words))


def count(who: str, value: Any) -> int:
    """Return a number of requests; raises SettingsError unless it is a whole number above 0."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise SettingsError(
        f"{who}: iterations={value!r} is refused: must be a whole number, at least 1"
    )


def expressions(who: str, value: Any) -> list[str]:
    """Return thresholds, of which one may stand alone; raises SettingsError unless all are text."""
    found = [value] if isinstance(value, str) else value
    if isinstance(found, list | tuple) and all(isinstance(one, str) for one in found):
        return [*found]
    raise SettingsError(
        f"{who}: thresholds={value!r} is refused: must be texts, as ['ttft_ms<500']"
    )

"""What comparisons of every kind are made of: files, columns, estimates, changes, verdicts.

The `comparable.py` of a kind has a class `Comparison` after the one here. It says what is compared
in its files and how sure a difference is. `kinds/comparison/` does the rest.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pytest_llamaburn import gates
from pytest_llamaburn.energy import profiles
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.stats import changes, runs
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pytest_llamaburn.measures import Measure

Document = dict[str, Any]

LAST = "last"  # of --compare: the newest earlier file
_NO_INTERVAL = "one of them has no interval, or one that reaches 0, to which there is no ratio"
_SHOWN = 60  # characters of a setting's value


class Column(NamedTuple):
    """What is compared: a statistic of a measure, at a level where the files have levels.

    `axis` is what the user said a point is a number of; `width` how long the scale of a mark is.
    """

    metric: str
    unit: str
    better: str
    statistic: str | None = None
    level: float | None = None
    axis: str | None = None
    width: float = 1

    @property
    def name(self) -> str:
        """How it is written; the mean needs no word."""
        plain = self.statistic in (None, "mean")
        return self.metric if plain else f"{self.metric}.{self.statistic}"


class Gate(NamedTuple):
    """One parsed --fail-if: a file whose column changes for the worse past `bound` fails."""

    expression: str
    column: Column
    bound: float


class Choice(NamedTuple):
    """What was asked for."""

    columns: tuple[Column, ...] = ()
    gates: tuple[Gate, ...] = ()
    sort: str = "time"
    margin: float = runs.MARGIN

    @property
    def every(self) -> tuple[Column, ...]:
        """All columns, those of gates included, each once."""
        return tuple(dict.fromkeys((*self.columns, *(gate.column for gate in self.gates))))


class Estimate(NamedTuple):
    """A column in the baseline and in a file, its change, and the interval of that.

    A `reason` says why the change decides nothing, `advice` what helps where a gate is undecided.
    `facts` are what a kind tells besides.
    """

    baseline: float | None = None
    value: float | None = None
    change: float | None = None
    interval: Sequence[float] | None = None
    reason: str | None = None
    facts: Document = {}  # noqa: RUF012 - never written to
    advice: str = "more runs decide"


class Change(NamedTuple):
    """What one column of a file is against the baseline."""

    file: str
    column: Column
    estimate: Estimate
    verdict: str


class Subject:
    """A result file that is compared; `label` is what changes, gates and warnings call it."""

    alike: ClassVar[tuple[str, ...]] = ()  # settings that should not differ

    def __init__(self, path: str, document: Document, choice: Choice) -> None:  # noqa: ARG002
        """Take a file; kinds with large files keep only what the choice needs."""
        self.path, self.document, self.label = path, document, ""

    @property
    def model(self) -> str:
        """The model's id."""
        return str(self.document["model"]["id"])

    @property
    def machine(self) -> str | None:
        """The machine's fingerprint, None if it is not known."""
        found: str | None = self.document["environment"].get("fingerprint")
        return found

    @cached_property
    def conditions(self) -> tuple[Any, ...]:
        """What must be equal for runs to differ by noise alone."""
        model, server = self.document["model"], self.document["server"]
        about = (model["id"], model["digest"], model["quantization"], self.machine)
        asked = (str(self.setting(name)) for name in self.alike)
        return (*about, server["kind"], server["version"], *asked)

    def setting(self, name: str) -> Any:
        """Return what a run was asked with."""
        return self.document["config"].get(name)


class Comparison:
    """Files of one kind, one of them the baseline. Each kind has a subclass.

    As it is, a change is sure where the two numbers have intervals of their own.
    """

    kind: ClassVar[str]
    noun: ClassVar[str] = "run"
    options: ClassVar[tuple[str, ...]] = ("columns", "fail_if", "margin")  # of the command
    measures: ClassVar[Mapping[str, Measure]] = {}
    default: ClassVar[tuple[str, ...]] = ()  # columns, as --columns has them
    like: ClassVar[tuple[str, ...]] = ()  # settings that `--compare last` wants equal
    subject: ClassVar[type[Any]] = Subject
    margin: ClassVar[float] = runs.MARGIN  # unless the user names another
    words: ClassVar[tuple[str, str]] = ("better", "worse")
    worded: ClassVar[tuple[str, ...] | None] = None  # units of changes that have words; None: all
    changes_key: ClassVar[str] = "changes"  # what results call the changes
    gates_have_units: ClassVar[bool] = True
    evidence: ClassVar[str] = "the intervals of each file"

    def __init__(
        self,
        sources: Iterable[tuple[str, Document]],
        choice: Choice,
        baseline: int = 0,
        earlier: Callable[[set[tuple[str, str]]], Iterable[Document]] = lambda _: (),
    ) -> None:
        """Take the files by path, and which of them is the baseline.

        `earlier` returns earlier files of some (machine, model) pairs. Each source is read when its
        turn comes, so that one file at a time is in memory as a whole. Raises ResultsError or
        SettingsError for files that cannot be compared.
        """
        self.choice = choice
        self.memory: dict[Any, Any] = {}  # what a kind computes once
        self.subjects = [self.subject(path, document, choice) for path, document in sources]
        self.baseline = self.subjects[baseline]
        self.subjects = self.arranged()
        for index, subject in enumerate(self.subjects):
            subject.label = label(index)
        self.others = [one for one in self.subjects if one is not self.baseline]
        self.planned = {other.label: self.columns(other) for other in self.others}
        compared = {subject.document["run_id"] for subject in self.subjects}
        history = (d for d in earlier(self.wanted()) if d["run_id"] not in compared)
        self.history = [self.subject("", document, choice) for document in history]

    @classmethod
    def column(cls, text: str, option: str) -> Column:
        """Return the column that a text such as `ttft_ms.p50@8` means.

        Raises SettingsError with the nearest names for an unknown measure or statistic.
        """
        measure, statistic, level = gates.selector(text, cls.measures, option)
        return Column(measure.name, measure.unit, measure.better, statistic, level)

    @classmethod
    def gate(cls, expression: str) -> Gate:
        """Return the gate that a text such as `tokens_per_sec.mean:-5%` means.

        Raises SettingsError for any other text.
        """
        name, bound = gates.bound_of(expression)
        return Gate(expression, cls.column(name, "--fail-if"), bound)

    @classmethod
    def check_asked(cls, settings: Any) -> None:
        """Raise UsageError where --compare names no file of the kind, or --fail-if is no gate."""
        for text in settings.fail_if:
            cls.gate(text)
        if settings.fail_if and settings.compare is None:
            raise SettingsError("--fail-if judges a comparison: name the baseline with --compare")
        if settings.compare not in (None, LAST):
            path = results.find(Path(settings.results_dir), settings.compare)
            schema = results.load(path)["schema"]
            if schema != results.PREFIX + cls.kind:
                raise ResultsError(
                    f"{path} is not the result of a {cls.noun}: its schema is {schema}"
                )

    @cached_property
    def intervals(self) -> int:
        """How many intervals the report has."""
        return max(1, sum(map(len, self.planned.values())))

    @property
    def confidence(self) -> float:
        """The level of each interval that makes all of them hold together (Bonferroni)."""
        return 1 - runs.ALARM_RATE / self.intervals

    def change(self, other: Any, column: Column) -> Change:
        """Return what a column of a file is against the baseline."""
        found = self.estimate(other, column)
        ends = None if found.reason else found.interval
        words = self.words if self.worded is None or column.unit in self.worded else None
        margin = self.choice.margin * column.width
        return Change(
            other.label, column, found, changes.verdict(ends, column.better, margin, words)
        )

    def of_sensors(self, column: Column) -> bool:
        """Return whether a column rests on power sensors, which must be of the same devices."""
        return self.measures[column.metric].source == "sensor"

    def unlike_sensors(self, other: Any, column: Column) -> str | None:
        """Return why the energy of two files cannot be compared; None where it can."""
        both = [self.baseline.document, other.document]
        return profiles.unlike(both) if self.of_sensors(column) else None

    # What kinds say

    def arranged(self) -> list[Any]:
        """Return the files in the order in which they are shown."""
        return self.subjects

    def columns(self, other: Any) -> Sequence[Column]:  # noqa: ARG002 - not the same for all kinds
        """Return what is compared in a file; raises ResultsError or SettingsError for nothing."""
        return self.choice.every

    def wanted(self) -> set[tuple[str, str]]:
        """Return the machines and models whose earlier runs show how much runs differ."""
        return set()

    def estimate(self, other: Any, column: Column) -> Estimate:
        """Return the change of a column with its interval, or with the reason for none."""
        measure, both = self.measures[column.metric], (self.baseline, other)
        before, after = (
            measure.observed(one.document, column.statistic, column.level) for one in both
        )
        values, reason = (before.value, after.value), before.reason or after.reason
        change = changes.difference(*values, column.unit)
        reason = reason or self.unlike_sensors(other, column) or ""
        ends = changes.interval(before, after, column.unit, self.confidence)
        reason = reason or ("" if ends else _NO_INTERVAL)
        return Estimate(*values, change, ends, reason or None)

    def gated(self, column: Column) -> Column:
        """Return the column that a gate is on."""
        return column

    def absent(self, column: Column) -> str:
        """Return why a gate's column is in no change."""
        return f"{column.name} was not compared"

    # What the result file has of it

    def config(self) -> Document:
        """Return what was asked for."""
        gated = [gate.expression for gate in self.choice.gates]
        about = {"baseline": self.baseline.label, "margin": self.choice.margin}
        return {**about, "fail_if": gated} if "fail_if" in self.options else about

    def file(self, subject: Any) -> Document:
        """Return a file as the comparison tells of it."""
        kept = ("run_id", "model", "server", "timestamp", "status")
        about = {"label": subject.label, "path": subject.path}
        facts = {name: subject.document[name] for name in kept}
        return {**about, "baseline": subject is self.baseline, **facts}

    def warnings(self) -> list[dict[str, str]]:
        """Return what differs from the baseline besides the numbers."""
        return [
            {"file": other.label, "text": text}
            for other in self.others
            for text in self.differing(other)
        ]

    def differing(self, other: Any) -> Iterator[str]:
        """Yield what differs between a file and the baseline besides the numbers."""
        for name in self.subject.alike:
            was, now = self.baseline.setting(name), other.setting(name)
            if was != now:
                yield f"{name} is {_shown(now)}, {_shown(was)} in the baseline"

    def written(self, change: Change) -> Document:
        """Return a change as the result file has it."""
        column, found = change.column, change.estimate
        return {
            "file": change.file,
            "level": column.level,
            "metric": column.metric,
            "statistic": column.statistic,
            "unit": column.unit,
            "better": column.better,
            "baseline": found.baseline,
            "value": found.value,
            "change": found.change,
            "interval": None if found.interval is None else [*found.interval],
            "verdict": change.verdict,
            "reason": found.reason,
            **found.facts,
        }

    def method(self) -> Document:
        """Return how the intervals were made."""
        return {
            "evidence": self.evidence,
            "correction": "Bonferroni",
            "alarm_rate": runs.ALARM_RATE,
            "confidence": self.confidence,
        }


def label(index: int) -> str:
    """Return what a comparison calls the file at a place: A to Z, then AA, AB."""
    text = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def _shown(value: Any) -> str:
    """Return a setting's value as warnings write it."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    text = "none" if value is None else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

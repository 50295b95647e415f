"""The parts of a comparison of any kind: files, columns, estimates, changes, verdicts.

The `comparable.py` of a kind has a subclass of the `Comparison` here. It defines the columns of its
files and the uncertainty of a difference. `kinds/comparison/` does the rest.
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

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.measures import Measure


LAST = "last"  # of --compare: the newest earlier file
_NO_INTERVAL = "one of them has no interval, or an interval that contains 0, so there is no ratio"
_SHOWN = 60  # characters of a setting's value


class Column(NamedTuple):
    """A column of a comparison: a statistic of a measure, at a level if the files have levels.

    `axis` is the axis of a point that the user named. `width` is the length of a score's scale.
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
        """The column as text; the mean has no suffix."""
        plain = self.statistic in (None, "mean")
        return self.metric if plain else f"{self.metric}.{self.statistic}"


class Gate(NamedTuple):
    """One parsed --fail-if: a file fails if its column gets worse by more than `bound`."""

    expression: str
    column: Column
    bound: float


class Choice(NamedTuple):
    """The user's choice of columns, gates, order and margin."""

    columns: tuple[Column, ...] = ()
    gates: tuple[Gate, ...] = ()
    sort: str = "time"
    margin: float = runs.MARGIN

    @property
    def every(self) -> tuple[Column, ...]:
        """All columns, those of gates included, each once."""
        return tuple(dict.fromkeys((*self.columns, *(gate.column for gate in self.gates))))


class Estimate(NamedTuple):
    """A column in the baseline and in a file, its change, and the interval of the change.

    `reason` says why the change is inconclusive. `advice` says what decides an undecided gate.
    `facts` are further fields of a kind.
    """

    baseline: float | None = None
    value: float | None = None
    change: float | None = None
    interval: Sequence[float] | None = None
    reason: str | None = None
    facts: Document = {}  # noqa: RUF012 - never written to
    advice: str = "more runs decide"


class Change(NamedTuple):
    """The change of one column from the baseline to a file, with its verdict."""

    file: str
    column: Column
    estimate: Estimate
    verdict: str


class Subject:
    """A result file that is compared. Changes, gates and warnings name it by its `label`."""

    alike: ClassVar[tuple[str, ...]] = ()  # settings that should not differ

    def __init__(self, path: str, document: Document, choice: Choice) -> None:  # noqa: ARG002
        """Take a file. Kinds with large files keep only the part that the choice needs."""
        self.path, self.document, self.label = path, document, ""

    @property
    def model(self) -> str:
        """The model's id."""
        return str(self.document["model"]["id"])

    @property
    def machine(self) -> str | None:
        """The machine's fingerprint, or None if it is not known."""
        fingerprint: str | None = self.document["environment"].get("fingerprint")
        return fingerprint

    @cached_property
    def conditions(self) -> tuple[Any, ...]:
        """The facts that are equal in runs that differ only by noise."""
        model, server = self.document["model"], self.document["server"]
        facts = (model["id"], model["digest"], model["quantization"], self.machine)
        settings = (str(self.setting(name)) for name in self.alike)
        return (*facts, server["kind"], server["version"], *settings)

    def setting(self, name: str) -> Any:
        """Return a setting of the run."""
        return self.document["config"].get(name)


class Comparison:
    """Files of one kind, one of them the baseline. Each kind has a subclass.

    This base class computes the interval of a change from the intervals of the two numbers.
    """

    kind: ClassVar[str]
    noun: ClassVar[str] = "run"
    options: ClassVar[tuple[str, ...]] = ("columns", "fail_if", "margin")  # of the command
    measures: ClassVar[Mapping[str, Measure]] = {}
    default: ClassVar[tuple[str, ...]] = ()  # the default of --columns
    like: ClassVar[tuple[str, ...]] = ()  # settings that must be equal for `--compare last`
    subject: ClassVar[type[Any]] = Subject
    margin: ClassVar[float] = runs.MARGIN  # the default of --margin
    words: ClassVar[tuple[str, str]] = ("better", "worse")
    worded: ClassVar[tuple[str, ...] | None] = None  # units to which `words` apply; None: all
    changes_key: ClassVar[str] = "changes"  # the field of the changes in `results`
    gates_have_units: ClassVar[bool] = True
    evidence: ClassVar[str] = "the intervals of each file"

    def __init__(
        self,
        sources: Iterable[tuple[str, Document]],
        choice: Choice,
        baseline: int = 0,
        earlier: Callable[[set[tuple[str, str]]], Iterable[Document]] = lambda _: (),
    ) -> None:
        """Take the files by path, and the index of the baseline.

        `earlier` returns earlier files of some (machine, model) pairs. The sources are read one by
        one, so that only one whole file is in memory. Raises ResultsError or SettingsError for
        files that cannot be compared.
        """
        self.choice = choice
        self.memory: dict[Any, Any] = {}  # a kind's cache
        self.subjects = [self.subject(path, document, choice) for path, document in sources]
        self.baseline = self.subjects[baseline]
        self.subjects = self.arranged()
        for index, subject in enumerate(self.subjects):
            subject.label = label(index)
        self.others = [subject for subject in self.subjects if subject is not self.baseline]
        self.planned = {other.label: self.columns(other) for other in self.others}
        compared = {subject.document["run_id"] for subject in self.subjects}
        history = (d for d in earlier(self.wanted()) if d["run_id"] not in compared)
        self.history = [self.subject("", document, choice) for document in history]

    @classmethod
    def column(cls, text: str, option: str) -> Column:
        """Return the column of a text such as `ttft_ms.p50@8`.

        Raises SettingsError with the nearest names for an unknown measure or statistic.
        """
        measure, statistic, level = gates.selector(text, cls.measures, option)
        return Column(measure.name, measure.unit, measure.better, statistic, level)

    @classmethod
    def gate(cls, expression: str) -> Gate:
        """Return the gate of a text such as `tokens_per_sec.mean:-5%`.

        Raises SettingsError for any other text.
        """
        name, bound = gates.bound_of(expression)
        return Gate(expression, cls.column(name, "--fail-if"), bound)

    @classmethod
    def check_asked(cls, settings: Any) -> None:
        """Raise UsageError if --compare names a file of another kind, or a --fail-if is invalid."""
        for text in settings.fail_if:
            cls.gate(text)
        if settings.fail_if and settings.compare is None:
            raise SettingsError("--fail-if needs a comparison: name the baseline with --compare")
        if settings.compare not in (None, LAST):
            path = results.find(Path(settings.results_dir), settings.compare)
            schema = results.load(path)["schema"]
            if schema != results.PREFIX + cls.kind:
                raise ResultsError(
                    f"{path} is not the result of a {cls.noun}: its schema is {schema}"
                )

    @cached_property
    def intervals(self) -> int:
        """The number of intervals in the report."""
        return max(1, sum(map(len, self.planned.values())))

    @property
    def confidence(self) -> float:
        """The confidence level of each interval, by Bonferroni's correction for all of them."""
        return 1 - runs.ALARM_RATE / self.intervals

    def change(self, other: Any, column: Column) -> Change:
        """Return the change of a column from the baseline to a file."""
        estimate = self.estimate(other, column)
        ends = None if estimate.reason else estimate.interval
        words = self.words if self.worded is None or column.unit in self.worded else None
        margin = self.choice.margin * column.width
        return Change(
            other.label, column, estimate, changes.verdict(ends, column.better, margin, words)
        )

    def of_sensors(self, column: Column) -> bool:
        """Return whether power sensors measured a column; both files need the same devices."""
        return self.measures[column.metric].source == "sensor"

    def unlike_sensors(self, other: Any, column: Column) -> str | None:
        """Return why the energy of the two files cannot be compared, or None."""
        both = [self.baseline.document, other.document]
        return profiles.unlike(both) if self.of_sensors(column) else None

    # Kinds override these methods.

    def arranged(self) -> list[Any]:
        """Return the files in the order in which they are shown, the baseline first."""
        return sorted(self.subjects, key=lambda subject: subject is not self.baseline)

    def columns(self, other: Any) -> Sequence[Column]:  # noqa: ARG002 - not the same for all kinds
        """Return the columns of a file; raises ResultsError or SettingsError if there is none."""
        return self.choice.every

    def wanted(self) -> set[tuple[str, str]]:
        """Return the (machine, model) pairs whose earlier runs are needed to estimate the noise."""
        return set()

    def estimate(self, other: Any, column: Column) -> Estimate:
        """Return the change of a column with its interval, or the reason why it has none."""
        measure, both = self.measures[column.metric], (self.baseline, other)
        before, after = (
            measure.observed(side.document, column.statistic, column.level) for side in both
        )
        values, reason = (before.value, after.value), before.reason or after.reason
        change = changes.difference(*values, column.unit)
        reason = reason or self.unlike_sensors(other, column) or ""
        ends = changes.interval(before, after, column.unit, self.confidence)
        reason = reason or ("" if ends else _NO_INTERVAL)
        return Estimate(*values, change, ends, reason or None)

    def gated(self, column: Column) -> Column:
        """Return the column of a change that decides a gate on `column`."""
        return column

    def absent(self, column: Column) -> str:
        """Return why no change has a gate's column."""
        return f"{column.name} was not compared"

    # The content of the result file

    def config(self) -> Document:
        """Return `config`: the user's choice."""
        gated = [gate.expression for gate in self.choice.gates]
        config = {"baseline": self.baseline.label, "margin": self.choice.margin}
        return {**config, "fail_if": gated} if "fail_if" in self.options else config

    def file(self, subject: Any) -> Document:
        """Return the entry of a file in `files`."""
        kept = ("run_id", "model", "server", "timestamp", "status")
        facts = {name: subject.document[name] for name in kept}
        return {
            "label": subject.label,
            "path": subject.path,
            "baseline": subject is self.baseline,
            **facts,
        }

    def warnings(self) -> list[dict[str, str]]:
        """Return a warning for each setting that differs from the baseline's."""
        return [
            {"file": other.label, "text": text}
            for other in self.others
            for text in self.differing(other)
        ]

    def differing(self, other: Any) -> Iterator[str]:
        """Yield a text for each setting in which a file differs from the baseline."""
        for name in self.subject.alike:
            was, now = self.baseline.setting(name), other.setting(name)
            if was != now:
                yield f"{name} is {_shown(now)}, {_shown(was)} in the baseline"

    def written(self, change: Change) -> Document:
        """Return the entry of a change in the result file."""
        column, estimate = change.column, change.estimate
        return {
            "file": change.file,
            "level": column.level,
            "metric": column.metric,
            "statistic": column.statistic,
            "unit": column.unit,
            "better": column.better,
            "baseline": estimate.baseline,
            "value": estimate.value,
            "change": estimate.change,
            "interval": None if estimate.interval is None else [*estimate.interval],
            "verdict": change.verdict,
            "reason": estimate.reason,
            **estimate.facts,
        }

    def method(self) -> Document:
        """Return `method`: how the intervals were computed."""
        return {
            "evidence": self.evidence,
            "correction": "Bonferroni",
            "alarm_rate": runs.ALARM_RATE,
            "confidence": self.confidence,
        }


def as_difference(change: Change) -> Document:
    """Return the entry of a difference of scores in the result file."""
    column, found = change.column, change.estimate
    return {
        "file": change.file,
        "mark": column.metric,
        "unit": column.unit,
        "baseline": found.baseline,
        "value": found.value,
        "difference": found.change,
        "ci95": None if found.interval is None else [*found.interval],
        **found.facts,
        "verdict": change.verdict,
        "reason": found.reason,
    }


def label(index: int) -> str:
    """Return the label of the file at an index: A to Z, then AA, AB, and so on."""
    text = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def _shown(value: Any) -> str:
    """Return the value of a setting as text for a warning."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    text = "none" if value is None else str(value)
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return f"“{text}”" if " " in text else text

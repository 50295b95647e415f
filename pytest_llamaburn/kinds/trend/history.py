"""The runs of a model on a machine, oldest first, with what their files say of the conditions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn import gates, measures, registry, tables
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.kinds._kind import RunKind
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.gates import Selector

_SHOWN = 60  # characters of a setting's value


class Past(NamedTuple):
    """A run: where its result is, when it began, its values by column, and its conditions."""

    run_id: str
    path: str
    timestamp: str
    values: Mapping[str, float | None]
    conditions: Mapping[str, str | None]


@dataclass
class History:
    """The runs of a model on a machine that differ in nothing but time and conditions.

    `of` is what distinguishes them from other runs of this kind, such as an eval's set.
    """

    model: str
    kind: str
    of: str
    machine: str | None
    machine_text: str
    columns: dict[str, Selector] = field(default_factory=dict)
    runs: list[Past] = field(default_factory=list)


class Wanted(NamedTuple):
    """Which runs are read, and which of their numbers; nothing stands for all."""

    models: Sequence[str] = ()
    kinds: Sequence[str] = ()
    columns: Sequence[str] = ()
    since: str = ""


class Reader:
    """Reads the result files of a directory into histories, and counts those left out."""

    def __init__(self, results_dir: Path, wanted: Wanted, gated: Sequence[str] = ()) -> None:
        """Take the columns of gates too; raises SettingsError for an unknown kind."""
        self._results_dir, self._wanted, self._gated = results_dir, wanted, gated
        self._kinds = _kinds(wanted.kinds)
        self._found: dict[tuple[str | None, ...], History] = {}
        self._seen: dict[str, None] = {}
        self._taken: set[str] = set()  # run ids
        self._measures: dict[str, None] = {}  # the names of those that files may have
        self.names: dict[str, str] = {}  # of columns, by what the user calls them
        self.left_out: Counter[str] = Counter()

    def histories(self) -> list[History]:
        """Return the histories by model and kind; raises ResultsError if there is no run."""
        for path in results.paths(self._results_dir):
            try:
                self._take(path)
            except ResultsError:
                self.left_out["unreadable"] += 1
        self._check()
        for history in self._found.values():
            history.runs.sort(key=attrgetter("timestamp", "run_id"))
        return sorted(self._found.values(), key=attrgetter("model", "kind", "of"))

    def _take(self, path: Path) -> None:
        """Add the run of a file if it is wanted; raises ResultsError if it cannot be read."""
        about = results.brief(path)
        kind = about.schema.removeprefix(results.PREFIX)
        self._seen |= dict.fromkeys(about.models)
        if kind not in self._kinds or (about.timestamp or "") < self._wanted.since:
            return
        if not about.models:
            raise ResultsError(f"{path} names no model")
        if not _is_named(about.models[0], self._wanted.models):
            return
        if about.status != "complete":
            self.left_out[about.status] += 1
            return
        if about.run_id in self._taken:
            self.left_out["a copy of another file"] += 1
            return
        document = results.load(path)
        columns = self._columns(document, about.results.scores)
        history = self._of(document)
        self._taken.add(about.run_id)
        history.columns |= columns
        history.runs.append(_past(document, path, columns))

    def _of(self, document: Document) -> History:
        """Return the history to which a run belongs."""
        kind, config = results.kind_of(document), document["config"]
        like = kind.load("comparable.Comparison").like
        names = dict.fromkeys((*like, *filter(None, [kind.variant_setting])))
        of = ", ".join(filter(None, (_text(config.get(name)) for name in names)))
        machine = document["environment"]
        key = (document["model"]["id"], kind.name, of, machine.get("fingerprint"))
        if key not in self._found:
            self._found[key] = History(*key, tables.machine(machine))
        return self._found[key]

    def _columns(self, document: Document, scores: Iterable[str]) -> dict[str, Selector]:
        """Return the columns of a file by name: those asked for, else the usual ones of its kind.

        Raises SettingsError for a statistic that a measure does not have.
        """
        kind, asked = results.kind_of(document), self._wanted.columns
        measured = results.room(document, "measures")
        table = dict(measured.of(document) if hasattr(measured, "of") else measured.MEASURES)
        table.pop(measures.FIXED_N.name, None)  # its N is not the same in all files
        self._measures |= dict.fromkeys(measures.names(table))
        usual = kind.load("comparable.Comparison").default or scores
        mine = [
            text
            for text in (*(asked or usual), *self._gated)
            if measures.find(table, _measure(text))
        ]
        found = {text: gates.selector(text, table, "trend") for text in mine}
        self.names |= {text: _name(column) for text, column in found.items()}
        return {_name(column): column for column in found.values()}

    def _check(self) -> None:
        for name in self._wanted.models:
            if not any(_is_named(model, [name]) for model in self._seen):
                words = registry.unknown("model", name, [*self._seen])
                raise ResultsError(f"trend, {self._results_dir}: {words}")
        if not self._found:
            raise ResultsError(self._nothing())
        for text in (*self._wanted.columns, *self._gated):
            if text not in self.names:
                name = _measure(text)
                words = registry.unknown("measure", name, [*self._measures])
                raise SettingsError(f"trend: no file has the measure '{name}': {words}")

    def _nothing(self) -> str:
        wanted = self._wanted
        models = f" of {' or '.join(wanted.models)}" if wanted.models else ""
        of = f"{models}, kind {' or '.join(wanted.kinds)}," if wanted.kinds else models
        since = f" since {wanted.since}" if wanted.since else ""
        command = wanted.kinds[0] if wanted.kinds else "benchmark"
        where = f"in {self._results_dir}: llamaburn {command} makes one"
        return f"trend: no complete run{of}{since} {where}"


def _kinds(asked: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of runs whose files can be compared, or those that are asked for."""
    every = {name: results.kind(name) for name in registry.names("kinds")}
    known = [n for n, kind in every.items() if isinstance(kind, RunKind) and kind.comparison]
    for name in asked:
        if name not in known:
            raise SettingsError(f"--kind: {registry.unknown('kind', name, known)}")
    return (*(asked or known),)


def _is_named(model: str, asked: Sequence[str]) -> bool:
    """Return whether a model is asked for; `llama3.1` stands for `llama3.1:latest` too."""
    names = {model.casefold(), model.casefold().removesuffix(":latest")}
    return not asked or any(name.casefold() in names for name in asked)


def _name(column: Selector) -> str:
    """Return the name of a column; the mean and the usual level have no suffix."""
    usual = column.statistic in (None, "mean")
    name = column.measure.name if usual else f"{column.measure.name}.{column.statistic}"
    return name if column.level is None else f"{name}@{column.level:g}"


def _measure(text: str) -> str:
    return text.partition(".")[0].partition("@")[0].strip()


def _past(document: Document, path: Path, columns: Mapping[str, Selector]) -> Past:
    alike = results.kind_of(document).load("comparable.Comparison").subject.alike
    values = {name: one.observed(document).value for name, one in columns.items()}
    facts = conditions(document, alike)
    return Past(document["run_id"], str(path), document["timestamp"], values, facts)


def conditions(document: Document, settings: Sequence[str]) -> dict[str, str | None]:
    """Return what may change a result, by name: server, model, machine, versions, settings."""
    server, model, machine = (document[part] for part in ("server", "model", "environment"))
    drivers = machine.get("gpu_drivers") or {}
    return {
        "server": server["kind"],
        "server version": server["version"],
        "model digest": model["digest"],
        "quantization": model["quantization"],
        **{f"driver of {vendor}": version for vendor, version in drivers.items()},
        "kernel": machine.get("kernel"),
        "operating system": machine.get("os_version"),
        "governor": machine.get("governor"),
        "embedded engine": machine.get("libraries", {}).get("xllamacpp"),
        "LlamaBurn": machine.get("llamaburn"),
        **{name: _text(document["config"].get(name)) for name in settings},
    }


def changed(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> list[str]:
    """Return a text for each condition that is not as before."""
    names = dict.fromkeys((*before, *after))
    return [
        f"{name} {after.get(name) or 'none'}, before {before.get(name) or 'none'}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or None
    text = None if value is None else str(value)
    return text if text is None or len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

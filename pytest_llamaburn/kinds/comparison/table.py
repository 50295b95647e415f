"""What tables of any format show of a comparison, whatever the kind of its files."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from pytest_llamaburn import gates, registry
from pytest_llamaburn.measures import FIXED_N
from pytest_llamaburn.store import results
from pytest_llamaburn.tables import ABSENT, FILE, Sheet, number, under
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.measures import Measure


_LEAST = ("model", "unit", "questions", "baseline", "value", "interval", "95 % interval")
_NO_VERDICT = "without a verdict"
AXES = {"concurrency": "clients", "rate": "requests/s"}


class Layout(NamedTuple):
    """How comparisons of one kind are shown: their noun, columns, files and notes."""

    noun: str
    columns: tuple[str, ...]
    words: int  # so many columns from the left are not numbers
    described: Callable[[Document], str]
    notes: Callable[[Sequence[Document], Document], Iterator[tuple[str, str]]]


def sheets(document: Document, path: Path) -> Iterator[Sheet]:
    """Yield the table: files and warnings above, a row per file and number, notes below."""
    layout, found = _layout(document), document["results"]
    files = {file["label"]: file for file in found["files"]}
    facts = [
        f"{name}{' (baseline)' if file['baseline'] else ''}: {layout.described(file)}, "
        f"{file['path']}"
        for name, file in files.items()
    ]
    changes = changes_of(document)
    table = [tuple(_CELLS[name](change) for name in layout.columns) for change in changes]
    baseline = next(name for name, file in files.items() if file["baseline"])
    title = f"{len(files)} {layout.noun}, compared with {baseline}"
    judged = (f"gate {gates.change_sentence(gate)}" for gate in found.get("gates", ()))
    notes = [
        *under("gates", judged),
        *layout.notes(changes, found.get("method", {})),
        (FILE, f"file {path}"),
    ]
    yield Sheet(
        title,
        facts,
        _grouped(table, layout.columns),
        notes,
        layout.columns,
        layout.words,
        least=_LEAST,
        wrapped=("model", "what"),
        warnings=tuple(map(_warning, found["warnings"])),
        empty=f"the {layout.noun} have no measure in common that both could give",
    )


def _warning(warning: Document) -> str:
    return f"{warning['file']}: {warning['text']}" if "file" in warning else str(warning["text"])


def rows(document: Document) -> Iterator[Document]:
    """Yield every change as one flat row, for spreadsheets."""
    files = {file["label"]: file for file in document["results"]["files"]}
    dropped = ("interval", "ci95", "runs", "noise")
    for change in _stored(document):
        file = files[change["file"]]
        low, high = change.get("interval", change.get("ci95")) or (None, None)
        about = {"model": file["model"]["id"], "run_id": file["run_id"], "path": file["path"]}
        kept = {name: value for name, value in change.items() if name not in dropped}
        counts = zip(("baseline_runs", "value_runs"), change.get("runs", ()), strict=False)
        yield {**about, **kept, "low": low, "high": high, **dict(counts)}


def _layout(document: Document) -> Layout:
    return _LAYOUTS.get(document["schema"].removeprefix(results.PREFIX), _ANY)


def changes_of(document: Document) -> list[Document]:
    """Return the changes as cells are made of them: each with its name, model, axis and margin.

    What comparisons of evals call otherwise has the name here that it has in all others.
    """
    files = {file["label"]: file for file in document["results"]["files"]}
    measures, margin = _measures(document), document["config"].get("margin", 0)
    found = []
    for change in _stored(document):
        file, more = files[change["file"]], {"margin": margin}
        if "mark" in change:
            more |= {"change": change["difference"], "interval": change["ci95"]}
        name = change["mark"] if "mark" in change else _name(change, measures)
        more |= {"name": name, "model": file["model"]["id"], "axis": file.get("axis")}
        found.append({**change, **more})
    return found


def _stored(document: Document) -> list[Document]:
    found: list[Document] = document["results"].get("changes", [])
    return found or document["results"].get("differences", [])


def _measures(document: Document) -> Mapping[str, Measure]:
    """Return the measures of the files that were compared, by name."""
    for kind in map(results.kind, registry.names("kinds")):
        if kind.comparison and results.PREFIX + kind.comparison == document["schema"]:
            found: Mapping[str, Measure] = kind.load("comparable.Comparison").measures
            return found
    return {}


def _name(change: Document, measures: Mapping[str, Measure]) -> str:
    """Return the name of what a change is of; the mean needs no word where it is usual."""
    measure = measures.get(change["metric"])
    name = str((measure and measure.label) or change["metric"])
    usual = None if "level" in change else "mean"
    return name if change["statistic"] == usual else f"{name}, {change['statistic']}"


def _grouped(table: list[tuple[str, ...]], columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the rows; where the model leads, model and file are shown where they change."""
    if columns[0] != "model":
        return table
    found, before = [], ("", "")
    for row in table:
        model, file = row[:2]
        shown = (model if model != before[0] else "", file if (model, file) != before else "")
        found.append((*shown, *row[2:]))
        before = (model, file)
    return found


# Cells


def _at(change: Document) -> str:
    level, unit = change["level"], AXES.get(change["axis"], "")
    unit = "client" if level == 1 and unit == "clients" else unit
    return ABSENT if level is None else f"{level:.3g} {unit}".rstrip()


def _points(change: Document) -> str:
    """Return the unit of a change: that of a share is in points where the files have levels."""
    return "points" if "level" in change and change["unit"] == "share" else "%"


def percent(change: Document) -> str:
    """Return a change in percent, with its sign; the difference of shares has percentage points."""
    share = change["change"]
    return ABSENT if share is None else signed(100 * share, 1) + f" {_points(change)}"


def interval(change: Document) -> str:
    """Return the interval of a change in percent, or of a share in percentage points."""
    if change["interval"] is None:
        return ABSENT
    low, high = (gates.percent(100 * end).replace("-", "−") for end in change["interval"])
    return f"[{low}, {high}] {_points(change)}"


def _verdict(change: Document) -> str:
    word: str = change["verdict"]
    return f"same within {100 * change['margin']:g} %" if word == "same" else word


def signed(value: float | None, decimals: int = 2) -> str:
    """Return a number with its sign."""
    return ABSENT if value is None else f"{value:+.{decimals}f}".replace("-", "−")


def _marks(change: Document) -> str:
    ends = change["interval"]
    return "[{}, {}]".format(*map(signed, ends)) if ends else ABSENT


_CELLS: dict[str, Callable[[Document], str]] = {
    **{name: itemgetter(name) for name in ("model", "file", "unit")},
    **dict.fromkeys(("metric", "what", "mark"), itemgetter("name")),
    "at": _at,
    "verdict": _verdict,
    "baseline": lambda change: number(change["baseline"]),
    "value": lambda change: number(change["value"]),
    "change": percent,
    "interval": interval,
    "difference": lambda change: signed(change["difference"]),
    "95 % interval": _marks,
    "questions": lambda change: f"{change['questions']} of {change['shared']}",
}


# Files and notes


def _benchmark(file: Document) -> str:
    server, requests = file["server"], sum(run["requests"] for run in file["runs"])
    count = counted(len(file["runs"]), "run")
    where = f"{server['kind']} {server['version'] or ''}".strip()
    of = f"{count} of {counted(requests, 'request')}"
    return f"{file['model']['id']}, {where}, {file['timestamp']}, {of}"


def _eval(file: Document) -> str:
    return f"{file['model']['id']} on {file['eval_set']['name']}, {file['timestamp']}"


def _audit(file: Document) -> str:
    return f"{file['model']['id']} with {file['set']['name']}, {file['timestamp']}"


def _stress(file: Document) -> str:
    return f"{file['model']['id']}, {file['mode']}, {file['timestamp']}"


def _any(file: Document) -> str:
    return f"{file['model']['id']}, {file['timestamp']}"


def _notes_of_benchmarks(
    changes: Sequence[Document], method: Document
) -> Iterator[tuple[str, str]]:
    yield from under(_NO_VERDICT, _reasons(changes))
    if any(change["verdict"] == "inconclusive" for change in changes):
        words = "inconclusive is not same: more runs a side decide (benchmark --repeats 5)"
        yield _NO_VERDICT, words
    yield from under("method", _method(method, changes))
    yield from under("method", _noise(changes))


def _reasons(changes: Sequence[Document]) -> Iterator[str]:
    for change in changes:
        if change["reason"]:
            yield f"{change['file']}, {change['name']}: {change['reason']}"


def _method(method: Document, changes: Sequence[Document]) -> Iterator[str]:
    compared = any(change["metric"] == FIXED_N.name for change in changes)
    if compared and method["fixed_n"] is not None:
        yield (
            f"total at fixed N: time to first token + (N − 1) · inter-token latency, "
            f"N = {method['fixed_n']} tokens, the smallest median length of the files' answers"
        )
    held = "it holds" if method["intervals"] == 1 else f"all {method['intervals']} hold"
    yield (
        f"values: means of runs, each prompt counted once; intervals: "
        f"{100 * method['confidence']:.4g} % each ({method['interval']}, over runs), so that "
        f"{held} in {100 * (1 - method['alarm_rate']):g} of 100 reports "
        f"({method['correction']})"
    )


def _noise(changes: Sequence[Document]) -> Iterator[str]:
    told: dict[str, list[str]] = {}
    for change in changes:
        for noise in change["noise"]:
            names = told.setdefault(noise_text(noise), [])
            names += [change["name"]] if change["name"] not in names else []
    for text, names in told.items():
        yield f"one run a side, noise between runs {text}: {', '.join(names)}"


def noise_text(noise: Document) -> str:
    """Return why changes between these runs are uncertain, in words."""
    share = f"{100 * noise['share']:.2g} %"
    if noise["source"] == "learnt":
        return f"{share}, learnt from {noise['runs']} earlier runs"
    if noise["seen"] is None or noise["runs"] < 3:
        return f"{share} assumed, for want of earlier runs"
    seen = f"{100 * noise['seen']:.2g} %"
    return f"{share} assumed ({noise['runs']} earlier runs show {seen}, too few to be sure)"


def _notes_of_evals(changes: Sequence[Document], method: Document) -> Iterator[tuple[str, str]]:
    yield from under(_NO_VERDICT, _reasons(changes))
    yield "method", f"intervals: {method['interval']}"


def _notes(changes: Sequence[Document], method: Document) -> Iterator[tuple[str, str]]:
    yield from under(_NO_VERDICT, _shared_reasons(changes))
    yield from under("method", _method_of_levels(changes, method))


def _shared_reasons(changes: Sequence[Document]) -> Iterator[str]:
    """Yield why there is no verdict, once for all that lack it for one reason."""
    names: dict[tuple[str, str], dict[str, None]] = {}
    for change in changes:
        if change["reason"]:
            names.setdefault((change["file"], change["reason"]), {})[change["name"]] = None
    for (file, reason), (first, *more) in names.items():
        yield f"{file}, {first}{f' and {len(more)} more' if more else ''}: {reason}"


def _method_of_levels(changes: Sequence[Document], method: Document) -> Iterator[str]:
    """Yield what an interval means, and which earlier runs it is from."""
    if "confidence" in method:
        yield (
            f"each interval is a {100 * method['confidence']:.5g} % one: of reports of equal runs "
            f"at most {100 * method['alarm_rate']:g} in 100 says otherwise anywhere"
        )
    runs = sorted({change["noise"]["runs"] for change in changes if change.get("noise")})
    if runs:
        counts = f"{runs[0]} to {runs[-1]}" if len(runs) > 1 else f"{runs[0]}"
        yield f"intervals of levels are from {counts} earlier runs of the same load"


_WORDS = ("file", "at", "what", "unit", "verdict")
_NUMBERS = ("baseline", "value", "change", "interval")
_ANY = Layout("files", (*_WORDS, *_NUMBERS), 5, _any, _notes)
_EVALS = Layout(
    "evals",
    (
        "file",
        "mark",
        "unit",
        "verdict",
        "baseline",
        "value",
        "difference",
        "95 % interval",
        "questions",
    ),
    4,
    _eval,
    _notes_of_evals,
)
_LAYOUTS = {
    "comparison": Layout(
        "files",
        ("model", "file", "metric", "unit", *_NUMBERS, "verdict"),
        4,
        _benchmark,
        _notes_of_benchmarks,
    ),
    "audit-comparison": _EVALS._replace(noun="audits", described=_audit),
    "eval-comparison": _EVALS,
    "stress-comparison": _ANY._replace(noun="stress runs", described=_stress),
}

"""What holds for comparisons of every kind of file."""

from __future__ import annotations

import copy
import csv
import io
import json
import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import stress_documents
from support.comparisons import comparison, comparison_document, valid_document
from support.virtual_benchmarks import Machine, dice, rows, virtual_benchmark

from pytest_llamaburn import measures, registry
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.kinds import _comparable
from pytest_llamaburn.kinds._comparable import Column, label
from pytest_llamaburn.kinds.comparison import engine, table
from pytest_llamaburn.measures import Measure, Observed
from pytest_llamaburn.stats.changes import verdict
from pytest_llamaburn.store import file_kinds, results

if TYPE_CHECKING:
    from collections.abc import Mapping

Document = dict[str, Any]

GOLDEN = Path(__file__).parents[3] / "golden" / "journals"
KINDS = ("benchmark", "eval", "stress")
TURNED = {"better": "worse", "faster": "slower", "higher": "lower"}
TURNED |= {after: before for before, after in TURNED.items()}
SURE = {  # of each kind a number that its files tell apart with certainty
    "benchmark": "tokens_per_sec",
    "eval": "correct",
    "stress": "requests_per_sec@8",
}
QUESTIONS = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where rows of loads are written."""
    return tmp_path_factory.mktemp("loads")


@cache
def load_of(folder: Path) -> Document:
    taken = [stress_documents.baseline(), stress_documents.level(2), stress_documents.level(8)]
    return stress_documents.stress_document(
        folder, taken, facts=stress_documents.search_facts(10, 8, 12)
    )


@cache
def golden(name: str) -> Document:
    found: Document = json.loads((GOLDEN / name / "result.json").read_text(encoding="utf-8"))
    return found


def document_of(kind: str, folder: Path, name: str, worth: float = 1.0) -> Document:
    """Return a file of a kind; one that is worth 0.8 is a fifth worse in what is sure."""
    if kind == "benchmark":
        quiet = Machine(jitter=0.0, first_noise=0.0, gap_noise=0.0, length_noise=0.0)
        return virtual_benchmark(rows(quiet, 4, dice(0), worth), name)
    if kind == "stress":
        found = copy.deepcopy(load_of(folder))
        for level in found["results"]["levels"]:
            level["requests_per_sec"] *= worth
    else:
        found = copy.deepcopy(golden("eval-complete"))
        one = found["results"]["items"][0]
        found["results"]["items"] = [
            {
                **one,
                "question": {**one["question"], "id": str(number)},
                "correct": number < 0.8 * worth * QUESTIONS,
                "scores": {},
            }
            for number in range(QUESTIONS)
        ]
    return {**found, "run_id": name}


def history(kind: str, folder: Path) -> list[Document]:
    """Return earlier runs, which show how much runs differ."""
    if kind != "stress":
        return []
    factors = (1.0, 1.002, 0.998, 1.001, 1.0005, 0.9995, 0.999, 1.0015)
    return [document_of(kind, folder, f"earlier-{factor}", factor) for factor in factors]


def changes_by_subject(
    kind: str, folder: Path, *documents: Document, **how: Any
) -> dict[tuple[str, str], Document]:
    """Return the changes of a comparison by the file's path and what they are of."""
    found = valid_document(
        comparison_document(kind, *documents, history=history(kind, folder), **how)
    )["results"]
    paths = {file["label"]: file["path"] for file in found["files"]}
    return {
        (paths[change.pop("file")], name_of(change)): change
        for change in found.get("changes") or found["differences"]
    }


def name_of(change: Document) -> str:
    """Return what a change is of."""
    name = change.get("mark") or change["metric"]
    level = change.get("level")
    return f"{name}.{change.get('statistic')}" if level is None else f"{name}@{level:g}"


def sure(kind: str, changes: dict[tuple[str, str], Document], path: str = "b.json") -> Document:
    """Return the change that is certain."""
    name = {"benchmark": "tokens_per_sec.mean", "eval": "correct.None"}.get(kind, SURE[kind])
    return changes[path, name]


def ends(change: Document) -> tuple[float | None, list[float] | None]:
    """Return a change and its interval."""
    if "difference" in change:
        return change["difference"], change["ci95"]
    return change["change"], change["interval"]


# Files


@pytest.mark.parametrize("worth", [0.8, 1.0, 1.25])
@pytest.mark.parametrize("kind", KINDS)
def test_exchanged_files_turn_every_change_and_every_word_around(
    kind: str, worth: float, folder: Path
) -> None:
    a, b = document_of(kind, folder, "a"), document_of(kind, folder, "b", worth)
    forth, back = changes_by_subject(kind, folder, a, b), changes_by_subject(kind, folder, b, a)
    assert {name for _, name in forth} == {name for _, name in back}
    for (_, name), change in forth.items():
        other = back["a.json", name]
        word = change["verdict"]
        assert other["verdict"] == TURNED.get(word, word)
        assert (other["value"], other["baseline"]) == (change["baseline"], change["value"])
        (value, interval), (turned, turned_interval) = ends(change), ends(other)
        if value is None or turned is None:
            continue
        share = change["unit"] == "share" or "difference" in change
        scaled = (lambda x: x) if share else (lambda x: math.log1p(x) if x > -1 else -math.inf)
        assert scaled(turned) == pytest.approx(-scaled(value), abs=1e-9)
        if interval and turned_interval:
            turned_ends = [-scaled(end) for end in turned_interval[::-1]]
            assert [scaled(end) for end in interval] == pytest.approx(turned_ends, abs=1e-6)


@pytest.mark.parametrize(
    ("worth", "words"), [(0.8, {"worse", "slower"}), (1.25, {"better", "faster"})]
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_surely_different_is_better_or_worse(
    kind: str, worth: float, words: set[str], folder: Path
) -> None:
    change = sure(
        kind,
        changes_by_subject(
            kind, folder, document_of(kind, folder, "a"), document_of(kind, folder, "b", worth)
        ),
    )
    assert change["verdict"] in words


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_of_a_file_is_the_same_and_differs_in_nothing(kind: str, folder: Path) -> None:
    found = changes_by_subject(
        kind, folder, document_of(kind, folder, "a"), document_of(kind, folder, "b")
    )
    assert {ends(change)[0] for change in found.values()} <= {0, None}
    assert {change["verdict"] for change in found.values()} <= {"same", "inconclusive"}
    assert sure(kind, found)["verdict"] == "same"


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_further_files_changes_no_number(kind: str, folder: Path) -> None:
    first = document_of(kind, folder, "a")
    more = [
        document_of(kind, folder, name, worth)
        for name, worth in (("b", 0.8), ("c", 1), ("d", 1.25))
    ]
    assert changes_by_subject(kind, folder, first, *more) == changes_by_subject(
        kind, folder, first, *more[::-1]
    )
    assert changes_by_subject(kind, folder, first, *more) == changes_by_subject(
        kind, folder, *more, first, baseline=3
    )
    found = comparison_document(kind, *more, first, baseline=3)
    assert [file["label"] for file in found["results"]["files"] if file["baseline"]] == ["A"]
    assert found["config"]["baseline"] in ("A", "a.json")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_there_twice_has_its_changes_twice(kind: str, folder: Path) -> None:
    first, second = document_of(kind, folder, "a"), document_of(kind, folder, "b", 0.8)
    found = changes_by_subject(kind, folder, first, second, {**second, "run_id": "c"})
    for (path, name), change in found.items():
        if path == "b.json":
            assert found["c.json", name] == change


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_in_two_parts_differs_on_the_whole_as_the_whole_does(
    kind: str, folder: Path
) -> None:
    first, whole = document_of(kind, folder, "a"), document_of(kind, folder, "b", 0.8)
    listed = {"benchmark": "runs", "eval": "items", "stress": "levels"}[kind]
    parts = [copy.deepcopy(whole), copy.deepcopy(whole)]
    middle = len(whole["results"][listed]) // 2
    del parts[0]["results"][listed][middle:]
    del parts[1]["results"][listed][:middle]
    of_parts = [changes_by_subject(kind, folder, first, {**part, "run_id": "b"}) for part in parts]
    change = ends(sure(kind, changes_by_subject(kind, folder, first, whole)))[0]
    if kind == "stress":  # a level is in one of them
        assert ends(sure(kind, of_parts[1]))[0] == change
        assert ("b.json", SURE[kind]) not in of_parts[0]
    else:
        halves = [ends(sure(kind, part))[0] for part in of_parts]
        assert sum(half for half in halves if half) / 2 == pytest.approx(change)


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_labelled_a_to_z_and_on(kind: str, folder: Path) -> None:
    one = document_of(kind, folder, "a")
    sides = comparison(kind, *({**one, "run_id": f"{n:02}"} for n in range(28))).subjects
    labels = [sides[n].label for n in (0, 1, 25, 26, 27)]
    assert labels == ["A", "B", "Z", "AA", "AB"]
    assert label(702) == "AAA"


@pytest.mark.parametrize("kind", ["benchmark", "stress"])
def test_confidence_is_shared_among_all_intervals(kind: str, folder: Path) -> None:
    files = [document_of(kind, folder, name) for name in "abc"]
    found = comparison_document(kind, *files)["results"]
    confidence = 1 - 0.01 / len(found["changes"])
    assert found["method"]["confidence"] == pytest.approx(confidence)


@pytest.mark.parametrize("kind", KINDS)
def test_every_report_shows_every_change(kind: str, folder: Path, tmp_path: Path) -> None:
    files = [document_of(kind, folder, "a"), document_of(kind, folder, "b", 0.8)]
    document = comparison_document(kind, *files, history=history(kind, folder))
    path = results.write(tmp_path, document)
    changes = document["results"].get("changes") or document["results"]["differences"]
    (sheet,) = table.sheets(document, path)
    assert len(sheet.rows) == len(changes)
    assert sheet.title.startswith("2 ")
    assert sheet.title.endswith("compared with A")
    for form in ("table", "markdown", "html"):
        assert changes[0]["verdict"] in registry.load("reports", form).render([path])
    assert registry.load("reports", "json").render([path]) == path.read_text(encoding="utf-8")
    cells = list(csv.DictReader(io.StringIO(registry.load("reports", "csv").render([path]))))
    lines = registry.load("reports", "jsonl").render([path]).splitlines()
    assert len(lines) == len(cells) == len(changes)
    for line, cell, change in zip(map(json.loads, lines), cells, changes, strict=True):
        assert (line["low"], line["high"]) == tuple(ends(change)[1] or (None, None))
        assert {"model", "run_id", "path"} <= line.keys()
        assert cell["verdict"] == change["verdict"]


# Refusals


def filed(kind: str, folder: Path, directory: Path, name: str = "a") -> Path:
    """File a document of a kind as it is."""
    if kind == "benchmark":
        return results.write(directory, {**golden("benchmark-complete"), "run_id": name})
    return results.write(directory, document_of(kind, folder, name))


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_two_kinds_are_refused_with_the_names_of_both(
    kind: str, folder: Path, tmp_path: Path
) -> None:
    other = KINDS[KINDS.index(kind) - 1]
    paths = [filed(kind, folder, tmp_path), filed(other, folder, tmp_path, "b")]
    with pytest.raises(ResultsError) as caught:
        engine.compare(tmp_path, paths, paths[0], engine.Asked())
    words = str(caught.value)
    assert all(f"llamaburn/{name}" in words for name in (kind, other))
    assert all(str(path) in words for path in paths)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_named_twice_counts_once(kind: str, folder: Path, tmp_path: Path) -> None:
    first, second = (filed(kind, folder, tmp_path, name) for name in "ab")
    with pytest.raises(ResultsError, match="is named twice: name another file"):
        engine.compare(tmp_path, [first, first], first, engine.Asked())
    found = engine.compare(tmp_path, [first, second, first], second, engine.Asked())
    files = [(file["path"], file["baseline"]) for file in found["results"]["files"]]
    assert sorted(files) == sorted([(str(first), False), (str(second), True)])


@pytest.mark.parametrize("kind", KINDS)
def test_comparisons_are_not_compared(kind: str, folder: Path, tmp_path: Path) -> None:
    files = [filed(kind, folder, tmp_path, name) for name in "ab"]
    path = results.write(tmp_path, engine.compare(tmp_path, files, files[0], engine.Asked()))
    with pytest.raises(ResultsError, match=r"files of kind (\w+-)?comparison are not compared"):
        engine.compare(tmp_path, [path, files[0]], path, engine.Asked())


@pytest.mark.parametrize(
    ("kind", "asked", "words"),
    [
        ("stress", {"sort": "time"}, "compare: --sort is not for stress runs"),
        ("eval", {"sort": "time"}, "compare: --sort is not for evals"),
        ("eval", {"fail_if": ["correct:-5%"]}, "compare: --fail-if is not for evals"),
        ("eval", {"columns": ["correct"]}, "compare: --columns is not for evals"),
        ("benchmark", {"sort": "size"}, "--sort: 'size': unknown metric"),
        ("benchmark", {"margin": "wide"}, "--margin: 'wide' is refused"),
        (
            "benchmark",
            {"columns": ["tps@8"]},
            "tokens_per_sec is not a number of one level",
        ),
        ("stress", {"columns": ["failure_point@8"]}, "failure_point is not a number of one level"),
    ],
)
def test_what_a_kind_cannot_be_asked_is_refused(
    kind: str, asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        engine.chosen(engine.comparison_of(kind), engine.Asked(**asked))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text", ["tps", "tps:5%", "tps:-5", "tps<5%", ":-5%", "tps:-%", "tps:-5%%", ""]
)
@pytest.mark.parametrize("kind", ["benchmark", "stress"])
def test_a_gate_of_another_form_is_refused(kind: str, text: str) -> None:
    with pytest.raises(SettingsError, match=r"^--fail-if: '.*' is refused: write METRIC"):
        engine.comparison_of(kind).gate(text)


@pytest.mark.parametrize(
    ("kind", "text", "near"),
    [
        ("benchmark", "tokens_per_second", "unknown metric 'tokens_per_second'; did you mean"),
        ("benchmark", "tps.mea", "unknown statistic 'mea'; did you mean 'mean'"),
        ("benchmark", "tps.std", "unknown statistic 'std'"),
        ("stress", "request_per_sec", "did you mean 'requests_per_sec'"),
        ("stress", "ttft_ms.p96", "unknown statistic 'p96'; did you mean"),
        ("stress", "error_rate.p50", "error_rate has no statistic 'p50'"),
        ("stress", "failure_point.p50", "Known: concurrency, rate"),
        ("stress", "tps.std", "unknown statistic 'std'"),
        ("stress", "load_duration_ms", "unknown metric"),
        ("stress", "optimal", "unknown metric"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(kind: str, text: str, near: str) -> None:
    how = engine.comparison_of(kind)
    for parse, words in ((how.gate, f"{text}:-5%"), (lambda t: how.column(t, "--columns"), text)):
        with pytest.raises(SettingsError) as caught:
            parse(words)
        assert near in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "meant"),
    [
        ("benchmark", "ttft_ms", ("time_to_first_token_ms", "mean", None, None)),
        ("benchmark", " tps.median ", ("tokens_per_sec", "p50", None, None)),
        ("benchmark", "tps.p99.9", ("tokens_per_sec", "p99_9", None, None)),
        ("benchmark", "total_at_fixed_n_ms", ("total_at_fixed_n_ms", "mean", None, None)),
        ("stress", "requests_per_sec@8", ("requests_per_sec", None, 8, None)),
        ("stress", "ttft_ms@2.5", ("time_to_first_token_ms", "mean", 2.5, None)),
        ("stress", "e2e_ms.p95", ("total_generation_ms", "p95", None, None)),
        ("stress", "chunk_gap_ms.max", ("chunk_gap_ms", "max", None, None)),
        ("stress", "ttft_ms.median", ("time_to_first_token_ms", "p50", None, None)),
        ("stress", "failure_point.rate", ("failure_point", None, None, "rate")),
    ],
)
def test_columns_are_written_as_in_thresholds(kind: str, text: str, meant: tuple[Any, ...]) -> None:
    found = engine.comparison_of(kind).column(text, "--columns")
    assert (found.metric, found.statistic, found.level, found.axis) == meant


# Verdicts

INTERVALS = st.tuples(st.floats(-0.9, 0.9), st.floats(0, 0.9)).map(lambda t: (t[0], t[0] + t[1]))
PAIRS = st.sampled_from([None, ("better", "worse"), ("faster", "slower")])


@pytest.mark.parametrize(
    ("better", "interval", "word"),
    [
        ("lower", (-0.01, 0.01), "same"),
        ("lower", (0.01, 0.02), "same"),
        ("lower", (0.01, 0.04), "worse"),
        ("lower", (-0.09, -0.04), "better"),
        ("higher", (0.01, 0.04), "better"),
        ("higher", (-0.09, -0.04), "worse"),
        ("none", (0.04, 0.09), "higher"),
        ("none", (-0.09, -0.04), "lower"),
        ("lower", (-0.01, 0.04), "inconclusive"),
        ("lower", (-0.5, 0.5), "inconclusive"),
        ("lower", None, "inconclusive"),
    ],
)
def test_a_verdict_follows_from_the_interval(
    better: str, interval: tuple[float, float] | None, word: str
) -> None:
    assert verdict(interval, better, 0.03, ("better", "worse")) == word


@given(INTERVALS, st.sampled_from(["lower", "higher", "none"]), PAIRS)
def test_no_verdict_claims_what_the_interval_leaves_open(
    interval: tuple[float, float], better: str, words: tuple[str, str] | None
) -> None:
    low, high = interval
    word = verdict(interval, better, 0.03, words)
    if low <= 0 <= high:
        assert word in ("same", "inconclusive")
    assert (word == "same") == (low >= -0.03 and high <= 0.03)
    turned = verdict((-high, -low), better, 0.03, words)
    assert turned == TURNED.get(word, word)


# A kind that says only what it measures


def read(measure: Measure, document: Mapping[str, Any], *_: Any) -> Observed:
    """Return a number with the interval that a document has of it."""
    return Observed(*document["results"][measure.name])


class Tiny(_comparable.Comparison):
    """Files with two numbers each."""

    measures = measures.readable(
        read,
        [
            Measure("size_mb", "MB", "lower", "bytes / 10⁶"),
            Measure("hit_rate", "share", "higher", "hits / all"),
        ],
    )
    default = ("size_mb", "hit_rate")


def sized(name: str, size_mb: float, interval: tuple[float, float] | None = None) -> Document:
    about = {**golden("stress-complete"), "schema": "llamaburn/tiny", "run_id": name}
    numbers = {"size_mb": (size_mb, interval), "hit_rate": (0.5, (0.4, 0.6))}
    return {**about, "results": numbers}


def tiny(*files: Document, **asked: Any) -> Document:
    """Return the comparison of files of a kind that says only what it measures."""
    sources = [(f"{one['run_id']}.json", one) for one in files]
    choice = engine.chosen(Tiny, engine.Asked(**asked))
    return engine.document(Tiny(sources, choice), "tiny-comparison")


def test_a_new_kind_needs_only_measures_and_an_estimate(tmp_path: Path) -> None:
    files = sized("a", 10, (9.9, 10.1)), sized("b", 11, (10.9, 11.1))
    document = tiny(*files, fail_if=["size_mb:+5%"])
    kind = file_kinds.named("tiny-comparison")
    kind.file_model().model_validate_json(json.dumps(document), strict=True)
    assert (document["schema"], kind.folder) == (kind.schema, "tiny_comparisons")
    assert document["results"]["gates"][0]["verdict"] == "fail"
    (sheet,) = table.sheets(document, tmp_path / "x.json")
    assert sheet.title == "2 files, compared with A"
    assert [row[2:5] for row in sheet.rows] == [
        ("size_mb", "MB", "worse"),
        ("hit_rate", "share", "inconclusive"),
    ]
    assert sheet.rows[1][-2:] == ("+0.0 points", "[−20.3, +20.3] points")
    assert sheet.facts[1].startswith("B: tiny, ")


def test_a_gate_on_what_a_kind_does_not_compare_is_undecided() -> None:
    class Fewer(Tiny):
        def columns(self, other: Any) -> tuple[Column, ...]:
            return self.choice.columns

    choice = engine.chosen(Fewer, engine.Asked(columns=["size_mb"], fail_if=["hit_rate:-5%"]))
    sources = [(f"{name}.json", sized(name, 10, (9, 11))) for name in "ab"]
    (gate,) = engine.document(Fewer(sources, choice), "tiny-comparison")["results"]["gates"]
    assert (gate["verdict"], gate["reason"]) == ("undecided", "hit_rate was not compared")


@pytest.mark.parametrize("interval", [None, (0.0, 20.0)])
def test_a_number_without_an_interval_above_0_decides_nothing_in_a_new_kind(
    interval: tuple[float, float] | None,
) -> None:
    files = sized("a", 10, interval), sized("b", 11, (10.9, 11.1))
    change = tiny(*files)["results"]["changes"][0]
    assert change["verdict"] == "inconclusive"
    assert change["reason"].startswith(
        "one of them has no interval, or an interval that contains 0"
    )
    assert change["change"] == pytest.approx(0.1)

"""Every measure of every kind of run is defined, in the docs, read from a file and gated."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

import generate
import pytest
from golden import record

from pytest_llamaburn import criteria, evalsets, gates, measures, metrics, registry
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds import _kind

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llamaburn.measures import Measure

RECORDED = ("benchmark", "eval", "stress")  # the kinds with golden files
TABLES = {
    kind.name: kind.load("measures.MEASURES") for kind in _kind.own() if kind.name in RECORDED
}
ROOMS = [*TABLES]
EACH = [pytest.param(k, m, id=f"{k}-{m.name}") for k, t in TABLES.items() for m in t.values()]
DOCUMENTS = {
    kind: json.loads((record.HOME / f"{kind}-complete" / "result.json").read_text("utf-8"))
    for kind in ROOMS
}
of_each_measure = pytest.mark.parametrize(("kind", "measure"), EACH)


def spellings(measure: Measure) -> list[str]:
    """Return how a gate may name a measure: with each statistic, or alone."""
    own = [f"{measure.name}.{statistic}" for statistic in measure.statistics]
    return [measure.name, *own, *([measure.alias] if measure.alias else [])]


def results_of(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENTS[kind]["results"]
    return found


def test_each_kind_of_run_has_measures() -> None:
    assert all(kind.load("measures.MEASURES") for kind in _kind.own())


@of_each_measure
def test_a_measure_has_unit_direction_formula_and_source(kind: str, measure: Measure) -> None:
    assert measure.name == TABLES[kind][measure.name].name
    assert all((measure.unit, measure.formula, measure.source))
    assert measure.better in ("lower", "higher", "none")


@of_each_measure
def test_a_measure_is_read_from_a_file_and_gated(kind: str, measure: Measure) -> None:
    """It decides, or says why not; a value is on one side of the least number or has a reason."""
    table, document = TABLES[kind], DOCUMENTS[kind]
    for name in spellings(measure):
        for bound in (">=-1e9", "<-1e9"):
            (found,) = gates.judged(document, table, [f"{name}{bound}"], "point")
            assert (found["verdict"] == "undecided") == (found["reason"] is not None)
            if found["value"] is not None and not found["reason"]:
                assert found["verdict"] == ("pass" if bound.startswith(">") else "fail")
                assert math.isfinite(found["value"])


def at(document: Any, key: str) -> Any:
    """Return what a file has at a place; of levels the optimal one is meant."""
    found = document
    for part in key.replace("levels[]", "levels.optimal").split("."):
        if part == "optimal" and isinstance(found, list):
            best = document["results"]["optimal"]["concurrency"]
            found = next(level for level in found if level["concurrency"] == best)
        else:
            found = found.get(part) if found else None
    return found


PLACED = [
    pytest.param(kind, measure, id=f"{kind}-{measure.name}")
    for kind, table in TABLES.items()
    for measure in table.values()
    if measure.key and not re.search(r" / |runs\[\]", measure.key)
]


@pytest.mark.parametrize(("kind", "measure"), PLACED)
def test_what_is_read_is_what_stands_at_the_place_that_the_docs_name(
    kind: str, measure: Measure
) -> None:
    places = [at(DOCUMENTS[kind], place) for place in measure.key.split(" or ")]
    found = next((one for one in places if one is not None), None)
    if isinstance(found, dict):
        found = found["mean" if "mean" in measure.statistics else "concurrency"]
    assert measure.observed(DOCUMENTS[kind]).value == found


@of_each_measure
def test_a_bound_may_have_the_unit_of_the_docs_and_no_other(kind: str, measure: Measure) -> None:
    plain = gates.parse(f"{measure.name}>1", TABLES[kind])
    assert gates.parse(f"{measure.name}>1{measure.unit}", TABLES[kind]).bound == plain.bound == 1
    for unit, worth in measures.units(measure.unit).items():
        assert gates.parse(f"{measure.name}>2 {unit}", TABLES[kind]).bound == 2 * worth
    with pytest.raises(SettingsError) as caught:
        gates.parse(f"{measure.name}>1parsecs", TABLES[kind])
    known = ", ".join(filter(None, measures.units(measure.unit)))
    assert str(caught.value) == (
        f"--threshold: '{measure.name}>1parsecs': unit 'parsecs' is unknown; known: {known}"
    )


@pytest.mark.parametrize("kind", ROOMS)
def test_no_name_or_alias_means_two_measures(kind: str) -> None:
    names = measures.names(TABLES[kind])
    assert len(names) == len(set(names))
    assert all(measures.find(TABLES[kind], name) for name in names)
    assert measures.find(TABLES[kind], "nothing") is None


def test_the_docs_list_exactly_the_measures() -> None:
    listed = set(re.findall(r"^\| `(\w+)`", generate.metrics_page(_kind.own()), re.MULTILINE))
    tables = [kind.load("measures.MEASURES") for kind in _kind.own()]
    assert listed == {measure.name for table in tables for measure in table.values()}


@pytest.mark.parametrize("kind", ROOMS)
def test_the_docs_of_a_kind_name_its_own_measures_with_unit_and_place(kind: str) -> None:
    title = _kind.named(kind).load("measures.TITLE")
    page = generate.metrics_page(_kind.own())
    section = page.partition(f"## {title}\n")[2].partition("\n## ")[0]
    for measure in TABLES[kind].values():
        if measure.key:
            assert (
                f"| `{measure.name}` | {measure.unit} | {measure.better} | {measure.source} |"
                in section
            )


@pytest.mark.parametrize("name", sorted(TABLES["eval"]))
def test_a_criterion_of_ones_own_cannot_have_the_name_of_a_measure(name: str) -> None:
    with pytest.raises(ValueError, match="is refused"):
        evalsets.checked_criterion(criteria.own(name, "it is funny"))


@pytest.mark.parametrize("kind", ROOMS)
def test_a_report_of_tests_shows_each_number_that_a_file_has(kind: str) -> None:
    found = dict(measures.properties(TABLES[kind], DOCUMENTS[kind]))
    assert found["error_rate"] == TABLES[kind]["error_rate"].observed(DOCUMENTS[kind]).value
    assert all(math.isfinite(value) for value in found.values())
    summary = DOCUMENTS[kind]["results"].get("summary", {})
    medians = {f"{name}_p50": one["p50"] for name, one in summary.items() if one["n"]}
    assert medians.items() <= found.items()


@pytest.mark.parametrize("kind", ROOMS)
def test_spreadsheets_have_a_column_for_each_measure_of_their_rows(
    kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(DOCUMENTS[kind]))
    head = registry.load("reports", "csv").render([path]).partition("\n")[0].split(",")
    of_levels = [m.key.rpartition("[].")[2] or m.name for m in TABLES[kind].values() if m.of_level]
    for name in of_levels or metrics.REQUEST:
        assert name in head or f"{name}.p50" in head


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("kind", ROOMS)
def test_rows_of_every_kind_are_written_and_a_file_without_any_says_so(
    kind: str, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.json"
    form = registry.load("reports", suffix)
    path.write_text(json.dumps(DOCUMENTS[kind]))
    assert len(form.render([path]).splitlines()) > 1
    assert capsys.readouterr().err == ""
    nothing: dict[str, Any] = {
        name: [] for name in ("runs", "levels", "items") if name in results_of(kind)
    }
    path.write_text(json.dumps(DOCUMENTS[kind] | {"results": results_of(kind) | nothing}))
    assert form.render([path]) == ""
    said = f"{path} (complete) has no request, level, question or change to write as a row"
    assert said in capsys.readouterr().err


def test_a_measure_without_a_reader_says_so() -> None:
    unread: Any = measures.CHUNK_GAP.observed({})
    assert unread.reason == "files of this kind have no chunk_gap_ms"

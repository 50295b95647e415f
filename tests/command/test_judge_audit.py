"""`llamaburn judge audit`: what a judge sees and what sways it, from the command to the file."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support.command_line import run_cli
from support.judge_servers import KEY, OpenAI, Sensitive, judge_server, worked

from pytest_llamaburn.commands import main
from pytest_llamaburn.judges._planting import MANIPULATIONS
from pytest_llamaburn.kinds.audit import findings
from pytest_llamaburn.store import results

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.scripted import Steps


class Audited(NamedTuple):
    """The result file of an audit, its directory, and what the command printed."""

    document: dict[str, Any]
    path: Path
    stdout: str
    stderr: str
    calls: int


def fruit(directory: Path, count: int) -> Path:
    path = directory / "fruit.json"
    path.write_text(json.dumps({"name": "fruit", "questions": worked(count)}))
    return path


def audit(directory: Path, name: str, *args: str, check: int | None = 0) -> Any:
    words = ("judge", "audit", "--judge", name, "--set=fruit.json", *args)
    return run_cli(*words, cwd=directory, check=check, OPENAI_API_KEY=KEY)


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    """A judge that sees errors on accuracy, is blind on completeness, and likes length and A."""
    place = tmp_path_factory.mktemp("audit")
    fruit(place, 12)
    fake = OpenAI([Sensitive(padded=2, side="A")])
    with judge_server(fake, "m") as name:
        words = ("--min-noticed=0.5", "--progress=json", "-o", "table", "-o", "report.html")
        done = audit(place, name, *words, check=1)
    (path,) = (place / "results" / "audits").glob("*.json")
    return Audited(results.load(path), path, done.stdout, done.stderr, len(fake.calls))


def of(document: dict[str, Any], part: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(o for o in document["results"][part] if o["kind"] == kind)
    return found


def test_file_has_what_the_played_judge_does(audited: Audited) -> None:
    document = audited.document
    numbers = of(document, "errors", "wrong_number")
    assert numbers["slope"]["value"] == pytest.approx(-1)
    assert numbers["slope"]["ci95"][1] < 0
    for kind in ("dropped_step", "truncation"):
        blind = of(document, "errors", kind)
        assert (blind["slope"]["value"], blind["noticed"]["value"]) == (0, 0)
    assert of(document, "manipulations", "padding")["shift"]["value"] == 2
    assert of(document, "manipulations", "self_praise")["shift"]["value"] == 0
    assert of(document, "manipulations", "order")["shift"]["value"] == 1
    assert document["results"]["preference"]["value"] == 0.5
    assert document["status"] == "complete"
    assert document["config"]["items"] == 30


def test_every_text_is_judged_once_and_pairs_in_both_orders(audited: Audited) -> None:
    probes = audited.document["results"]["probes"]
    pairs = [probe for probe in probes if probe["kind"] == "order"]
    assert (
        audited.calls == len(probes) + len(pairs) == audited.document["results"]["spent"]["calls"]
    )
    assert {probe["state"] for probe in probes} == {"scored"}
    assert len(pairs) == 12
    events = [json.loads(line) for line in audited.stderr.splitlines() if line.startswith("{")]
    assert (events[-1]["done"], events[-1]["unit"]) == (len(probes), "texts")


def test_table_has_a_sentence_for_each_error_and_manipulation(audited: Audited) -> None:
    for row in (
        *audited.document["results"]["errors"],
        *audited.document["results"]["manipulations"],
    ):
        assert row["says"] in audited.stdout
    assert "The judge sees wrong numbers: each one costs 1.00 points" in audited.stdout
    assert "The judge does not surely see dropped steps" in audited.stdout
    assert "Padding sways the judge: it raises the score by 2.00 points" in audited.stdout
    assert "it takes the answer shown first 100 percentage points more often" in audited.stdout


def test_gate_that_is_missed_is_told_and_fails(audited: Audited) -> None:
    assert "llamaburn: noticed truncation >= 0.5: fail: 0 [0, 0.2" in audited.stderr
    assert "wrong_number" not in audited.stderr
    verdicts = {gate["verdict"] for gate in audited.document["results"]["gates"]}
    assert verdicts == {"pass", "fail"}


def test_report_draws_the_scores_and_lists_every_text(audited: Audited) -> None:
    page = (audited.path.parents[2] / "report.html").read_text("utf-8")
    assert "Score by dose of planted errors" in page
    assert "What sways the judge" in page
    assert "q0: wrong number, dose 2" in page


def test_file_is_listed_and_shown_and_exported(
    audited: Audited, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(audited.path.parents[2])
    assert main(["results", "list"]) == 0
    assert "openai:m@http" in capsys.readouterr().out
    assert main(["results", "show", str(audited.path), "-o", "csv"]) == 0
    rows = [*csv.reader(io.StringIO(capsys.readouterr().out))]
    assert len(rows) == 1 + len(audited.document["results"]["probes"])
    assert main(["results", "validate", str(audited.path)]) == 0


def test_dry_run_counts_the_calls_and_sends_none(audited: Audited) -> None:
    fake = OpenAI([Sensitive()])
    place = audited.path.parents[2]
    with judge_server(fake, "m") as name:
        prices = ("--judge-price=m.input=3", "--judge-price=m.output=15")
        shown = audit(place, name, "--dry-run", *prices).stdout
        unpriced = audit(place, name, "--dry-run", "--items=2").stdout
    probes = audited.document["results"]["probes"]
    assert f"{audited.calls} calls for the {len(probes)} texts of the audit" in shown
    assert " USD if no call fails" in shown
    assert f"{audited.calls // 6} calls for" in unpriced
    assert "at an unknown price" in unpriced
    assert fake.calls == []


def test_cut_audit_is_continued_without_paying_again(tmp_path: Path) -> None:
    fruit(tmp_path, 2)
    fake = OpenAI([Sensitive()])
    with judge_server(fake, "m") as name:
        limited = audit(tmp_path, name, "--max-judge-calls=20", check=1)
        (path,) = (tmp_path / "results" / "audits").glob("*.json")
        before = results.load(path)
        again = audit(tmp_path, name, "--max-judge-calls=0", check=1).stderr
        words = ("judge", "audit", "--resume=last", "--max-judge-calls=99")
        other = ("judge", "audit", "--resume=last", "--seed=1")
        refused = run_cli(*other, cwd=tmp_path, check=4, OPENAI_API_KEY=KEY).stderr
        done = run_cli(*words, cwd=tmp_path, OPENAI_API_KEY=KEY)
    assert before["status"] == "partial"
    assert (
        "verdicts missing after failed calls: continue with llamaburn judge audit" in limited.stderr
    )
    assert "verdicts are missing, more than --max-unscored 0.1 allows" in limited.stderr
    assert "a cut audit left 20 verdicts: --resume " in again
    assert "--resume: --seed 1 differs from the run's own, 0" in refused
    after = results.load(path)
    assert (after["status"], after["run_id"]) == ("complete", before["run_id"])
    probes = after["results"]["probes"]
    assert len(fake.calls) == len(probes) + 2
    assert "40 scored" in done.stdout
    assert not [*(tmp_path / "results" / "audits" / ".journal").glob("*")]


def held(fake: OpenAI) -> Callable[[str, str], str | Steps]:
    """Return an answer to all calls but the tenth, which hangs."""
    from support.scripted import Hang

    known = Sensitive()
    return lambda system, user: [Hang()] if len(fake.calls) == 10 else known(system, user)


def test_audit_ends_when_its_time_is_over(tmp_path: Path) -> None:
    fruit(tmp_path, 1)
    fake = OpenAI()
    fake.answers = [held(fake)]
    with judge_server(fake, "m") as name:
        words = ("--budget=3s", "--judge-concurrency=1", "-o", "json")
        done = audit(tmp_path, name, *words, check=1)
    document = json.loads(done.stdout)
    assert document["status"] == "partial"
    states = document["results"]["by_state"]
    assert states["scored"] < 10
    assert sum(states.values()) == states["scored"] + states["unfinished"] == 20
    assert f"{states['unfinished']} verdicts missing because the time was over" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--judge=openai:m", "--set=reasoning"), "'reasoning' has no worked reference answer"),
        (("--judge=openai:m", "--set=nowhere"), "--set: unknown eval set 'nowhere'"),
        (("--judge=openai:m", "--items=0"), "--items: '0' is refused"),
        (("--judge=openai:m", "--min-noticed=2"), "write a number from 0 to 1"),
        (("--judge=openai:m", "--max-shift=far"), "--max-shift: 'far' is refused"),
        (("--judge=openai:m", "--labels=x"), "--labels: judge audit does not use it"),
        ((), "--judge: no judge is named"),
        (("--resume=last",), "there is no audit 'last' in results: none was cut"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(
    words: tuple[str, ...],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert main(["judge", "audit", *words]) == 4
    told = capsys.readouterr().err
    assert sentence in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("words", [("--items=3",), ("--min-noticed=1",), ("-o", "csv")])
def test_calibration_refuses_what_only_an_audit_takes(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text(json.dumps({"question": "q", "response": "a", "human": 3, "judge": 3}))
    assert main(["judge", "calibrate", f"--labels={labels}", *words]) == 4
    assert f"{words[0].partition('=')[0].replace('-o', '--output')}: " in capsys.readouterr().err


def change(probe: dict[str, Any], right: float) -> None:
    """Give a probe the score of a judge that is blind for wrong numbers and that nothing sways."""
    if probe["kind"] in ("wrong_number", *MANIPULATIONS):  # these have wrong numbers, too
        probe["score"] = right
    elif probe["kind"] == "order":
        probe["score"], probe["first"] = 1.0, 0.0


@pytest.fixture(scope="module")
def two_judges(audited: Audited) -> tuple[Path, Path]:
    """Two audits with three times the questions: of the played judge, and of another one."""
    document = json.loads(audited.path.read_text("utf-8"))
    probes = document["results"]["probes"]
    probes = [
        {**one, "question_id": f"{one['question_id']}/{i}"} for i in range(3) for one in probes
    ]
    right = {
        o["question_id"]: o["score"]
        for o in probes
        if o["criterion"] == "accuracy" and not o["dose"]
    }
    paths = []
    for name in ("m", "other"):
        document["run_id"] = name
        document["results"] |= {"judges": [f"openai:{name}"], "probes": probes}
        document["results"] |= findings.of(probes)
        paths.append(audited.path.parents[2] / f"{name}.json")
        paths[-1].write_text(json.dumps(document), "utf-8")
        for probe in probes:
            change(probe, right[probe["question_id"]])
    return paths[0], paths[1]


Shown = tuple[float, float, float, str]


def test_two_judges_are_compared_by_what_they_see_and_what_sways_them(
    two_judges: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(two_judges[0].parent)
    assert main(["compare", *map(str, two_judges), "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert results.check(document) is None
    assert document["schema"] == "llamaburn/audit-comparison"
    found: dict[str, Shown] = {}
    for one in document["results"]["differences"]:
        low, high = one["ci95"]
        assert low < one["difference"] < high or one["unit"] == "share"
        assert (one["questions"], one["shared"]) == (36, 36)
        numbers = (round(one[name], 9) for name in ("baseline", "value", "difference"))
        found[one["mark"]] = (*numbers, one["verdict"])
    assert found["slope wrong_number"] == (-1, 0, 1, "worse")
    assert found["noticed wrong_number"] == (1, 0, -1, "worse")
    assert found["shift padding"] == (2, 0, -2, "better")
    assert found["shift order"] == (1, 0, -1, "better")
    assert found["preference"] == (0.5, 1, 0.5, "better")
    assert found["slope contradiction"][2:] == (0, "inconclusive")


def test_comparison_of_judges_is_shown_as_a_table_and_a_page(
    two_judges: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(two_judges[0].parent)
    assert main(["compare", *map(str, two_judges), "-o", "table", "-o", "audits.html"]) == 0
    shown = capsys.readouterr().out
    assert "2 audits, compared with A" in shown
    assert "B: openai:other with fruit, " in shown
    assert "slope wrong_number" in (two_judges[0].parent / "audits.html").read_text("utf-8")


def test_audits_of_other_texts_are_not_compared(
    two_judges: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(two_judges[1].read_text("utf-8"))
    for probe in document["results"]["probes"]:
        probe["text"] = "another text"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(document), "utf-8")
    assert main(["compare", str(two_judges[0]), str(other)]) == 4
    assert "has no text in common with the baseline" in capsys.readouterr().err

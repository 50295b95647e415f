"""`llamaburn judge calibrate`: agreement with people, offline and with a judge."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.command_line import COMMAND, run_cli
from support.judge_servers import KEY, Claude, OpenAI, judge_server, preference, verdict_json
from support.processes import Process
from support.scripted import Hang, Steps

from pytest_llamaburn.commands import judge

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HUMAN = (1, 2, 3, 4, 5, 5, 4, 3, 2, 1, 2, 4)


def label(score: int, i: int, **fields: Any) -> dict[str, Any]:
    base = {"question": f"q{i}", "response": f"answer {i} worth {score}", "criterion": "accuracy"}
    return {**base, "human": [score, score, max(1, score - 1)], **fields}


def pair(human: str, i: int, **fields: Any) -> dict[str, Any]:
    texts = {"response_a": f"good {i}", "response_b": f"bad {i}"}
    return {"question": f"q{i}", **texts, "human": [human, human], **fields}


def calibrate(
    directory: Path, lines: Sequence[Any], *args: str, check: int | None = 0
) -> subprocess.CompletedProcess[str]:
    text = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines)
    (directory / "labels.jsonl").write_text(text + "\n\n")
    keys = {"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY}
    words = ("judge", "calibrate", "--labels", "labels.jsonl", *args)
    return run_cli(*words, cwd=directory, check=check, **keys)


def recorded(shift: int = 0) -> list[dict[str, Any]]:
    return [label(h, i, judge=min(5, h + shift)) for i, h in enumerate(HUMAN)]


def test_recorded_verdicts_are_held_against_people_offline(tmp_path: Path) -> None:
    shown = calibrate(tmp_path, recorded(), "--min-qwk", "0.8", "--min-spearman", "0.8").stdout
    assert "recorded verdicts: 12 labels (12 scored)" in shown
    for word in ("accuracy", "one human", "constant", "qwk", "1.000 … 1.000", "human \\ judge"):
        assert word in shown
    document = json.loads(calibrate(tmp_path, recorded(1), "-o", "json").stdout)
    found = document["criteria"]["accuracy"]
    assert found["figures"]["bias"]["value"] == pytest.approx(10 / 12)
    assert found["figures"]["qwk"]["ci95"][0] < found["figures"]["qwk"]["value"] < 1
    assert found["human_ceiling"]["exact"]["value"] < 1
    assert set(found["constant_predictor"]["values"]) <= set(HUMAN)
    assert sum(map(sum, found["confusion"]["human_by_judge"])) == 12
    assert (found["raters"], document["n_scored"]) == (3, 12)


def test_label_may_hold_a_line_separator_and_the_file_a_byte_order_mark(tmp_path: Path) -> None:
    first = json.dumps(label(3, 1, judge=3, response="a\u2028b"), ensure_ascii=False)
    shown = calibrate(tmp_path, [f"\ufeff{first}", label(4, 2, judge=4)]).stdout
    assert "recorded verdicts: 2 labels (2 scored)" in shown


def test_gate_holds_the_lower_bound_not_the_value(tmp_path: Path) -> None:
    noisy = [label(h, i, judge=(h % 5) + 1 if i % 4 == 0 else h) for i, h in enumerate(HUMAN)]
    document = json.loads(calibrate(tmp_path, noisy, "-o", "json").stdout)
    qwk = document["criteria"]["accuracy"]["figures"]["qwk"]
    between = (qwk["value"] + qwk["ci95"][0]) / 2
    undecided = calibrate(tmp_path, noisy, f"--min-qwk={between}", check=1)
    assert "(95 % interval from " in undecided.stderr
    assert "is undecided" in undecided.stderr
    missed = calibrate(tmp_path, noisy, f"--min-qwk={(qwk['value'] + 1) / 2}", check=1)
    assert "is missed" in missed.stderr
    calibrate(tmp_path, noisy, f"--min-qwk={qwk['ci95'][0] - 0.01}")


def test_gate_on_a_figure_without_a_value_is_undecided(tmp_path: Path) -> None:
    done = calibrate(tmp_path, recorded()[:2], "--min-spearman=0.1", check=1)
    assert "spearman of accuracy has no value: --min-spearman 0.1 is undecided" in done.stderr
    assert "fewer than 3 pairs" in done.stdout


def test_too_many_missing_verdicts_fail(tmp_path: Path) -> None:
    lines = [*recorded()[:8], *(label(h, i, judge=None) for i, h in enumerate(HUMAN[:4]))]
    done = calibrate(tmp_path, lines, check=1)
    assert "4 of 12 verdicts are missing, more than --max-unscored 0.1 allows" in done.stderr
    assert "8 scored, 4 unscored" in done.stdout
    calibrate(tmp_path, lines, "--max-unscored=0.5")


def test_judge_is_asked_for_each_label_and_told_with_its_cost(tmp_path: Path) -> None:
    def honest(system: str, user: str) -> str:
        return verdict_json(int(user.partition("worth ")[2][0]))

    fake = Claude([honest], {"lifecycle": "deprecated", "retires_at": None})
    lines = [label(h, i) for i, h in enumerate(HUMAN)]
    with judge_server(fake, "m") as name:
        prices = ("--judge-price=m.input=3", "--judge-price=m.output=15")
        tiers = ("--judge-price=m.cache_read=0", "--judge-price=m.cache_write=0")
        done = calibrate(tmp_path, lines, "--judge", name, *prices, *tiers)
        as_json = calibrate(tmp_path, lines, "--judge", name, "-o", "json").stdout
    assert "12 calls, cost 0.0540 USD" in done.stdout
    assert "note: judge m is deprecated" in done.stdout
    document = json.loads(as_json)
    assert document["criteria"]["accuracy"]["figures"]["qwk"]["value"] == 1
    assert document["spent"]["cost_usd"] is None
    assert len(document["judgments"]) == 12
    assert KEY not in as_json + done.stdout + done.stderr
    assert len(fake.calls) == 24


def test_jury_tells_its_own_agreement(tmp_path: Path) -> None:
    fakes = Claude([verdict_json(4), verdict_json(2)]), OpenAI([verdict_json(4), verdict_json(2)])
    lines = [label(h, i) for i, h in enumerate(HUMAN[:4])]
    with judge_server(fakes[0], "m") as one, judge_server(fakes[1], "m") as other:
        words = ("--judge", one, "--judge", other, "-o", "json")
        document = json.loads(calibrate(tmp_path, lines, *words).stdout)
    assert document["jury_alpha"]["n"] == 4
    assert len(document["judges"]) == 2


def test_pairs_are_judged_in_both_orders(tmp_path: Path) -> None:
    def honest(system: str, user: str) -> str:
        return preference("A" if user.index("good") < user.index("bad") else "B")

    lines = [pair("A", i) for i in range(3)]
    with judge_server(OpenAI([honest]), "m") as name:
        shown = calibrate(tmp_path, lines, "--judge", name).stdout
    assert "A wins 3, loses 0, ties 0; win_rate 1.000" in shown
    assert "first_position_rate 0.500" in shown
    assert "preference" in shown


def test_pairs_without_a_verdict_are_missing(tmp_path: Path) -> None:
    lines = [pair("A", i) for i in range(3)]
    with judge_server(OpenAI([""]), "m") as name:
        done = calibrate(tmp_path, lines, "--judge", name, check=1)
    assert "3 parse_error" in done.stdout
    assert "3 of 3 verdicts are missing" in done.stderr


def test_recorded_pairs_are_held_against_people(tmp_path: Path) -> None:
    marks = ("A", "B", "tie", "A", "B")
    lines = [pair(mark, i, judge=mark) for i, mark in enumerate(marks)]
    document = json.loads(calibrate(tmp_path, lines, "-o", "json").stdout)
    found = document["criteria"]["preference"]
    assert found["figures"]["exact"]["value"] == 1
    assert found["confusion"]["labels"] == ["A", "tie", "B"]
    assert found["confusion"]["human_by_judge"] == [[2, 0, 0], [0, 1, 0], [0, 0, 2]]


def test_dry_run_says_what_would_be_sent_and_sends_nothing(tmp_path: Path) -> None:
    fake = Claude([verdict_json(4)])
    words = (
        "--dry-run",
        "--judge-repeats=2",
        "--judge-price=m.input=3",
        "--judge-price=m.output=15",
    )
    with judge_server(fake, "m") as name:
        shown = calibrate(tmp_path, [label(3, 1), label(4, 2)], "--judge", name, *words).stdout
        unpriced = calibrate(tmp_path, [pair("A", 1)], "--judge", name, "--dry-run").stdout
    assert f"{name}: 4 calls for the 2 labels of " in shown
    assert " and 2000 out, about 0.0" in shown
    assert shown.endswith(" USD if no call fails\n")
    assert "2 calls for the 1 label of " in unpriced
    assert unpriced.endswith(" and 1000 out, at an unknown price\n")
    assert fake.calls == []


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["{"], "labels.jsonl:1: is not JSON"),
        (["[1]"], "labels.jsonl:1: the whole line"),
        ([label(3, 1), label(3, 2, human=[3, 7])], "labels.jsonl:2: human.1: "),
        ([label(3, 1, human=[])], "labels.jsonl:1: human: "),
        ([label(3, 1, human="4.5")], "labels.jsonl:1: human.0: "),
        ([label(3, 1, human=5.5)], "labels.jsonl:1: human.0: "),
        ([label(3, 1, wrong=1)], "labels.jsonl:1: wrong: extra inputs"),
        ([label(3, 1, question=" ")], "labels.jsonl:1: question: "),
        ([pair("C", 1)], "labels.jsonl:1: human.0: "),
        (
            [label(3, 1, judge=3), pair("A", 1, judge="A")],
            "a file has scores or comparisons, not both",
        ),
        ([label(3, 1, judge=3), label(3, 2)], "labels.jsonl:2: there is no recorded verdict"),
        ([label(3, 1)], 'add "judge", or name a --judge'),
        ([], "has no labels"),
    ],
)
def test_labels_that_do_not_match_are_one_located_sentence(
    tmp_path: Path, lines: list[Any], words: str
) -> None:
    done = calibrate(tmp_path, lines, check=4)
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    for argument, words in (
        ("--min-qwk=high", "--min-qwk: 'high' is refused"),
        ("--min-spearman=3", "write a number from -1 to 1"),
        ("--judge=nobody", "unknown provider 'nobody'"),
    ):
        assert words in calibrate(tmp_path, recorded(), argument, check=4).stderr
    missing = run_cli("judge", "calibrate", "--labels", "none.jsonl", cwd=tmp_path, check=4)
    assert "none.jsonl cannot be read" in missing.stderr


def test_missing_key_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text(json.dumps(label(3, 1)))
    words = ("judge", "calibrate", "--labels", "labels.jsonl", "--judge", "claude")
    done = run_cli(*words, cwd=tmp_path, check=4)
    assert "set the environment variable ANTHROPIC_API_KEY" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_cut_calibration_is_continued_without_paying_again(tmp_path: Path) -> None:
    reached = threading.Event()

    def slow(system: str, user: str) -> str | Steps:
        if len(fake.calls) == 3:
            reached.set()
            return [Hang()]
        return verdict_json(4)

    fake = OpenAI([slow])
    (tmp_path / "labels.jsonl").write_text("\n".join(json.dumps(label(4, i)) for i in range(4)))
    with judge_server(fake, "m") as name:
        words = ("judge", "calibrate", "--labels=labels.jsonl", f"--judge={name}")
        one = [*COMMAND, *words, "--judge-concurrency=1"]
        env = {**os.environ, "OPENAI_API_KEY": KEY}
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with Process[str](one, cwd=tmp_path, env=env, **pipes) as running:
            assert reached.wait(60)
            running.send_signal(signal.SIGTERM)
            _, stderr = running.communicate(timeout=300)
        assert running.returncode == 2, stderr
        assert "interrupted with 2 verdicts, kept: continue with --resume" in stderr
        more: Any = {"cwd": tmp_path, "OPENAI_API_KEY": KEY}
        anew = run_cli(*words, "--max-judge-calls=0", check=None, **more)
        done = run_cli(*words, "--resume", "--progress=json", **more)
        again = run_cli(*words, "--resume", "--max-judge-calls=0", check=None, **more)
    assert "there are no verdicts of these labels and judges: all are asked for" in again.stderr
    assert "a cut calibration left 2 verdicts: --resume uses them" in anew.stderr
    assert len(fake.calls) == 3 + 2
    assert "4 labels (4 scored)" in done.stdout
    assert '"unit": "labels", "done": 4, "planned": 4' in done.stderr


def test_progress_is_silent_where_standard_error_is_no_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = judge._progress("plain")
    shown.plan(1)
    shown.close()
    assert capsys.readouterr().err == ""

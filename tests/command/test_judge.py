"""`llamaburn judge calibrate`: agreement with people, offline and with a judge."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from support.command_line import COMMAND, run_cli
from support.judge_servers import KEY, Claude, OpenAI, judge_server, preference, verdict_json
from support.processes import Process
from support.scripted import Hang, Steps

from pytest_llamaburn.commands import _verdicts, judge, main
from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.judges import _calibration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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
    shown = calibrate(tmp_path, recorded(), "--min-qwk", "0.7", "--min-spearman", "0.7").stdout
    assert "recorded verdicts: 12 labels (12 scored)" in shown
    for word in ("accuracy", "one human", "constant", "qwk", "0.735 … 1.000", "human \\ judge"):
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


def at_the_third_call(fake: OpenAI, reached: threading.Event) -> Callable[[str, str], str | Steps]:
    """Return an answer to all calls but the third, which hangs."""

    def slow(system: str, user: str) -> str | Steps:
        if len(fake.calls) == 3:
            reached.set()
            return [Hang()]
        return verdict_json(4)

    return slow


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_cut_calibration_is_continued_without_paying_again(
    tmp_path: Path, number: signal.Signals
) -> None:
    reached, fake = threading.Event(), OpenAI()
    fake.answers = [at_the_third_call(fake, reached)]
    (tmp_path / "labels.jsonl").write_text("\n".join(json.dumps(label(4, i)) for i in range(4)))
    with judge_server(fake, "m") as name:
        words = ("judge", "calibrate")
        about = ("--labels=labels.jsonl", f"--judge={name}", "--judge-concurrency=1")
        env = {**os.environ, "OPENAI_API_KEY": KEY}
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with Process[str]([*COMMAND, *words, *about], cwd=tmp_path, env=env, **pipes) as running:
            assert reached.wait(300)
            running.send_signal(number)
            _, stderr = running.communicate(timeout=300)
        told = "2 verdicts kept: continue with llamaburn judge calibrate --resume " in stderr
        assert (running.returncode, told) == ((-9, False) if number == 9 else (2, True))
        more: Any = {"cwd": tmp_path, "OPENAI_API_KEY": KEY}
        hint = run_cli(*words, *about, "--max-judge-calls=0", check=None, **more).stderr
        done = run_cli(*words, "--resume=last", "--max-judge-calls=9", "--progress=json", **more)
        none_left = run_cli(*words, "--resume=last", check=4, **more).stderr
    assert "a cut calibration left 2 verdicts: --resume " in hint
    assert len(fake.calls) == 3 + 2
    assert "4 labels (4 scored)" in done.stdout
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["done"] for event in events] == [3, 4]
    assert {(event["unit"], event["planned"]) for event in events} == {("labels", 4)}
    assert "there is no calibration 'last' in results: none was cut" in none_left


def test_continued_calibration_keeps_its_judge_and_takes_a_higher_limit(tmp_path: Path) -> None:
    fake = OpenAI([verdict_json(4)])
    more: Any = {"cwd": tmp_path, "OPENAI_API_KEY": KEY}
    with judge_server(fake, "m") as name:
        lines = [label(4, i) for i in range(4)]
        limited = calibrate(tmp_path, lines, f"--judge={name}", "--max-judge-calls=3", check=1)
        run_id = limited.stderr.partition("--resume ")[2].split()[0]
        words: Any = ("judge", "calibrate", f"--resume={run_id}")
        other = run_cli(*words, "--judge=claude:x", **more, check=4).stderr
        wrong = run_cli("judge", "calibrate", "--resume=x", **more, check=4).stderr
        done = run_cli(*words, "--max-judge-calls=9", **more)
    assert "1 verdict missing after failed calls: continue with " in limited.stderr
    assert "--resume: --judge ['claude:x'] differs from the run's own" in other
    assert f"there is no calibration 'x' in results: there are: {run_id}" in wrong
    assert "4 labels (4 scored)" in done.stdout
    assert len(fake.calls) == 4


def test_verdicts_are_kept_until_the_report_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.jsonl").write_text("\n".join(json.dumps(label(4, i)) for i in range(3)))
    fake, printed = OpenAI([verdict_json(4)]), judge.table_of

    def full(*_: Any) -> str:
        raise OSError(28, "No space left on device")

    with judge_server(fake, "m") as name:
        monkeypatch.setattr(judge, "table_of", full)
        with suppress(OSError):
            main(["judge", "calibrate", "--labels=labels.jsonl", f"--judge={name}"])
        assert "llamaburn: 3 verdicts kept: continue with " in capsys.readouterr().err
        monkeypatch.setattr(judge, "table_of", printed)
        assert main(["judge", "calibrate", "--resume=last"]) == 0
    assert "3 labels (3 scored)" in capsys.readouterr().out
    assert len(fake.calls) == 3
    assert not [*(tmp_path / "results" / "calibrations" / ".journal").glob("*")]


def test_no_labels_is_one_sentence(tmp_path: Path) -> None:
    done = run_cli("judge", "calibrate", cwd=tmp_path, check=4)
    assert done.stderr == (
        "llamaburn: --labels: no file is named: name one, or continue with --resume last\n"
    )


def vote(winner: str, judge: Any = "expert_1", turn: int = 1, **fields: Any) -> dict[str, Any]:
    """Return a row of MT-Bench's human_judgments."""
    turns = ({"role": "user", "content": "Q2"}, {"role": "assistant", "content": "later"})

    def said(answer: str) -> list[dict[str, str]]:
        first = {"role": "user", "content": "Which?"}
        return [first, {"role": "assistant", "content": answer}, *turns]

    named = {"question_id": 81, "model_a": "alpaca", "model_b": "gpt", "winner": winner}
    told = {"conversation_a": said("of alpaca"), "conversation_b": said("of gpt")}
    return {**named, "judge": judge, **told, "turn": turn, **fields}


def turned(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its sides exchanged."""
    other = {"model_a": "model_b", "model_b": "model_a"}
    sides = {"conversation_a": row["conversation_b"], "conversation_b": row["conversation_a"]}
    names = {"model_a": row["model_b"], "model_b": row["model_a"]}
    return {**row, **sides, **names, "winner": other.get(row["winner"], row["winner"])}


def test_human_judgments_of_mt_bench_are_labels(tmp_path: Path) -> None:
    votes = [
        vote("model_b"),
        turned(vote("model_b", "author_2")),
        vote("tie", "expert_3"),
        vote("model_a", turn=2),
        vote("model_a", conversation_a=[*vote("tie")["conversation_a"][:1], {"content": "2nd"}]),
    ]
    (tmp_path / "human_judgments.json").write_text(json.dumps(votes))
    words = ("judge", "calibrate", "--labels=human_judgments.json", "--format=mtbench")
    fake = OpenAI([preference("B"), preference("A")])
    with judge_server(fake, "m") as name:
        more: Any = {"cwd": tmp_path, "OPENAI_API_KEY": KEY}
        done = run_cli(*words, f"--judge={name}", "-o", "json", "--judge-concurrency=1", **more)
    document = json.loads(done.stdout)
    assert document["n_total"] == 2
    found = document["criteria"]["preference"]
    assert found["raters"] == 3
    assert found["confusion"]["human_by_judge"][2][2] == 1  # two votes of three for gpt, and B
    assert "llamaburn: 1 row left out: they are about second turns" in done.stderr
    assert "Q2" not in json.dumps(fake.calls)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (vote("model_c"), "[0]: winner: should be model_a, model_b or tie, but is model_c"),
        (
            vote("tie", ["gpt-4", "pair-v2"]),
            "judge: should be a person, but is ['gpt-4', 'pair-v2']",
        ),
        (vote("tie", conversation_a=[]), "conversation_a: should be a list of messages"),
        (
            vote("tie", conversation_b=[{"content": "other"}, {"content": "a"}]),
            "conversation_b: answers another question than conversation_a",
        ),
        ({"turn": 1}, "[0]: judge: mtbench needs it"),
        (vote("tie", turn=2), "has no labels"),
    ],
)
def test_vote_that_is_none_of_mt_bench_is_one_located_sentence(
    tmp_path: Path, row: dict[str, Any], words: str
) -> None:
    path = tmp_path / "votes.json"
    path.write_text(json.dumps([row]))
    with pytest.raises(DatasetError, match=re.escape(words)):
        _calibration.imported(path, "mtbench")


def test_progress_is_silent_where_standard_error_is_no_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = _verdicts.progress_of("plain")
    shown.plan(1)
    shown.close()
    assert capsys.readouterr().err == ""

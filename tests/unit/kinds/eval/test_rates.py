"""Rates over all answers: pooled, with intervals, and no better for answers that are missing."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_llamaburn.evalsets import Question
from pytest_llamaburn.kinds.eval import rates, scores, scoring, shown
from pytest_llamaburn.scorers import cer, vqa
from pytest_llamaburn.stats import samples

OCR = Question("a", "read", "abcdefghij", "page", scorer="cer")


def row(answer: str | None, **fields: Any) -> Any:
    error = None if answer is not None else {"kind": "timeout_idle", "message": "slow"}
    given = {"answer": answer, "error": error, "finish_reason": "stop", "search": None}
    return {**given, **fields}


def item(question: Question, *verdicts: Any) -> Any:
    first, *more = ({"verdict": verdict, "correct": None, "cached": False} for verdict in verdicts)
    return {"question": question._asdict(), **first, "more_samples": more}


def scored(question: Question, answer: str | None) -> Any:
    return scoring.score(question, row(answer))


def test_a_rate_is_pooled_over_the_length_of_all_references() -> None:
    long = OCR._replace(id="b", reference="k" * 90)
    items = [item(OCR, scored(OCR, "abcde")), item(long, scored(long, "k" * 90))]
    found = rates.of(items)["rates"]["cer"]
    assert (found["mean"], found["n_scored"]) == (5 / 100, 2)
    low, high = found["ci95"]
    assert low == 0.0 < found["mean"] < high


def test_rates_equal_those_of_the_library_on_the_same_pairs() -> None:
    import jiwer

    texts = ["the cat sat", "on a red mat", "and slept"]
    heard = ["the hat sat", "on red mat now", "and slept"]
    asked = [OCR._replace(id=text, reference=text) for text in texts]
    items = [item(q, scored(q, said)) for q, said in zip(asked, heard, strict=True)]
    found = rates.of(items)["rates"]
    assert found["cer"]["mean"] == pytest.approx(jiwer.cer(texts, heard), abs=1e-9)
    assert found["wer"]["mean"] == pytest.approx(jiwer.wer(texts, heard), abs=1e-9)


def test_an_answer_that_the_model_did_not_give_has_all_errors() -> None:
    items = [item(OCR, scored(OCR, ""), scored(OCR, None), scored(OCR, "abcdefghij"))]
    found = rates.of(items)["rates"]["cer"]
    assert found["mean"] == pytest.approx(2 / 3)
    assert found["by_state"] == {"empty": 1, "failed": 1, "scored": 1}


def test_a_sample_that_the_server_refused_is_in_no_rate() -> None:
    refusal = {"kind": "media_refused", "message": "no", "phase": "response", "status": 400}
    verdict = scoring.score(OCR, row(None, error=refusal))
    assert verdict is not None
    assert (verdict["correct"], verdict["state"]) == (None, "skipped_sut_error")
    found = rates.of([item(OCR, verdict)])["rates"]["cer"]
    assert (found["mean"], found["n_total"], found["reason"]) == (None, 1, "no answer was scored")


def test_one_answer_has_no_interval_and_a_scorer_without_rates_none() -> None:
    asked = Question("a", "what?", "red", "colour", scorer="vqa")
    found = rates.of([item(asked, vqa.score("red", asked)._asdict())])["rates"]
    assert (found["vqa_accuracy"]["mean"], found["vqa_accuracy"]["ci95"]) == (1.0, None)
    plain = asked._replace(scorer="exact")
    assert (
        rates.of([item(plain, scored(plain, "red")), item(asked._replace(scorer=None), None)]) == {}
    )


def test_answers_that_are_only_measured_are_not_asked_to_be_right() -> None:
    only = item(OCR, cer.score("abc", OCR)._asdict())
    assert scores.correctness([only])["correct"]["n_total"] == 0
    bounded = OCR._replace(options={"max_cer": 0.5})
    both = [only, item(bounded, cer.score("abc", bounded)._asdict())]
    assert scores.correctness(both)["correct"]["n_total"] == 1


def test_answers_without_media_have_no_table_of_media() -> None:
    assert shown.of([item(OCR, None)], None) == {}
    assert [*shown.sheets({})] == []


def test_times_are_by_the_largest_medium_and_without_cached_answers() -> None:
    def answer(megapixels: float, ttft_ms: float, **more: Any) -> Any:
        side = round((megapixels * 1e6) ** 0.5)
        medium = {"sent_width": side, "sent_height": side, "sent_bytes": side, "prepare_ms": 1.0}
        timing = {"time_to_first_token_ms": ttft_ms, "input_sequence_length": 10.0}
        facts = {"media": [medium], "timing": timing, "cached": False, "error": None}
        return {**facts, "verdict": None, "correct": True, **more}

    small, large = answer(0.05, 10.0), answer(3.0, 90.0, media_tokens=576)
    cached = answer(3.0, 1.0, cached=True, error={"kind": "x"}, correct=None)
    items: list[Any] = [{"question": OCR._asdict(), **small, "more_samples": [large, cached]}]
    media = shown.of(items, "image")["media"]
    rows = [
        (one["size"], one["answers"], one["time_to_first_token_ms"]) for one in media["by_size"]
    ]
    assert rows == [("up to 0.1 MP", 1, 10.0), ("up to 4 MP", 2, 90.0)]
    assert (media["by_size"][1]["media_tokens"], media["by_size"][1]["failed"]) == (576, 1)
    (sheet,) = shown.sheets({"media": media})
    assert sheet.rows[1][:3] == ("up to 4 MP", "2", "1")


def test_a_rate_of_whole_answers_has_the_interval_of_a_share() -> None:
    asked = OCR._replace(scorer="abc", reference=None)
    tune = "X:1\nM:3/4\nL:1/4\nK:C\nCDE|"
    items = [item(asked._replace(id=str(n)), scored(asked, tune)) for n in range(6)]
    found = rates.of(items)["rates"]
    assert found["parse_rate"]["ci95"] == samples.wilson(6, 6)
    assert found["key_obeyed"] == {
        "n_total": 6,
        "n_scored": 0,
        "by_state": {"scored": 6},
        "mean": None,
        "ci95": None,
        "reason": "no answer was scored",
    }

"""Insights of an eval: each has its evidence, and without evidence there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_llamaburn.kinds.eval import insights

if TYPE_CHECKING:
    from pytest_llamaburn.insights import Insight


def answered(reason: str, tokens: float | None, **fields: Any) -> dict[str, Any]:
    made = {"finish_reason": reason, "output_sequence_length": tokens, "error": None}
    return {**made, "answer": "yes", "thinking": None, **fields}


CUT = answered("length", 512, answer="", thinking="hm")
EVAL = {"max_tokens": 512, "think": None, "sent": {"options": {"num_ctx": 4096}}}


def test_of_answers_that_the_limit_cut_before_they_began_the_advice_is_told() -> None:
    done = [answered("stop", float(tokens)) for tokens in range(300, 501, 10)]
    found = insights.cut_answers([CUT, CUT, *done, answered("length", 512)], EVAL)
    assert found is not None
    text, evidence = found
    assert evidence == {
        "cut": 2,
        "of": 24,
        "thinking": 2,
        "max_tokens": 512,
        "cut_after_tokens": 512,
        "finished_p95_tokens": 490,
        "advised_max_tokens": 1024,
    }
    assert text == (
        "2 of 24 answers were cut off at the limit of 512 tokens before they began; 2 of them were "
        "all thinking. They count as wrong. Of the others, 95 % took up to 490 tokens. Use "
        "--max-tokens 1024 or --think off."
    )


@pytest.mark.parametrize(
    ("answers", "config", "said"),
    [
        ([CUT], {"max_tokens": 2048}, "No other finished. Use --max-tokens 8192 --num-ctx 16384 "),
        ([CUT], {"think": "off"}, "Use --max-tokens 2048."),
        ([CUT], {"sent": {}, "max_tokens": 9999}, "Use --max-tokens 40064 or --think off."),
        ([{**CUT, "thinking": None}], {}, "before they began. They count as wrong."),
        (
            [{**CUT, "output_sequence_length": 200}],
            {},
            "after 200 tokens, where the context was full, before they began",
        ),
        ([{**CUT, "output_sequence_length": None}], {}, "at the limit of 512 tokens"),
        ([CUT, answered("stop", 3000)], {}, "up to 3000 tokens. Use --max-tokens 6016 "),
    ],
)
def test_the_advice_fits_what_was_seen(answers: Any, config: Any, said: str) -> None:
    found = insights.cut_answers(answers, {**EVAL, **config})
    assert found is not None
    assert said in found[0]


@pytest.mark.parametrize(
    "one",
    [
        answered("length", 512),
        answered("stop", 3, answer=""),
        answered("length", None, answer=None, error={"kind": "reset"}),
    ],
)
def test_an_answer_that_began_or_failed_was_not_cut_before_it_began(one: Any) -> None:
    assert insights.cut_answers([one], EVAL) is None


def scored(state: str, scorer: str = "number", **fields: Any) -> dict[str, Any]:
    """Return an item whose scorer came to this state."""
    made = answered("stop", 3, timing={"output_sequence_length": 3}, more_samples=[])
    made |= {"scores": {}, "comparisons": []}
    verdict = {"state": state, "correct": False}
    return {**made, "question": {"scorer": scorer}, "verdict": verdict, "correct": False, **fields}


def eval_results(
    *items: dict[str, Any], model: str = "tiny", family: str | None = None, **results: Any
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "items": items,
        "criteria": {},
        "pairwise": None,
        "judging": {"by_judge": {}},
    }
    about = {"id": model, "family": family}
    return {"model": about, "config": EVAL, "results": {**found, **results}}


def only(document: dict[str, Any]) -> Insight:
    (insight,) = insights.find(document)
    assert insight["evidence"]
    assert insight["text"].endswith(".")
    return insight


def test_without_evidence_nothing_is_said() -> None:
    assert insights.find(eval_results()) == []
    silent: dict[str, Any] = {"verdict": None, "correct": None}
    assert insights.find(eval_results(*[scored("scored", **silent)] * 9)) == []


HALF: Any = answered("length", 512, timing={"output_sequence_length": 512})


def test_judged_answers_that_were_cut_in_the_middle_are_told() -> None:
    judged: Any = {"scores": {"accuracy": {}}}
    done = scored("scored", **judged)
    found = only(eval_results(scored("scored", **HALF, **judged), scored("scored", **HALF), done))
    assert found["id"] == "cut_in_judged_answers"
    assert (found["evidence"]["cut"], found["evidence"]["of"]) == (1, 2)
    assert found["text"] == (
        "1 of 2 judged answers were cut off at the limit of 512 tokens in the middle. Judges saw "
        "only what was there. Of the others, 95 % took up to 3 tokens. Use --max-tokens 1024."
    )
    letter = scored("scored", **HALF, **judged, choice_mass=0.9)  # one token is enough
    assert insights.find(eval_results(letter, done)) == []
    assert not insights.unbegun({**letter, "answer": ""})


def test_cut_text_without_the_end_of_thinking_that_all_others_have_is_told() -> None:
    thinker = scored("scored", thinking="hm")
    found = only(eval_results(scored("scored", **HALF), *[thinker] * 3))
    assert found["id"] == "cut_where_others_think"
    assert found["text"].startswith(
        "1 of 4 answers were cut off at the limit of 512 tokens and have no end of thinking, "
        "unlike all others: their text may be thinking. "
    )
    for others in ([thinker] * 2, [thinker] * 3 + [scored("scored")]):
        assert insights.find(eval_results(scored("scored", **HALF), *others)) == []
    assert insights.find(eval_results(*[thinker] * 4)) == []


def test_answers_cut_before_they_began_are_an_insight_of_the_file() -> None:
    cut = {**CUT, "timing": {"output_sequence_length": 512}}
    found = only(eval_results(scored("truncated", **cut), *[scored("scored")] * 9))
    assert (found["id"], found["evidence"]["cut"]) == ("cut_before_answer", 1)


@pytest.mark.parametrize(
    ("scorer", "advice"),
    [
        ("number", "Ask for a last line such as “Answer: 42”."),
        ("choice", "Ask for the letter of one choice only, or use --choice-by logprob."),
        ("theirs", "Say in the questions, or with --system-prompt, in which form to answer."),
    ],
)
def test_many_answers_that_cannot_be_read_have_the_advice_of_their_scorer(
    scorer: str, advice: str
) -> None:
    found = only(eval_results(*[scored("unparsable", scorer)] * 3, *[scored("scored", scorer)] * 9))
    assert found["id"] == "unparsable_answers"
    assert found["evidence"] == {"scorer": scorer, "unparsable": 3, "of": 12, "share": 0.25}
    assert found["text"] == (
        f"The scorer {scorer} found no answer, or several, in 3 of 12 answers (25%). They count as "
        f"wrong. {advice}"
    )


@pytest.mark.parametrize("counts", [(2, 2), (3, 28)])
def test_few_answers_that_cannot_be_read_are_no_insight(counts: tuple[int, int]) -> None:
    items = [*[scored("unparsable")] * counts[0], *[scored("scored")] * counts[1]]
    assert insights.find(eval_results(*items)) == []


def alpha(value: float | None, *ci95: float) -> dict[str, Any]:
    return {"jury_alpha": {"value": value, "ci95": [*ci95] or None, "n": 30}}


def test_judges_that_surely_disagree_are_told_by_the_worst_criterion() -> None:
    criteria = {
        "accuracy": alpha(0.3, 0.1, 0.5),
        "coherence": alpha(0.2, -0.1, 0.6),
        "completeness": alpha(0.1, -0.3, 0.7),
    }
    found = only(eval_results(criteria=criteria))
    assert found["id"] == "judges_disagree"
    assert found["evidence"] == {
        "criterion": "coherence",
        "alpha": 0.2,
        "ci95": [-0.1, 0.6],
        "n": 30,
    }
    assert "alpha is 0.20 (95 % interval -0.10 to 0.60) over 30 answers" in found["text"]


@pytest.mark.parametrize(
    "one", [{"jury_alpha": None}, alpha(None), alpha(0.2), alpha(0.5, 0.2, 0.7), alpha(0.9, 0.8, 1)]
)
def test_judges_that_may_agree_are_no_insight(one: dict[str, Any]) -> None:
    assert insights.find(eval_results(criteria={"accuracy": one})) == []


def pairwise_figures(share: float | None, *ci95: float, rival: str = "other") -> dict[str, Any]:
    return {
        "rival": rival,
        "first_position_rate": {"value": share, "ci95": [*ci95] or None, "n": 40},
    }


@pytest.mark.parametrize(("share", "interval"), [(0.75, (0.6, 0.85)), (0.2, (0.1, 0.4))])
def test_a_judge_that_surely_looks_at_the_position_is_told(
    share: float, interval: tuple[float, float]
) -> None:
    found = only(eval_results(pairwise=pairwise_figures(share, *interval)))
    assert found["id"] == "judge_position_bias"
    assert found["evidence"] == {"first_position_rate": share, "ci95": [*interval], "n": 40}
    assert f"in {share:.0%} of their decisions (95 % interval" in found["text"]


@pytest.mark.parametrize("rate", [(None,), (0.6, 0.45, 0.8), (0.9,)])
def test_a_position_that_may_not_matter_is_no_insight(rate: tuple[float, ...]) -> None:
    assert insights.find(eval_results(pairwise=pairwise_figures(*rate))) == []


@pytest.mark.parametrize(
    ("judge", "model", "family"),
    [
        ("ollama:llama3.1:70b@http://there", "meta/Llama-3.2-1B", None),
        ("ollama:llama3", "my-tune", "llama"),
        ("openai:gpt-5", "gpt-oss:20b", "gptoss"),
    ],
)
def test_a_judge_of_the_model_s_family_is_told(judge: str, model: str, family: str | None) -> None:
    judging = {"by_judge": {"claude:x": {"scored": 1}, judge: {"scored": 3}}}
    found = only(eval_results(model=model, family=family, judging=judging))
    assert found["id"] == "self_preference"
    assert (found["evidence"]["judge"], found["evidence"]["model"]) == (judge, model)


@pytest.mark.parametrize(
    ("judge", "states", "model", "results"),
    [
        ("ollama:qwen3", {"scored": 3}, "llama3", {}),
        ("ollama:llama3", {"api_error": 3}, "llama3", {}),
        ("ollama:7b", {"scored": 3}, "7b", {}),
        (
            "ollama:llama3",
            {"scored": 3},
            "llama3",
            {"pairwise": pairwise_figures(None, rival="llama2")},
        ),
    ],
)
def test_a_judge_that_cannot_favour_the_model_is_no_insight(
    judge: str, states: dict[str, int], model: str, results: dict[str, Any]
) -> None:
    judging = {"by_judge": {judge: states}}
    assert insights.find(eval_results(model=model, judging=judging, **results)) == []


def test_a_judge_of_the_opponent_s_family_is_told() -> None:
    judging = {"by_judge": {"ollama:llama3": {"scored": 3}}}
    pairwise = pairwise_figures(None, rival="llama2:7b")
    found = only(eval_results(model="qwen3", judging=judging, pairwise=pairwise))
    assert found["evidence"]["model"] == "llama2:7b"

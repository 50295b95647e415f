"""What an eval's answers show: those that the limit of tokens cut before they began."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_llamaburn.kinds.eval import insights


def answered(reason: str, tokens: float | None, **fields: Any) -> dict[str, Any]:
    made = {"finish_reason": reason, "output_sequence_length": tokens, "error": None}
    return {**made, "answer": "yes", "thinking": None, **fields}


CUT = answered("length", 512, answer="", thinking="hm")
EVAL = {"max_tokens": 512, "think": None, "sent": {"options": {"num_ctx": 4096}}}


def test_of_answers_that_the_limit_cut_before_they_began_the_advice_is_told() -> None:
    done = [answered("stop", float(tokens)) for tokens in range(300, 501, 10)]
    found = insights.cut([CUT, CUT, *done, answered("length", 512)], EVAL)
    assert found is not None
    assert found[1] == {
        "cut": 2,
        "of": 24,
        "thinking": 2,
        "max_tokens": 512,
        "cut_after_tokens": 512,
        "finished_p95_tokens": 490,
        "advised_max_tokens": 1024,
    }
    assert found[0] == (
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
    found = insights.cut(answers, {**EVAL, **config})
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
    assert insights.cut([one], EVAL) is None

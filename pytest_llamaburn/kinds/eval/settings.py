"""Settings of an eval."""

from __future__ import annotations

from pytest_llamaburn.settings import Judging, Run, Searching, opt, words


class Eval(Run, Judging, Searching):
    """Settings of `llamaburn eval`."""

    set: tuple[str, ...] = opt(
        ("general_knowledge",),
        "eval set: a built-in name, or a JSON, JSONL or CSV file; repeatable, with a file each",
        scope="eval",
        bounds={"min_length": 1},
    )
    limit: int | None = opt(
        None,
        "ask so many questions of a set, a fixed choice over its categories",
        bounds={"ge": 1},
        example=20,
    )
    system: str | None = opt(
        None,
        "system message before each question, instead of the set's: text, or @FILE",
        example="Answer in one sentence.",
    )
    few_shot: int = opt(0, "solved examples before each question", bounds={"ge": 0})
    choice_by: str = opt(
        "text",
        "how a choice is read: from the answer's text, or as the letter with the greatest "
        "probability (logprob)",
        choices=words("text", "logprob"),
    )
    answers: str | None = opt(
        None,
        "score the answers of this result file again instead of asking a model",
        path=True,
        example="results/evals/earlier.json",
    )
    samples: int = opt(1, "answers to each question, for pass@k", bounds={"ge": 1, "le": 10_000})
    pass_k: int | None = opt(
        None, "k of pass@k: the chance that one of k answers is right", bounds={"ge": 1}, example=1
    )
    criteria: str | None = opt(
        None,
        "have judges mark every answer on these instead of what the set says, as "
        "accuracy,faithfulness",
        scope="eval",
        example="accuracy,faithfulness",
    )
    criterion: tuple[str, ...] = opt(
        (),
        "a criterion of your own to mark every answer on, as 'politeness=it stays polite'; "
        "repeatable",
        scope="eval",
        toml="criteria.*",
        join="=",
        example='politeness = "it stays polite, also where it declines"',
    )
    pairwise: bool = opt(
        False, "have the judge compare answers with those of --compare-to, not mark them"
    )
    compare_to: str | None = opt(
        None,
        "the other model of --pairwise, or the result file that has its answers",
        path=True,
        example="results/evals/other.json",
    )
    cache_answers: bool = opt(
        True, "take an answer from an earlier run of the same model, question and options"
    )
    max_tokens: int | None = opt(  # type: ignore[assignment]  # None: by what the model can do
        None,
        "longest answer, thinking included (default: 512; for a model that thinks up to 4096)",
        unit="tokens",
        scope="eval",
        bounds={"ge": 1},
        example=1024,
    )
    cache: str = opt(
        "none",
        "prompt cache: none (the question as it stands) or bust (a fresh prefix per request)",
        scope="eval",
        choices=words("none", "bust"),
    )
    threshold: tuple[str, ...] = opt(
        (),
        "a gate, as in 'accuracy.mean>=4', 'correct.mean>0.8' or 'win_rate>0.5'; repeatable",
        scope="eval",
        toml="eval_thresholds.*",
        example='accuracy.mean = ">=4"',
    )

"""Settings of a run that measures the damage of a quantization."""

from __future__ import annotations

from pytest_llamaburn.option import budgeted, compared, gates_on_change, opt
from pytest_llamaburn.settings import Run


class Damage(Run):
    """Settings of `llamaburn damage`."""

    prefixes: str | None = opt(
        None,
        "JSON file with the texts at whose places both models are asked (default: our own)",
        path=True,
        example="texts.json",
    )
    top_logprobs: int = opt(
        20,
        "likeliest tokens to ask for at each place; more of them show more of the divergence",
        unit="tokens",
        bounds={"ge": 1, "le": 100_000},
    )
    rounds: int = opt(
        3,
        "number of rounds; each measures both models, with a part of the places",
        scope="damage",
        bounds={"ge": 1, "le": 1000},
    )
    iterations: int = opt(
        2,
        "number of answers of each model in each round, for its speed",
        scope="damage",
        bounds={"ge": 0, "le": 1000},
    )
    prompts: tuple[str, ...] = opt(
        ("default",),
        "prompt sets of the answers: names or files; repeatable",
        scope="damage",
        path=True,
    )
    other_host: str | None = opt(
        None,
        "address of the second model's server, if it is another one",
        example="http://127.0.0.1:8081",
    )
    budget: float | None = budgeted("damage")
    compare: str | None = compared("damage", "the same two models")
    fail_if: tuple[str, ...] = gates_on_change("kl_divergence:+10%", "damage")

"""Settings of a bake-off."""

from __future__ import annotations

from pytest_llamaburn.option import budgeted, opt
from pytest_llamaburn.settings import Judging, Run


class Bakeoff(Run, Judging):
    """Settings of `llamaburn bakeoff`."""

    rank: str = opt("tokens_per_sec", "metric of a request by which the models are ranked")
    require: tuple[str, ...] = opt(
        (),
        "a bound that a model must keep to be ranked, such as 'ttft_ms.p95<800'; repeatable",
        example="ttft_ms.p95<800",
    )
    rounds: int = opt(
        12,
        "most rounds; each measures every model, the first of them another one each time",
        bounds={"ge": 2, "le": 1000},
    )
    iterations: int = opt(
        3,
        "number of requests to each model in each round",
        scope="bakeoff",
        bounds={"ge": 1, "le": 1000},
    )
    prompts: tuple[str, ...] = opt(
        ("default",), "prompt sets: names or files; repeatable", scope="bakeoff", path=True
    )
    margin: float = opt(
        0.03,
        "models whose rates differ by less than this share are equal",
        scope="bakeoff",
        bounds={"ge": 0, "lt": 1},
    )
    early_stop: bool = opt(True, "end as soon as the order is known, instead of after all rounds")
    set: str | None = opt(
        None,
        "eval set that each model answers after the rounds; scorers score its answers, and judges "
        "if --judge names any",
        scope="bakeoff",
        example="math",
    )
    limit: int | None = opt(
        None,
        "number of questions to ask from a set: always the same ones, balanced over its categories",
        bounds={"ge": 1},
        example=20,
    )
    quality: str | None = opt(
        None,
        "ask nothing, but show the quality of each model from its newest complete eval of this set",
        example="math",
    )
    budget: float | None = budgeted("bakeoff", "10m")

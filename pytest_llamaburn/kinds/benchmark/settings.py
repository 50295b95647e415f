"""Settings of a benchmark."""

from __future__ import annotations

from pytest_llamaburn.settings import Prompted, opt, words

_MANY = 100_000  # requests of a benchmark; all are planned before the first is sent


class Benchmark(Prompted):
    """Settings of `llamaburn benchmark`."""

    mode: str = opt(
        "standard",
        "standard, or correctness: write numbers in words, and be judged",
        scope="benchmark",
        choices=words("standard", "correctness"),
    )
    numbers: int = opt(35, "numbers to ask for in correctness mode", bounds={"ge": 1, "le": _MANY})
    lang: str = opt("en", "language of the words in correctness mode")
    iterations: int = opt(
        5,
        "timed requests a model in total, spread over the prompts",
        toml="defaults.benchmark_iterations",
        bounds={"ge": 1, "le": _MANY},
    )
    repeats: int = opt(
        1, "independent runs, each with its own warm-up", bounds={"ge": 1, "le": 1000}
    )
    precision: float | None = opt(
        None,
        "go on until the mean of --precision-metric is known to this share, as 0.05",
        bounds={"gt": 0, "lt": 1},
        example=0.05,
    )
    precision_metric: str = opt("tokens_per_sec", "the metric that --precision is about")
    max_iterations: int = opt(
        200, "most timed requests with --precision or --budget", bounds={"ge": 1}
    )
    budget: float | None = opt(
        None,
        "go on for this long, as 3m, and stop when it is over",
        unit="s",
        bounds={"gt": 0},
        example="3m",
    )
    max_failures: int = opt(
        5, "stop a run after this many failures of one kind in a row", bounds={"ge": 1}
    )
    compare: str | None = opt(
        None,
        "compare with this result file or id; last: the model's newest earlier one",
        bare="last",
        record=False,
        path=True,
        example="last",
    )
    fail_if: tuple[str, ...] = opt(
        (),
        "with --compare, a gate on the change, as in 'tokens_per_sec.mean:-5%'; repeatable",
        record=False,
    )
    start: str = opt(
        "warm",
        "warm, cold (unload before each timed request) or both",
        choices=words("warm", "cold", "both"),
    )

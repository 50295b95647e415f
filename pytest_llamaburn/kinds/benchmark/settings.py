"""Settings of a benchmark."""

from __future__ import annotations

from pytest_llamaburn.option import compared, gates_on_change, opt, words
from pytest_llamaburn.settings import Prompted, Showing

_MANY = 100_000  # maximum number of requests; all are planned before the first one is sent


class Benchmark(Prompted, Showing):
    """Settings of `llamaburn benchmark`."""

    mode: str = opt(
        "standard",
        "standard (speed), or correctness (the model writes numbers in words, which are checked)",
        scope="benchmark",
        choices=words("standard", "correctness"),
    )
    numbers: int = opt(35, "number of questions in correctness mode", bounds={"ge": 1, "le": _MANY})
    lang: str = opt("en", "language of the words in correctness mode")
    iterations: int = opt(
        5,
        "number of timed requests per model, over all prompts",
        toml="defaults.benchmark_iterations",
        bounds={"ge": 1, "le": _MANY},
    )
    repeats: int = opt(
        1, "number of independent runs, each with its own warm-up", bounds={"ge": 1, "le": 1000}
    )
    precision: float | None = opt(
        None,
        "repeat until the 95 % interval of the mean is within ± this share, such as 0.05",
        bounds={"gt": 0, "lt": 1},
        example=0.05,
    )
    precision_metric: str = opt("tokens_per_sec", "the metric whose mean --precision checks")
    max_iterations: int = opt(
        200,
        "maximum number of timed requests with --precision or --budget",
        bounds={"ge": 1},
    )
    budget: float | None = opt(
        None,
        "repeat for this time, such as 3m",
        unit="s",
        bounds={"gt": 0},
        example="3m",
    )
    image: tuple[str, ...] = opt(
        (), "image to send with every prompt; repeatable", path=True, example="photo.jpg"
    )
    video: tuple[str, ...] = opt(
        (), "video to send with every prompt; repeatable", path=True, example="clip.mp4"
    )
    audio: tuple[str, ...] = opt(
        (), "recording to send with every prompt; repeatable", path=True, example="question.wav"
    )
    max_failures: int = opt(
        5, "stop after this number of consecutive failures of one kind", bounds={"ge": 1}
    )
    compare: str | None = compared()
    fail_if: tuple[str, ...] = gates_on_change("tokens_per_sec.mean:-5%")
    start: str = opt(
        "warm",
        "warm, cold (unload the model before each timed request) or both",
        choices=words("warm", "cold", "both"),
    )

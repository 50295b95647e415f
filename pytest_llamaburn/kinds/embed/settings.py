"""Settings of a run that embeds or reranks texts."""

from __future__ import annotations

from pytest_llamaburn.option import budgeted, compared, gates_on_change, opt
from pytest_llamaburn.settings import Run


class Embed(Run):
    """Settings of `llamaburn embed`."""

    batch: str = opt("1,8,32", "numbers of texts in a request", unit="texts")
    isl: str = opt(
        "16,128",
        "lengths of the texts; each batch size is measured with each of them",
        scope="embed",
        unit="tokens",
    )
    iterations: int = opt(
        10,
        "number of rounds; each sends one request of every batch size and length",
        scope="embed",
        bounds={"ge": 1, "le": 10_000},
    )
    rerank: bool = opt(
        False,
        "rerank documents instead of embedding texts; without it, a server that embeds nothing is "
        "asked whether it reranks",
    )
    budget: float | None = budgeted("embed")
    compare: str | None = compared("embed")
    fail_if: tuple[str, ...] = gates_on_change("texts_per_sec@32:-5%", "embed")

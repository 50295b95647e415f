"""Settings of a run that finds the largest context."""

from __future__ import annotations

from pytest_llamaburn.option import budgeted, compared, gates_on_change, opt
from pytest_llamaburn.settings import Run


class Fit(Run):
    """Settings of `llamaburn fit`."""

    max_ctx: int | None = opt(
        None,
        "longest context to try (default: the one that the model was trained for); --num-ctx is "
        "the first one, by default 2048",
        unit="tokens",
        bounds={"ge": 64},
        example=32768,
    )
    kv_type: tuple[str, ...] = opt(
        ("f16",),
        "type of the key-value cache, such as f16, q8_0 or q4_0; repeatable where the server takes "
        "it, else the type that the server was started with",
        bounds={"min_length": 1},
    )
    edge: int = opt(
        1024, "find the largest context to this many tokens", unit="tokens", bounds={"ge": 64}
    )
    reserve: float = opt(
        0.1,
        "share of this machine's RAM that stays free; no step may take it",
        bounds={"ge": 0.01, "le": 0.9},
    )
    osl: int = opt(
        32,
        "length of the answers that are written at each context",
        scope="fit",
        unit="tokens",
        bounds={"ge": 2},
    )
    iterations: int = opt(
        3, "number of answers at each context", scope="fit", bounds={"ge": 1, "le": 1000}
    )
    budget: float | None = budgeted("fit")
    dry_run: bool = opt(
        False, "only predict; load nothing and write no file", scope="fit", record=False
    )
    compare: str | None = compared("fit")
    fail_if: tuple[str, ...] = gates_on_change("step_tokens_per_sec@8192:-5%", "fit")

"""Settings of a run that measures rates by depth."""

from __future__ import annotations

from pytest_llamaburn.option import budgeted, compared, gates_on_change, opt
from pytest_llamaburn.settings import Run


class Depth(Run):
    """Settings of `llamaburn depth`."""

    depths: str = opt(
        "0,512,2k,4k", "tokens that are in the context before a measurement; 2k is 2048"
    )
    isl: str = opt(
        "128,256,384,512",
        "lengths of the prompts that are read at each depth; their slope is the prefill rate",
        scope="depth",
        unit="tokens",
    )
    osl: int = opt(
        32,
        "length of the answers that are written at each depth, if the server can enforce it",
        scope="depth",
        unit="tokens",
        bounds={"ge": 2},
    )
    iterations: int = opt(
        5,
        "number of rounds; each measures every depth once",
        scope="depth",
        bounds={"ge": 1, "le": 1000},
    )
    budget: float | None = budgeted("depth")
    compare: str | None = compared("depth")
    fail_if: tuple[str, ...] = gates_on_change("decode_tokens_per_sec@4096:-5%", "depth")

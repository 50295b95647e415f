"""Settings of a run that tries settings of the server."""

from __future__ import annotations

from pytest_llamaburn.option import budgeted, compared, gates_on_change, opt, words
from pytest_llamaburn.settings import Run


class Tune(Run):
    """Settings of `llamaburn tune`."""

    option: tuple[str, ...] = opt(
        (),
        "an option of the server and the values to try, such as num_batch=128,512; repeatable: all "
        "combinations are tried",
    )
    search: str = opt(
        "grid",
        "grid (every setting in every round) or halving (after some rounds, settings that are "
        "certainly slower are left out)",
        scope="tune",
        choices=words("grid", "halving"),
    )
    objective: str = opt(
        "total",
        "what to make fast: total (a prompt and its answer), prefill (the first token) or decode "
        "(the tokens after it)",
        choices=words("total", "prefill", "decode"),
    )
    server_command: str | None = opt(
        None,
        "command that starts the server, in which {args} stands for the options of a setting, its "
        "address included, such as 'llama-server -m model.gguf {args}'",
        example="llama-server -m model.gguf {args}",
    )
    isl: int = opt(
        256, "length of the prompts", scope="tune", unit="tokens", bounds={"ge": 1, "le": 100_000}
    )
    osl: int = opt(
        64,
        "length of the answers, if the server can enforce it; a time is computed for this length",
        scope="tune",
        unit="tokens",
        bounds={"ge": 2},
    )
    iterations: int = opt(
        5,
        "number of rounds; each tries every setting once",
        scope="tune",
        bounds={"ge": 3, "le": 1000},
    )
    answers: int = opt(
        2, "number of answers in each round for each setting", bounds={"ge": 1, "le": 1000}
    )
    budget: float | None = budgeted("tune")
    compare: str | None = compared("tune")
    fail_if: tuple[str, ...] = gates_on_change("tuned_time_ms:+5%", "tune")

"""Settings of a run that holds conversations."""

from __future__ import annotations

from pytest_llamaburn.option import opt
from pytest_llamaburn.settings import Run


class Chat(Run):
    """Settings of `llamaburn chat`."""

    turns: int = opt(
        8, "number of questions in each conversation", scope="chat", bounds={"ge": 1, "le": 1000}
    )
    conversations: int = opt(3, "number of conversations", bounds={"ge": 1, "le": 1000})
    isl: int = opt(
        64,
        "length of each question",
        scope="chat",
        unit="tokens",
        bounds={"ge": 1, "le": 10_000_000},
    )
    osl: int = opt(
        64,
        "length of each answer, if the server can enforce it",
        scope="chat",
        unit="tokens",
        bounds={"ge": 2},
    )
    overflow: bool = opt(
        True,
        "find out what the server does when the context is full; this sends two requests as long "
        "as the context",
    )
    budget: float | None = opt(
        None,
        "end the run before this time is over, such as 3m",
        scope="chat",
        unit="s",
        bounds={"gt": 0},
        example="3m",
    )
    compare: str | None = opt(
        None,
        "compare with this result file or run id; last: the newest earlier file of the model",
        scope="chat",
        bare="last",
        record=False,
        path=True,
        example="last",
    )
    fail_if: tuple[str, ...] = opt(
        (),
        "with --compare, a gate on the change, such as 'turn_ttft_ms@8:+10%'; repeatable",
        scope="chat",
        record=False,
    )

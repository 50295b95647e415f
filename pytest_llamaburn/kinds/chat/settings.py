"""Settings of a run that holds conversations."""

from __future__ import annotations

from pytest_llamaburn.option import budgeted, compared, gates_on_change, opt
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
    budget: float | None = budgeted("chat")
    compare: str | None = compared("chat")
    fail_if: tuple[str, ...] = gates_on_change("turn_ttft_ms@8:+10%", "chat")

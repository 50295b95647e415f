"""Chat: a conversation that grows, what its prompt cache is worth, and what its end looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds._kind import Expected, RunKind

if TYPE_CHECKING:
    from pytest_llamaburn.kinds._kind import Item, Session


class _Chat(RunKind):
    name = "chat"
    folder = "chats"
    settings = "settings.Chat"
    run = "run.ChatRun"
    help = "measure a conversation that grows turn by turn"
    description = (
        "Measure the time to the first token in each turn of a growing conversation, what a miss "
        "of the prompt cache costs, and what the server does when the context is full."
    )
    example = "llamaburn chat llama3.1:8b --turns 8"
    first = ("turns", "conversations", "isl", "osl", "overflow", "budget")
    fixture = "llm_in_chat"
    fixture_help = "Return the server and model with which conversations are held, warmed up."
    functions = {  # noqa: RUF012
        "llm_chat": (
            "calls.hold",
            """Return a function that holds the conversations of `--llamaburn-conversations`.

    It returns the `results` of the result file: `found["turns"]` has the times of each turn, and
    `found["overflow"]` what the server does when the context is full.
    """,
        )
    }
    marker_help = "holds conversations: thresholds=['turn_ttft_ms@8<500']"

    def check(self, settings: Any) -> None:
        """Raise SettingsError for a gate that has no meaning."""
        self.load("result.check")(settings)

    def planned(self, item: Item, session: Session) -> int:
        """Return the number of timed requests of an item."""
        if "llm_chat" not in item.fixtures:
            return 0
        return int(self.load("plan.requests")(session.settings(self.name)))

    def expected(self, settings: Any, request_s: float) -> Expected:
        """Return about how long a run will take if a request of its model takes `request_s`."""
        each_s = (settings.warmup + self.load("plan.requests")(settings)) * request_s
        seconds = min(each_s, settings.budget or each_s)
        return Expected(len(self.models(settings)) * seconds, "longer if the context is long")


KIND = _Chat()

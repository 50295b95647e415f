"""Chat: a conversation that grows, what its prompt cache is worth, and what its end looks like."""

from __future__ import annotations

from pytest_llamaburn.kinds._kind import SingleKind


class _Chat(SingleKind):
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
    slower = "longer if the context is long"
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

    def check(self, settings: object) -> None:
        """Raise SettingsError for a gate that has no meaning."""
        self.load("result.check")(settings)


KIND = _Chat()

"""The smallest kind of run, as another distribution adds it: one text is sent a few times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds._kind import RunKind

if TYPE_CHECKING:
    from pytest_llamaburn.kinds._kind import Item, Session


class _Echo(RunKind):
    name = "echo"
    folder = "echoes"
    settings = "settings.Echo"
    run = "run.EchoRun"
    help = "send one text a few times"
    description = "Send one text a few times and show how fast the answers were."
    example = "llamaburn echo llama3.1:8b --times 3"
    fixture = "llm_echo_run"
    fixture_help = "Give the model that answers."
    functions = {"llm_echo": ("calls.echo", "Return a function that sends a text.")}  # noqa: RUF012
    marker_help = "sends a text: thresholds=['ttft_ms.p50<500']"

    def check(self, settings: Any) -> None:
        self.load("result.check")(settings)

    def planned(self, item: Item, session: Session) -> int:
        times: int = session.settings(self.name).times
        return times if "llm_echo" in item.fixtures else 0


KIND = _Echo()

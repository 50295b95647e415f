"""Depth: how fast a model reads and writes when its context is already filled to some depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds._kind import Expected, RunKind

if TYPE_CHECKING:
    from pytest_llamaburn.kinds._kind import Item, Session


class _Depth(RunKind):
    name = "depth"
    folder = "depths"
    settings = "settings.Depth"
    run = "run.DepthRun"
    help = "measure how fast a model reads and writes at several depths of its context"
    description = (
        "Measure the prefill rate and the decode rate of a model at several depths of its context, "
        "in one pytest session, and show the result file as a table."
    )
    example = "llamaburn depth llama3.1:8b --depths 0,512,2k,4k --num-ctx 8192"
    first = ("depths", "iterations", "isl", "osl", "num_ctx", "budget")
    fixture = "llm_at_depth"
    fixture_help = "Return the server and model whose rates are measured by depth, warmed up."
    functions = {  # noqa: RUF012
        "llm_depth": (
            "calls.measure",
            """Return a function that measures the rates at each depth of `--llamaburn-depths`.

    It returns the `results` of the result file: `found["depths"]` has the rates of each depth.
    """,
        )
    }
    marker_help = "measures rates by depth: thresholds=['decode_tokens_per_sec@4096>20']"

    def check(self, settings: Any) -> None:
        """Raise SettingsError for depths, lengths or gates that have no meaning."""
        self.load("result.check")(settings)

    def planned(self, item: Item, session: Session) -> int:
        """Return the number of timed requests of an item, if each depth fits in the context."""
        if "llm_depth" not in item.fixtures:
            return 0
        return int(self.load("plan.requests")(session.settings(self.name)))

    def expected(self, settings: Any, request_s: float) -> Expected:
        """Return about how long a run will take if a request of its model takes `request_s`."""
        each_s = (settings.warmup + self.load("plan.requests")(settings)) * request_s
        seconds = min(each_s, settings.budget or each_s)
        return Expected(len(self.models(settings)) * seconds, "longer if the depths are large")


KIND = _Depth()

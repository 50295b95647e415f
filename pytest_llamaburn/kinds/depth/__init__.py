"""Depth: how fast a model reads and writes when its context is already filled to some depth."""

from __future__ import annotations

from pytest_llamaburn.kinds._kind import SingleKind


class _Depth(SingleKind):
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
    slower = "longer if the depths are large"
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

    def check(self, settings: object) -> None:
        """Raise SettingsError for depths, lengths or gates that have no meaning."""
        self.load("result.check")(settings)


KIND = _Depth()

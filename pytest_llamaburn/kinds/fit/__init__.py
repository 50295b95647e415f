"""Fit: the largest context of a model that its memory holds, and what more of it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds._kind import SingleKind

if TYPE_CHECKING:
    from collections.abc import Iterable


class _Fit(SingleKind):
    name = "fit"
    folder = "fits"
    settings = "settings.Fit"
    run = "run.FitRun"
    help = "find the largest context of a model that fits in memory"
    description = (
        "Predict the memory that a model takes from the metadata of its file, then load it with "
        "longer and longer contexts. Say the longest that stays wholly on the GPU, where layers "
        "spill to the processor, and what that costs in tokens per second. Without a GPU, the same "
        "for the RAM of the machine."
    )
    example = "llamaburn fit llama3.1:8b --max-ctx 65536"
    first = ("max_ctx", "kv_type", "edge", "reserve", "budget", "dry_run")
    slower = "longer: the model is loaded anew for each context"
    seeks_failures = True
    fixture = "llm_to_fit"
    fixture_help = "Return the server and model whose memory is measured by context."
    functions = {  # noqa: RUF012
        "llm_fit": (
            "calls.measure",
            """Return a function that finds the largest context which fits in memory.

    It returns the `results` of the result file: `found["series"]` has the largest context for each
    type of the KV cache, and `found["steps"]` the memory at each context.
    """,
        )
    }
    marker_help = "finds the largest context that fits: thresholds=['largest_context>=8192']"

    def check(self, settings: Any) -> None:
        """Raise SettingsError for contexts, types or gates that have no meaning."""
        self.load("result.check")(settings)

    def preview(self, settings: Any) -> Iterable[str] | None:
        """Return the predicted memory by context, with --dry-run."""
        if not settings.dry_run:
            return None
        self.check(settings)
        lines: Iterable[str] = self.load("foresight.lines")(settings)
        return lines


KIND = _Fit()

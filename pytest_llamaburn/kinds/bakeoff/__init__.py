"""Bake-off: which of several models is the fastest on this machine, and their other differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds._kind import SingleKind

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Bakeoff(SingleKind):
    name = "bakeoff"
    folder = "bakeoffs"
    settings = "settings.Bakeoff"
    run = "run.BakeoffRun"
    help = "rank models by speed, in interleaved rounds"
    description = (
        "Measure several models in turn, round after round, until their order is known. Models "
        "that the measurements cannot tell apart share a rank."
    )
    example = "llamaburn bakeoff llama3.1:8b mistral:7b qwen3:8b --require 'ttft_ms.p95<800'"
    first = ("rank", "require", "rounds", "iterations", "set", "judge", "quality", "budget")
    slower = "plus the time to load each model in each round; it ends early if the order is known"
    fixture = "llm_in_bakeoff"
    fixture_help = "Return the server on which models are compared, with the first of them loaded."
    functions = {  # noqa: RUF012
        "llm_bakeoff": (
            "calls.hold",
            """Return a function that measures the models of `--llamaburn-model` in rounds.

    It returns the `results` of the result file: `found["candidates"]` has each model with its rank.
    """,
        )
    }
    marker_help = "compares models in rounds: thresholds=['tokens_per_sec.p50>20'] of the first"

    def check(self, settings: object) -> None:
        """Raise SettingsError for models, measures or gates that have no meaning."""
        self.load("plan.check")(settings)

    def failure(self, results: Mapping[str, Any]) -> str | None:
        """Return a sentence if no model has a rank, else None."""
        candidates = results["candidates"]
        if any(one["rank"] for one in candidates):
            return None
        why = "; ".join(f"{one['name']}: {one['out']}" for one in candidates)
        return f"no model is ranked: {why}"

    def models(self, settings: Any) -> tuple[str | None, ...]:
        """Return the first model: one run measures them all."""
        first: tuple[str | None, ...] = settings.model[:1] or (None,)
        return first

    def file_stem(self, header: Mapping[str, Any]) -> str:
        """Return the names of the models."""
        candidates = header.get("candidates") or header["results"]["candidates"]
        return "_".join(one["model"]["id"] for one in candidates)


KIND = _Bakeoff()

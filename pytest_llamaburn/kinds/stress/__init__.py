"""Stress runs: loads that grow, stay or burst, until the server bends or breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds._kind import RunKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class _Stress(RunKind):
    description = (
        "Load a model until it bends and breaks: one pytest session, then the table of its result "
        "file."
    )
    name = "stress"
    folder = "stress"
    settings = "settings.Stress"
    run = "run.StressRun"
    help = "find where a model's server bends and where it breaks"
    example = "llamaburn stress llama3.1:8b --mode ramp --max-concurrency 20"
    fixture = "llm_under_load"
    fixture_help = "Give the server and model that a load is sent to, warmed up."
    functions = {  # noqa: RUF012
        "llm_stress": (
            "calls.send",
            """Return a function that sends the load of `--llamaburn-stress-mode`.

    It returns `results` as the result file has them: `found["levels"]`, `found["failure_point"]` …
    Raises NothingMeasuredError if one client alone gets no answer, SettingsError for a threshold of
    the marker that this load never decides.
    """,
        ),
    }
    marker_help = "loads a model: thresholds=['error_rate<0.01']"
    variant_setting = "mode"

    def file_stem(self, header: Mapping[str, Any]) -> str:
        """Return what a file's name begins with: the model and the mode."""
        return f"{header['model']['id']}_{header['config']['mode']}"

    def brief(self) -> type:
        """Return the dataclass of what lists read of a file's `results`."""
        found: type = self.load("brief.Results")
        return found

    def check(self, settings: Any) -> None:
        """Raise SettingsError for options that contradict each other or mean nothing."""
        self.load("result.check")(settings)

    def write_companions(self, record: Any, path: Path) -> None:
        """Write a row per request beside the result file, where the run asked for them."""
        self.load("result.write_companions")(record, path)

    def failure(self, results: Mapping[str, Any]) -> str | None:
        """Return that the server is gone, if the load ended for that."""
        from pytest_llamaburn.load.step import SERVER_GONE

        gone = results["stop_reason"] == SERVER_GONE
        return "the load stopped before its end: the server is gone" if gone else None


KIND = _Stress()

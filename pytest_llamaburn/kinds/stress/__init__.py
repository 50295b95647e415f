"""Stress runs: loads that grow, stay constant or burst, until the server degrades or fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds._kind import Expected, RunKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class _Stress(RunKind):
    description = "Load a server, and show at which load it degrades and at which it fails."
    name = "stress"
    folder = "stress"
    settings = "settings.Stress"
    run = "run.StressRun"
    help = "find the load at which a model's server degrades and at which it fails"
    example = "llamaburn stress llama3.1:8b --mode ramp --max-concurrency 20"
    first = (
        *("mode", "users", "max_concurrency", "levels", "duration"),
        *("spike_concurrency", "prompts"),
    )
    seeks_failures = True
    fixture = "llm_under_load"
    fixture_help = "Return the server and model under load, warmed up."
    functions = {  # noqa: RUF012
        "llm_stress": (
            "calls.send",
            """Return a function that sends the load of `--llamaburn-stress-mode`.

    It returns the `results` of the result file: `found["levels"]`, `found["failure_point"]` and so
    on. Raises NothingMeasuredError if a single client gets no answer, and SettingsError for a
    threshold of the marker that this load can never decide.
    """,
        ),
    }
    marker_help = "loads a model: thresholds=['error_rate<0.01']"
    variant_setting = "mode"
    several_servers = True

    def file_stem(self, header: Mapping[str, Any]) -> str:
        """Return the start of a file's name: the model and the mode."""
        return f"{header['model']['id']}_{header['config']['mode']}"

    def brief(self) -> type:
        """Return the dataclass of what lists read of a file's `results`."""
        found: type = self.load("brief.Results")
        return found

    def check(self, settings: Any) -> None:
        """Raise SettingsError for options that contradict each other or have no meaning."""
        self.load("result.check")(settings)

    def expected(self, settings: Any, request_s: float) -> Expected:
        """Return about how long a run will take if a request of its model takes `request_s`."""
        if settings.mode == "twin" and settings.users:
            least_s, most_s = self.load("plan.twin_s")(settings, request_s, None)
            note = f"up to {most_s:.0f} s if the server answers one request at a time"
            return Expected(len(self.models(settings)) * least_s, note)
        seconds = self.load("plan.length_s")(settings, request_s)
        if seconds is None:
            return Expected(None, "how long it takes depends on how much the server carries")
        return Expected(len(self.models(settings)) * seconds)

    def write_companions(self, record: Any, path: Path) -> None:
        """Write a row per request beside the result file, if --save-requests is set."""
        self.load("result.write_companions")(record, path)

    def failure(self, results: Mapping[str, Any]) -> str | None:
        """Return a sentence if the server, or one of several, is gone, else None."""
        from pytest_llamaburn.load.step import SERVER_GONE

        if results["stop_reason"] == SERVER_GONE:
            return "the load stopped before its end: the server is gone"
        lost = [host["host"] for host in results.get("hosts") or () if host["gone"]]
        return f"{', '.join(lost)} is gone: it died during the load" if lost else None


KIND = _Stress()

"""Tune: the settings of a server with which a model is fastest, and what each option is worth."""

from __future__ import annotations

from typing import Any

from pytest_llamaburn.kinds._kind import SingleKind


class _Tune(SingleKind):
    name = "tune"
    folder = "tunings"
    settings = "settings.Tune"
    run = "run.TuneRun"
    help = "try settings of the server and find the fastest"
    description = (
        "Try the settings of a server in rounds, so that a drift of the machine hits all of them "
        "alike. Say which is the fastest, which cannot be told apart from it, what each option is "
        "worth, and how to keep the setting."
    )
    example = "llamaburn tune llama3.1:8b --option num_batch=128,512 --option num_thread=2,4,8"
    first = ("option", "search", "objective", "iterations", "budget")
    slower = "longer: the model is loaded anew for each setting in each round"
    seeks_failures = True
    fixture = "llm_to_tune"
    fixture_help = "Return the server and model whose settings are tried."
    functions = {  # noqa: RUF012
        "llm_tune": (
            "calls.measure",
            """Return a function that tries the settings of `--llamaburn-option`.

    It returns the `results` of the result file: `found["best"]` is the fastest setting, and
    `found["effects"]` what each option is worth.
    """,
        )
    }
    marker_help = "tries settings of the server: thresholds=['tuning_gain>10%']"

    def check(self, settings: Any) -> None:
        """Raise SettingsError for options, a command or gates that have no meaning."""
        self.load("result.check")(settings)


KIND = _Tune()

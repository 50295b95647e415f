"""Damage: how far a model's next tokens are from a reference's, such as before quantizing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds._kind import SingleKind

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Damage(SingleKind):
    name = "damage"
    folder = "damages"
    settings = "settings.Damage"
    run = "run.DamageRun"
    help = "measure what a quantization changes, without a judge"
    description = (
        "Ask two models, the reference first, for the probabilities of the next token at many "
        "places of fixed texts. Report how far the second is from the reference (Kullback-Leibler "
        "divergence), how often its likeliest token is another one, and the speed of both."
    )
    example = "llamaburn damage llama3.1:8b-q8_0 llama3.1:8b-q4_0"
    first = ("prefixes", "top_logprobs", "rounds", "iterations", "other_host", "budget")
    slower = "plus the time to load each model; requests for one token are shorter"
    fixture = "llm_in_damage"
    fixture_help = "Return the server on which two models are compared, with the reference loaded."
    functions = {  # noqa: RUF012
        "llm_damage": (
            "calls.measure",
            """Return a function that compares the two models of `--llamaburn-model`.

    It returns the `results` of the result file: `found["kl_divergence"]` and
    `found["changed_tokens"]` have a `value` and its `ci95`.
    """,
        )
    }
    marker_help = "compares a model with a reference: thresholds=['changed_tokens<5%']"

    def check(self, settings: object) -> None:
        """Raise SettingsError for models, prefixes or gates that have no meaning."""
        self.load("result.check")(settings)

    def models(self, settings: Any) -> tuple[str | None, ...]:
        """Return the reference: one run measures both models."""
        first: tuple[str | None, ...] = settings.model[:1] or (None,)
        return first

    def file_stem(self, header: Mapping[str, Any]) -> str:
        """Return the names of the models."""
        both = header.get("candidates")
        if both is None:
            both = [header["results"]["other"], header["results"]["reference"]]
        else:
            both = [*reversed(both)]
        return "_against_".join(one["model"]["id"] for one in both)


KIND = _Damage()

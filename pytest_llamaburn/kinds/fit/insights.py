"""The insights of a run that finds the largest context."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import insights
from pytest_llamaburn.insights import adding_to
from pytest_llamaburn.kinds.fit import plan
from pytest_llamaburn.tables import number

if TYPE_CHECKING:
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.insights import Finding, Insight, Rule

_OFF = 0.05  # a larger error of the prediction is worth a sentence
_CHEAPER = "q8_0"
_RULES: list[Rule] = [insights.other_load]


def find(document: Document) -> list[Insight]:
    """Return the insights that apply to a result file."""
    return insights.evidenced(_RULES, document)


@adding_to(_RULES)
def spill_cost(document: Document) -> Finding | None:
    """Read what the first context past the edge costs, unless the interval leaves it open."""
    for series in document["results"]["series"]:
        loss, ends = series["spill_loss"], series["spill_loss_ci95"]
        if series["memory"] == "gpu" and loss and ends and ends[0] > 0:
            text = (
                f"With {series['beyond']} tokens of context a part of the model leaves the GPU, "
                f"and it writes {loss:.0%} slower. Stay at {series['largest_context']} tokens or "
                f"less, or start the server with a smaller KV cache such as {_CHEAPER}."
            )
            return text, {"spill_loss": loss, "largest_context": series["largest_context"]}
    return None


@adding_to(_RULES)
def prediction_off(document: Document) -> Finding | None:
    """Warn if the prediction differs from what the server says."""
    steps = [step for step in document["results"]["steps"] if step["difference"] is not None]
    worst = max(steps, key=lambda step: abs(step["difference"]), default=None)
    if worst is None or abs(worst["difference"]) <= _OFF:
        return None
    text = (
        f"With {worst['num_ctx']} tokens the prediction differs by {worst['difference']:+.0%} from "
        f"what the server says, {number(worst['total_bytes'] / 1e6)} MB. It is that of llama.cpp "
        "with flash attention and without repacked weights."
    )
    return text, {"difference": worst["difference"], "num_ctx": worst["num_ctx"]}


@adding_to(_RULES)
def stopped_by_reserve(document: Document) -> Finding | None:
    """Say that the RAM that must stay free ended the search."""
    steps = document["results"]["steps"]
    refused = [step["num_ctx"] for step in steps if step["place"] == plan.REFUSED]
    if not refused:
        return None
    text = (
        f"{min(refused)} tokens of context would leave less RAM free than --reserve asks for: they "
        "were not tried, so that the machine never swaps."
    )
    return text, {"num_ctx": min(refused)}

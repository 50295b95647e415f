"""How damage is compared: place by place, between files of the same reference and texts."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds import _comparable
from pytest_llamaburn.kinds._comparable import Column, Estimate, Subject
from pytest_llamaburn.kinds.damage.measures import MEASURES
from pytest_llamaburn.stats import changes, figures, skewed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.stats.figures import Figure

    Places = Sequence[tuple[Document, Document]]  # the same place in the baseline and in a file

_NONE_IN_COMMON = "the files have no place in common"
_NO_DIVERGENCE = "the baseline has no divergence, so there is no ratio"
_COMPARED = ("kl_divergence", "changed_tokens", "perplexity_ratio", "speed_ratio")


class Damaged(Subject):
    """A file of damage."""

    alike = ("model", "prefixes", "top_logprobs", "num_ctx")

    @cached_property
    def conditions(self) -> tuple[Any, ...]:
        """The facts that are equal in runs that differ only by noise."""
        return (*super().conditions, self.reference)

    @property
    def reference(self) -> tuple[str, str | None]:
        """The id and the digest of the reference."""
        model = self.document["results"]["reference"]["model"]
        return model["id"], model["digest"]


class Comparison(_comparable.Comparison):
    """A comparison of damage."""

    kind = "damage"
    noun = "damage run"
    measures = {name: MEASURES[name] for name in _COMPARED}  # noqa: RUF012
    default = ("kl_divergence", "changed_tokens", "speed_ratio")
    like = ("model", "prefixes", "top_logprobs")
    subject = Damaged
    evidence = "the places of both files, text by text; else the intervals of each file"

    def estimate(self, other: Damaged, column: Column) -> Estimate:
        """Return the change of a column; both files have the same places, so these are paired."""
        change = {"kl_divergence": _of_divergence, "changed_tokens": _of_changed}
        plain = super().estimate(other, column)
        if column.metric not in change or None in (plain.baseline, plain.value):
            return plain
        known = {place["id"]: place for place in self.baseline.document["results"]["places"]}
        theirs = other.document["results"]["places"]
        pairs = [(known[place["id"]], place) for place in theirs if place["id"] in known]
        if not pairs:
            return plain._replace(interval=None, reason=_NONE_IN_COMMON)
        found = change[column.metric](pairs)
        ends = found.ci95 and found.value is not None and self._wider(found)
        return plain._replace(interval=ends or None, reason=None if ends else found.reason)

    def _wider(self, figure: Figure) -> list[float]:
        """Return the interval of a figure, widened from 95 % as a normal's would be."""
        by, value = changes.wider(self.confidence), figure.value or 0.0
        return [value + by * (end - value) for end in figure.ci95 or ()]

    def differing(self, other: Damaged) -> Iterator[str]:
        """Yield a text for each setting that differs, and for another reference."""
        yield from super().differing(other)
        was, now = self.baseline.reference, other.reference
        if was[0] == now[0] and was != now:
            yield f"the weights of the reference {now[0]} are not those of the baseline's"


def _of_divergence(pairs: Places) -> Figure:
    """Return the change as a share of the baseline's divergence, with its interval."""
    texts: dict[str, tuple[float, float]] = {}
    for before, after in pairs:
        sums = texts.get(before["passage"], (0.0, 0.0))
        texts[before["passage"]] = (sums[0] + after["kl"] - before["kl"], sums[1] + before["kl"])
    known = [sums for sums in texts.values() if sums != (0, 0)]
    if not any(before for _, before in known):
        return figures.Figure(
            None, 0, reason="the baseline has no divergence, so there is no ratio"
        )
    return skewed.ratio(known)


def _of_changed(pairs: Places) -> Figure:
    """Return the change of the share, with its interval."""
    differences = [float(after["changed"]) - before["changed"] for before, after in pairs]
    texts = [before["passage"] for before, _ in pairs]
    return figures.mean(differences, texts, scale=(-1, 1))

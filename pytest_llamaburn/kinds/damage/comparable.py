"""How damage is compared: by its numbers, between files of the same reference and texts."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.kinds import _comparable
from pytest_llamaburn.kinds._comparable import Subject
from pytest_llamaburn.kinds.damage.measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    def differing(self, other: Damaged) -> Iterator[str]:
        """Yield a text for each setting that differs, and for another reference."""
        yield from super().differing(other)
        was, now = self.baseline.reference, other.reference
        if was[0] == now[0] and was != now:
            yield f"the weights of the reference {now[0]} are not those of the baseline's"

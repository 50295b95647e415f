"""An estimate of the number of calls of judges and their cost; nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_llamaburn.judges import _judging, _prices
from pytest_llamaburn.judges._base import Usage
from pytest_llamaburn.judges._caller import CHARS_PER_TOKEN
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.judges._caller import Caller
    from pytest_llamaburn.judges._prompt import Prompt

_OUTPUT_TOKENS = 500  # of a typical reply


class Estimate(NamedTuple):
    """The calls, tokens and cost of one judge; costs are None if its price is unknown.

    `most_usd` assumes that no call fails: a failed call may be billed, and is repeated.
    """

    judge: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    most_usd: float | None

    def plus(self, other: Estimate) -> Estimate:
        """Return the estimate of both together, for the same judge."""
        sums = (_plus(mine, its) for mine, its in zip(self[1:], other[1:], strict=True))
        return Estimate(self.judge, *sums)

    def sentence(self, material: str) -> str:
        """Return the estimate as a sentence; `material` says what would be judged."""
        price = "at an unknown price"
        if self.cost_usd is not None and self.most_usd is not None:
            price = (
                f"about {self.cost_usd:.2f} USD, at most {self.most_usd:.2f} USD if no call fails"
            )
        return (
            f"{self.judge}: {counted(self.calls, 'call')} for {material}, "
            f"about {self.input_tokens} tokens in and {self.output_tokens} out, {price}"
        )


def _plus(one: Any, other: Any) -> Any:
    return None if one is None or other is None else one + other


def of(caller: Caller, prompts: Sequence[Prompt]) -> Estimate:
    """Return the estimate of a judge for some prompts.

    It assumes 4 characters per token, 500 tokens per reply, and as many tokens per medium as can be
    billed. `most_usd` is the cost if every reply is cut at its limit twice and every byte is a
    token.
    """
    tokens = sum(len(p.system) + len(p.user) for p in prompts) // CHARS_PER_TOKEN
    tokens += sum(m.most_tokens for p in prompts for m in p.shown if m.kind in caller.judge.takes)
    output = len(prompts) * _OUTPUT_TOKENS
    usual = _prices.cost_usd(Usage(input=tokens, output=output), caller.prices)
    worst = [_judging.worst_usd(caller, prompt) for prompt in prompts]
    most = None if None in worst else sum(filter(None, worst))
    return Estimate(caller.judge.name, len(prompts), tokens, output, usual, most)

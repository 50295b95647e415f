"""One judgment: what was asked of which judge, and the verdict or the reason for none."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_llamaburn.backends._failures import NOT_THE_MODELS
from pytest_llamaburn.judges._base import Ask, CallError, Usage
from pytest_llamaburn.judges._caller import BudgetError, Spent
from pytest_llamaburn.judges._parsing import ParseError, parse
from pytest_llamaburn.judges._prompt import absolute, pairwise
from pytest_llamaburn.thinking import split_thinking

if TYPE_CHECKING:
    from pytest_llamaburn.judges._base import Reply
    from pytest_llamaburn.judges._caller import Caller
    from pytest_llamaburn.judges._prompt import Case, Pair, Prompt

STATES = (
    "scored",
    "refused",
    "truncated",
    "parse_error",
    "api_error",
    "budget",
    "skipped_sut_error",
)
MAX_TOKENS = 4096  # thinking counts against it
TEMPERATURE = 0.0


@dataclass(frozen=True)
class Judgment:
    """One verdict of one judge; `score` and `verdict` are None unless `state` is scored.

    `source` is judge or rule; `verdict` (of a comparison) is A, B or tie, A being the answer that
    was shown first. `calls` were sent for it, `retries` of them before the last one. `cost_usd` is
    None for `cost_reason`; then `most_usd` says what they can have cost, None without a price.
    """

    criterion: str
    state: str
    source: str = "judge"
    score: int | None = None
    verdict: str | None = None
    reasoning: str = ""
    evidence: tuple[str, ...] = ()
    judge: str | None = None
    model_asked: str | None = None
    model_served: str | None = None
    request_id: str | None = None
    usage: Usage = field(default_factory=Usage)
    calls: int = 0
    cost_usd: float | None = 0.0
    most_usd: float | None = 0.0
    cost_reason: str | None = None
    latency_ms: float | None = None
    temperature: dict[str, Any] | None = None
    max_tokens: int | None = None
    retries: int = 0
    prompt_sha256: str | None = None
    error: dict[str, str] | None = None

    @property
    def scored(self) -> bool:
        """Whether there is a verdict; only these enter means."""
        return self.state == "scored"

    def as_dict(self) -> dict[str, Any]:
        """Return the judgment as JSON types."""
        return asdict(self) | {"evidence": [*self.evidence]}


async def judge(caller: Caller, case: Case, criterion: str) -> Judgment:
    """Return one judge's verdict on one answer and criterion. Raises only where it cannot open."""
    return by_rule(case, criterion) or await _verdict(caller, absolute(case, criterion), criterion)


async def compare(caller: Caller, pair: Pair) -> Judgment:
    """Return one judge's verdict on two answers in the order in which they are given."""
    return await _verdict(caller, pairwise(pair), "preference")


def by_rule(case: Case, criterion: str) -> Judgment | None:
    """Return the judgment of an answer that is not there, None for one to be judged.

    The model's own failure, an empty answer, or one that the limit of tokens cut off before it
    began, scores 1, so that silence is never rewarded. Where the server was gone there is no score.
    """
    if case.failure is not None:
        if case.failure in NOT_THE_MODELS:
            error = {"kind": "skipped_sut_error", "words": case.failure}
            return Judgment(criterion, error["kind"], "rule", error=error)
        return _one(criterion, f"the model gave no answer: {case.failure}")
    if split_thinking(case.answer)[0]:
        return None
    if case.finish_reason == "length":
        return _one(criterion, "the limit of tokens came before the answer")
    return _one(criterion, "the answer is empty")


def _one(criterion: str, reason: str) -> Judgment:
    return Judgment(criterion, "scored", "rule", score=1, reasoning=reason)


def worst_usd(caller: Caller, prompt: Prompt) -> float | None:
    """Return the most that a verdict can cost if no call fails, None for an unknown price."""
    first, second = (caller.worst_usd(_ask(prompt, n)) for n in (MAX_TOKENS, 2 * MAX_TOKENS))
    return None if first is None or second is None else first + second


async def _verdict(caller: Caller, prompt: Prompt, criterion: str) -> Judgment:
    """Ask, once more with twice the room where the reply was cut."""
    about = Judgment(
        criterion,
        "api_error",
        judge=caller.judge.name,
        model_asked=caller.judge.model,
        prompt_sha256=prompt.sha256,
        max_tokens=MAX_TOKENS,
        temperature=_temperature(caller, {}),
    )
    started, spent = time.perf_counter(), Spent()
    found = await _attempt(caller, prompt, about, spent)
    if found.state == "truncated":
        found = await _attempt(caller, prompt, replace(found, max_tokens=2 * MAX_TOKENS), spent)
    latency_ms = (time.perf_counter() - started) * 1e3
    return replace(found, latency_ms=latency_ms, retries=max(0, spent.calls - 1), **vars(spent))


async def _attempt(caller: Caller, prompt: Prompt, about: Judgment, spent: Spent) -> Judgment:
    """Return the judgment that one reply makes; `about` has what is known so far."""
    try:
        reply = await caller.ask(_ask(prompt, about.max_tokens or MAX_TOKENS), spent)
    except BudgetError as err:
        return _failed(about, "budget", "budget", str(err))
    except CallError as err:
        return _failed(about, "api_error", err.kind, err.words)
    known = replace(
        about,
        model_served=reply.model,
        request_id=reply.request_id,
        usage=about.usage + reply.usage,
        temperature=_temperature(caller, reply.sent),
    )
    return _read(prompt, reply, known)


def _ask(prompt: Prompt, limit: int) -> Ask:
    return Ask(prompt.system, prompt.user, prompt.schema, limit, TEMPERATURE)


def _read(prompt: Prompt, reply: Reply, about: Judgment) -> Judgment:
    if reply.stop == "refusal":
        return _failed(about, "refused", "refusal", reply.words or "no reason given")
    if reply.stop == "length":
        words = f"the reply was cut at {about.max_tokens} tokens"
        return _failed(about, "truncated", "max_tokens", words)
    try:
        found = parse(reply.text, prompt)
    except ParseError as err:
        words = f"{err}: {reply.text[:200]!r}"
        return _failed(about, "parse_error", "parse_error", words)
    return replace(
        about,
        state="scored",
        reasoning=found.reasoning,
        evidence=found.evidence,
        error=None,
        **{prompt.field: found.value},
    )


def _failed(about: Judgment, state: str, kind: str, words: str) -> Judgment:
    return replace(about, state=state, error={"kind": kind, "words": words[:500]})


def _temperature(caller: Caller, sent: Any) -> dict[str, Any]:
    return {
        "requested": TEMPERATURE,
        "sent": sent.get("temperature"),
        "reason": caller.judge.rejected.get("temperature"),
    }

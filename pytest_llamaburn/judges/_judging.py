"""One judgment: the judge, its verdict or the reason why there is none, and the cost."""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, cast

from pytest_llamaburn.backends._failures import NOT_THE_MODELS
from pytest_llamaburn.criteria import NOT_APPLICABLE, YES_NO, Criterion, named
from pytest_llamaburn.judges._base import Ask, CallError, Usage
from pytest_llamaburn.judges._caller import BudgetError, Spent
from pytest_llamaburn.judges._parsing import ParseError, parse
from pytest_llamaburn.store.resume import ASKED_AGAIN
from pytest_llamaburn.texts import words as words_of
from pytest_llamaburn.thinking import split_thinking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_llamaburn.judges._base import Reply
    from pytest_llamaburn.judges._caller import Caller
    from pytest_llamaburn.judges._documents import (
        ClaimFields,
        JudgeError,
        JudgmentFields,
        Temperature,
    )
    from pytest_llamaburn.judges._parsing import Claim
    from pytest_llamaburn.judges._prompt import Case, Prompt

    Key = tuple[str, ...]
    Restored = dict[Key, "Judgment"]

STATES = (
    "scored",
    "refused",
    "truncated",
    "parse_error",
    "api_error",
    "budget",
    "skipped_sut_error",
    NOT_APPLICABLE,
)
_GAP = re.compile(r"\[?(?:\.{3}|…)\]?")  # stands for words that a quote leaves out
MAX_TOKENS = 4096  # thinking counts against it
TEMPERATURE = 0.0


@dataclass(frozen=True)
class Judgment:
    """One verdict of one judge; `score` and `verdict` are None unless `state` is scored.

    `source` is judge or rule. Yes is the score 1, and no is 0. `verdict` is a grade; in a
    comparison it is A, B or tie, and A is the answer that was shown first. `claims` has each claim
    with its quote, and whether the quote was `found` in the evidence; `score` is then the share of
    claims that a found quote supports. `shown` has the kinds of media that the judge got beside the
    texts. `calls` counts all calls, `retries` all but the last one. If `cost_usd` is None,
    `cost_reason` says why, and `most_usd` is its upper bound, None without a price.
    """

    criterion: str
    state: str
    source: str = "judge"
    score: float | None = None
    verdict: str | None = None
    reasoning: str = ""
    evidence: tuple[str, ...] = ()
    claims: tuple[ClaimFields, ...] = ()
    shown: tuple[str, ...] = ()
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
    temperature: Temperature | None = None
    max_tokens: int | None = None
    retries: int = 0
    prompt_sha256: str | None = None
    error: JudgeError | None = None

    @property
    def scored(self) -> bool:
        """Whether there is a verdict. Only scored judgments enter means."""
        return self.state == "scored"

    def as_dict(self) -> JudgmentFields:
        """Return the judgment as JSON types."""
        listed = {"evidence": [*self.evidence], "claims": [*self.claims], "shown": [*self.shown]}
        return cast("JudgmentFields", asdict(self) | listed)


def restored(rows: Iterable[JudgmentFields], without: Sequence[str] = ASKED_AGAIN) -> Restored:
    """Return the judgments of journal rows by key, leaving out those in some states.

    If several rows have the same key, the last one counts.
    """
    return {tuple(row["key"]): _of_row(row) for row in rows if row["state"] not in without}


def _of_row(row: JudgmentFields) -> Judgment:
    names = {one.name for one in fields(Judgment)}
    known: dict[str, Any] = {name: value for name, value in row.items() if name in names}
    known |= {"usage": Usage(**row["usage"]), "evidence": tuple(row["evidence"])}
    listed = {name: tuple(known.get(name, ())) for name in ("claims", "shown")}
    return Judgment(**known | listed)


def by_rule(case: Case, criterion: str | Criterion) -> Judgment | None:
    """Return the judgment if no judge is needed for it; None if a judge must be asked.

    An empty answer, a failure of the model, and an answer that the token limit cut before it began
    get the lowest score, so a missing answer is never rewarded. As a grade, an empty answer is not
    attempted, the others are incorrect. There is no score if the server was gone, or if the
    criterion does not apply because a reference or evidence is missing.
    """
    asked = named(criterion)
    if case.failure in NOT_THE_MODELS and (asked.of_answer or not case.evidence):
        return _without(asked, "skipped_sut_error", str(case.failure))
    lacking = [name for name in asked.needs if not getattr(case, name)]
    if lacking:
        return _without(asked, NOT_APPLICABLE, f"there is no {' and no '.join(lacking)}")
    if not asked.of_answer:
        return None
    return _of_silence(case, asked)


def _of_silence(case: Case, asked: Criterion) -> Judgment | None:
    """Return the judgment of a missing answer; None if there is an answer."""
    if case.failure is not None:
        return _lowest(asked, f"the model gave no answer: {case.failure}", "incorrect")
    if split_thinking(case.answer)[0]:
        return None
    if case.finish_reason == "length":
        return _lowest(asked, "the token limit was reached before the answer began", "incorrect")
    return _lowest(asked, "the answer is empty", "not_attempted")


def _without(asked: Criterion, state: str, words: str) -> Judgment:
    return Judgment(asked.name, state, "rule", error={"kind": state, "words": words})


def _lowest(asked: Criterion, reason: str, grade: str) -> Judgment:
    ruled = Judgment(asked.name, "scored", "rule", reasoning=reason)
    if asked.kind == "grade":
        return replace(ruled, verdict=grade)
    return replace(ruled, score=asked.scale[0])


def worst_usd(caller: Caller, prompt: Prompt) -> float | None:
    """Return the most that a verdict can cost if no call fails; None if the price is unknown."""
    first, second = (caller.worst_usd(_ask(prompt, n)) for n in (MAX_TOKENS, 2 * MAX_TOKENS))
    return None if first is None or second is None else first + second


async def ask(caller: Caller, prompt: Prompt) -> Judgment:
    """Return one judge's judgment; after a truncated reply, the limit is doubled for a second call.

    Raises UsageError if the judge cannot be opened; any other failure is the judgment's state.
    """
    about = Judgment(
        prompt.criterion,
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
    """Return the judgment after one more call; `about` is the judgment so far."""
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
        shown=reply.seen,
        temperature=_temperature(caller, reply.sent),
    )
    return _read(prompt, reply, known)


def _ask(prompt: Prompt, limit: int) -> Ask:
    about = (prompt.system, prompt.user, prompt.schema)
    return Ask(*about, limit, TEMPERATURE, prompt.shown)


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
    known = replace(
        about, state="scored", reasoning=found.reasoning, evidence=found.evidence, error=None
    )
    if prompt.field == "claims":
        return _counted(known, found.value, words_of(prompt.evidence))
    if prompt.allowed == YES_NO:
        return replace(known, score=float(YES_NO.index(found.value)))
    return replace(known, **{prompt.field: found.value})


def _counted(about: Judgment, claims: Sequence[Claim], evidence: str) -> Judgment:
    """Return the judgment with the share of claims that the evidence supports.

    A claim counts as supported only if the judge's quote is in the evidence. A text without claims
    has no share.
    """
    checked: tuple[ClaimFields, ...] = tuple(
        {
            "claim": claim.claim,
            "quote": claim.quote,
            "supported": claim.supported,
            "found": _stands(claim.quote, evidence),
        }
        for claim in claims
    )
    if not checked:
        return replace(about, state=NOT_APPLICABLE)
    score = sum(one["supported"] and one["found"] for one in checked) / len(checked)
    return replace(about, claims=checked, score=score)


def _stands(quote: str, evidence: str) -> bool:
    """Return whether a quote is in the evidence; … stands for words left out."""
    parts = [found for part in _GAP.split(quote) if (found := words_of(part))]
    return bool(parts) and all(part in evidence for part in parts)


def _failed(about: Judgment, state: str, kind: str, words: str) -> Judgment:
    return replace(about, state=state, error={"kind": kind, "words": words[:500]})


def _temperature(caller: Caller, sent: Mapping[str, Any]) -> Temperature:
    return {
        "requested": TEMPERATURE,
        "sent": sent.get("temperature"),
        "reason": caller.judge.rejected.get("temperature"),
    }

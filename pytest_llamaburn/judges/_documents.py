"""The shapes in which judgments are written to journals and result files.

They are plain dicts at runtime, as those of `documents.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

Schema = dict[str, Any]  # a JSON Schema
Parameters = dict[str, Any]  # of a call, as the API of a provider names them


class JudgeError(TypedDict):
    """Why a judgment has no verdict; `words` are the provider's or our own."""

    kind: str
    words: str


class ClaimFields(TypedDict):
    """A claim that a judge found in a text, and the quote that supports it.

    `found` says whether the quote stands in the evidence; a claim counts as supported only then.
    """

    claim: str
    quote: str
    supported: bool
    found: bool


class Temperature(TypedDict):
    """The temperature that was requested and the one that was sent; `reason` if they differ."""

    requested: float
    sent: float | None
    reason: str | None


class Tokens(TypedDict):
    """The tokens of a judgment's calls; None if the server does not say."""

    input: int | None
    cache_read: int | None
    cache_write: int | None
    output: int | None
    reasoning: int | None
    audio: NotRequired[int | None]  # not in files of earlier versions


class JudgmentFields(TypedDict):
    """One verdict of one judge, or the reason why the judge gave none.

    Only rows of a journal have a key.
    """

    key: NotRequired[list[str]]
    criterion: str
    state: str
    source: Literal["judge", "rule"]
    score: float | None
    verdict: Literal["A", "B", "tie", "correct", "incorrect", "not_attempted"] | None
    reasoning: str
    evidence: list[str]
    claims: NotRequired[list[ClaimFields]]  # not in files of earlier versions
    shown: NotRequired[list[str]]
    judge: str | None
    model_asked: str | None
    model_served: str | None
    request_id: str | None
    usage: Tokens
    calls: int
    cost_usd: float | None
    most_usd: float | None
    cost_reason: str | None
    latency_ms: float | None
    temperature: Temperature | None
    max_tokens: int | None
    retries: int
    prompt_sha256: str | None
    error: JudgeError | None


class ScoreFields(TypedDict):
    """The score on one criterion: the median of its scored judgments, None without any.

    `verdict` is the grade, if the criterion has grades.
    """

    criterion: NotRequired[str]
    score: float | None
    verdict: NotRequired[Literal["correct", "incorrect", "not_attempted"] | None]
    state: str
    flip_rate: float | None
    judgments: Sequence[JudgmentFields]


class ComparisonFields(TypedDict):
    """One judge's verdict on two answers shown in both orders; A is the model under test."""

    verdict: Literal["A", "B", "tie"] | None
    state: str
    inconsistent: bool
    first_picks: int
    judgments: Sequence[JudgmentFields]


class Spending(TypedDict):
    """The calls to all judges and their cost; `cost_usd` is None if that of any is unknown."""

    calls: int
    cost_usd: float | None
    known_cost_usd: float
    unpriced_calls: int

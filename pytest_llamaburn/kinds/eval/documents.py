"""The shapes of an eval's rows in the journal, and of the items of its result file.

They are plain dicts at runtime, as those of `documents.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired

from typing_extensions import TypedDict

from pytest_llamaburn.criteria import Definition
from pytest_llamaburn.documents import Clock, Document, Failure, Outcome, RequestRow, ToolCall
from pytest_llamaburn.judges._documents import ComparisonFields, ScoreFields
from pytest_llamaburn.search._record import SearchRecord


class QuestionFields(TypedDict):
    """A question of an eval set. Files of earlier versions lack the last three fields."""

    id: str
    prompt: str
    reference: str | None
    category: str
    allow_web_search: bool
    rubric: str | None
    scorer: str | None
    criteria: Sequence[str]
    options: Document
    definitions: NotRequired[Sequence[Definition]]
    context: NotRequired[Sequence[str]]
    media: NotRequired[Sequence[Document]]


class Letters(TypedDict):
    """An answer that was read from the probabilities of letters: one logarithm for each letter.

    `answer` is left out if no letter is among the likeliest tokens.
    """

    answer: NotRequired[str]
    choice_logprobs: dict[str, float | None]
    choice_mass: float


class Cited(TypedDict):
    """The search before an answer, and which of the sources the answer cites, counted from 1."""

    search: SearchRecord | None
    reference_found: bool | None
    cited: list[int]


class AnswerFacts(Outcome):
    """What a model answered, and when; the cache of answers keeps it."""

    answer: str | None
    thinking: str | None
    cached: bool
    choice_logprobs: dict[str, float | None] | None
    choice_mass: float | None
    media: NotRequired[list[Document]]
    measured: NotRequired[Document]
    tool_calls: NotRequired[list[ToolCall]]
    clock: NotRequired[Clock]


class AnswerRow(RequestRow):
    """An answer to a question, as a row of the journal; `iteration` counts the samples from 0."""

    category: str
    prompt_sha256: str
    repeat: int
    question: QuestionFields
    thinking: str | None
    cached: bool
    choice_logprobs: dict[str, float | None] | None
    choice_mass: float | None
    media: NotRequired[list[Document]]
    measured: NotRequired[Document]
    tool_calls: NotRequired[list[ToolCall]]
    search: SearchRecord | None
    reference_found: bool | None
    cited: list[int]
    host: NotRequired[str]  # the server that answered, if there are several
    node: NotRequired[str]  # the machine that asked, if it was another


class Verdict(TypedDict):
    """The verdict of a scorer; `correct` is None if the reason is not the model."""

    correct: bool | None
    state: str
    reason: str
    extracted: str | None
    details: Document


class Judged(TypedDict):
    """What judges gave the first answer to a question."""

    scores: dict[str, ScoreFields]
    comparisons: Sequence[ComparisonFields]
    rival_answer: str | None


class ScoresRow(Judged):
    """The scores of a question, as a row of the journal: a verdict for each of its answers."""

    question_id: str
    verdicts: Sequence[Verdict | None]
    pass_at_k: float | None


class Answer(TypedDict):
    """One answer: its text, its timing by metric, and what its scorer found.

    Where a choice was read by probability, `choice_logprobs` has the logarithm of each letter's,
    None for one not among the likeliest tokens, and `choice_mass` the share of all letters.
    """

    answer: str | None
    thinking: str | None
    timestamp: str
    finish_reason: str | None
    error: Failure | None
    cached: bool
    flags: list[str]
    null_reasons: dict[str, str]
    timing: dict[str, float | None]
    correct: bool | None
    verdict: Verdict | None
    choice_logprobs: NotRequired[dict[str, float | None] | None]
    choice_mass: NotRequired[float | None]
    media: NotRequired[list[Document]]
    media_tokens: NotRequired[float | None]
    measured: NotRequired[Document]
    tool_calls: NotRequired[list[ToolCall]]
    host: NotRequired[str]
    node: NotRequired[str]


class Item(Answer):
    """A question with its first answer and all scores."""

    question: QuestionFields
    scores: dict[str, ScoreFields]
    comparisons: Sequence[ComparisonFields]
    rival_answer: str | None
    pass_at_k: float | None
    search: SearchRecord | None
    reference_found: bool | None
    cited: list[int]
    more_samples: Sequence[Answer]


class EvalSetFields(TypedDict):
    """The set of an eval; `used` counts the questions that were answered."""

    name: str
    version: str
    sha256: str
    path: str
    available: int
    used: NotRequired[int]
    few_shot_sha256: NotRequired[str | None]
    modality: NotRequired[str]

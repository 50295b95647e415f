"""The result file of a run that measures the damage of a quantization."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_llamaburn import gates, metrics
from pytest_llamaburn.documents import Distribution, ModelFacts
from pytest_llamaburn.kinds import _single
from pytest_llamaburn.kinds._file import Part, RequestFacts, Results, RunFile, request_model
from pytest_llamaburn.kinds.damage import insights, places, plan
from pytest_llamaburn.kinds.damage.comparable import Comparison
from pytest_llamaburn.kinds.damage.measures import MEASURES
from pytest_llamaburn.kinds.damage.plan import ANSWER, OTHER, REFERENCE
from pytest_llamaburn.stats import figures, samples, skewed
from pytest_llamaburn.stats.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.damage.settings import Damage
    from pytest_llamaburn.store.journal import Record

_NO_TEXTS = (
    "the server of {} gives no log probabilities of a given text (an echo at /v1/completions, "
    "which vLLM has)"
)
_NO_LOAD = "no load was timed: the server has none, or the run began with the model loaded"


class Estimate(Part):
    """A number with its 95 % interval; `reason` says why one of them is None.

    `n` is the number of places, tokens or pairs of answers that it is made of.
    """

    value: float | None
    n: int
    ci95: tuple[float, float] | None
    reason: str | None


class ModelOfPair(Part):
    """One of the two models, and its answers."""

    name: str
    model: ModelFacts
    server: str
    summary: dict[str, Distribution]
    load_ms: Distribution
    size_mb: float | None


class Category(Part):
    """The damage at the places of one kind of text."""

    category: str
    kl_divergence: Estimate
    changed_tokens: Estimate


class Place(Part):
    """A place of a text: the divergence in nats, and the likeliest token of each model.

    `shared` is the reference's probability of the tokens that both models told. `same_tokens` is
    whether both counted the same number of tokens before it; None if one did not count.
    """

    id: str
    passage: str
    category: str
    kl: float
    shared: float
    changed: bool
    same_tokens: bool | None
    reference: str
    other: str


class _Facts(RequestFacts):
    role: Literal["reference", "other"]
    part: Literal["token", "answer"]
    round: int
    prompt_id: str
    passage: str | None
    category: str | None
    load_ms: float | None
    size_mb: float | None


DamageRequest = request_model("DamageRequest", _Facts)


class DamageResults(Results):
    """How far the second model is from the reference; `summary` is that of the second model."""

    reference: ModelOfPair
    other: ModelOfPair
    kl_divergence: Estimate
    changed_tokens: Estimate
    shared_mass: Estimate
    perplexity_ratio: Estimate
    speed_ratio: Estimate
    same_tokens: Estimate
    categories: list[Category]
    places: list[Place]
    runs: list[DamageRequest]  # type: ignore[valid-type]


class File(RunFile):
    """A result file of `llamaburn damage`."""

    schema_: Literal["llamaburn/damage"] = Field(alias="schema")
    results: DamageResults


def check(settings: Damage) -> None:
    """Raise SettingsError for models, texts or gates that have no meaning."""
    plan.check(settings)
    Comparison.check_asked(settings)


def build(record: Record) -> Document:
    """Return the content of a result file, made from its journal."""
    header: Any = record.opened
    seen = found(record.rows, header["candidates"], record.facts.get("text_logprobs", {}))
    document = _single.content(record, seen)
    document["model"] = seen["other"]["model"]
    document["telemetry"].pop("text_logprobs", None)
    for row in document["results"]["runs"]:
        row.pop("likely", None)  # the places have what they come to
    document["results"]["gates"] = gates.of_run(document, MEASURES, record.gates)
    document["insights"] = insights.find(document)
    return document


def found(rows: Sequence[Any], both: Sequence[Document], texts: Mapping[str, Any]) -> Document:
    """Return how far the second model is from the reference, and the speed of both.

    `both` describes the models. `texts` has the log probabilities of whole texts, by role.
    """
    pairs = places.of(rows)
    reference, other = (
        _model(about, [row for row in rows if row["role"] == role])
        for about, role in zip(both, plan.ROLES, strict=True)
    )
    return {
        "reference": reference,
        "other": other,
        **overall(pairs, places.unlike(pairs)),
        "perplexity_ratio": _perplexity(texts, both).as_dict(),
        "speed_ratio": _speed(rows).as_dict(),
        "categories": _categories(pairs),
        "places": pairs,
        "summary": other["summary"],
    }


def overall(pairs: Sequence[Document], unlike: str | None) -> Document:
    """Return the figures over all places; those that mean nothing have the reason `unlike`."""
    clusters = [pair["passage"] for pair in pairs]
    counted = [pair for pair in pairs if pair["same_tokens"] is not None]
    shared = figures.mean([p["shared"] for p in pairs], clusters, scale=(0, 1))
    same = figures.mean([float(p["same_tokens"]) for p in counted], scale=(0, 1))
    return {
        **_damage(pairs, unlike),
        "shared_mass": _counted(shared).as_dict(),
        "same_tokens": _counted(same).as_dict(),
    }


def _damage(pairs: Sequence[Document], unlike: str | None) -> Document:
    """Return the divergence and the share of changed tokens; texts are the clusters of both."""
    if unlike:
        nothing = Figure(None, len(pairs), reason=unlike)
        return {"kl_divergence": nothing.as_dict(), "changed_tokens": nothing.as_dict()}
    clusters = [pair["passage"] for pair in pairs]
    divergence = _from_zero(skewed.mean([pair["kl"] for pair in pairs], clusters))
    changed = figures.mean([float(pair["changed"]) for pair in pairs], clusters, scale=(0, 1))
    return {
        "kl_divergence": _counted(divergence).as_dict(),
        "changed_tokens": _counted(changed).as_dict(),
    }


def _from_zero(figure: Figure) -> Figure:
    """Return a figure whose interval does not reach below 0, where no divergence is."""
    if figure.ci95 is None:
        return figure
    low, high = figure.ci95
    return replace(figure, ci95=(max(0.0, low), high))


def _counted(figure: Figure) -> Figure:
    """Return a figure, with a reason that suits places if it has no value."""
    if figure.value is not None:
        return figure
    return Figure(None, 0, reason="no place has an answer of both models")


def _categories(pairs: Sequence[Document]) -> list[Document]:
    names = dict.fromkeys(pair["category"] for pair in pairs)
    groups = {name: [p for p in pairs if p["category"] == name] for name in names}
    return [
        {"category": name, **_damage(group, places.unlike(pairs))} for name, group in groups.items()
    ]


def _model(about: Document, mine: Sequence[Any]) -> Document:
    answers = [row for row in mine if row["part"] == ANSWER]
    good: list[Any] = _single.good(answers)
    loads = [row["load_ms"] for row in mine if row["load_ms"] is not None]
    sizes = (row["size_mb"] for row in mine if row["size_mb"] is not None)
    return {
        **about,
        "summary": metrics.summary(good, answers),
        "load_ms": samples.distribution(loads, "ms", _NO_LOAD),
        "size_mb": next(sizes, None),
    }


def _speed(rows: Sequence[Any]) -> Figure:
    """Return the ratio of the speeds, from pairs of answers to the same prompt in one round."""
    speeds: dict[str, dict[tuple[Any, ...], float | None]] = {REFERENCE: {}, OTHER: {}}
    met: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        if row["part"] == ANSWER:
            named = (row["role"], row["round"], row["prompt_id"])
            speed = None if row["error"] else row["tokens_per_sec"]
            speeds[row["role"]][(*named[1:], met[named])] = speed
            met[named] += 1  # a round of few prompts sends them again
    pairs = [(speeds[REFERENCE].get(key), speed) for key, speed in speeds[OTHER].items()]
    logs = [math.log(speed / before) for before, speed in pairs if before and speed]
    if not logs:
        return Figure(None, 0, reason="no prompt has an answer with a speed of both models")
    return _exp(figures.mean(logs))


def _perplexity(texts: Mapping[str, Any], both: Sequence[Document]) -> Figure:
    """Return the ratio of the perplexities of whole texts, over the tokens after the first."""
    for role, about in zip(plan.ROLES, both, strict=True):
        if role not in texts:
            return Figure(None, 0, reason="no text was read: the run ended before")
        if not texts[role]:
            return Figure(None, 0, reason=_NO_TEXTS.format(about["name"]))
    before, after = texts[REFERENCE], texts[OTHER]
    common = [name for name in before if name in after]
    if any(len(before[name]) != len(after[name]) for name in common):
        return Figure(None, 0, reason="the models split the texts into other numbers of tokens")
    sums = [(math.fsum(before[n]) - math.fsum(after[n]), len(before[n])) for n in common]
    return _exp(skewed.ratio(sums))


def _exp(figure: Figure) -> Figure:
    """Return the exponential of a figure and its interval."""
    if figure.value is None:
        return figure
    ends = figure.ci95 and (math.exp(figure.ci95[0]), math.exp(figure.ci95[1]))
    return Figure(math.exp(figure.value), figure.n, ends, figure.reason)

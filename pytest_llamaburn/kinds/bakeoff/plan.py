"""What a bake-off sends: its models in turn, its prompts, and which settings have a meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import datasets, gates, measures, registry
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds._kind import naming
from pytest_llamaburn.kinds.bakeoff import evals
from pytest_llamaburn.kinds.bakeoff.measures import MEASURES
from pytest_llamaburn.metrics import REQUEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.datasets import Prompt
    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.kinds.bakeoff.settings import Bakeoff
    from pytest_llamaburn.measures import Measure


def check(settings: Bakeoff) -> None:
    """Raise SettingsError for models, measures or gates that have no meaning.

    A continued run has its own models; they were checked when it began.
    """
    different, begins = {*settings.model}, settings.resume is None
    if begins and (len(different) < 2 or len(different) < len(settings.model)):
        named = ", ".join(settings.model) or "none"
        raise SettingsError(f"bakeoff: name two or more different models; named: {named}")
    ranked(settings.rank)
    for expression in settings.require:
        gates.parse(expression, MEASURES, "--require")
    for expression in settings.threshold:
        gates.parse(expression, MEASURES)
    with naming("--prompts"):
        datasets.load_prompts(settings.prompts)
    _check_evals(settings)


def _check_evals(settings: Bakeoff) -> None:
    """Raise UsageError for evals that cannot be held."""
    if settings.dry_run:
        raise SettingsError(
            "--dry-run: a bake-off has none: llamaburn eval --dry-run tells what judging costs"
        )
    if settings.set is not None and settings.quality is not None:
        raise SettingsError(
            f"--quality: '{settings.quality}' is refused: --set {settings.set} has each model "
            "evaluated now, --quality reads evals of earlier; leave one out"
        )
    if settings.set is not None:
        evals.check(settings)


def check_different(candidates: Sequence[Document]) -> None:
    """Raise SettingsError if two names are those of the same model."""
    names: dict[str, str] = {}
    for one in candidates:
        other = names.setdefault(one["model"]["id"], one["name"])
        if other != one["name"]:
            raise SettingsError(
                f"bakeoff: {other} and {one['name']} are the same model: name it once"
            )


def ranked(name: str) -> Measure:
    """Return the metric of --rank; raises SettingsError unless one direction of it is better."""
    known = {one: measure for one, measure in REQUEST.items() if measure.better != "none"}
    found = measures.find(known, name)
    if found is None:
        words = registry.unknown("metric", name, measures.names(known))
        raise SettingsError(f"--rank: {words}")
    return found


def requests(settings: Bakeoff) -> int:
    """Return the most requests of a bake-off."""
    return int(settings.rounds * settings.iterations * len(settings.model))


def order(models: Sequence[str], number: int) -> list[str]:
    """Return the models in the order of a round: the last of each round is the first of the next.

    A drift of the machine's speed then meets all of them alike.
    """
    first = -number % len(models)
    return [*models[first:], *models[:first]]


def prompts(settings: Bakeoff, number: int) -> list[Prompt]:
    """Return the prompts of a round, the same for all models; the rounds go through the sets."""
    every = datasets.load_prompts(settings.prompts)
    mixed = datasets.stratified(every, len(every), settings.seed)
    first = number * settings.iterations
    return [mixed[(first + i) % len(mixed)] for i in range(settings.iterations)]

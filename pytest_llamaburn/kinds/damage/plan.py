"""What a run sends: places of texts and prompts, to both models in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import datasets, gates
from pytest_llamaburn.backends._address import parse_host
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds._kind import naming
from pytest_llamaburn.kinds.damage import prefixes
from pytest_llamaburn.kinds.damage.measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_llamaburn.datasets import Prompt
    from pytest_llamaburn.kinds.damage.prefixes import Passage, Prefix
    from pytest_llamaburn.kinds.damage.settings import Damage

REFERENCE, OTHER = "reference", "other"
ROLES = (REFERENCE, OTHER)
TOKEN, ANSWER = "token", "answer"
_MODELS = 2


def check(settings: Damage) -> None:
    """Raise SettingsError for models, texts or gates that have no meaning."""
    if len(settings.model) != _MODELS:
        named = ", ".join(settings.model) or "none"
        raise SettingsError(f"damage: name two models, the reference first; named: {named}")
    prefixes.load(settings.prefixes)
    try:
        parse_host(settings.other_host or "")
    except SettingsError as err:
        raise SettingsError(str(err).replace("--host", "--other-host", 1)) from None
    for expression in settings.threshold:
        gates.parse(expression, MEASURES)
    with naming("--prompts"):
        datasets.load_prompts(settings.prompts)


def requests(settings: Damage) -> int:
    """Return the number of requests of a run."""
    places = sum(len(passage.prefixes) for passage in prefixes.load(settings.prefixes))
    return _MODELS * (places + int(settings.rounds * settings.iterations))


def order(number: int) -> tuple[str, ...]:
    """Return the models in the order of a round: the last of each round is the first of the next.

    A drift of the machine's speed then meets both alike, and fewer loads are needed.
    """
    return ROLES if number % 2 == 0 else ROLES[::-1]


def of_round(passages: Sequence[Passage], number: int, rounds: int) -> list[Prefix]:
    """Return the prefixes of a round: each text is in one round, and its kinds are in turn.

    So a run that --budget ends has texts of all kinds.
    """
    in_turn = datasets.stratified(passages, len(passages), seed=0)
    return [prefix for passage in in_turn[number::rounds] for prefix in passage.prefixes]


def prompts(settings: Damage, number: int) -> list[Prompt]:
    """Return the prompts of a round, the same for both models."""
    if not settings.iterations:
        return []
    every = datasets.load_prompts(settings.prompts)
    mixed = datasets.stratified(every, len(every), settings.seed)
    first = number * settings.iterations
    return [mixed[(first + i) % len(mixed)] for i in range(settings.iterations)]

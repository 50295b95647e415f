"""The result file of a run that tries settings of the server."""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from pytest_llamaburn import gates, metrics
from pytest_llamaburn.documents import Distribution, Document
from pytest_llamaburn.kinds import _single
from pytest_llamaburn.kinds._file import Part, RequestFacts, Results, RunFile, request_model
from pytest_llamaburn.kinds.tune import insights, plan, started, trials
from pytest_llamaburn.kinds.tune.comparable import Comparison
from pytest_llamaburn.kinds.tune.measures import MEASURES
from pytest_llamaburn.stats import samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.kinds.tune.settings import Tune
    from pytest_llamaburn.store.journal import Record


_TIMES = ("time_to_first_token_ms", "inter_token_latency_ms")


class Setting(Part):
    """A setting: its time in each round, and how much more it takes than the best one.

    `group` is 1 for all that cannot be told apart from the best. `rounds` are those that it was
    in. `more` is a share of the best one's time.
    """

    name: str
    options: dict[str, int | float | str | bool]
    time_ms: Distribution
    more: float | None
    more_ci95: tuple[float, float] | None
    group: int | None
    rounds: int
    left_out: bool
    reason: str | None


class Level(Part):
    """A value of an option: how much more time it takes than the best value, as a share.

    `apart` is whether it can be told from the best one.
    """

    value: int | float | str | bool
    apart: bool
    more: float | None
    more_ci95: tuple[float, float] | None


class Effect(Part):
    """What an option is worth, over all values of the others; its values, best first.

    `apart` is whether any value can be told from the best one.
    """

    option: str
    levels: list[Level]
    apart: bool
    reason: str | None


class Best(Part):
    """The fastest setting, those that may be as fast, and the lines that keep it."""

    name: str
    options: dict[str, int | float | str | bool]
    time_ms: Distribution
    together: list[str]
    keep: list[str]


class _Facts(RequestFacts):
    setting: str
    round: int
    iteration: int


TuneRequest = request_model("TuneRequest", _Facts)


class TuneResults(Results):
    """The results by setting, fastest first."""

    objective: Literal["total", "prefill", "decode"]
    best: Best | None
    settings: list[Setting]
    effects: list[Effect]
    noise: float | None
    runs: list[TuneRequest]  # type: ignore[valid-type]


class File(RunFile):
    """A result file of `llamaburn tune`."""

    schema_: Literal["llamaburn/tune"] = Field(alias="schema")
    results: TuneResults


def check(settings: Tune) -> None:
    """Raise SettingsError for options, a command or gates that have no meaning."""
    plan.settings(settings.option)
    if settings.server_command is not None:
        started.check(settings.server_command)
    for expression in settings.threshold:
        gates.parse(expression, MEASURES)
    Comparison.check_asked(settings)


def build(record: Record) -> Document:
    """Return the content of a result file, made from its journal."""
    header = record.opened
    config, kind = header["config"], header["server"]["kind"]
    fates = record.facts.pop("failed", {}), record.facts.pop("left_out", {})
    about = (kind, header["model"]["id"])
    document = _single.content(record, found(record.rows, config, about, *fates))
    document["results"]["gates"] = gates.of_run(document, MEASURES, record.gates)
    document["insights"] = insights.find(document)
    return document


def time_ms(row: Mapping[str, Any], objective: str, osl: int) -> float | None:
    """Return the time of an answer that the objective makes short, or None."""
    first, gap = row["time_to_first_token_ms"], row["inter_token_latency_ms"]
    if objective == "prefill":
        return None if first is None else float(first)
    if objective == "decode":
        return None if gap is None else float(gap)
    return None if first is None or gap is None else float(first + (osl - 1) * gap)


def values(rows: Sequence[Any], objective: str, osl: int) -> dict[str, dict[int, float]]:
    """Return the value of each setting by round: the mean logarithm of its times."""
    logs: dict[str, dict[int, list[float]]] = {}
    for row in _single.good(rows):
        taken = time_ms(row, objective, osl)
        if taken:
            by_round = logs.setdefault(row["setting"], {})
            by_round.setdefault(row["round"], []).append(math.log(taken))
    return {name: {n: fmean(all_) for n, all_ in by.items()} for name, by in logs.items()}


def found(
    rows: Sequence[Any],
    config: Mapping[str, Any],
    about: tuple[str, str],
    failed: Mapping[str, str],
    left_out: Mapping[str, int],
) -> Document:
    """Return what the times say of the settings; `about` is the server's kind and the model.

    `failed` has why settings could not be loaded, `left_out` those that halving left out.
    """
    tried = {plan.name(one): one for one in plan.settings(config["option"])}
    taken = values(rows, config["objective"], config["osl"])
    known = {name: taken[name] for name in tried if name in taken}
    reasons = {name: failed.get(name) or _why(name, rows) for name in tried if name not in known}
    made = _settings(tried, known, {**reasons, **failed}, left_out)
    good: list[Any] = _single.good(rows)
    spread = trials.noise(known)
    return {
        "objective": config["objective"],
        "best": _best(made, about, config["server_command"]) if known else None,
        "settings": made,
        "effects": _effects(tried, known),
        "noise": None if spread is None else spread.sd,
        "summary": metrics.summary(good, rows),
    }


def _settings(
    tried: Mapping[str, plan.Setting],
    known: trials.Values,
    reasons: Mapping[str, str],
    left_out: Mapping[str, int],
) -> list[Document]:
    order = trials.ranked(known)
    grouped, spread = trials.groups(known), trials.noise(known)
    error = trials.pairwise(len(order))
    made = []
    for name in [*order, *(name for name in tried if name not in known)]:
        own = known.get(name, {})
        is_other = bool(own) and name != order[0]
        more = trials.difference(known, name, order[0], spread, error) if is_other else None
        reason = reasons.get(name)
        made.append(
            {
                "name": name,
                "options": tried[name],
                "time_ms": samples.distribution([*map(math.exp, own.values())], "ms", reason),
                **_more(more),
                "group": grouped.get(name),
                "rounds": len(own),
                "left_out": name in left_out,
                "reason": reason,
            }
        )
    return made


def _more(difference: trials.Difference | None) -> Document:
    """Return a difference of logarithms as a share, with its interval."""
    if difference is None or math.isnan(difference.middle):
        return {"more": None, "more_ci95": None}
    ends = difference.ends
    return {
        "more": math.expm1(difference.middle),
        "more_ci95": None if ends is None else [*map(math.expm1, ends)],
    }


def _why(name: str, rows: Sequence[Any]) -> str:
    """Return why a setting has no time."""
    own = [row for row in rows if row["setting"] == name]
    if not own:
        return "it was not tried: --budget or an interruption ended the run before"
    error = own[0]["error"]
    if error:
        return f"failed with {error['kind']}: {error['message']}"
    reasons = own[0]["null_reasons"]
    return str(next((reasons[name] for name in _TIMES if name in reasons), "no_samples"))


def _best(made: Sequence[Document], about: tuple[str, str], command: str | None) -> Document:
    first = made[0]
    return {
        "name": first["name"],
        "options": first["options"],
        "time_ms": first["time_ms"],
        "together": [one["name"] for one in made[1:] if one["group"] == 1],
        "keep": plan.keeping(*about, first["options"], command),
    }


def _several(tried: Mapping[str, plan.Setting]) -> dict[str, bool]:
    """Return for each option whether several values of it are tried."""
    names = next(iter(tried.values()))
    return {option: len({one[option] for one in tried.values()}) > 1 for option in names}


def _level(level: trials.Level) -> Document:
    return {"value": level.value, "apart": level.more.certain, **_more(level.more)}


def _effects(tried: Mapping[str, plan.Setting], known: trials.Values) -> list[Document]:
    spread = trials.noise(known)
    made: list[Document] = []
    for option, several in _several(tried).items():
        if not several:
            continue
        levels = {name: tried[name][option] for name in known}
        all_there = len(known) == len(tried)
        effect = trials.effect(known, levels, spread) if all_there else []
        made.append(
            {
                "option": option,
                "levels": [_level(level) for level in effect],
                "apart": any(level.more.certain for level in effect),
                "reason": None if effect else "not all settings have a time",
            }
        )
    return made

"""The energy of a run and its cost, as the files of all kinds of run have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.energy import cost, profiles, timeline
from pytest_llamaburn.measures import ENERGY, LEVEL_ENERGY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.capacity.measuring_window import Stretch
    from pytest_llamaburn.load.rows import Row


def tokens(good: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the tokens of all answers, None if there is no answer or one has no count."""
    lengths = [row["output_sequence_length"] for row in good]
    return sum(lengths) if lengths and None not in lengths else None


def totals(profile: profiles.Profile, good: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the energy of a run, by the fields of measures.ENERGY; None for what is not known."""
    spent = profile.total()
    generated = tokens(good)
    above = profile.above_idle_joules(spent)
    package = profile.package_joules()
    joules = spent.joules
    return {
        "energy_wh": spent.wh,
        "energy_above_idle_wh": None if above is None else above / 3600,
        "power_draw_watts": spent.watts,
        "power_peak_watts": spent.peak_watts,
        "joules_per_output_token": joules / generated if joules and generated else None,
        "output_tokens_per_joule": generated / joules if joules and generated else None,
        "cpu_package_energy_wh": None if package is None else package / 3600,
        "measured_s": profile.seconds or None,
    }


def by_repeat(
    entries: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the energy of each repeat of a run; comparisons are made of these."""
    keys = [measure.field for measure in ENERGY]
    found = []
    for repeat in sorted({row["repeat"] for row in rows}):
        mine = [row for row in rows if row["repeat"] == repeat]
        spent = totals(profiles.Profile(entries, mine), [r for r in mine if r["error"] is None])
        found.append({"repeat": repeat, **{key: spent[key] for key in keys}})
    return found


def price(
    config: Mapping[str, Any],
    profile: profiles.Profile,
    taken: Mapping[str, Any],
    reason: str | None,
) -> dict[str, Any]:
    """Return the cost of the run's energy and of a month; prices by the hour are weighted."""
    rate, pue, duty = config["kwh_rate"], config.get("pue", 1.0), config.get("duty")
    bands = [cost.band(text) for text in config.get("tariff", ())]
    paid = cost.rate_over(bands, rate, profile.minutes())
    daily = cost.rate_over(bands, rate, ((minute, 1.0) for minute in range(24 * 60)))
    energy_wh, active_w = taken["energy_wh"], taken["power_draw_watts"]
    idle_w = profile.idle_watts(timeline.IDLE_LOADED)
    run = cost.of_energy(energy_wh, paid, pue)
    partly = None if duty is None else cost.per_month(active_w, idle_w, daily, pue, duty)
    return {
        "kwh_rate": rate,
        "tariff": list(config.get("tariff", ())),
        "currency": config.get("currency"),
        "pue": pue,
        "energy_wh": energy_wh,
        "cost_per_run": run,
        "cost_per_1m_tokens": cost.per_1m_tokens(run, taken["output_tokens"]),
        "cost_per_month": cost.per_month(active_w, idle_w, daily, pue),
        "duty": duty,
        "cost_per_month_at_duty": partly,
        "co2_g": cost.co2_g(energy_wh, config.get("co2_g_per_kwh"), pue),
        "reason": "no_kwh_rate" if rate is None and not bands else reason,
    }


def window(row: Row) -> timeline.Window:
    """Return when a request of a load was in flight."""
    return timeline.Window(row.sent_ns, row.first_ns, row.end_ns)


def lines(
    entries: Sequence[Mapping[str, Any]], sent: Sequence[timeline.Window]
) -> list[timeline.Timeline]:
    """Return the timelines of a run, each with the requests of its time."""
    return profiles.Profile(entries, (), sent).timelines


def seen(
    entries: Sequence[Mapping[str, Any]], sent: Sequence[timeline.Window] = ()
) -> dict[str, Any]:
    """Return `telemetry` and `system_profile` of a run whose requests get no energy each."""
    profile = profiles.Profile(entries, (), sent)
    return {
        "telemetry": profiles.facts(profile, profile.total()),
        "system_profile": profile.samples(),
    }


def level(
    found: Sequence[timeline.Timeline], whole: Sequence[Stretch], generated: float | None
) -> dict[str, Any]:
    """Return the energy of a level over the stretches in which its load was complete.

    `generated` are the tokens of these stretches. Failed requests use energy too. If the energy of
    a stretch is not known, the level's is null.
    """
    spans = [(int(one.start_ns), int(one.end_ns)) for one in whole if one.end_ns > one.start_ns]
    taken = [profiles.between(found, *span) for span in spans]
    reason = next((one.reason for one in taken if one.reason), None)
    if reason or not taken:
        names = (measure.name for measure in LEVEL_ENERGY)
        return {**dict.fromkeys(names), "energy_reason": reason or "no_samples"}
    joules = sum(one.joules or 0.0 for one in taken)
    seconds = sum(end - start for start, end in spans) / 1e9
    return {
        "energy_wh": joules / 3600,
        "power_draw_watts": joules / seconds,
        "power_peak_watts": max(one.peak_watts or 0.0 for one in taken),
        "joules_per_output_token": joules / generated if generated else None,
        "output_tokens_per_joule": generated / joules if joules and generated else None,
        "energy_reason": None,
    }

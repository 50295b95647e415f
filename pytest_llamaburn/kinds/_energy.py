"""The energy and the cost of a run, as result files of all kinds of run store them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn.energy import cost, profiles, timeline
from pytest_llamaburn.measures import ENERGY, LEVEL_ENERGY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_llamaburn.capacity.measuring_window import Stretch
    from pytest_llamaburn.documents import BenchmarkRow, Document, RequestRow
    from pytest_llamaburn.load.rows import Row


def tokens(good: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the tokens of all answers, or None if there is no answer or a count is missing."""
    lengths = [row["output_sequence_length"] for row in good]
    return sum(lengths) if lengths and None not in lengths else None


def totals(profile: profiles.Profile, good: Sequence[Mapping[str, object]]) -> Document:
    """Return the energy of a run, by the fields of measures.ENERGY; None for unknown values."""
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
    entries: Sequence[Mapping[str, object]], rows: Sequence[BenchmarkRow]
) -> list[Document]:
    """Return the energy of each repeat of a run; comparisons use these values."""
    keys = [measure.field for measure in ENERGY]
    repeats = []
    for repeat in sorted({row["repeat"] for row in rows}):
        mine = [row for row in rows if row["repeat"] == repeat]
        spent = totals(profiles.Profile(entries, mine), [r for r in mine if r["error"] is None])
        repeats.append({"repeat": repeat, **{key: spent[key] for key in keys}})
    return repeats


def price(
    config: Mapping[str, Any],
    profile: profiles.Profile,
    taken: Mapping[str, Any],
    reason: str | None,
) -> Document:
    """Return the cost of the run's energy and of a month, weighted by the tariff's hours."""
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
    """Return the window in which a request of a load was in flight."""
    return timeline.Window(row.sent_ns, row.first_ns, row.end_ns)


def of_row(row: RequestRow) -> timeline.Window:
    """Return the window in which a request with a clock was in flight."""
    clock = row["clock"]
    return timeline.Window(clock["sent_ns"], clock["first_ns"], clock["end_ns"])


def lines(
    entries: Sequence[Mapping[str, object]], sent: Sequence[timeline.Window]
) -> list[timeline.Timeline]:
    """Return the timelines of a run, each with the requests that were sent during it."""
    return profiles.Profile(entries, (), sent).timelines


def seen(entries: Sequence[Mapping[str, object]], sent: Sequence[timeline.Window] = ()) -> Document:
    """Return `telemetry` and `system_profile` of a run without energy for each request."""
    profile = profiles.Profile(entries, (), sent)
    return {
        "telemetry": profiles.facts(profile, profile.total()),
        "system_profile": profile.samples(),
    }


def level(
    timelines: Sequence[timeline.Timeline], whole: Sequence[Stretch], generated: float | None
) -> Document:
    """Return the energy of a level over the stretches with its full load.

    `generated` is the number of tokens generated in these stretches. Failed requests use energy
    too. The energy of a level is null if that of one stretch is not known.
    """
    spans = [(int(s.start_ns), int(s.end_ns)) for s in whole if s.end_ns > s.start_ns]
    taken = [profiles.between(timelines, *span) for span in spans]
    reason = next((energy.reason for energy in taken if energy.reason), None)
    if reason or not taken:
        names = (measure.name for measure in LEVEL_ENERGY)
        return {**dict.fromkeys(names), "energy_reason": reason or "no_samples"}
    joules = sum(energy.joules or 0.0 for energy in taken)
    seconds = sum(end - start for start, end in spans) / 1e9
    return {
        "energy_wh": joules / 3600,
        "power_draw_watts": joules / seconds,
        "power_peak_watts": max(energy.peak_watts or 0.0 for energy in taken),
        "joules_per_output_token": joules / generated if generated else None,
        "output_tokens_per_joule": generated / joules if joules and generated else None,
        "energy_reason": None,
    }

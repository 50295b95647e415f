"""Comparisons of stress runs: the changes at common levels, and of the points.

A file is one run. Requests under load wait for each other, so they are not independent samples. A
change has an interval only if the files have intervals of their own (the error rate, the failure
point of a ramp), or if earlier runs of the same load show the noise between runs. Any other change
is inconclusive. Bonferroni's correction covers all intervals of one report.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_llamaburn import insights, measures
from pytest_llamaburn.energy import profiles
from pytest_llamaburn.errors import ResultsError, SettingsError
from pytest_llamaburn.kinds import _comparable
from pytest_llamaburn.kinds._comparable import Change, Column, Estimate, Subject
from pytest_llamaburn.kinds.stress import axis as _axis
from pytest_llamaburn.kinds.stress.measures import MEASURES, POINTS
from pytest_llamaburn.load.step import CLIENTS, RATE
from pytest_llamaburn.measures import Observed
from pytest_llamaburn.stats import changes, samples
from pytest_llamaburn.stats import runs as statistics
from pytest_llamaburn.stats.changes import SHARE
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.documents import Document
    from pytest_llamaburn.measures import Observed
    from pytest_llamaburn.stats.runs import Part


_MORE_RUNS = "more earlier runs of the same load in the results directory make it narrower"
_MORE_REQUESTS = "more requests make it narrower"
_LOADED = {"concurrency": "clients", "rate": "a rate"}


class Load(Subject):
    """A stress run that is compared."""

    alike = (
        *("mode", "arrival", "users", "think_time", "isl", "osl", "max_tokens", "cache", "num_ctx"),
        *("prompts", "warmup", "temperature", "top_p", "top_k", "think", "degradation_factor"),
        *("failure_rate", "workers", "nodes", "level_requests", "level_duration", "duration"),
        *("warmup_window", "cooldown_window", "slo"),
    )

    @cached_property
    def axis(self) -> str:
        """The axis of its levels: concurrency or rate."""
        levels = self.document["results"]["levels"]
        if levels:
            return _axis.AXES[_axis.unit(levels[0])]
        return _axis.AXES[RATE if self.setting("arrival") else CLIENTS]

    @cached_property
    def levels(self) -> dict[float, Document]:
        """Its levels by number of clients or by rate."""
        return {level[self.axis]: level for level in self.document["results"]["levels"]}

    @cached_property
    def conditions(self) -> tuple[Any, ...]:
        """The facts that are equal in runs that differ only by noise."""
        return (*super().conditions, self.setting("timeout_total"))

    def point(self, name: str) -> Document | None:
        """Return a failure or degradation point, or None."""
        found: Document | None = self.document["results"][name]
        return found

    def observed(self, column: Column) -> Observed:
        """Return the value of a column, with its interval or reason."""
        return MEASURES[column.metric].observed(self.document, column.statistic, column.level)

    def number(self, column: Column) -> float | None:
        """Return the value of a column, or None."""
        return self.observed(column).value


class Comparison(_comparable.Comparison):
    """A comparison of stress runs; earlier runs show the noise."""

    kind = "stress"
    noun = "stress run"
    measures = measures.limited(
        {name: m for name, m in MEASURES.items() if m.of_level or name in POINTS},
        statistics.STATISTICS,
    )
    default = (
        *("error_rate", "requests_per_sec", "output_tokens_per_sec"),
        *("time_to_first_token_ms.p50", "inter_token_latency_ms.p50"),
        *("total_generation_ms.p50", "total_generation_ms.p95", "goodput_share"),
        *POINTS,
    )
    like = ("mode", "arrival")
    subject = Load
    evidence = "the intervals of each file, else the spread of earlier runs"

    @classmethod
    def column(cls, text: str, option: str) -> Column:
        """Return the column of a text such as `ttft_ms.p50@8` or `failure_point.rate`."""
        found = super().column(text, option)
        if found.metric in POINTS:
            return found._replace(statistic=None, axis=found.statistic)
        return found

    def columns(self, other: Load) -> list[Column]:
        """Return the columns, lowest level first, then the points.

        Raises ResultsError if one run was loaded by clients and the other by a rate.
        """
        both, axis = (self.baseline, other), self.baseline.axis
        if other.axis != axis:
            raise ResultsError(
                f"compare: {other.path} was loaded by {_LOADED[other.axis]}, the baseline by "
                f"{_LOADED[axis]}: they have no level in common"
            )
        for of in self.choice.every:
            if of.axis not in (None, axis):
                raise SettingsError(f"{of.metric}.{of.axis}: these loads have no {of.axis}")
        bounded = any(one.setting("slo") for one in both)
        asked = (of for of in self.choice.columns if bounded or of.metric != "goodput_share")
        gated = (self.gated(gate.column) for gate in self.choice.gates)
        wanted = [of._replace(axis=None) for of in (*asked, *gated)]
        of_levels = [of for of in wanted if of.metric not in POINTS]
        found = [
            of._replace(level=place)
            for place in sorted(both[0].levels.keys() & both[1].levels.keys())
            for of in of_levels
            if of.level in (None, place)
        ]
        return [*dict.fromkeys((*found, *(of for of in wanted if of.metric in POINTS)))]

    def gated(self, column: Column) -> Column:
        """Return a gate's column; its default level is the baseline's optimal one."""
        if column.metric in POINTS:
            return column._replace(axis=None)
        if column.level is not None:
            return column
        optimal = self.baseline.document["results"]["optimal"] or {}
        return column._replace(level=optimal.get(self.baseline.axis, math.nan))

    def wanted(self) -> set[tuple[str, str]]:
        """Return the (machine, model) pairs whose earlier runs are needed to estimate the noise."""
        return {(one.machine, one.model) for one in self.subjects if one.machine is not None}

    def estimate(self, other: Load, column: Column) -> Estimate:
        """Return the change, with an interval from the files or from earlier runs."""
        pair = self.baseline.number(column), other.number(column)
        apart = self.unlike_sensors(other, column)
        if apart:
            return Estimate(*pair, reason=apart, facts={"noise": None})
        interval, noise = self._interval(other, column, pair)
        few = _uncertified((self.baseline, other), column) if interval else None
        reason = few if interval else self._unknown(other, column, noise)
        facts = {"noise": noise if interval else None}
        advice = _MORE_RUNS if facts["noise"] else _MORE_REQUESTS
        change = changes.difference(*pair, column.unit)
        return Estimate(*pair, change, interval, reason, facts, advice)

    def _interval(
        self, other: Load, of: Column, pair: Sequence[float | None]
    ) -> tuple[list[float] | None, Document | None]:
        """Return the interval of a change and the noise behind it, each None if it is unknown."""
        before, now = pair
        if before is None or now is None:
            return None, None
        own = _own_interval((self.baseline, other), of, self.confidence)
        if own:
            return own, None
        if of not in self.memory:
            self.memory[of] = self._noise(of)
        runs, found = self.memory[of]
        noise = {"runs": runs, "std": found and math.sqrt(found.variance)}
        zero = of.unit != SHARE and min(before, now) <= 0
        if zero or runs < statistics.LEAST_RUNS or not (found and found.variance):
            return None, noise
        both = statistics.Part(2 * found.variance, found.df)
        half = statistics.half_width([both], self.confidence)
        middle = _scaled(now, of) - _scaled(before, of)
        ends = middle - half, middle + half
        return [end if of.unit == SHARE else math.expm1(end) for end in ends], noise

    def _noise(self, of: Column) -> tuple[int, Part | None]:
        """Return the number of earlier runs with equal conditions, and their variance."""
        alike: dict[Any, list[float]] = {}
        conditions = {one.conditions for one in self.subjects}
        for one in self.history:
            number = one.number(of) if one.conditions in conditions else None
            if number is not None and (number > 0 or of.unit == SHARE):
                counted = self.of_sensors(of) and profiles.counted_in(one.document)
                alike.setdefault((one.conditions, counted), []).append(_scaled(number, of))
        several = [group for group in alike.values() if len(group) > 1]
        return sum(map(len, several)), statistics.within(several)

    def _unknown(self, other: Load, of: Column, noise: Document | None) -> str:
        """Return why a change has no interval."""
        both = (self.baseline, other)
        if noise and of.unit != SHARE and 0 in [one.number(of) for one in both]:
            return "one of them is 0, to which there is no ratio"
        if noise:
            return _alone(noise["runs"])
        if of.metric not in POINTS:
            return f"{of.metric} was not measured at {of.level:g} on each side"
        sides = zip(("the baseline", "the file"), both, strict=True)
        missing = [(side, one.point(of.metric)) for side, one in sides if one.number(of) is None]
        return "; ".join(_no_point(side, point) for side, point in missing)

    def absent(self, column: Column) -> str:
        """Return why a gate's column is in no change."""
        if column.level is None or math.isnan(column.level):
            return "the baseline has no optimal level: name one, as in requests_per_sec@8:-5%"
        return f"the files have no level {column.level:g} in common"

    def file(self, subject: Load) -> Document:
        """Return a file as the comparison tells of it, with its mode and axis."""
        mode = subject.document["config"]["mode"]
        return {**super().file(subject), "mode": mode, "axis": subject.axis}

    def differing(self, other: Load) -> Iterator[str]:
        """Yield what differs from the baseline besides the numbers, and what disturbed either."""
        yield from super().differing(other)
        before, after = self.baseline.document, other.document
        if after["status"] != "complete":
            yield f"it is {after['status']}"
        if self.baseline.machine != other.machine:
            yield "it was measured on another machine"
        apart = profiles.unlike((before, after))
        if apart:
            yield apart
        deadlines = [found["results"]["deadline_s"] for found in (before, after)]
        if None not in deadlines and deadlines[0] != deadlines[1]:
            yield "a request failed after {1:.3g} s, in the baseline after {0:.3g}".format(
                *deadlines
            )
        yield from _disturbed(self.baseline, "the baseline")
        yield from _disturbed(other, "it")

    def written(self, change: Change) -> Document:
        """Return the entry of a change in the result file; a point has the unit of the levels."""
        entry = super().written(change)
        if change.column.metric in POINTS:
            entry["unit"] = _axis.UNITS[self.baseline.axis]
        return entry


def _disturbed(load: Load, which: str) -> Iterator[str]:
    """Yield what disturbed one run: other programs, other measurements, or a slow client."""
    if insights.busy(load.document):
        yield f"{which} {insights.BUSY}"
    if load.document["contended"]:
        yield f"{which} was allowed to run at the same time as other measurements"
    for level in load.document["results"]["levels"]:
        if level["client_health"]["client_limited"]:
            yield f"in {which} the client was too slow at {level[load.axis]:g}"


def _scaled(value: float, of: Column) -> float:
    """Return a value on the scale of its changes: the logarithm, except for shares."""
    return value if of.unit == SHARE else math.log(value)


def _own_interval(both: Sequence[Load], of: Column, confidence: float) -> list[float] | None:
    """Return the interval of a change from the files' own intervals, or None."""
    if of.metric == "error_rate":
        before, after = (one.observed(of) for one in both)
        return changes.interval(before, after, of.unit, confidence)
    if of.metric not in POINTS:
        return None
    ends = []
    for one in both:
        point, value = one.point(of.metric) or {}, one.number(of)
        if not point.get("interval") or value is None:
            return None
        ends.append(_stretched(point["interval"], value, changes.wider(confidence)))
    first, last = ends
    return [last[0] / first[1] - 1, last[1] / first[0] - 1] if first[0] > 0 else None


def _stretched(ends: Sequence[float], value: float, by: float) -> tuple[float, float]:
    """Return an interval whose ends are `by` times as far from the value, on a log scale."""
    low, high = (value * (end / value) ** by if value else end for end in ends)
    return low, high


def _alone(runs: int) -> str:
    """Return why one run on each side has no interval; `runs` earlier runs are known."""
    if runs >= statistics.LEAST_RUNS:
        return f"{runs} earlier runs of the same load show no spread"
    least = statistics.LEAST_RUNS
    return (
        f"one run does not show the noise between runs: there are {runs} earlier runs of this "
        f"load, {least} are needed"
    )


def _uncertified(both: Sequence[Load], of: Column) -> str | None:
    """Return why there are too few requests for a percentile, or None."""
    if of.statistic not in samples.PERCENTILES or of.level is None:
        return None
    found = [one.levels[of.level][of.metric] for one in both]
    few = [values["n"] for values in found if of.statistic not in values["certified"]]
    return f"{counted(min(few), 'request is', 'requests are')} too few for it" if few else None


def _no_point(side: str, point: Document | None) -> str:
    """Return why a point has no number in a file, and the known bounds."""
    if point is None:
        return f"{side} does not have it"
    if point["reached"]:
        low, high = point.get("bracket") or (None, point["failing"])
        ends = f"at or below {high:g}" if low is None else f"between {low:g} and {high:g}"
        return f"in {side} it lies {ends if high else f'above {low:g}'}"
    held = f" up to {point['passing']:g}" if point["passing"] else ""
    return f"{side} did not reach it{held}"

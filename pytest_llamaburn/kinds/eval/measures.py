"""The measures of an eval's result file, and how each is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import criteria, measures, metrics
from pytest_llamaburn.kinds.eval import programs, scores
from pytest_llamaburn.measures import Measure, Observed
from pytest_llamaburn.program_measures import PROGRAMS
from pytest_llamaburn.sound_measures import SOUND, WRITTEN
from pytest_llamaburn.stats import samples
from pytest_llamaburn.structure_measures import STRUCTURE
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_llamaburn.kinds.eval.documents import Answer

    Document = Mapping[str, Any]

TITLE = "Of answers"
ABOUT = """\
These names are used in gates of an eval. A metric of requests is a distribution over the answers;
the numbers in this table are over all answers. Means leave out the answers that no judge could
score. Answers that a scorer could not read are wrong. Each criterion of your own is a metric too:
a mean score from 1 to 5, or the share of yes.
"""


def with_own(definitions: Iterable[Mapping[str, object]]) -> dict[str, Measure]:
    """Return the measures of an eval whose questions have these criteria of the user."""
    own = map(measures.of_criterion, criteria.defined(definitions).values())
    return {**MEASURES, **measures.readable(_judged, own)}


def of(document: Document) -> dict[str, Measure]:
    """Return the measures of a document, including those of the user's own criteria."""
    asked = [item["question"] for item in document["results"].get("items", ())]
    return with_own(one for question in asked for one in question.get("definitions", ()))


def _distribution(
    measure: Measure, document: Document, statistic: str | None, _level: float | None
) -> Observed:
    timings = [answer["timing"] for answer in _answers(document) if not answer["cached"]]
    values = [value for timing in timings if (value := timing.get(measure.name)) is not None]
    return measures.of_distribution(document["results"]["summary"][measure.name], statistic, values)


def _answers(document: Document) -> list[Answer]:
    return [one for item in document["results"]["items"] for one in scores.samples(item)]


def _failed(_measure: Measure, document: Document, *_: object) -> Observed:
    answers = _answers(document)
    failed = sum(answer["error"] is not None for answer in answers)
    return measures.of_share(failed, len(answers), "no requests")


def _judged(measure: Measure, document: Document, *_: object) -> Observed:
    results = document["results"]
    found = {**results["criteria"], **results["grades"]}.get(measure.name)
    return _mean(found or results.get(measure.name))


def _mean(found: Mapping[str, Any] | None, doubt: str = "") -> Observed:
    if found is None or found["mean"] is None:
        return Observed(reason=(found and found["reason"]) or "nothing was scored")
    return Observed(found["mean"], found["ci95"], doubt)


def _scored(measure: Measure, document: Document, *_: object) -> Observed:
    results = document["results"]
    scored = results["correct"]
    unscored, doubt = scored["by_state"].get("unavailable", 0), ""
    if unscored:
        why = scores.why_unavailable(one["verdict"] for one in _answers(document))
        doubt = f"{unscored} of {counted(scored['n_total'], 'answer')} could not be scored: {why}"
    return _mean(results.get(measure.name), doubt)


def _rate(measure: Measure, document: Document, *_: object) -> Observed:
    return _mean(document["results"].get("rates", {}).get(measure.name))


def _measured(
    measure: Measure, document: Document, statistic: str | None, _level: float | None
) -> Observed:
    found = document["results"].get("measured", {}).get(measure.name)
    if found is None:
        return Observed(reason=f"no answer of this set has {measure.name}")
    every = (one["measured"].get(measure.name) for one in _answers(document) if not one["cached"])
    return measures.of_distribution(found, statistic, [one for one in every if one is not None])


def _of_programs(
    measure: Measure, document: Document, statistic: str | None, _level: float | None
) -> Observed:
    found = document["results"].get("programs") or {"measured": {}}
    if measure.name not in found["measured"]:
        return Observed(reason="no scorer of this set measures it")
    values = programs.values(document, measure.name)
    return measures.of_distribution(found["measured"][measure.name], statistic, values)


def _win_rate(_measure: Measure, document: Document, *_: object) -> Observed:
    rate = (document["results"]["pairwise"] or {}).get("win_rate")
    if rate is None or rate["value"] is None:
        return Observed(reason="no answers were compared")
    return Observed(rate["value"], rate["ci95"])


def _unscored(_measure: Measure, document: Document, *_: object) -> Observed:
    """Return the share of missing verdicts, of judges or of scorers; the larger one."""
    results = document["results"]
    asked = [one for one in (results, results["correct"]) if one["n_total"]]
    if not asked:
        return Observed(reason="nothing was scored or judged")
    worst = max(asked, key=lambda one: scores.missing(one) / one["n_total"])
    total, cut = worst["n_total"], worst["by_state"].get(scores.UNFINISHED, 0)
    why = f"the run was cut: {cut} of {counted(total, 'verdict')} missing" if cut else ""
    missing = scores.missing(worst)
    return Observed(missing / total, samples.wilson(missing, total), why)


MEASURES = {
    **measures.readable(_judged, (*measures.CRITERIA, *measures.GRADES)),
    **measures.readable(_scored, measures.SCORED),
    **measures.readable(_rate, (*measures.RATES, *WRITTEN, *STRUCTURE)),
    **measures.readable(_measured, SOUND),
    **measures.readable(_of_programs, PROGRAMS),
    **measures.readable(_win_rate, [measures.WIN_RATE]),
    **measures.readable(_unscored, [measures.UNSCORED]),
    **measures.readable(_failed, [measures.FAILED_ANSWERS]),
    **measures.readable(_distribution, metrics.MEASURES.values()),
}

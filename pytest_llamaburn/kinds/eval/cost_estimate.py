"""What judging an exam would take, told before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_llamaburn import judges
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.eval import task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.criteria import Criterion
    from pytest_llamaburn.datasets import Question
    from pytest_llamaburn.judges import Case, Estimate, Panel

_TYPICAL = 1200 * "x"  # for an answer or a source that is not there yet: some 300 tokens


def lines(settings: Any) -> Iterator[str]:
    """Yield a sentence for each judge: its calls, tokens and cost for one model under test.

    Raises SettingsError where no judge is named.
    """
    if not settings.judge:
        raise SettingsError("--dry-run: nothing is judged without --judge: add --judge claude")
    panel = judges.Panel.of(settings)
    for name in settings.set:
        asked = task.paper(settings, name).questions
        given = task.items(settings) if settings.answers else {}
        cases = [(q, _case(q, given.get(q.id), settings)) for q in asked]
        for found in _estimates(panel, cases, settings):
            yield _sentence(found, name, len(asked)) + _condition(found, settings)


def _estimates(
    panel: Panel, answered: Sequence[tuple[Question, Case]], settings: Any
) -> Iterator[Estimate]:
    """Yield what each judge takes; questions with other criteria are added up."""
    if settings.pairwise:
        pairs = [
            judges.Pair(q.prompt, case.answer, _TYPICAL, q.reference, q.rubric)
            for q, case in answered
        ]
        yield from panel.estimate_pairs(pairs)
        return
    groups: dict[tuple[Criterion, ...], list[Case]] = {}
    for q, case in answered:
        groups.setdefault(q.asked, []).append(case)
    each = [panel.estimate(cases, criteria) for criteria, cases in groups.items()]
    for of_judge in zip(*each, strict=True):
        yield judges.total(of_judge)


def _case(q: Question, item: dict[str, Any] | None, settings: Any) -> Case:
    """Return a stored answer as it is judged, or one of the expected length."""
    if item is not None:
        evidence = task.evidence(q, item["search"])
        return judges.Case(q.prompt, item["answer"] or "", q.reference, q.rubric, evidence=evidence)
    evidence = task.evidence(q, None) or ""
    if settings.web_search and q.allow_web_search:
        evidence += settings.search_results * _TYPICAL
    return judges.Case(q.prompt, _TYPICAL, q.reference, q.rubric, evidence=evidence or None)


def _sentence(found: Estimate, name: str, questions: int) -> str:
    price = "at an unknown price"
    if found.cost_usd is not None:
        price = f"about {found.cost_usd:.2f} USD, at most {found.most_usd:.2f} USD"
    return (
        f"{found.judge}: {found.calls} calls for the {questions} questions of {name}, about "
        f"{found.input_tokens} tokens in and {found.output_tokens} out, {price}"
    )


def _condition(found: Estimate, settings: Any) -> str:
    """Return under which condition the most holds, if one is told."""
    if found.most_usd is None:
        return ""
    if settings.answers and not settings.pairwise:
        return " if no call fails"
    return f" if no call fails and answers have up to {len(_TYPICAL)} characters"

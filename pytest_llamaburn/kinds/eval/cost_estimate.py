"""An estimate of the calls, tokens and cost of judging an eval. Nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llamaburn import judges
from pytest_llamaburn.errors import SettingsError
from pytest_llamaburn.kinds.eval import showing, task
from pytest_llamaburn.texts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_llamaburn.evalsets import Question
    from pytest_llamaburn.judges import Case, Estimate, Panel
    from pytest_llamaburn.kinds.eval.documents import Item
    from pytest_llamaburn.kinds.eval.settings import Eval

_TYPICAL = 1200 * "x"  # stands for an unknown answer or source: about 300 tokens


def lines(settings: Eval) -> Iterator[str]:
    """Yield a sentence for each set and judge: its calls, tokens and cost for one model.

    Raises SettingsError if no judge is named.
    """
    if not settings.judge:
        raise SettingsError("--dry-run: nothing is judged without --judge: add --judge claude")
    panel = judges.Panel.of(settings)
    for name in settings.set:
        questions = task.load(settings, name).questions
        stored = task.items(settings) if settings.rescore else {}
        cases = [(q, _case(q, stored.get(q.id), settings)) for q in questions]
        for estimate in _estimates(panel, cases, settings):
            material = f"the {counted(len(questions), 'question')} of {name}"
            yield estimate.sentence(material) + _condition(estimate, settings)


def _estimates(
    panel: Panel, cases: Sequence[tuple[Question, Case]], settings: Eval
) -> list[Estimate]:
    if not settings.pairwise:
        return panel.estimate((case, question.asked) for question, case in cases)
    return panel.estimate_pairs(
        judges.Pair(q.prompt, case.answer, _TYPICAL, q.reference, q.rubric, case.shown)
        for q, case in cases
    )


def _case(q: Question, item: Item | None, settings: Eval) -> Case:
    """Return the case of a stored answer, or of an answer of the expected length."""
    if item is not None:
        evidence = task.evidence(q, item["search"])
        shown = showing.media(q, item, settings)
        answer = item["answer"] or ""
        return judges.Case(q.prompt, answer, q.reference, q.rubric, evidence=evidence, shown=shown)
    evidence = task.evidence(q, None) or ""
    if settings.web_search and q.allow_web_search:
        evidence += settings.search_results * _TYPICAL
    shown = showing.media(q, None, settings)
    found = evidence or None
    return judges.Case(q.prompt, _TYPICAL, q.reference, q.rubric, evidence=found, shown=shown)


def _condition(estimate: Estimate, settings: Eval) -> str:
    """Return the assumption of the highest cost about the length of answers, if there is one."""
    if estimate.most_usd is None or (settings.rescore and not settings.pairwise):
        return ""
    return f" and answers have up to {len(_TYPICAL)} characters"
